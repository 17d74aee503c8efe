package ffmpeg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/internal/fault"
)

// Verify proves that a track can be played: no segment is empty, and the first, the middle and the last one decode
// behind init, without an error, to as many frames as they have samples. init and segments are local files, in order;
// dir is for scratch. It costs the decoding of those three, in one process. It fails with fault.Internal "bad_output": making
// the track again may help.
func (t *Tool) Verify(ctx context.Context, init string, segments []string, dir string) error {
	const op = "ffmpeg.verify"
	if len(segments) == 0 {
		return badTrack(op, errors.New("no segments"))
	}
	for i, path := range segments {
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			return badTrack(op, errors.Join(fmt.Errorf("segment %d is missing or empty", i+1), err))
		}
	}
	scratch, err := os.MkdirTemp(dir, "verify-")
	if err != nil {
		return unwritable(op, err)
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	last := len(segments) - 1
	files := []string{init}
	for _, i := range slices.Compact([]int{0, last / 2, last}) {
		files = append(files, segments[i])
	}
	return t.decode(ctx, op, scratch, files...)
}

// decode decodes an init segment with the segments that follow it and compares the frames with the samples.
func (t *Tool) decode(ctx context.Context, op, scratch string, files ...string) error {
	path := filepath.Join(scratch, "track.mp4")
	samples, audio := 0, false
	for n := 2; n <= len(files); n++ { // each segment adds samples
		if err := concatenate(path, files[:n]...); err != nil {
			return unwritable(op, err)
		}
		before := samples
		var err error
		if samples, audio, err = count(path); err != nil || samples == before {
			return badTrack(op, errors.Join(fmt.Errorf("segment file %d has no samples", n-1), err))
		}
	}
	var out bytes.Buffer
	args := []string{"-err_detect", "explode", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"}
	args = append(args, inputArgs(t.config.Limits, path)...)
	if _, err := t.run(ctx, spec{op: op, probe: true, dir: scratch, stdout: &out, args: args}); err != nil {
		return err
	}
	frames, err := strconv.Atoi(strings.TrimSpace(out.String()))
	least := samples
	if audio {
		least-- // the edit list takes the priming away
	}
	if err != nil || frames < least || frames > samples {
		return badTrack(op, fmt.Errorf("%q frames of %d samples", out.String(), samples))
	}
	return nil
}

func badTrack(op string, err error) error {
	return fault.New(fault.Internal, op, "bad_output", "The encoder's output does not play as it should; see the details of the attempt.", err)
}

// concatenate writes the files one after the other to path.
func concatenate(path string, files ...string) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	for _, name := range files {
		in, openErr := os.Open(name)
		if openErr != nil {
			err = openErr
			break
		}
		_, copyErr := io.Copy(out, in)
		_ = in.Close()
		if copyErr != nil {
			err = copyErr
			break
		}
	}
	return errors.Join(err, out.Close())
}

// count tells how many samples a fragmented file of one track has.
func count(path string) (samples int, audio bool, err error) {
	m, err := openMovie(path)
	if err != nil {
		return 0, false, err
	}
	defer m.close()
	for {
		fragment, err := m.fragment()
		if errors.Is(err, io.EOF) {
			return samples, m.trak.Mdia.Hdlr.HandlerType == "soun", nil
		}
		if err != nil {
			return 0, false, err
		}
		samples += len(fragment)
	}
}

// CheckDuration compares what was made with what the source was measured to last: they may differ by half a second or
// one percent, whichever is more. It fails with fault.Invalid: "truncated" where less was made than the source promises,
// and "damaged" where more was, because its timestamps contradict its length at each attempt.
func CheckDuration(made, source time.Duration) error {
	const op = "ffmpeg.verify"
	allowed := max(500*time.Millisecond, source/100)
	cause := fmt.Errorf("%s made of %s", made, source)
	switch {
	case made < source-allowed:
		return fault.New(fault.Invalid, op, "truncated",
			fmt.Sprintf("Only %s of the file's %s could be decoded; upload the whole file.", made.Round(time.Millisecond), source.Round(time.Millisecond)), cause)
	case made > source+allowed:
		return fault.New(fault.Invalid, op, "damaged",
			fmt.Sprintf("The file's timestamps contradict each other: %s can be decoded of a file that lasts %s. Export it again, for example as MP4.",
				made.Round(time.Millisecond), source.Round(time.Millisecond)), cause)
	default:
		return nil
	}
}
