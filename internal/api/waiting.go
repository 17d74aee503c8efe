package api

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"sluice/internal/engine"
	"sluice/internal/video"
)

// Waiting is what a video waits for.
type Waiting struct {
	For      string `json:"for" enum:"source,worker,paused,disk,storage,database,retry" example:"worker" doc:"source: its file was not uploaded, or the server has not found it yet; worker: a free worker; paused: an operator paused the queue; disk: room on the server's disk; storage, database: that part did not answer the last try; retry: the next try, after a failure"`
	NextLook Time   `json:"next_look,omitzero" doc:"Of source: when the server looks for the file by itself; POST /v1/uploads/{id}/complete has it look now. Absent on the embedded storage, where the PUT records the file"`
	Code     string `json:"code,omitempty" example:"disk_full" doc:"Of disk, storage, database and retry: code of the error of the last try; absent where that is not known, and for those who may only watch"`
	NextTry  Time   `json:"next_try,omitzero" doc:"Of disk, storage, database and retry: when the next try is due; absent where the server waits for room before it begins a try"`
	Queue    string `json:"queue,omitempty" example:"encode" doc:"Queue of its next job; absent for source"`
	Ahead    *int   `json:"ahead,omitempty" minimum:"0" maximum:"1000" example:"3" doc:"Of worker, paused and disk: due jobs of the queue that start before it, in the order in which the server takes them (priority, then owners in turns, then age). Jobs that come later with a higher priority, or of another owner, may start before it, too. 1000 means 1000 or more. Absent where a next try is waited for"`
	Workers  *int   `json:"workers,omitempty" minimum:"0" example:"2" doc:"Jobs of the queue that can run side by side now, in all processes; 0 where no process works on it. Absent for source"`
	ETA      *int64 `json:"eta_seconds,omitempty" minimum:"0" example:"120" doc:"Of worker: estimate of the seconds until its next job starts: (ahead + 1 + running - workers) times the median of what the last 25 jobs of the queue took, divided by workers; 0 while a worker is free. Absent where none has ended lately or no process works on the queue"`
}

// The values of Waiting.For.
const (
	forSource   = "source"
	forWorker   = "worker"
	forPaused   = "paused"
	forDisk     = "disk"
	forStorage  = "storage"
	forDatabase = "database"
	forRetry    = "retry"
)

// stepKinds are the kinds of the jobs that take a video along its way.
var stepKinds = []string{string(video.Ingest), string(video.Encode), string(video.Audio), string(video.Stills), string(video.Publish)}

// waiting says what videos wait for, by id. It asks the engine once for all of them, and the reconciler at most once.
// Videos of which nothing is to be done, or of which a step runs, cost nothing.
func (s *service) waiting(ctx context.Context, all ...video.Video) map[video.ID]*Waiting {
	out := map[video.ID]*Waiting{}
	var groups []string
	for _, v := range all {
		if queued(v) {
			groups = append(groups, string(v.ID))
		}
	}
	standings := s.standings(ctx, groups)
	looks := s.looker(ctx)
	for _, v := range all {
		st, known := standings[string(v.ID)]
		switch {
		case v.Status == video.Waiting && v.Source == nil:
			out[v.ID] = looks(v)
		case queued(v) && known:
			w := standing(st)
			if !who(ctx).MaySeeWork(subject(v)) {
				w.Code = ""
			}
			out[v.ID] = w
		case v.Status == video.Waiting:
			out[v.ID] = &Waiting{For: forWorker}
		}
	}
	return out
}

// queued reports whether a video's newest generation is under way, and none of its steps runs.
func queued(v video.Video) bool {
	return v.Source != nil && v.Newest > v.Published && v.Failure == nil && v.Running == 0
}

// standings asks where videos stand in their queues. They can be shown without it.
func (s *service) standings(ctx context.Context, groups []string) map[string]engine.QueuePosition {
	if s.Standings == nil || len(groups) == 0 {
		return nil
	}
	all, err := s.Standings.Standings(ctx, groups, stepKinds)
	if err != nil && ctx.Err() == nil {
		s.Logger.Log(ctx, slog.LevelWarn, "what videos wait for could not be read", "error", err)
	}
	return all
}

// standing tells where a video stands as JSON.
func standing(st engine.QueuePosition) *Waiting {
	w := &Waiting{Queue: st.Queue, Workers: &st.Workers}
	switch {
	case st.Running: // it has begun, and its step is not recorded yet
		zero, now := 0, int64(0)
		w.For, w.Ahead, w.ETA = forWorker, &zero, &now
		return w
	case st.Paused:
		w.For = forPaused
	case !st.Due.IsZero():
		w.For, w.Code, w.NextTry = part(st.Code), st.Code, Time(st.Due)
		return w
	case st.Held:
		w.For, w.Code = forDisk, "disk_full"
	default:
		w.For = forWorker
	}
	if !st.Due.IsZero() {
		return w
	}
	w.Ahead = &st.Ahead
	if st.Start != nil {
		seconds := int64((*st.Start + time.Second - 1) / time.Second)
		w.ETA = &seconds
	}
	return w
}

// part is what a job waits for whose last try ended with a code.
func part(code string) string {
	switch {
	case code == "disk_full", code == "storage_full", code == "scratch_unavailable":
		return forDisk
	case strings.HasPrefix(code, "storage_"), code == "no_such_bucket", code == "source_unavailable", code == "source_changing":
		return forStorage
	case strings.HasPrefix(code, "database_"):
		return forDatabase
	}
	return forRetry
}

// looker says when the server looks for the sources of videos. It reads when the reconciler is due once at most,
// however many videos are shown.
func (s *service) looker(ctx context.Context) func(video.Video) *Waiting {
	var next time.Time
	read := false
	return func(v video.Video) *Waiting {
		if !s.Looks {
			return &Waiting{For: forSource}
		}
		if !read {
			read = true
			if state, err := s.Reconciler.Reconciliation(ctx); err == nil { // the videos can be shown without it
				next = earliest(s.Now(), state)
			}
		}
		look := next
		if now := s.Now(); v.NextLook.After(now) && (look.IsZero() || v.NextLook.Before(look)) {
			look = v.NextLook
		}
		return &Waiting{For: forSource, NextLook: Time(look)}
	}
}
