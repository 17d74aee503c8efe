package bucket

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/fault"
)

// Archive is a folder that keeps what objects hold, each content once, in a file that is called by its SHA-256. It may lie on any filesystem: what describes an
// object is in a list, which the caller keeps. Files are never written to once they have their name, so an attempt that breaks off harms no earlier list.
type Archive struct{ Dir string }

// Archived is one line of a list.
type Archived struct {
	Stored
	SHA256 string `json:"sha256"`
}

// Sum counts what was handled.
type Sum struct {
	Objects int64 `json:"objects"`
	Bytes   int64 `json:"bytes"`
	Copied  int64 `json:"-"` // of Bytes, those that were not there yet
}

// path is where a content lies.
func (a Archive) path(sha string) string { return filepath.Join(a.Dir, sha[:2], sha) }

// Save keeps the objects of all buckets below root and writes their list. Objects that before, an earlier list, describes as they are now and whose content is
// there aren't read again; nil is no list. The server may run meanwhile: an object that is replaced is kept as it was or as it is, whole.
// It costs a walk, and a reading of what is new; what it wrote is durable when it returns.
func (a Archive) Save(ctx context.Context, root string, before io.Reader, list io.Writer) (sum Sum, err error) {
	if err := os.MkdirAll(a.Dir, 0o700); err != nil {
		return sum, storageFault("bucket.save", err)
	}
	old := newLister(before)
	out := json.NewEncoder(list)
	for o, err := range files(root) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return sum, err
		}
		line := Archived{Stored: o.is}
		was, err := old.find(o.is)
		if err != nil {
			return sum, err
		}
		if was.SHA256 != "" && o.is.same(was.Stored) && a.has(was) {
			line.SHA256 = was.SHA256
		} else {
			if line.SHA256, line.Bytes, err = a.keep(o); err != nil {
				return sum, storageFault("bucket.save", err)
			}
			sum.Copied += line.Bytes
		}
		if err := out.Encode(line); err != nil {
			return sum, storageFault("bucket.save", err)
		}
		sum.Objects++
		sum.Bytes += line.Bytes
	}
	if err := syncAll(a.Dir); err != nil {
		return sum, storageFault("bucket.save", err)
	}
	return sum, nil
}

func (a Archive) has(line Archived) bool {
	info, err := os.Stat(a.path(line.SHA256))
	return err == nil && info.Size() == line.Bytes
}

// keep copies what a file holds, and returns its hash and its length.
func (a Archive) keep(in io.Reader) (sha string, n int64, err error) {
	part, err := os.CreateTemp(a.Dir, ".part-*")
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = os.Remove(part.Name()) }() // gone already where the rename went well
	hash := sha256.New()
	n, err = io.Copy(io.MultiWriter(part, hash), in)
	if err = errors.Join(err, part.Close()); err != nil {
		return "", 0, err
	}
	sha = hex.EncodeToString(hash.Sum(nil))
	if err := os.MkdirAll(filepath.Dir(a.path(sha)), 0o700); err != nil {
		return "", 0, err
	}
	return sha, n, os.Rename(part.Name(), a.path(sha))
}

// Restore puts the objects of a list under root, which must hold none of them, with their times and attributes. Each is hashed on its way: fault.Invalid, code
// "backup_damaged", for one that isn't what was kept. An empty root restores nothing, and only reads and hashes.
func (a Archive) Restore(ctx context.Context, list io.Reader, root string) (sum Sum, err error) {
	linked := map[string]string{} // description → restored file that a pin or its source shares
	for line, err := range lines(list) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return sum, err
		}
		if err := a.restore(line, root, linked); err != nil {
			return sum, err
		}
		sum.Objects++
		sum.Bytes += line.Bytes
	}
	if root == "" {
		return sum, nil
	}
	if err := syncAll(root); err != nil {
		return sum, storageFault("bucket.restore", err)
	}
	return sum, nil
}

func (a Archive) restore(line Archived, root string, linked map[string]string) error {
	const op = "bucket.restore"
	if root == "" {
		return a.check(line, io.Discard)
	}
	target, ok := folder{root}.path(line.Bucket, line.Key)
	if !ok {
		return damaged(fmt.Errorf("a list names the key %q", line.Key))
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return storageFault(op, err)
	}
	same := fmt.Sprint(line.SHA256, line.Modified.UnixNano(), line.Attributes)
	if other := linked[same]; line.Linked && other != "" {
		return storageFaultOf(op, os.Link(other, target))
	}
	out, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return storageFault(op, err)
	}
	err = a.check(line, out)
	for name, value := range line.Attributes {
		if err == nil {
			err = storageFaultOf(op, unix.Fsetxattr(int(out.Fd()), name, value, 0))
		}
	}
	err = errors.Join(err, out.Close())
	if err == nil {
		err = storageFaultOf(op, os.Chtimes(target, time.Time{}, line.Modified))
	}
	if line.Linked {
		linked[same] = target
	}
	return err
}

// check copies a content to w and tells whether it is what was kept.
func (a Archive) check(line Archived, w io.Writer) error {
	in, err := os.Open(a.path(line.SHA256))
	if errors.Is(err, fs.ErrNotExist) {
		return damaged(err)
	}
	if err != nil {
		return storageFault("bucket.restore", err)
	}
	defer in.Close()
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, hash), in)
	if err != nil {
		return storageFault("bucket.restore", err)
	}
	if sha := hex.EncodeToString(hash.Sum(nil)); sha != line.SHA256 || n != line.Bytes {
		return damaged(fmt.Errorf("%s/%s: %d bytes with SHA-256 %s were kept, %d with %s are there", line.Bucket, line.Key, line.Bytes, line.SHA256, n, sha))
	}
	return nil
}

// Prune removes the contents that no list names, and returns their bytes.
func (a Archive) Prune(lists ...io.Reader) (freed int64, err error) {
	named := map[[sha256.Size]byte]bool{}
	for _, list := range lists {
		for line, err := range lines(list) {
			if err != nil {
				return 0, err
			}
			raw, _ := hex.DecodeString(line.SHA256) // lines has looked at it
			named[[sha256.Size]byte(raw)] = true
		}
	}
	err = filepath.WalkDir(a.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := hex.DecodeString(d.Name())
		if err == nil && len(raw) == sha256.Size && named[[sha256.Size]byte(raw)] {
			return nil
		}
		if info, err := d.Info(); err == nil {
			freed += info.Size()
		}
		return os.Remove(path)
	})
	return freed, storageFaultOf("bucket.prune", err)
}

func damaged(cause error) error {
	return fault.New(fault.Invalid, "bucket.restore", "backup_damaged",
		"A file of the backup is not what was backed up; take another backup, or repair the disk that holds this one.", cause)
}

// storageFaultOf is storageFault for an error that may be nil.
func storageFaultOf(op string, err error) error {
	if err == nil {
		return nil
	}
	return storageFault(op, err)
}

// syncAll makes everything on the filesystem of a folder durable, at the cost of one call for all of its files.
func syncAll(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}

// lines reads a list. It ends at the first error.
func lines(list io.Reader) func(yield func(Archived, error) bool) {
	return func(yield func(Archived, error) bool) {
		for d := json.NewDecoder(bufio.NewReader(list)); ; {
			var line Archived
			err := d.Decode(&line)
			if errors.Is(err, io.EOF) {
				return
			}
			if raw, bad := hex.DecodeString(line.SHA256); err == nil && (bad != nil || len(raw) != sha256.Size) {
				err = fmt.Errorf("a list names the hash %q", line.SHA256) // it becomes a path
			}
			if err != nil {
				yield(line, damaged(err))
				return
			}
			if !yield(line, nil) {
				return
			}
		}
	}
}

// lister goes along an earlier list in the order in which files are walked, so that neither has to be in memory.
type lister struct {
	decoder *json.Decoder
	next    Archived
	over    bool
}

func newLister(list io.Reader) *lister {
	if list == nil {
		return &lister{over: true}
	}
	return &lister{decoder: json.NewDecoder(bufio.NewReader(list))}
}

// find returns the earlier line of a file, zero where there is none. Files must be asked for in their order.
func (l *lister) find(f Stored) (Archived, error) {
	name := f.name()
	for !l.over {
		switch before := l.next.name(); {
		case l.next.SHA256 != "" && before == name:
			return l.next, nil
		case l.next.SHA256 != "" && before > name:
			return Archived{}, nil
		}
		l.next = Archived{}
		err := l.decoder.Decode(&l.next)
		if l.over = errors.Is(err, io.EOF); err != nil && !l.over {
			return Archived{}, damaged(err)
		}
	}
	return Archived{}, nil
}
