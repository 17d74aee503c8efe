package bucket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"sluice/internal/fault"
)

// The parts of a multipart upload are appended to one file in the upload's folder, and what is appended and on the disk
// is cut out of
// the part (a hole: the part keeps its size and attributes). So a completion needs room for one chunk beside the parts,
// not for all of
// the object again, and a process that dies in it has lost nothing: the file layoutName says which parts are joined,
// its attribute how
// many of their bytes. The same completion goes on from there; another list of parts puts the bytes back first
// (unjoin).
//
// The folder is always in one of four states:
//
//	parts                        nothing is joined; a joinedName without a layout is rubbish
//	parts, joinedName, layout    bytes up to the attribute are in joinedName, the rest in the parts
//	parts, layout                joinedName became the object: the upload is complete and the folder can go
//	none                         complete or aborted
//
// It leaves the uploads whole, by one rename (discard).
//
// versitygw's own completion renames the folder first, which nobody undoes after kill -9, and writes all bytes a second
// time.
const (
	joinedName  = "joined"
	layoutName  = "joined.layout"
	layoutTemp  = "joined.layout.new"
	joinedSoFar = "user.sluice.joined" // of the layout: decimal, bytes of the joined file that are on the disk
)

// chunk is how much is appended between two syncs, and so the room that a completion needs.
const chunk = 16 << 20

// joinPart is a part as it is joined.
type joinPart struct {
	Number int32  `json:"number"`
	ETag   string `json:"etag"` // without quotes
	Size   int64  `json:"size"`
}

func (p joinPart) path(folder string) string {
	return filepath.Join(folder, strconv.Itoa(int(p.Number)))
}

// joining is a join under way.
type joining struct {
	disk   *disk
	folder string
	parts  []joinPart
	joined *os.File
	layout *os.File
	at     int64
}

// join appends the parts to the joined file of an upload's folder and returns that file's path. It can be repeated
// after any failure.
func (d *disk) join(ctx context.Context, folder string, parts []joinPart) (path string, err error) {
	j, err := d.openJoin(ctx, folder, parts)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, j.layout.Close(), j.joined.Close()) }()
	step("Complete.begun")
	var from int64
	for _, p := range j.parts {
		if err := j.add(ctx, p, from); err != nil {
			return "", err
		}
		from += p.Size
	}
	return j.joined.Name(), nil
}

// openJoin resumes the join of the same parts, or begins one.
func (d *disk) openJoin(ctx context.Context, folder string, parts []joinPart) (*joining, error) {
	j, err := d.resumeJoin(folder)
	if err != nil {
		return nil, err
	}
	if j != nil && !slices.Equal(j.parts, parts) {
		err := errors.Join(j.unjoin(ctx), j.layout.Close(), j.joined.Close())
		if err == nil {
			err = os.Remove(filepath.Join(folder, layoutName)) // first: a layout alone would say that the upload is complete
		}
		if err == nil {
			err = syncPath(folder)
		}
		if err != nil {
			return nil, err
		}
		j = nil
	}
	if j == nil {
		if err := beginJoin(folder, parts); err != nil {
			return nil, err
		}
		if j, err = d.resumeJoin(folder); err != nil {
			return nil, err
		}
	}
	return j, j.fits()
}

// beginJoin makes the files of a join that has joined nothing.
func beginJoin(folder string, parts []joinPart) error {
	joined, err := os.OpenFile(filepath.Join(folder, joinedName), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if err := errors.Join(joined.Chmod(0o644), joined.Close()); err != nil { // as versitygw has it, whatever the umask
		return err
	}
	if err := syncPath(folder); err != nil {
		return err
	}
	text, err := json.Marshal(parts)
	if err != nil {
		return err
	}
	temp := filepath.Join(folder, layoutTemp)
	if err := os.WriteFile(temp, text, 0o600); err != nil {
		return err
	}
	if err := unix.Setxattr(temp, joinedSoFar, []byte("0"), 0); err != nil {
		return err
	}
	if err := syncPath(temp); err != nil {
		return err
	}
	if err := os.Rename(temp, filepath.Join(folder, layoutName)); err != nil {
		return err
	}
	return syncPath(folder)
}

// resumeJoin opens a join that was interrupted; nil where none was begun.
func (d *disk) resumeJoin(folder string) (_ *joining, err error) {
	j := &joining{disk: d, folder: folder}
	if j.layout, err = os.OpenFile(filepath.Join(folder, layoutName), os.O_RDWR, 0); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil //nolint:nilnil // no join is no error
		}
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, j.layout.Close())
		}
	}()
	text, err := io.ReadAll(j.layout)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &j.parts); err != nil {
		return nil, err
	}
	number, err := attribute(j.layout, joinedSoFar)
	if err != nil {
		return nil, err
	}
	if j.at, err = strconv.ParseInt(number, 10, 64); err != nil {
		return nil, err
	}
	j.joined, err = os.OpenFile(filepath.Join(folder, joinedName), os.O_RDWR, 0)
	return j, err
}

// fits returns 503 where the rest of a join doesn't fit on the disk: at once on a filesystem that can't free the room
// of what is joined.
func (j *joining) fits() error {
	if j.disk.frees || j.disk.room == nil {
		return nil
	}
	var left int64
	for _, p := range j.parts {
		left += p.Size
	}
	if err := j.disk.room(left - j.at); err != nil {
		return errors.Join(unavailable(fault.Of(err).Message), j.layout.Close(), j.joined.Close())
	}
	return nil
}

// add appends what is not yet joined of a part that begins at from.
func (j *joining) add(ctx context.Context, p joinPart, from int64) error {
	if j.at >= from+p.Size {
		return nil
	}
	part, err := os.OpenFile(p.path(j.folder), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer part.Close()
	for j.at < from+p.Size {
		n := min(chunk, from+p.Size-j.at)
		if err := j.ready(ctx, n); err != nil {
			return err
		}
		if err := move(j.joined, j.at, part, j.at-from, n); err != nil {
			return err
		}
		step("Complete.copied")
		if err := j.note(j.at + n); err != nil {
			return err
		}
		step("Complete.noted")
		j.cut(part, j.at-n-from, n)
		step("Complete.freed")
	}
	return nil
}

// ready returns 503 where the join can't go on: the server stops, or the next n bytes would leave none for the
// database.
func (j *joining) ready(ctx context.Context, n int64) error {
	if ctx.Err() != nil || j.disk.life.Err() != nil {
		return interruption()
	}
	left, err := j.disk.free()
	if err == nil && left < 2*n {
		return diskFull()
	}
	return err
}

func interruption() error {
	return unavailable("The completion was interrupted. The parts are kept; complete the upload again.")
}

// move copies n bytes and syncs them. The kernel copies them, and shares the blocks on a filesystem that can
// (copy_file_range(2)).
func move(to *os.File, at int64, from *os.File, start, n int64) error {
	if _, err := from.Seek(start, io.SeekStart); err != nil {
		return err
	}
	if _, err := to.Seek(at, io.SeekStart); err != nil {
		return err
	}
	moved, err := io.Copy(to, io.LimitReader(from, n))
	if err == nil && moved < n {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("join parts: %w", err)
	}
	return to.Sync()
}

// note makes durable how much is joined.
func (j *joining) note(at int64) error {
	if err := unix.Fsetxattr(int(j.layout.Fd()), joinedSoFar, strconv.AppendInt(nil, at, 10), 0); err != nil {
		return err
	}
	if err := j.layout.Sync(); err != nil {
		return err
	}
	j.at = at
	return nil
}

// cut frees the room of n bytes of a part. A filesystem that can't keeps them until the upload is complete.
func (j *joining) cut(part *os.File, from, n int64) {
	if j.disk.frees {
		_ = unix.Fallocate(int(part.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, n)
	}
}

// unjoin puts the joined bytes back into their parts, the last first. A part that was uploaded again meanwhile keeps
// its new bytes.
func (j *joining) unjoin(ctx context.Context) error {
	end := int64(0)
	for _, p := range j.parts {
		end += p.Size
	}
	for _, p := range slices.Backward(j.parts) {
		from := end - p.Size
		end = from
		if j.at <= from {
			continue
		}
		part, err := j.restorable(p)
		if err != nil {
			return err
		}
		for j.at > from && err == nil {
			n := min(chunk, j.at-from)
			if err = j.ready(ctx, n); err == nil && part != nil {
				err = move(part, j.at-n-from, j.joined, j.at-n, n)
			}
			if err == nil {
				err = j.note(j.at - n)
			}
			if err == nil {
				err = j.joined.Truncate(j.at)
			}
		}
		if part != nil {
			err = errors.Join(err, part.Close())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// restorable opens the part whose bytes were joined; nil where another part has its number by now.
func (j *joining) restorable(p joinPart) (*os.File, error) {
	part, err := os.OpenFile(p.path(j.folder), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nothing to put back
	}
	if err != nil {
		return nil, err
	}
	now, err := partOf(part, p.Number)
	if err != nil || now != p {
		return nil, errors.Join(err, part.Close())
	}
	return part, nil
}

// partOf describes the open file of a part.
func partOf(part *os.File, number int32) (joinPart, error) {
	o, err := describe(part, "", "")
	return joinPart{Number: number, ETag: o.ETag, Size: o.Size}, err
}

// punches reports whether the filesystem of a folder can free the room of a piece of a file. It writes nothing: the
// disk may be full.
func punches(dir string) bool {
	probe, err := os.CreateTemp(dir, putName)
	if err != nil {
		return true // what a completion cuts shows it, and ready looks at the room before each chunk
	}
	defer probe.Close()
	defer os.Remove(probe.Name())
	err = unix.Fallocate(int(probe.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4096)
	return !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENOSYS)
}
