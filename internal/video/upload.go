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

	Multipart string // id of the multipart upload that the source comes by; empty where it comes in one PUT
	Part      int64  // bytes of each part but the last, where it comes in parts
}

// Parts is how many parts the source has; 0 where it comes in one PUT.
func (u Upload) Parts() int {
	if u.Part == 0 {
		return 0
	}
	return int((u.Size + u.Part - 1) / u.Part)
}

// PartSize is the bytes of part n, from 1.
func (u Upload) PartSize(n int) int64 { return min(u.Part, u.Size-int64(n-1)*u.Part) }
