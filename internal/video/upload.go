package video

import "time"

// Upload is the right to put one source.
type Upload struct {
	Video    ID
	Bucket   string
	Key      string
	Type     string // Content-Type that was signed, empty for any
	Size     int64  // Content-Length that was signed, 0 for any
	Expires  time.Time
	Received time.Time         // when its source was recorded; zero before
	URL      string            // presigned; not stored
	Header   map[string]string // what the PUT must carry
}
