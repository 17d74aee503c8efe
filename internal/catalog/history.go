package catalog

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"sluice/internal/catalog/sqlc"
	"sluice/internal/event"
	"sluice/internal/video"
)

// way is the order of the steps.
var way = []video.StepName{video.Ingest, video.Encode, video.Audio, video.Stills, video.Publish}

// Detail returns a video and the steps of its newest generation with their attempts, in the order of the way, as they are at one moment; fault.NotFound
// for none or a deleted one.
func (s *Store) Detail(ctx context.Context, id video.ID) (v video.Video, steps []video.Step, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		if v, err = one(ctx, q, id, s.now().UnixMilli()); err != nil {
			return err
		}
		rows, err := q.Steps(ctx, sqlc.StepsParams{Video: string(id), Generation: int64(v.Newest)})
		if err != nil {
			return err
		}
		tries, err := q.Attempts(ctx, sqlc.AttemptsParams{Video: string(id), Generation: int64(v.Newest)})
		if err != nil {
			return err
		}
		attempts := map[video.StepRef][]video.Attempt{}
		for _, a := range tries {
			ref := video.StepRef{Video: id, Generation: v.Newest, Name: video.StepName(a.Name), N: int(a.N)}
			attempts[ref] = append(attempts[ref], attemptOf(a))
		}
		for _, r := range rows {
			ref := video.StepRef{Video: id, Generation: v.Newest, Name: video.StepName(r.Name), N: int(r.N)}
			steps = append(steps, video.Step{
				StepRef: ref, State: video.StepState(r.State), Attempts: attempts[ref], Progress: r.Progress,
				Started: timeOf(r.Started), Finished: timeOf(r.Finished),
			})
		}
		return nil
	})
	slices.SortFunc(steps, func(a, b video.Step) int { return inOrder(a.StepRef, b.StepRef) })
	return v, steps, err
}

// inOrder compares two steps of a generation by the order of the way.
func inOrder(a, b video.StepRef) int {
	return cmp.Or(cmp.Compare(slices.Index(way, a.Name), slices.Index(way, b.Name)), cmp.Compare(a.N, b.N))
}

func attemptOf(r sqlc.AttemptsRow) video.Attempt {
	a := video.Attempt{Number: int(r.Number), Worker: r.Worker, Started: timeOf(r.Started), Finished: timeOf(r.Finished), Detail: r.Detail}
	if r.Code != "" {
		a.Failure = &video.Failure{Code: r.Code, Message: r.Message}
	}
	return a
}

// Events returns up to limit events (1000 where it is 0 or more than that) of a video with ids above after, oldest first. They outlive their video.
func (s *Store) Events(ctx context.Context, id video.ID, after int64, limit int) ([]event.Event, error) {
	var events []event.Event
	err := s.read(ctx, func(q *sqlc.Queries) error {
		rows, err := q.Events(ctx, sqlc.EventsParams{Video: string(id), After: after, Most: page(limit)})
		if err != nil {
			return err
		}
		for _, r := range rows {
			e := event.Event{ID: r.ID, Video: r.Video, Type: event.Type(r.Type), Time: timeOf(r.Time)}
			if r.Data != "" {
				e.Data = json.RawMessage(r.Data)
			}
			events = append(events, e)
		}
		return nil
	})
	return events, err
}
