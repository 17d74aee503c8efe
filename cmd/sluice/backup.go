package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/bucket"
	"sluice/internal/catalog"
	"sluice/internal/fault"
	"sluice/internal/pipeline"
	"sluice/internal/video"
)

// What lies in a backup folder: contents, which all backups share, and for each backup a folder that is called by its time (timeName).
const (
	contentsDir  = "contents"
	listFile     = "objects.jsonl"
	manifestFile = "backup.json" // written last, with the hashes of the other files
	partPrefix   = ".part-"      // of a backup that is being taken
	timeName     = "2006-01-02T15-04-05.000Z"
)

// format is raised where an older Sluice can't restore what is written.
const format = 1

// databaseFile is the catalog of an embedded installation.
const databaseFile = "sluice.db"

// manifest says what belongs to one backup.
type manifest struct {
	Format  int               `json:"format"`
	Version string            `json:"version"` // of the Sluice that took it
	Taken   time.Time         `json:"taken"`   // when the records were as they are in it
	Objects bucket.Sum        `json:"objects"`
	Files   map[string]string `json:"files"` // name → SHA-256
}

// Backup is the command that keeps the state of a data folder in another folder, while the server runs.
type Backup struct {
	Data    string `help:"Data folder to back up." default:"./data" env:"SLUICE_DATA" type:"path"`
	Keep    int    `help:"How many backups to keep in the folder; older ones are removed. 0 keeps all." default:"7"`
	Secrets bool   `help:"Keep the admin token, the S3 keys and what seals private keys, too. Without them, a restored server makes a new token and new S3 keys, and asks for seal.key." default:"true" negatable:""`
	To      string `arg:"" name:"FOLDER" help:"Folder of the backups, made if it is missing. Backups in one folder share what is the same." type:"path"`
}

// Run takes one backup.
func (c *Backup) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	database := filepath.Join(c.Data, databaseFile)
	if _, err := os.Stat(database); err != nil {
		return fmt.Errorf("%s holds no %s; name the data folder with --data, and back up PostgreSQL and S3 by their own means", c.Data, databaseFile)
	}
	switch here, err := readMoved(c.Data); {
	case err != nil:
		return err
	case !here.Done.IsZero():
		return fmt.Errorf("%s was moved to %s on %s and keeps only the state of then; back up PostgreSQL and S3 by their own means", c.Data, here.To, here.Done.Format(time.RFC3339))
	}
	if rest, err := filepath.Rel(c.Data, c.To); err == nil && rest != ".." && !strings.HasPrefix(rest, "../") {
		return fmt.Errorf("%s lies in the data folder; name a folder outside of it, best on another disk", c.To)
	}
	if err := os.MkdirAll(c.To, 0o700); err != nil {
		return err
	}
	lock, err := lockBackups(c.To)
	if err != nil {
		return err
	}
	defer lock.Close()
	earlier, err := backups(c.To)
	if err != nil {
		return err
	}
	name, m, err := c.take(ctx, earlier)
	if err != nil {
		return err
	}
	freed, err := prune(c.To, append(earlier, name), c.Keep)
	if err != nil {
		return err
	}
	fmt.Printf("backup %s in %s: records as of %s, %d objects of %s (%s copied, %s of old backups removed)\n",
		name, c.To, m.Taken.Format(time.RFC3339), m.Objects.Objects, bytesOf(m.Objects.Bytes), bytesOf(m.Objects.Copied), bytesOf(freed))
	return nil
}

// lockBackups keeps a second backup or restore out of a folder.
func lockBackups(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another sluice works in the backup folder %s; wait for it to end", dir), f.Close())
	}
	return f, nil
}

// backups names the finished backups of a folder, oldest first.
func backups(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries { // in the order of their names, which is that of their times
		if _, err := time.Parse(timeName, e.Name()); err == nil && e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// take makes a backup in a folder of another name, and gives it its own when it is whole.
func (c *Backup) take(ctx context.Context, earlier []string) (name string, m manifest, err error) {
	if err := removeParts(c.To); err != nil {
		return "", m, err
	}
	part, err := os.MkdirTemp(c.To, partPrefix)
	if err != nil {
		return "", m, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(part))
		}
	}()
	before := ""
	if len(earlier) > 0 {
		before = filepath.Join(c.To, earlier[len(earlier)-1], listFile)
	}
	m = manifest{Format: format, Version: version(), Files: map[string]string{}}
	if err := c.copyState(ctx, part, before, &m); err != nil {
		return "", m, err
	}
	if c.Secrets {
		for _, secret := range secretFiles {
			if err := copyFile(filepath.Join(c.Data, secret), filepath.Join(part, secret)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", m, err
			}
		}
	}
	if err := m.write(part); err != nil {
		return "", m, err
	}
	name = m.Taken.Format(timeName)
	if err := os.Rename(part, filepath.Join(c.To, name)); err != nil {
		return "", m, err
	}
	return name, m, syncDir(c.To)
}

// removeParts removes what a backup that was killed left.
func removeParts(dir string) error {
	parts, err := filepath.Glob(filepath.Join(dir, partPrefix+"*"))
	for _, p := range parts {
		err = errors.Join(err, os.RemoveAll(p))
	}
	return err
}

// rounds is how often the state is copied again because generations were removed meanwhile. Each round copies only what is new, so the second takes no longer
// than a walk of the folder; and a generation goes only retire_after its successor came.
const rounds = 3

// copyState copies records first and objects second: what the records name isn't removed or written to before the records say so. Of what was removed in
// between, videos are deleted in the copied records too; for generations it begins again.
func (c *Backup) copyState(ctx context.Context, part, before string, m *manifest) error {
	database, copied := filepath.Join(c.Data, databaseFile), filepath.Join(part, databaseFile)
	again := filepath.Join(part, "again.jsonl") // the list of the round before
	for round := 1; ; round++ {
		m.Taken = time.Now().UTC()
		newest, err := catalog.Snapshot(ctx, database, copied)
		if err != nil {
			return err
		}
		if err := c.copyObjects(ctx, part, before, m); err != nil {
			return err
		}
		deleted, retired, err := catalog.RemovedAfter(ctx, database, newest, m.Taken)
		if err != nil {
			return err
		}
		if !retired {
			if err := os.Remove(again); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return forget(ctx, copied, deleted)
		}
		if round == rounds {
			return fmt.Errorf("generations were removed while the backup was taken, %d times; raise retire_after above the time that a backup takes", rounds)
		}
		if err := errors.Join(os.Remove(copied), os.Rename(filepath.Join(part, listFile), again)); err != nil {
			return err
		}
		before = again
	}
}

func (c *Backup) copyObjects(ctx context.Context, part, before string, m *manifest) (err error) {
	var old io.Reader
	if before != "" {
		f, err := os.Open(before)
		if err != nil {
			return err
		}
		defer f.Close()
		old = f
	}
	list, err := os.OpenFile(filepath.Join(part, listFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, list.Sync(), list.Close()) }()
	copied := m.Objects.Copied
	archive := bucket.Archive{Dir: filepath.Join(c.To, contentsDir)}
	m.Objects, err = archive.Save(ctx, filepath.Join(c.Data, "objects"), old, list)
	m.Objects.Copied += copied
	return err
}

// forget deletes videos from copied records, as the server did from its own.
func forget(ctx context.Context, database string, deleted []video.ID) (err error) {
	if len(deleted) == 0 {
		return nil
	}
	store, err := catalog.Open(ctx, database, nil)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, store.Close(), os.Remove(database+".lock"))
	}()
	for _, id := range deleted {
		v, err := store.Video(ctx, id)
		if err == nil {
			err = store.Delete(ctx, id, pipeline.DeleteJobs(id, v.Prefix, time.Time{}, time.Now().Add(deleteAgain)))
		}
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	return nil
}

// write records what the files of a backup hold, and makes it all durable.
func (m manifest) write(dir string) error {
	for _, name := range append([]string{databaseFile, listFile}, secretFiles...) {
		sum, err := hashFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) && slices.Contains(secretFiles, name) {
			continue
		}
		if err != nil {
			return err
		}
		m.Files[name] = sum
	}
	body, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(writeFile(filepath.Join(dir, manifestFile), append(body, '\n'), 0o600), syncDir(dir))
}

// prune removes all but the newest keep backups, and the contents that only they had.
func prune(dir string, names []string, keep int) (freed int64, err error) {
	for keep > 0 && len(names) > keep {
		gone := filepath.Join(dir, partPrefix+names[0]) // whole or not at all
		if err := errors.Join(os.Rename(filepath.Join(dir, names[0]), gone), os.RemoveAll(gone)); err != nil {
			return 0, err
		}
		names = names[1:]
	}
	lists := make([]io.Reader, len(names))
	for i, name := range names {
		f, err := os.Open(filepath.Join(dir, name, listFile))
		if err != nil {
			return 0, err
		}
		defer f.Close()
		lists[i] = f
	}
	return bucket.Archive{Dir: filepath.Join(dir, contentsDir)}.Prune(lists...)
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// copyFile copies a file that only its owner may read. It is durable when it returns.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// bytesOf writes a number of bytes for people.
func bytesOf(n int64) string {
	for _, unit := range []string{"B", "KB", "MB", "GB"} {
		if n < 10_000 {
			return fmt.Sprintf("%d %s", n, unit)
		}
		n = (n + 500) / 1000
	}
	return fmt.Sprintf("%d TB", n)
}
