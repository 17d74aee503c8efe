package delivery

import (
	"context"
	"io"

	"sluice/internal/bucket"
	"sluice/internal/signing"
	"sluice/internal/video"
)

// Objects reads the media bucket.
type Objects interface {
	// LocalPath is the file of an object that lies on this machine, whether or not it is there; false where objects are elsewhere.
	LocalPath(bucket, key string) (string, bool)
	Head(ctx context.Context, bucket, key string) (bucket.Object, error)
	// Get reads an object, or the part of it that a Range header ("bytes=0-99") names. The caller closes it.
	Get(ctx context.Context, bucket, key, rangeHeader string) (io.ReadCloser, bucket.Object, error)
	// Cached opens an object of another machine as a file of this one, of which nothing need be there yet; an error where none is kept. The caller closes it.
	Cached(o bucket.Object) (*bucket.File, error)
}

// Playbacks knows what may be watched, and by whom.
type Playbacks interface {
	// Playback is the one that a folder of the edge's addresses names, and whether viewers may have generation n of its video: whether that was published
	// and not retired, and the video is not deleted. The folder is "<stem>-<video id>", exactly the last element of the video's prefix, or a
	// playback id; where it could be both, the playback id counts. An unknown folder has the zero Playback, and no error. A revoked
	// playback is told with Revoked set.
	Playback(ctx context.Context, folder string, n int) (p video.Playback, served bool, err error)
}

// Keys knows the key pairs that signatures are made with. Both answers may hold retired ones.
type Keys interface {
	// KeyPairs are those of users, and those by which the API itself grants what it has decided: these open what is for members alone. No two of all have one id.
	// Where a private key comes along, the edge may sign with it.
	KeyPairs(ctx context.Context) (users, internal []signing.KeyPair, err error)
}
