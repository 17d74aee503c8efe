package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/internal/bucket"
	"sluice/internal/catalog"
	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/upload"
	"sluice/internal/video"
)

// moveFile, in the data folder and under the same name in the new media bucket, says which move that folder and that bucket belong to.
const moveFile = "sluice-move.json"

// moved is what moveFile says.
type moved struct {
	ID   string    `json:"id"`            // of the installation that is moved
	Done time.Time `json:"done,omitzero"` // in the folder alone: since then it is served elsewhere
	To   string    `json:"to,omitempty"`  // where
}

// Move is the command that takes a stopped installation from its data folder to PostgreSQL and S3.
type Move struct {
	Data        string `help:"Data folder of the installation; its server must have stopped." default:"./data" env:"SLUICE_DATA" type:"path"`
	Database    string `help:"PostgreSQL database to move records and jobs to: postgres://user:password@host/name. It must be empty." env:"SLUICE_DATABASE" placeholder:"URL"`
	S3          S3     `embed:"" prefix:"s3-" envprefix:"SLUICE_S3_"`
	FromUploads string `help:"The uploads bucket of the data folder." default:"uploads"`
	FromMedia   string `help:"The media bucket of the data folder." default:"media"`
	Check       bool   `help:"Move nothing: compare both sides, and read every object on both."`
}

// Validate refuses a move without a place to go to.
func (c *Move) Validate() error {
	if !engine.IsPostgres(c.Database) {
		return errors.New("database is no URL of PostgreSQL; use postgres://user:password@host:5432/name")
	}
	if c.S3.Endpoint == "" || c.S3.AccessKey == "" || c.S3.SecretKey == "" {
		return errors.New("s3.endpoint, s3.access_key and s3.secret_key say where the objects go; set all three")
	}
	return checkURL(c.S3.Endpoint)
}

// move is a move under way.
type move struct {
	*Move
	from, to *catalog.Store
	objects  *bucket.Store
	transfer bucket.Transfer
	pins     map[string]int64 // keys and sizes of the pinned sources in the new media bucket
	where    catalog.Relocation
}

// Run moves, or goes on with a move, or compares.
func (c *Move) Run() (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	database := filepath.Join(c.Data, databaseFile)
	if _, err := os.Stat(database); err != nil {
		return fmt.Errorf("%s holds no %s; name the data folder with --data", c.Data, databaseFile)
	}
	lock, err := lockData(c.Data)
	if err != nil {
		return err
	}
	defer lock.Close()
	m := &move{Move: c, pins: map[string]int64{}, where: catalog.Relocation{
		Buckets: map[string]string{c.FromUploads: c.S3.UploadsBucket, c.FromMedia: c.S3.MediaBucket}, Sources: map[catalog.SourceWrite]video.Source{},
	}}
	if m.objects, err = bucket.Open(ctx, bucket.Config{
		Endpoint: c.S3.Endpoint, Region: c.S3.Region, Credentials: bucket.Credentials{Access: c.S3.AccessKey, Secret: string(c.S3.SecretKey)},
	}); err != nil {
		return err
	}
	m.transfer = bucket.Transfer{Root: filepath.Join(c.Data, "objects"), To: m.objects}
	if err := m.objects.CheckBuckets(ctx, c.S3.UploadsBucket, c.S3.MediaBucket); err != nil {
		return err
	}
	if m.from, err = catalog.Open(ctx, database, nil); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.from.Close()) }()
	if m.to, err = catalog.Open(ctx, c.Database, nil); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.to.Close()) }()
	return m.run(ctx)
}

// run copies objects, then records: records that name an object are there only where the object is.
func (m *move) run(ctx context.Context) error {
	here, fresh, err := m.begin(ctx)
	if err != nil {
		return err
	}
	write := fresh && !m.Check
	sum, sent, err := m.copyObjects(ctx, write)
	if err != nil {
		return err
	}
	if err := m.copySources(ctx, write); err != nil {
		return err
	}
	if write {
		removed, err := m.tidy(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("objects: %d sent, %d were there; %d that are gone here were removed there\n", sent, sum.Objects-sent, removed)
		if err := m.from.CopyTo(ctx, m.to, m.where); err != nil {
			return err
		}
	} else if !m.Check {
		fmt.Println("the records were moved before; comparing")
	}
	if err := m.compare(ctx, sum); err != nil || m.Check {
		return err
	}
	here.Done, here.To = time.Now().UTC(), redacted("database", m.Database)+" and "+m.S3.Endpoint
	if err := writeMoved(m.Data, here); err != nil {
		return err
	}
	fmt.Printf("moved. Serve it with --database and --s3-endpoint; %s keeps the old state, and %s there keeps it from being served again\n", m.Data, moveFile)
	fmt.Printf("its servers need what seals its private keys: set seal_key to what %s holds, unless it is set already\n", filepath.Join(m.Data, sealFile))
	return nil
}

// begin makes sure that the new place is empty or this installation's, and marks both sides. fresh is whether the records are still to come.
func (m *move) begin(ctx context.Context) (here moved, fresh bool, err error) {
	if here, err = readMoved(m.Data); err != nil {
		return here, false, err
	}
	there, err := m.marker(ctx)
	if err != nil {
		return here, false, err
	}
	if fresh, err = m.to.Empty(ctx); err != nil {
		return here, false, err
	}
	if there.ID != "" && there.ID == here.ID {
		if n, err := m.to.Busy(ctx); err != nil || n > 0 {
			return here, false, errors.Join(err, fmt.Errorf("%d processes serve the new database; stop them to move or compare", n))
		}
		return here, fresh, nil
	}
	if m.Check {
		return here, false, errors.New("this folder was not moved there; run sluice move without --check first")
	}
	if there.ID != "" || !fresh {
		return here, false, errors.New("another installation is there; name an empty database and empty buckets")
	}
	for _, b := range []string{m.S3.UploadsBucket, m.S3.MediaBucket} {
		for o, err := range m.objects.List(ctx, b, "") {
			if err != nil {
				return here, false, err
			}
			return here, false, fmt.Errorf("the bucket %s holds %s; name empty buckets", b, o.Key)
		}
	}
	if here.ID == "" {
		here.ID = secret(16)
		if err := writeMoved(m.Data, here); err != nil {
			return here, false, err
		}
	}
	body, err := json.Marshal(moved{ID: here.ID})
	if err != nil {
		return here, false, err
	}
	_, err = m.objects.Put(ctx, m.S3.MediaBucket, moveFile, bytes.NewReader(body), int64(len(body)), "application/json")
	return here, true, err
}

// marker reads the marker of the new media bucket, zero where there is none.
func (m *move) marker(ctx context.Context) (there moved, err error) {
	body, _, err := m.objects.Get(ctx, m.S3.MediaBucket, moveFile, "")
	if fault.Is(err, fault.NotFound) {
		return there, nil
	}
	if err != nil {
		return there, err
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		return there, err
	}
	return there, json.Unmarshal(text, &there)
}

func readMoved(data string) (here moved, err error) {
	body, err := os.ReadFile(filepath.Join(data, moveFile))
	if errors.Is(err, fs.ErrNotExist) {
		return here, nil
	}
	if err != nil {
		return here, err
	}
	return here, json.Unmarshal(body, &here)
}

func writeMoved(data string, here moved) error {
	body, err := json.Marshal(here)
	if err != nil {
		return err
	}
	return errors.Join(writeFile(filepath.Join(data, moveFile), append(body, '\n'), 0o600), syncDir(data))
}

// checkMoved refuses to serve a folder whose installation is served elsewhere since.
func checkMoved(s Settings) error {
	here, err := readMoved(s.Data)
	if err != nil || here.Done.IsZero() || s.shared() {
		return err
	}
	return fmt.Errorf("%s was moved to %s on %s; serve it with --database and --s3-endpoint. To go back to what the folder holds, without what came since, remove %s in it",
		s.Data, here.To, here.Done.Format(time.RFC3339), moveFile)
}

// senders is how many objects are under way at once: enough to hide the round trips of small ones.
const senders = 8

// copyObjects sends every object but the pins, or, where nothing is to be written, compares what both sides hold if that was asked for.
func (m *move) copyObjects(ctx context.Context, write bool) (sum bucket.Sum, sent int64, err error) {
	var many atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(senders)
	told := time.Now()
	for f, err := range bucket.Files(m.transfer.Root) {
		to, known := m.where.Buckets[f.Bucket]
		if err == nil && !known {
			err = fmt.Errorf("%s holds the bucket %s; name the buckets with --from-uploads and --from-media", m.transfer.Root, f.Bucket)
		}
		if err != nil {
			return sum, 0, errors.Join(err, group.Wait())
		}
		if ctx.Err() != nil {
			break
		}
		if f.Bucket == m.FromMedia && strings.HasPrefix(f.Key, upload.PinPrefix) {
			continue
		}
		sum.Objects++
		sum.Bytes += f.Bytes
		group.Go(func() error {
			if !write {
				if m.Check {
					return m.transfer.Same(ctx, f, to, f.Key)
				}
				return nil
			}
			_, new, err := m.transfer.Send(ctx, f, to, f.Key)
			if new {
				many.Add(1)
			}
			return err
		})
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			fmt.Fprintf(os.Stderr, "%d objects, %s\n", sum.Objects, bytesOf(sum.Bytes))
		}
	}
	return sum, many.Load(), group.Wait()
}

// copySources pins the sources in the new bucket: a copy over there, where the upload is there, as that write is told of there; else what is pinned here.
func (m *move) copySources(ctx context.Context, write bool) error {
	sources, err := m.from.Sources(ctx)
	if err != nil {
		return err
	}
	for _, s := range sources {
		now, err := m.copySource(ctx, s, write)
		if err != nil {
			return err
		}
		m.where.Sources[catalog.WriteOf(s)] = now
	}
	return nil
}

func (m *move) copySource(ctx context.Context, s video.Source, write bool) (video.Source, error) {
	now := s
	now.Bucket = m.where.Buckets[s.Bucket]
	pin, err := bucket.Describe(m.transfer.Root, m.FromMedia, s.Pin)
	if fault.Is(err, fault.NotFound) {
		return now, nil // a video that is being deleted, or has lost its source already
	}
	if err != nil {
		return now, err
	}
	// The upload is this source still where nobody wrote to its key since.
	here, err := bucket.Describe(m.transfer.Root, s.Bucket, s.Key)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return now, err
	}
	original := err == nil && here.SameFile(pin)
	var o bucket.Object
	if original {
		o, err = m.objects.Head(ctx, now.Bucket, s.Key)
		if fault.Is(err, fault.NotFound) && !write {
			return now, nil // it was deleted over there: the records will tell
		}
		if err != nil {
			return now, err
		}
		now.ETag, now.Modified = o.ETag, o.Modified
		now.Pin = upload.PinKey(o)
	}
	switch {
	case write && original:
		_, err = m.objects.Pin(ctx, o, m.S3.MediaBucket, now.Pin)
	case write:
		_, _, err = m.transfer.Send(ctx, pin, m.S3.MediaBucket, now.Pin)
	case m.Check:
		err = m.transfer.Same(ctx, pin, m.S3.MediaBucket, now.Pin)
	}
	m.pins[now.Pin] = pin.Bytes
	return now, err
}

// compare counts and hashes both sides.
func (m *move) compare(ctx context.Context, want bucket.Sum) error {
	tables, err := m.from.Compare(ctx, m.to, m.where)
	if err != nil {
		return err
	}
	var differ []string
	for _, t := range tables {
		fmt.Printf("%-16s %9d rows, sha-256 %x\n", t.Name, t.To.Rows, t.To.Hash[:8])
		if t.From != t.To {
			differ = append(differ, fmt.Sprintf("%s (%d rows here)", t.Name, t.From.Rows))
		}
	}
	if len(differ) > 0 {
		return fmt.Errorf("the new database is not what the folder holds: %s; it has been used since it was moved, or holds something else", strings.Join(differ, ", "))
	}
	for _, size := range m.pins {
		want.Objects++
		want.Bytes += size
	}
	got, err := m.count(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%-16s %9d, %s\n", "objects", got.Objects, bytesOf(got.Bytes))
	if got.Objects != want.Objects || got.Bytes != want.Bytes {
		return fmt.Errorf("the new buckets hold %d objects of %d bytes and should hold %d of %d; something else writes to them", got.Objects, got.Bytes, want.Objects, want.Bytes)
	}
	return nil
}

// count counts what the new buckets hold.
func (m *move) count(ctx context.Context) (sum bucket.Sum, err error) {
	for _, to := range m.where.Buckets {
		for o, err := range m.objects.List(ctx, to, "") {
			if err != nil {
				return sum, err
			}
			if to != m.S3.MediaBucket || o.Key != moveFile {
				sum.Objects++
				sum.Bytes += o.Size
			}
		}
	}
	return sum, nil
}

// tidy removes from the new buckets, before any records are there, what a run that broke off sent and what is gone here since.
func (m *move) tidy(ctx context.Context) (removed int, err error) {
	for from, to := range m.where.Buckets {
		for o, err := range m.objects.List(ctx, to, "") {
			if err != nil {
				return removed, err
			}
			if m.belongs(from, o) {
				continue
			}
			if err := m.objects.Delete(ctx, to, o.Key); err != nil {
				return removed, err
			}
			removed++
		}
	}
	return removed, nil
}

// belongs reports whether an object of the new storage stands for one here.
func (m *move) belongs(from string, o bucket.Object) bool {
	switch {
	case from != m.FromMedia:
	case o.Key == moveFile:
		return true
	case strings.HasPrefix(o.Key, upload.PinPrefix):
		_, ours := m.pins[o.Key]
		return ours
	}
	_, err := bucket.Describe(m.transfer.Root, from, o.Key)
	return err == nil
}
