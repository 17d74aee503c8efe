package api

import (
	"context"

	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/video"
)

// Videos is what the video routes need of the store. Each method is one transaction.
type Videos interface {
	// Video returns one video with its progress; fault.NotFound for none or a deleted one.
	Video(ctx context.Context, id video.ID) (video.Video, error)
	// Videos returns up to q.Limit videos, newest first, that are not deleted.
	Videos(ctx context.Context, q video.Query) ([]video.Video, error)
	// Edit changes what a person may change.
	Edit(ctx context.Context, id video.ID, edit video.Edit) (video.Video, error)
	// Delete marks a video deleted, cancels its jobs and inserts next.
	Delete(ctx context.Context, id video.ID, next []engine.Job) error
	// Encode begins a new generation with settings: its ingest step and next(generation). fault.Conflict where the source is not there yet or an encode is under way.
	Encode(ctx context.Context, id video.ID, settings video.Settings, next func(generation int) []engine.Job) (video.Video, error)
}

// History is what the history routes need of the store.
type History interface {
	// Steps returns the steps of the newest generation with their attempts, in the order of the way.
	Steps(ctx context.Context, id video.ID) ([]video.Step, error)
	// Events returns up to limit events of a video with ids above after, oldest first. They outlive their video.
	Events(ctx context.Context, id video.ID, after int64, limit int) ([]event.Event, error)
}

// Errors is what the error routes need of the store.
type Errors interface {
	// Errors returns up to q.Limit failed attempts, newest first. They outlive their video.
	Errors(ctx context.Context, q video.ErrorQuery) ([]video.StepError, error)
	// ErrorGroups counts the errors since q.Since by code and step, the most frequent first.
	ErrorGroups(ctx context.Context, q video.ErrorQuery) ([]video.ErrorGroup, error)
}

// Jobs is what the job routes need of the engine.
type Jobs interface {
	// Jobs returns jobs, newest first.
	Jobs(ctx context.Context, q engine.JobQuery) ([]engine.Status, error)
	// Job returns one job; fault.NotFound for none.
	Job(ctx context.Context, id int64) (engine.Status, error)
	// Retry makes a job due now that is dead, canceled or waits for its time. fault.Conflict where it runs or has ended well.
	Retry(ctx context.Context, id int64) (engine.Status, error)
}

// Queues is what the queue routes need of the engine.
type Queues interface {
	// Queues returns every queue that ever was worked on, by name.
	Queues(ctx context.Context) ([]engine.QueueState, error)
	// SetQueue changes a queue and returns it as it is then. fault.NotFound for none.
	SetQueue(ctx context.Context, name string, change engine.QueueChange) (engine.QueueState, error)
}

// Redriver is what the job routes need of the store. Each method is one transaction.
type Redriver interface {
	// Redrive goes on with a video whose newest generation failed, where only, if not nil, is one of the steps that failed or were canceled. fault.Conflict where
	// there is nothing to redrive.
	Redrive(ctx context.Context, id video.ID, only *video.StepRef, jobs func(video.StepRef) []engine.Job) (video.Video, error)
	// CancelStep ends the generation that a step belongs to and inserts next. fault.Conflict where it is over.
	CancelStep(ctx context.Context, ref video.StepRef, next []engine.Job) error
	// JobAttempts returns the attempts at a step that a job made.
	JobAttempts(ctx context.Context, ref video.StepRef, job int64) ([]video.Attempt, error)
}

// Subscriptions is what the notification routes need of the store.
type Subscriptions interface {
	// Subscribe makes a subscription; an address that has one gets these events instead, and is no longer suspended. fault.Conflict where there
	// are as many as may be.
	Subscribe(ctx context.Context, s event.Subscription) (event.Subscription, error)
	// Subscriptions returns all of them, by address.
	Subscriptions(ctx context.Context) ([]event.Subscription, error)
	// Unsubscribe ends a subscription, with what waits for it. fault.NotFound where there is none.
	Unsubscribe(ctx context.Context, id string) error
	// Outbox returns up to limit notices with ids below before (0 for the newest) that are in a state (empty for all), newest first.
	Outbox(ctx context.Context, state event.State, before int64, limit int) ([]event.Notice, error)
}
