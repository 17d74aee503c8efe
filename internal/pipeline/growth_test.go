package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/bucket"
	"sluice/internal/ffmpeg"
	"sluice/internal/manifest"
	"sluice/internal/video"
)

// allocated is how many bytes do allocates.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// hours is a plan for a video of so many hours.
func hours(t *testing.T, n int) video.Plan {
	t.Helper()
	length := time.Duration(n) * time.Hour
	plan, err := video.MakePlan(video.Facts{
		Duration: length, Seekable: true,
		Video: &video.VideoFacts{Codec: "h264", Width: 1920, Height: 1080, Aspect: video.Ratio{Num: 1, Den: 1},
			Rate: video.Ratio{Num: 25, Den: 1}, Duration: length, MaxHold: 40 * time.Millisecond},
		Audio: []video.AudioFacts{{Index: 1, Codec: "aac", Channels: 2, SampleRate: 48000}},
	}, video.Settings{}, 2)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// parts are the results of the steps of a plan.
func parts(plan video.Plan) (all []video.Part) {
	made := func(name string, first, n int64) video.Track {
		t := video.Track{Kind: video.VideoTrack, Name: name, Codec: "avc1.64001f", Timescale: 1000, Init: video.Object{Name: manifest.InitName(name), Bytes: 1}}
		for i := first; i < first+n; i++ {
			s := segment(i+1, uint64(i)*4000, 4000)
			s.Name = manifest.SegmentName(name, i+1)
			t.Segments = append(t.Segments, s)
		}
		return t
	}
	segments := (plan.Frames + int64(plan.SegmentFrames) - 1) / int64(plan.SegmentFrames)
	for _, c := range plan.Chunks {
		first, n := c.Start/int64(plan.SegmentFrames), c.Frames/int64(plan.SegmentFrames)
		if c.Frames == 0 {
			n = segments - first
		}
		p := part(video.Encode, c.N)
		for _, r := range plan.Rungs {
			p.Result.Tracks = append(p.Result.Tracks, made(r.Name, first, n))
		}
		all = append(all, p)
	}
	sound := made(plan.Audio.Name, 0, segments)
	sound.Kind, sound.Codec = video.AudioTrack, "mp4a.40.2"
	return append(all, part(video.Audio, 0, sound))
}

// asked counts the requests of a publish, whose objects are all there.
type asked struct {
	Objects
	requests atomic.Int64
	sizes    map[string]int64
}

func (a *asked) Sizes(context.Context, string, string) (map[string]int64, error) {
	a.requests.Add(1)
	return a.sizes, nil
}

func (a *asked) Head(_ context.Context, _, key string) (bucket.Object, error) {
	a.requests.Add(1)
	return bucket.Object{Key: key, Size: a.sizes[key]}, nil
}

func (a *asked) PutFile(_ context.Context, _, key, _, _ string) (bucket.Object, error) {
	a.requests.Add(1)
	return bucket.Object{Key: key}, nil
}

func TestWork_VideoFourTimesAsLong_CostsFourTimes(t *testing.T) { //nolint:paralleltest // it counts the allocations of the process
	const most = 5 // times, for four times the length
	type costs struct {
		planning, publishing uint64
		requests             int64
	}
	cost := func(n int) (c costs) {
		var plan video.Plan
		c.planning = allocated(func() {
			plan = hours(t, n)
			stepJobs(video.StepRef{Video: "v", Generation: 1}, plan)
		})
		results := parts(plan)
		objects := &asked{sizes: map[string]int64{}}
		p := New(Config{Objects: objects, Media: "media", Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		r := &run{ref: video.StepRef{Video: "v", Generation: 1}, dir: t.TempDir(), log: slog.New(slog.DiscardHandler)}
		for _, part := range results {
			for _, track := range part.Result.Tracks {
				for _, o := range objectsOf(track) {
					objects.sizes[outputKey(r.Video, 1, o.Name)] = o.Bytes
				}
			}
		}
		c.publishing = allocated(func() {
			tracks, stills, err := assemble(plan, results)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.settle(t.Context(), r, tracks, stills); err != nil {
				t.Fatal(err)
			}
			sizes, err := objects.Sizes(t.Context(), "media", "")
			if err == nil {
				err = p.whole(t.Context(), r, sizes, tracks, stills)
			}
			if err == nil {
				_, err = p.describe(t.Context(), r, tracks, stills)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
		c.requests = objects.requests.Load()
		return c
	}
	one, four := cost(2), cost(8)
	t.Logf("2 hours: %+v; 8 hours: %+v", one, four)
	if four.planning > most*one.planning || four.publishing > most*one.publishing {
		t.Errorf("four times the length cost more than %d times the bytes", most)
	}
	if four.requests != one.requests || one.requests == 0 {
		t.Errorf("publishing costs %d requests for 2 hours and %d for 8; the listing aside, want as many", one.requests, four.requests)
	}
}

// The index grows with the video, and each of its chunks needs it.
func TestIndexes_StepsOfOneVideo_ReadItOnce(t *testing.T) {
	t.Parallel()
	var x indexes
	var reads atomic.Int64
	want := &ffmpeg.Index{}
	read := func() (*ffmpeg.Index, error) {
		reads.Add(1)
		return want, nil
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				if index, err := x.of("sources/a", read); index != want || err != nil {
					t.Errorf("%v, %v", index, err)
				}
			}
		})
	}
	all.Wait()
	if n := reads.Load(); n != 1 {
		t.Errorf("400 steps read the index %d times", n)
	}
	none := func() (*ffmpeg.Index, error) { reads.Add(1); return nil, nil }
	away := errors.New("the storage is away")
	if _, err := x.of("sources/b", func() (*ffmpeg.Index, error) { return nil, away }); !errors.Is(err, away) {
		t.Errorf("an error is %v", err)
	}
	for range 2 {
		if index, err := x.of("sources/b", none); index != nil || err != nil {
			t.Errorf("of a source without an index: %v, %v", index, err)
		}
	}
	if n := reads.Load(); n != 2 {
		t.Errorf("the absence of an index was read %d times", n-1)
	}
	for n := range 10 {
		if _, err := x.of(fmt.Sprint("sources/", n), none); err != nil {
			t.Error(err)
		}
	}
	if len(x.kept) != indexesKept {
		t.Errorf("%d indexes are kept", len(x.kept))
	}
}
