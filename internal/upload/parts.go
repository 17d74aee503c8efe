package upload

import (
	"context"
	"fmt"
	"time"

	"sluice/internal/bucket"
	"sluice/internal/fault"
	"sluice/internal/video"
)

const (
	// usualPart is the size of the parts of a source that has few enough: a part that fails costs as much again.
	usualPart = 64 << 20
	// listLimit bounds the listing of the parts of one upload: a request for each thousand.
	listLimit = 30 * time.Second
)

// partSize is the size of the parts of a source of that size; limit is the largest that one PUT may have.
func partSize(size, limit int64) int64 {
	return max(min(usualPart, limit), (size+bucket.MostParts-1)/bucket.MostParts)
}

func multipart(up video.Upload) bucket.Multipart {
	return bucket.Multipart{Bucket: up.Bucket, Key: up.Key, ID: up.Multipart}
}

// Part is the right to put one part of a source.
type Part struct {
	Number int // from 1
	Size   int64
	URL    string // presigned
}

// Parts returns the right to put up to count parts of an upload, from the part first on, and when it expires; no part
// where first is behind the last one. It may be repeated, for the same parts too: the storage keeps the last PUT of a
// part. Errors are fault.NotFound ("no_upload") and fault.Conflict ("no_parts") where the source comes in one PUT or was
// received. It costs one read of the records.
func (d *Service) Parts(ctx context.Context, id video.ID, first, count int) (parts []Part, expires time.Time, err error) {
	up, err := d.Store.Upload(ctx, id)
	if err != nil {
		return nil, expires, err
	}
	if up.Multipart == "" || !up.Received.IsZero() {
		return nil, expires, fault.New(fault.Conflict, "upload.parts", "no_parts",
			"This upload takes no parts: its file goes to the upload's URL in one PUT, or was received; look at its video.", nil)
	}
	expires = d.Now().Add(d.Expiry)
	for n := first; n < first+count && n <= up.Parts(); n++ {
		r := bucket.PresignRequest{Bucket: up.Bucket, Key: up.Key, Size: up.PartSize(n), Expires: d.Expiry, PublicURL: d.PublicURL}
		address, err := d.Objects.PresignPart(ctx, r, up.Multipart, n)
		if err != nil {
			return nil, expires, err
		}
		parts = append(parts, Part{Number: n, Size: r.Size, URL: address})
	}
	return parts, expires, nil
}

// join completes the multipart upload of a source on the storage. The parts are those that the storage lists, and all
// that the upload was granted for: nothing that a client says of them is used. It calls ready before it completes. It
// returns when the upload expires: the zero time where the storage has no such multipart upload, because an earlier
// call completed it, whose object is then there, or because it was aborted. Errors are fault.Conflict ("parts_missing",
// "wrong_size") and those of the storage.
func (d *Service) join(ctx context.Context, up video.Upload, ready func() error) (expires time.Time, err error) {
	parts, err := d.listed(ctx, up)
	if fault.Is(err, fault.NotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	if err := whole(up, parts); err != nil {
		return time.Time{}, err
	}
	if err := ready(); err != nil {
		return time.Time{}, err
	}
	err = d.Objects.JoinParts(ctx, multipart(up), parts)
	if fault.Is(err, fault.NotFound) { // another process completed it meanwhile
		err = nil
	}
	return d.Now().Add(d.Expiry), err
}

// listed returns the parts of an upload that the storage has, when it is its turn to look.
func (d *Service) listed(ctx context.Context, up video.Upload) ([]bucket.Part, error) {
	turn, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	if err := d.completion.looks.Acquire(turn, 1); err != nil {
		return nil, slow(err)
	}
	defer d.completion.looks.Release(1)
	limited, stop := context.WithTimeout(ctx, listLimit)
	defer stop()
	parts, err := d.Objects.ListParts(limited, multipart(up))
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = slow(err)
	}
	return parts, err
}

// whole returns an error unless the parts are those that the upload was granted for.
func whole(up video.Upload, parts []bucket.Part) error {
	const op = "upload.complete"
	sizes := map[int]int64{}
	for _, p := range parts {
		sizes[p.Number] = p.Size
	}
	for n := 1; n <= up.Parts(); n++ {
		size, ok := sizes[n]
		switch {
		case !ok:
			return fault.New(fault.Conflict, op, "parts_missing", fmt.Sprintf(
				"The storage has %d of the %d parts of this upload, and not part %d; PUT the parts that are missing, then complete the upload.",
				len(parts), up.Parts(), n), nil)
		case size != up.PartSize(n):
			return fault.New(fault.Conflict, op, "wrong_size", fmt.Sprintf(
				"Part %d has %d bytes and the upload was granted for a part of %d; PUT this part again, then complete the upload.",
				n, size, up.PartSize(n)), nil)
		}
	}
	if len(parts) > up.Parts() {
		return fault.New(fault.Conflict, op, "wrong_size", fmt.Sprintf(
			"The storage has %d parts and the upload was granted for %d; ask for another upload and PUT the whole file.", len(parts), up.Parts()), nil)
	}
	return nil
}
