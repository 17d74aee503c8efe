package bucket

import (
	"context"
	"net/http"
	"net/url"
	"time"

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
	client := s.client
	if r.PublicURL != "" {
		u, err := url.Parse(r.PublicURL)
		if err != nil || u.Host == "" {
			return "", nil, fault.New(fault.Invalid, op, "bad_public_url", "The public address must be one such as https://video.example.org.", err)
		}
		options := s.options.Copy()
		public := u.Scheme + "://" + u.Host
		options.BaseEndpoint = &public
		client = s3.New(options)
	}
	in := &s3.PutObjectInput{Bucket: &r.Bucket, Key: &r.Key, ContentType: optional(r.ContentType)}
	if r.Size > 0 {
		in.ContentLength = &r.Size
	}
	out, err := s3.NewPresignClient(client).PresignPutObject(ctx, in, s3.WithPresignExpires(r.Expires))
	if err != nil {
		return "", nil, fault.New(fault.Internal, op, "internal", "The upload could not be signed; see the server's log.", err)
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
