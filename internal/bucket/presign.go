package bucket

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"sluice/internal/fault"
)

// PresignRequest asks for the right to put one object.
type PresignRequest struct {
	Bucket, Key string
	ContentType string        // signed where given: a PUT of another type is refused
	Size        int64         // bytes; signed where above 0: a PUT of another length is refused
	Expires     time.Duration // from now
	PublicURL   string        // the address clients use, scheme and host: the signature covers the host; empty means the store's own
}

// PresignPut returns a URL that takes one PUT until it expires (SigV4 in the query, path-style), and the header fields
// that the PUT must carry beside Host and Content-Length, which every client sends of itself.
func (s *Store) PresignPut(ctx context.Context, r PresignRequest) (string, map[string]string, error) {
	const op = "bucket.presign"
	if _, ok := cleanKey(r.Key); !ok {
		return "", nil, badKey(op)
	}
	client, err := s.public(op, r.PublicURL)
	if err != nil {
		return "", nil, err
	}
	in := &s3.PutObjectInput{Bucket: &r.Bucket, Key: &r.Key, ContentType: optional(r.ContentType)}
	if r.Size > 0 {
		in.ContentLength = &r.Size
	}
	out, err := client.PresignPutObject(ctx, in, s3.WithPresignExpires(r.Expires))
	if err != nil {
		return "", nil, unsigned(op, err)
	}
	header := map[string]string{}
	for name, values := range out.SignedHeader {
		switch http.CanonicalHeaderKey(name) {
		case "Host", "Content-Length":
		default:
			header[name] = values[0]
		}
	}
	return out.URL, header, nil
}

// PresignPart returns a URL that takes one PUT of r.Size bytes, the part number (from 1) of a multipart upload, until it
// expires. The PUT needs no header field beside Host and Content-Length.
func (s *Store) PresignPart(ctx context.Context, r PresignRequest, upload string, number int) (string, error) {
	const op = "bucket.presign"
	client, err := s.public(op, r.PublicURL)
	if err != nil {
		return "", err
	}
	out, err := client.PresignUploadPart(ctx, &s3.UploadPartInput{
		Bucket: &r.Bucket, Key: &r.Key, UploadId: &upload, PartNumber: aws.Int32(int32(number)), ContentLength: &r.Size,
	}, s3.WithPresignExpires(r.Expires))
	if err != nil {
		return "", unsigned(op, err)
	}
	return out.URL, nil
}

// public signs for the host of an address; empty means the store's own.
func (s *Store) public(op, address string) (*s3.PresignClient, error) {
	if address == "" {
		return s3.NewPresignClient(s.client), nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, fault.New(fault.Invalid, op, "bad_public_url", "The public address must be one such as https://video.example.org.", err)
	}
	options := s.options.Copy()
	endpoint := u.Scheme + "://" + u.Host
	options.BaseEndpoint = &endpoint
	return s3.NewPresignClient(s3.New(options)), nil
}

func unsigned(op string, cause error) error {
	return fault.New(fault.Internal, op, "internal", "The upload could not be signed; see the server's log.", cause)
}
