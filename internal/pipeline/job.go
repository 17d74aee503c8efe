package pipeline

import (
	"encoding/json"
	"time"

	"sluice/internal/engine"
	"sluice/internal/video"
)

// The queues: what shares a limit.
const (
	IngestQueue  = "ingest"  // mostly waiting for disk; may copy a source
	EncodeQueue  = "encode"  // one core each
	StillQueue   = "still"   // audio and stills: a core for seconds
	ControlQueue = "control" // publish, removal: mostly waiting for disk
)

// NeedsRoom reports whether the jobs of a queue write much into scratch and bucket. The others, also those of other
// packages, write little or free room.
func NeedsRoom(queue string) bool {
	return queue == IngestQueue || queue == EncodeQueue || queue == StillQueue
}

const (
	retireKind = "retire"
	deleteKind = "delete"
	abortKind  = "abort"
)

// settle is how long a canceled attempt may go on before what it made is removed.
const settle = 5 * time.Second

// IngestJob begins a generation.
func IngestJob(id video.ID, generation int) engine.Job {
	return StepJob(video.StepRef{Video: id, Generation: generation, Name: video.Ingest})
}

// RetireJob removes the objects of a generation that is not published, at the given time.
func RetireJob(id video.ID, generation int, at time.Time) engine.Job {
	return job(retireKind, retirement{id, generation}, engine.Job{Queue: ControlQueue, Priority: 4, After: at.Add(settle)})
}

// DeleteJobs remove a deleted video: first at one time (zero for at once), and again later, when no attempt that was canceled can be left to put objects.
func DeleteJobs(id video.ID, prefix string, first, again time.Time) []engine.Job {
	args := deletion{Video: id, Prefix: prefix}
	return []engine.Job{
		job(deleteKind, args, engine.Job{Queue: ControlQueue, Priority: 1, After: first}),
		job(deleteKind, args, engine.Job{Queue: ControlQueue, Priority: 4, After: again}),
	}
}

// AbortJob removes the parts that a deleted video's upload has on the storage, at once: its other work waits until no
// PUT of a whole source can come any more.
func AbortJob(id video.ID) engine.Job {
	return job(abortKind, deletion{Video: id}, engine.Job{Queue: ControlQueue, Priority: 1})
}

type retirement struct {
	Video      video.ID `json:"video"`
	Generation int      `json:"generation"`
}

type deletion struct {
	Video  video.ID `json:"video"`
	Prefix string   `json:"prefix"`
}

// StepJob is the job of a step. What makes a video playable soonest comes first: chunk 0 of every video before anyone's chunk 1.
func StepJob(ref video.StepRef) engine.Job {
	base := engine.Job{Group: string(ref.Video), Queue: ControlQueue, Priority: 1}
	switch ref.Name {
	case video.Encode:
		base.Queue, base.Priority = EncodeQueue, 3
		if ref.N == 0 {
			base.Priority = 1
		}
	case video.Audio, video.Stills:
		base.Queue, base.Priority = StillQueue, 2
	case video.Ingest:
		base.Queue = IngestQueue
	case video.Publish:
	}
	return job(string(ref.Name), ref, base)
}

// StepOf returns the step that a job tries to advance, and false for a job that removes something.
func StepOf(j engine.Job) (ref video.StepRef, ok bool) {
	switch video.StepName(j.Kind) {
	case video.Ingest, video.Encode, video.Audio, video.Stills, video.Publish:
		return ref, json.Unmarshal(j.Args, &ref) == nil && string(ref.Name) == j.Kind
	}
	return ref, false
}

func job(kind string, args any, base engine.Job) engine.Job {
	body, err := json.Marshal(args)
	if err != nil {
		panic(err) // plain structs of strings and numbers
	}
	base.Kind, base.Args = kind, body
	return base
}

// WorkRoom is the room in bytes that working on a source takes on the disk of scratch, at most: the copy of one without
// an index.
func WorkRoom(source int64) int64 { return copyNeed(source) }
