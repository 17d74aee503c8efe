package pipeline_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"sluice/internal/bucket"
	"sluice/internal/engine"
	"sluice/internal/pipeline"
	"sluice/internal/video"
)

// removal notes in which order a deletion does what it does, on a storage where a newer write has the key of the
// deleted video.
type removal struct {
	pipeline.Objects
	pipeline.Remover
	steps []string
	write bucket.Object
}

var deletedSource = video.Source{Bucket: "uploads", Key: "a.mp4", ETag: "e", Modified: time.Unix(1_796_000_000, 0), Pin: "sources/1"}

func (r *removal) Removable(context.Context, video.ID) (video.Video, error) {
	return video.Video{ID: "v", Source: &deletedSource}, nil
}

func (r *removal) Remove(context.Context, video.ID, engine.Handle) error {
	r.steps = append(r.steps, "rows")
	return nil
}

func (r *removal) DeletePrefix(context.Context, string, string) (int, error) { return 0, nil }

func (r *removal) Delete(context.Context, string, string) error {
	r.steps = append(r.steps, "pin")
	return nil
}

func (r *removal) DeleteWrite(_ context.Context, o bucket.Object) (bool, error) {
	r.steps, r.write = append(r.steps, "object"), o
	return true, nil
}

// A newer write that can't be accepted now is the reconciler's: the deletion goes on.
func TestDelete_NewerWriteUnderTheKey_HandsOverBeforePinAndRowsGo(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]error{"accepted": nil, "not accepted": errors.New("the database is away")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &removal{}
			p := pipeline.New(pipeline.Config{Objects: r, Remover: r, Media: "media", Log: slog.New(slog.DiscardHandler),
				Arrived: func(_ context.Context, o bucket.Object) error {
					if o.Bucket != "uploads" || o.Key != "a.mp4" {
						t.Errorf("%+v arrived", o)
					}
					r.steps = append(r.steps, "arrived")
					return answer
				}})
			job := pipeline.DeleteJobs("v", "streams/a-v", time.Time{}, time.Time{})[0]
			if err := p.Handlers()["delete"](t.Context(), engine.Attempt{Job: job}); err != nil {
				t.Fatal(err)
			}
			if want := []string{"object", "arrived", "pin", "rows"}; !slices.Equal(r.steps, want) {
				t.Errorf("%v, want %v", r.steps, want)
			}
			if !r.write.SameWrite(bucket.Object{ETag: "e", Modified: deletedSource.Modified}) || r.write.Key != "a.mp4" {
				t.Errorf("removed %+v", r.write)
			}
		})
	}
}
