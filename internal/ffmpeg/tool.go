// Package ffmpeg drives ffmpeg and ffprobe: it probes sources, copies, encodes, takes stills and verifies.
//
// Promise: every process runs in the sandbox, reads only the files it was given, writes only its scratch folder, and
// ends with its context. Input is always a local file of the containers and codecs listed in input.go. Arguments are
// built by pure functions. Results are believed only where they were measured, never because a tool exited with 0.
//
// Cost: Usage counts the CPU time of all processes. Failure: errors are fault.Error with the codes of docs/ERRORS.md;
// Detail gives operators the tail of what the tool said.
package ffmpeg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"time"

	"sluice/internal/fault"
	"sluice/internal/sandbox"
	"sluice/internal/video"
)

// Config says which programs to use and what one process may cost.
type Config struct {
	FFmpeg       string        // name or path; empty: "ffmpeg" from PATH
	FFprobe      string        // name or path; empty: "ffprobe" from PATH
	Limits       video.Limits  // of sources, and of each process
	ProbeTimeout time.Duration // wall time that probing one source may take; 0: 60 s
	Unsandboxed  bool          // run the tools with the server's rights where the sandbox cannot start
	Logger       *slog.Logger  // nil: silent
}

// Tool runs the programs. It is safe for concurrent use.
type Tool struct {
	ffmpeg, ffprobe string // absolute paths
	version         string
	config          Config
	log             *slog.Logger
	cpu             atomic.Int64 // nanoseconds of all ended processes
	runs            atomic.Int64
	patience        time.Duration // how long a process may use no CPU
}

// New finds the programs and reads ffmpeg's version. It fails with fault.Unavailable "ffmpeg_missing", or with
// "sandbox_unavailable" where the sandbox cannot start and Unsandboxed is false.
func New(c Config) (*Tool, error) {
	t := &Tool{config: c, log: c.Logger, patience: time.Minute}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	if t.config.ProbeTimeout <= 0 {
		t.config.ProbeTimeout = time.Minute
	}
	var err error
	if t.ffmpeg, err = find(c.FFmpeg, "ffmpeg"); err != nil {
		return nil, err
	}
	if t.ffprobe, err = find(c.FFprobe, "ffprobe"); err != nil {
		return nil, err
	}
	if c.Unsandboxed {
		t.log.Warn("media tools run WITHOUT the sandbox: an exploited decoder has the server's rights")
	} else if err := sandbox.Check(); err != nil {
		return nil, err
	}
	return t, t.readVersion()
}

// Check returns nil while the programs are where New found them, else fault.Unavailable "ffmpeg_missing".
func (t *Tool) Check() error {
	_, err := find(t.ffmpeg, "ffmpeg")
	if err == nil {
		_, err = find(t.ffprobe, "ffprobe")
	}
	return err
}

func find(program, fallback string) (string, error) {
	if program == "" {
		program = fallback
	}
	path, err := exec.LookPath(program)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err == nil {
		// Landlock grants the file that is executed; a link from elsewhere would not do.
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", fault.New(fault.Unavailable, "ffmpeg.new", "ffmpeg_missing",
			fmt.Sprintf("The program %s was not found. Install ffmpeg, or name the program in the configuration.", fallback), err)
	}
	return path, nil
}

var versionLine = regexp.MustCompile(`^ffmpeg version (\S+)`)

func (t *Tool) readVersion() error {
	// A busy machine takes its time to start a process; a server that ends over that does not come back by itself
	// everywhere.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var out bytes.Buffer
	if _, err := t.run(ctx, spec{op: "ffmpeg.new", args: []string{"-version"}, stdout: &out, bare: true}); err != nil {
		return err
	}
	m := versionLine.FindSubmatch(out.Bytes())
	if m == nil {
		return fault.New(fault.Unavailable, "ffmpeg.new", "ffmpeg_missing",
			"The program named as ffmpeg does not answer like ffmpeg. Name the right one in the configuration.", errors.New("no version line"))
	}
	t.version = string(m[1])
	return nil
}

// Version is what ffmpeg says of itself: "5.1.9-0+deb12u1".
func (t *Tool) Version() string { return t.version }

// Usage is what the processes of a Tool have cost so far.
type Usage struct {
	CPU  time.Duration // user and system time of ended processes
	Runs int64         // ended processes
}

// Usage returns the total since New.
func (t *Tool) Usage() Usage {
	return Usage{CPU: time.Duration(t.cpu.Load()), Runs: t.runs.Load()}
}
