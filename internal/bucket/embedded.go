package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/s3api"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3err"

	"sluice/internal/fault"
)

// EmbeddedConfig says how to open an Embedded.
type EmbeddedConfig struct {
	Root        string      // folder of the buckets, on a filesystem with extended attributes
	Socket      string      // file name of the unix socket; empty means <Root>/.s3.sock
	Credentials Credentials // the root account, the only one
	Region      string      // empty means us-east-1
	Domain      string      // Door.Domain
	Buckets     []string    // made if they are missing; there are no others
	// Created is told of every accepted write (PUT, completed multipart upload, copy) before its client is, in the order of writes
	// for one key. The client gets a 500 if it fails, and the object stays. It may be called again for the same write. Nil tells nobody.
	Created func(context.Context, Object) error
	// MaxBytes is the longest body that is taken, of an object or of a part; 0 for no limit. A longer one is refused by its length alone: room for all
	// of a body is made on the disk before its first byte is there.
	MaxBytes int64
	// Room returns an error where bytes more would make the disk low. It is asked where completing a multipart upload
	// needs its size twice:
	// on a filesystem that can't cut a piece out of a file. Nil admits all.
	Room   func(bytes int64) error
	Logger *slog.Logger // nil discards
}

// Embedded is the S3 endpoint over plain files <root>/<bucket>/<key>.
type Embedded struct {
	disk        *disk
	server      *s3api.S3ApiServer
	credentials Credentials
	region      string
	way         *os.File // the folder of the socket
	socket      string   // the socket's name by way, short enough for a socket's address whatever the folder is called
	stop        context.CancelFunc
	served      chan error
	transport   *http.Transport
	handler     http.Handler
}

// requests bounds what is served at once; more get 503 SlowDown.
const requests = 4096

// OpenEmbedded makes the buckets and serves S3 on the socket until Close. ctx bounds the start only.
func OpenEmbedded(ctx context.Context, c EmbeddedConfig) (*Embedded, error) {
	const op = "bucket.open_embedded"
	root, err := filepath.Abs(c.Root)
	if err != nil {
		return nil, storageFault(op, err)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	if c.Credentials.Access == "" || c.Credentials.Secret == "" {
		return nil, fault.New(fault.Invalid, op, "no_credentials", "The storage endpoint needs an access key and a secret; set both.", nil)
	}
	if err := makeBuckets(root, c.Buckets); err != nil {
		return nil, err
	}
	d, err := newDisk(root)
	if err != nil {
		return nil, storageFault(op, err)
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.maxBytes, d.room, d.frees = c.MaxBytes, c.Room, len(c.Buckets) > 0 && punches(filepath.Join(root, c.Buckets[0], staging))
	d.buckets, d.owner, d.created, d.log, d.life = c.Buckets, c.Credentials.Access, c.Created, c.Logger, life
	e := &Embedded{disk: d, credentials: c.Credentials, region: c.Region, stop: stop, served: make(chan error, 1)}
	if err := e.serve(ctx, c); err != nil {
		stop()
		d.Shutdown()
		return nil, err
	}
	return e, nil
}

func makeBuckets(root string, names []string) error {
	const op = "bucket.open_embedded"
	for _, name := range names {
		dir := filepath.Join(root, name, staging)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return storageFault(op, err)
		}
		if err := syncPath(filepath.Dir(dir)); err != nil {
			return storageFault(op, err)
		}
		if err := removeStaged(dir); err != nil {
			return storageFault(op, err)
		}
		if err := (folder{root}).recoverUploads(name); err != nil {
			return storageFault(op, err)
		}
	}
	if err := syncPath(root); err != nil {
		return storageFault(op, err)
	}
	if err := (meta.XattrMeta{}).Test(root); err != nil {
		return fault.New(fault.Invalid, op, "no_attributes",
			"The data folder is on a filesystem without extended attributes; put it on ext4, XFS, Btrfs or ZFS.", err)
	}
	return nil
}

// removeStaged removes what a process that was killed left behind: objects that were stored or copied, attempts at a
// completion, and
// uploads that were being removed.
func removeStaged(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == uploadsFolder {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// serve starts the server and waits until it listens.
func (e *Embedded) serve(ctx context.Context, c EmbeddedConfig) (err error) {
	const op = "bucket.open_embedded"
	socket := c.Socket
	if socket == "" {
		socket = filepath.Join(e.disk.root, ".s3.sock")
	}
	if e.way, err = os.Open(filepath.Dir(socket)); err != nil {
		return storageFault(op, err)
	}
	// A socket's address holds 107 bytes; by way of an open folder the name is short.
	e.socket = "/proc/self/fd/" + strconv.Itoa(int(e.way.Fd())) + "/" + filepath.Base(socket)
	e.transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			if e.disk.life.Err() != nil { // the folder's number may be another's by now
				return nil, net.ErrClosed
			}
			c, err := new(net.Dialer).DialContext(ctx, "unix", e.socket)
			if err != nil {
				return nil, err
			}
			return patient{c}, nil
		},
		DisableCompression: true, MaxIdleConnsPerHost: 64,
	}
	e.handler = Handler{Buckets: c.Buckets, Domain: c.Domain}.checked(newProxy(e.transport, c.Logger))
	ready := make(chan struct{})
	root := auth.Account{Access: c.Credentials.Access, Secret: c.Credentials.Secret, Role: auth.RoleAdmin}
	e.server, err = s3api.New(e.disk, middlewares.RootUserConfig{Access: root.Access, Secret: root.Secret}, c.Region,
		accounts{auth.NewIAMServiceSingle(root)}, nil, nil, nil, nil,
		s3api.WithQuiet(), s3api.WithKeepAlive(), s3api.WithConcurrencyLimiter(requests, requests), s3api.WithMpMaxParts(10000),
		s3api.WithSocketPerm(0o600), s3api.WithOnListen(func() { close(ready) }))
	if err != nil {
		return errors.Join(storageFault(op, err), e.way.Close())
	}
	go func() { e.served <- e.server.ServeMultiPort([]string{e.socket}) }()
	select {
	case <-ready:
		return nil
	case err = <-e.served:
	case <-ctx.Done():
		err = ctx.Err()
	}
	return errors.Join(fault.New(fault.Unavailable, op, "storage_unavailable", "The storage endpoint did not start; see the log.", err), e.way.Close())
}

// accounts is the root account alone. It tells a request with any other access key what S3 tells it, 403 InvalidAccessKeyId.
type accounts struct{ auth.IAMService }

func (a accounts) GetUserAccount(access string) (auth.Account, error) {
	account, err := a.IAMService.GetUserAccount(access)
	if errors.Is(err, s3err.GetAPIError(s3err.ErrAdminUserNotFound)) {
		err = auth.ErrNoSuchUser
	}
	return account, err
}

// Handler serves S3 requests as they came to a front door: streaming both ways, the host and the path as the client signed them.
func (e *Embedded) Handler() http.Handler { return e.handler }

// Close ends the endpoint: requests under way get ten seconds. A completion that needs longer stops after the chunk
// that it is at, and its
// client repeats it on the next process.
func (e *Embedded) Close() error {
	e.transport.CloseIdleConnections() // the server would wait for what was dialled and not needed as for a request under way
	err := e.end()
	e.stop()
	e.settle()
	e.transport.CloseIdleConnections()
	e.disk.Shutdown()
	if removed := os.Remove(e.socket); removed != nil && !errors.Is(removed, os.ErrNotExist) {
		err = errors.Join(err, removed)
	}
	if err = errors.Join(err, e.way.Close()); err != nil {
		return fmt.Errorf("close the storage endpoint: %w", err)
	}
	return nil
}

// settle waits for the completions under way, which stop at their next chunk. A disk that does not answer is not waited
// for: a completion can
// be repeated wherever it is left.
func (e *Embedded) settle() {
	done := make(chan struct{})
	go func() {
		e.disk.ending.Lock()
		defer e.disk.ending.Unlock()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(settling):
	}
}

// settling bounds settle.
const settling = 10 * time.Second

// end has the server end. It says that it listens before it would hear of that, so it is told again until it has ended: an endpoint that was closed as
// soon as it was open waited for its end for ever.
func (e *Embedded) end() error {
	for {
		err := e.server.ShutDown()
		select {
		case <-e.served: // that the listener is closed is no news
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

var _ io.Closer = (*Embedded)(nil)
