// Package pipeline takes a video along its way: ingest → encode, audio, stills → publish, and away again.
//
// Each step is a durable job that tries to advance one fact, and may run twice, late, or beside a stalled twin. What makes that safe: the store
// fences every move, objects are put only if absent and only after they were checked, and no attempt relies on the
// bytes of another: where one finds other bytes
// under a name, it puts its own beside them, and publish moves those of the attempts that ended their steps to the
// names. A step costs what its tool
// costs; a crash costs the attempt, never the video. While the database, the storage or disk space is away, steps wait, and no attempt counts against them;
// what a step has made by then is kept, and committed when the database is back.
//
//	ingest    probe the source, plan, make the steps
//	encode    one a chunk: every rung of the chunk from one decode
//	audio     the first track, whole
//	stills    poster and thumbnail
//	publish   check what was made, write playlists and MPD, flip the pointer
//	retire    remove a generation that nobody watches any more
//	delete    remove a video
package pipeline

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/bucket"
	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/ffmpeg"
	"sluice/internal/video"
)

// Objects is what the pipeline needs of the bucket.
type Objects interface {
	// Local opens an object as a file of this machine; of a remote one the file holds what was fetched. The caller closes it.
	Local(ctx context.Context, bucket, key string) (*bucket.File, error)
	Head(ctx context.Context, bucket, key string) (bucket.Object, error)
	// PutFile puts a file unless an object is there under key, and returns the object that is there then. PutOwn
	// reports whether that holds the file's bytes.
	PutFile(ctx context.Context, bucket, key, path, contentType string) (bucket.Object, error)
	PutOwn(ctx context.Context, bucket, key, path, contentType string) (own bool, err error)
	// Replace makes the object from also the object key, over what is there. It may be repeated.
	Replace(ctx context.Context, bucket, from, key string) error
	// Sizes returns the sizes of the objects below a prefix, by key.
	Sizes(ctx context.Context, bucket, prefix string) (map[string]int64, error)
	// Delete removes an object; that there is none is no error.
	Delete(ctx context.Context, bucket, key string) error
	// DeleteWrite removes an object if it is still the write that o names, and reports whether another one lies there
	// afterwards.
	DeleteWrite(ctx context.Context, o bucket.Object) (other bool, err error)
	DeletePrefix(ctx context.Context, bucket, prefix string) (int, error)
	// Abort removes a multipart upload with its parts; that there is none is no error.
	Abort(ctx context.Context, m bucket.Multipart) error
}

// Config is what a Pipeline is made from.
type Config struct {
	Store       Store
	Results     Results
	Remover     Remover
	Objects     Objects
	Tool        *ffmpeg.Tool
	Media       string                // the bucket of outputs and pinned sources
	Scratch     string                // a folder of this process alone, for files under way
	Resolution  int                   // the default of Settings.MaxResolution
	Workers     int                   // how many encode steps run side by side here
	RetireAfter time.Duration         // how long viewers keep a generation that was replaced, and a redrive finds what one that failed has made
	Space       func() (Space, error) // the room on Scratch's disk; nil: there is always room
	Spare       func()                // removes what is kept of sources for later; may be nil
	Wake        func(job int64)       // has a job that waits tried now; may be nil
	Alone       bool                  // no other process takes the steps that this one leaves
	Now         func() time.Time
	// Arrived accepts the object that lies under a key of the uploads, as upload.Door.Created does; nil leaves it to
	// the reconciler.
	Arrived func(ctx context.Context, o bucket.Object) error
	At      func(point string) // told of each point where a crash is worth a drill: "encode.begun", "encode.made", "encode.done"; may be nil
	Log     *slog.Logger
}

// Pipeline runs the steps.
type Pipeline struct {
	Config
	sources sources
	indexes indexes
	dirs    sync.Map // folders of attempts under way
}

// New makes a Pipeline.
func New(c Config) *Pipeline {
	c.Store = patient{c.Store, c.Log}
	return &Pipeline{Config: c, sources: sources{
		dir: filepath.Join(c.Scratch, "sources"), space: c.Space, spare: c.Spare, wake: c.Wake, now: c.Now,
	}}
}

// Handlers maps each kind of job to the function that does it.
func (p *Pipeline) Handlers() map[string]engine.Worker {
	return map[string]engine.Worker{
		string(video.Ingest):  p.step(p.ingest),
		string(video.Encode):  p.step(p.encode),
		string(video.Audio):   p.step(p.audio),
		string(video.Stills):  p.step(p.stills),
		string(video.Publish): p.step(p.publish),
		retireKind:            p.retire,
		deleteKind:            p.delete,
		abortKind:             p.abort,
	}
}

// run is one attempt at one step.
type run struct {
	ref video.StepRef
	video.StepInput
	dir  string         // its own scratch folder, removed afterwards
	own  string         // key prefix of what this attempt alone puts
	open []*bucket.File // closed afterwards
	read func()         // called afterwards, where the step has read the copy of its source
	done engine.Handle
	log  *slog.Logger
}

// step makes a worker of one step: begin, do, and where it fails, say so.
func (p *Pipeline) step(do func(context.Context, *run) error) engine.Worker {
	return func(ctx context.Context, a engine.Attempt) error {
		r := &run{done: a.Handle}
		if err := json.Unmarshal(a.Job.Args, &r.ref); err != nil {
			return fault.New(fault.Invalid, "pipeline.step", "bad_job", "The job's arguments are not those of a step.", err)
		}
		r.log = p.Log.With("video", r.ref.Video, "generation", r.ref.Generation, "step", r.ref.Name, "n", r.ref.N)
		err := p.attempt(ctx, a, r, do)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, video.ErrStale):
			if r.Attempt == 0 || r.ref.Name != video.Ingest { // a plan whose commit's answer was lost still needs the copy
				p.sources.left(r.ref.Video, r.ref.Generation)
			}
			return nil
		case ctx.Err() != nil: // canceled, or the server is stopping: the engine knows which
			p.sources.left(r.ref.Video, r.ref.Generation)
			return err
		case r.Attempt == 0: // it could not be begun: there is no attempt to end, and the job has to come again
			return fault.New(fault.Unavailable, "pipeline.step", "database_unavailable", "The step could not be begun; it is tried again.", err)
		}
		if err = crowded(err); ranOut(err) {
			p.sources.clear()
		}
		failure := video.StepFailure{
			Failure: video.Failure{Code: fault.Of(err).Code, Message: fault.Of(err).Message},
			Detail:  ffmpeg.Detail(err),
			Final:   a.Final(err) || repeats(err, r.Attempt),
			Waits:   a.Waits(err),
		}
		r.log.Warn("attempt failed", "attempt", r.Attempt, "final", failure.Final, "waits", failure.Waits, "error", err)
		switch ferr := p.Store.Fail(ctx, r.ref, failure, []engine.Job{RetireJob(r.ref.Video, r.ref.Generation, p.Now().Add(p.RetireAfter))}, r.done); {
		case errors.Is(ferr, video.ErrStale):
			p.sources.left(r.ref.Video, r.ref.Generation)
			return nil
		case ferr != nil:
			return ferr
		case failure.Final:
			p.sources.forget(r.ref.Video, r.ref.Generation)
			return nil
		}
		return err
	}
}

// repeats reports whether an attempt is the last of those that the failure of its tool is worth.
func repeats(err error, attempt int) bool {
	tries := ffmpeg.Tries(err)
	return tries > 0 && attempt >= tries
}

// crowded tells a full disk, whoever met it, from a failure of the work: a step waits for room.
func crowded(err error) error {
	if (errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)) && !fault.Is(err, fault.Unavailable) {
		return fault.New(fault.Unavailable, "pipeline.step", "disk_full", "The server's disk is full. Free some space; the work is tried again.", err)
	}
	return err
}

// ranOut reports whether somebody met a disk without a byte left; a step that waits for room has met none.
func ranOut(err error) bool {
	code := fault.Of(err).Code
	return (code == "disk_full" || code == "storage_full") && !errors.Is(err, errNoRoom)
}

// attempt runs one try in a scratch folder of its own.
func (p *Pipeline) attempt(ctx context.Context, a engine.Attempt, r *run, do func(context.Context, *run) error) (err error) {
	if r.StepInput, err = p.Store.Begin(ctx, r.ref, a.Worker, r.done); err != nil {
		return err
	}
	if r.dir, err = os.MkdirTemp(p.Scratch, "step-"); err != nil {
		return fault.New(fault.Unavailable, "pipeline.step", "scratch_unavailable", "The server can't write its scratch folder; check its disk.", err)
	}
	r.own = fmt.Sprintf("%s%s-%d-%d-%s/", attemptsPrefix(r.Video.Prefix, r.ref.Generation), r.ref.Name, r.ref.N, r.Attempt, strings.ToLower(rand.Text()[:10]))
	p.dirs.Store(r.dir, true)
	defer func() {
		defer p.dirs.Delete(r.dir)
		if r.read != nil {
			r.read()
		}
		for _, f := range r.open {
			if cerr := f.Close(); cerr != nil {
				r.log.Error("cached file left over", "error", cerr)
			}
		}
		if rerr := os.RemoveAll(r.dir); rerr != nil {
			r.log.Error("scratch folder left over", "error", rerr)
		}
	}()
	if a.Number > a.Max { // the engine hands the job out once more, so that this can be written down
		return fault.New(fault.Invalid, "pipeline.step", "workers_lost",
			"Every worker that took this step was lost, maybe because of this file; look at the server's log and memory, then encode the video again.", nil)
	}
	if err = p.room(r); err != nil {
		return err
	}
	started := p.Now()
	p.at(r, "begun")
	if err = do(ctx, r); err == nil {
		p.at(r, "done")
		r.log.Info("step done", "attempt", r.Attempt, "seconds", p.Now().Sub(started).Seconds())
	}
	return err
}

// InUse reports whether an attempt of this process works in a folder of scratch.
func (p *Pipeline) InUse(dir string) bool {
	_, used := p.dirs.Load(dir)
	return used
}

// at tells where the step is: begun (the attempt is recorded), made (its objects are in the bucket, no fact says so yet), done (the facts are committed).
func (p *Pipeline) at(r *run, point string) {
	if p.At != nil {
		p.At(string(r.ref.Name) + "." + point)
	}
}
