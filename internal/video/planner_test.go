package video

import (
	"fmt"
	"testing"
	"time"

	"sluice/internal/fault"
)

func facts(width, height int, seconds float64, change func(*VideoFacts)) Facts {
	v := &VideoFacts{Codec: "h264", Width: width, Height: height, Aspect: Ratio{1, 1}, Rate: Ratio{25, 1},
		Duration: time.Duration(seconds * float64(time.Second)), MaxHold: 40 * time.Millisecond}
	if change != nil {
		change(v)
	}
	return Facts{Duration: v.Duration, Seekable: true, Video: v}
}

func ladderOf(t *testing.T, f Facts, s Settings) string {
	t.Helper()
	p, err := MakePlan(f, s, 2)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, r := range p.Rungs {
		text += fmt.Sprintf("%s:%dx%d ", r.Name, r.Width, r.Height)
	}
	return text
}

func TestTheLadderNeverUpscalesAndKeepsTheShape(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		facts  Facts
		limit  int
		ladder string
	}{
		{"1080p", facts(1920, 1080, 30, nil), 0, "1080p:1920x1080 720p:1280x720 480p:854x480 360p:640x360 240p:426x240 "},
		{"4K stays at 1080 by default", facts(3840, 2160, 30, nil), 0, "1080p:1920x1080 720p:1280x720 480p:854x480 360p:640x360 240p:426x240 "},
		{"4K when allowed", facts(3840, 2160, 30, nil), 2160, "2160p:3840x2160 1440p:2560x1440 1080p:1920x1080 720p:1280x720 480p:854x480 360p:640x360 240p:426x240 "},
		{"capped at 480", facts(1920, 1080, 30, nil), 480, "480p:854x480 360p:640x360 240p:426x240 "},
		{"between rungs keeps its own size on top", facts(1186, 664, 5, nil), 0, "664p:1186x664 480p:858x480 360p:644x360 240p:428x240 "},
		{"just above a rung leaves that rung out", facts(1300, 730, 5, nil), 0, "730p:1300x730 480p:854x480 360p:642x360 240p:428x240 "},
		{"below the smallest gets one rung", facts(160, 120, 5, nil), 0, "120p:160x120 "},
		{"odd sizes become even, downwards", facts(640, 465, 5, nil), 0, "464p:640x464 360p:496x360 240p:330x240 "},
		{"portrait by the short side", facts(404, 720, 5, nil), 0, "404p:404x720 360p:360x642 240p:240x428 "},
		{"rotated", facts(568, 320, 5, func(v *VideoFacts) { v.Rotation = 90 }), 0, "320p:320x568 240p:240x426 "},
		{"wide pixels", facts(640, 360, 5, func(v *VideoFacts) { v.Aspect = Ratio{2, 1} }), 0, "360p:1280x360 240p:854x240 "},
		{"narrow pixels", facts(720, 480, 5, func(v *VideoFacts) { v.Aspect = Ratio{8, 9} }), 0, "480p:640x480 360p:480x360 240p:320x240 "},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ladderOf(t, c.facts, Settings{MaxResolution: c.limit}); got != c.ladder {
				t.Errorf("got  %s\nwant %s", got, c.ladder)
			}
		})
	}
}

func TestEveryRungFitsItsSource(t *testing.T) {
	t.Parallel()
	for w := 16; w < 2200; w += 61 {
		for h := 16; h < 2200; h += 67 {
			p, err := MakePlan(facts(w, h, 10, nil), Settings{MaxResolution: 2160}, 2)
			if err != nil {
				t.Fatal(w, h, err)
			}
			last := 1 << 30
			for _, r := range p.Rungs {
				if r.Width%2 != 0 || r.Height%2 != 0 || min(r.Width, r.Height) >= last || r.Height > h+1 || r.Width > w+1 || r.MaxRate <= 0 {
					t.Fatalf("%dx%d: %+v", w, h, r)
				}
				last = min(r.Width, r.Height)
			}
		}
	}
}

func TestCapsAndLevels(t *testing.T) {
	t.Parallel()
	p, err := MakePlan(facts(1920, 1080, 30, func(v *VideoFacts) { v.Rate = Ratio{60, 1} }), Settings{}, 2)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		rate  int64
		level string
	}{{5_000_000, "4.2"}, {3_000_000, "3.2"}, {1_500_000, "3.1"}, {800_000, "3.1"}, {400_000, "3.0"}}
	for i, r := range p.Rungs {
		if r.MaxRate != want[i].rate || r.Level != want[i].level {
			t.Errorf("%s: cap %d level %s, want %v", r.Name, r.MaxRate, r.Level, want[i])
		}
	}
}

func TestChunksCoverTheVideoOnSegmentBoundaries(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		seconds float64
		rate    Ratio
		workers int
		chunks  int
		threads int
	}{
		{0.3, Ratio{25, 1}, 2, 1, 2},
		{19.9, Ratio{25, 1}, 8, 1, 8},
		{30, Ratio{30000, 1001}, 2, 2, 1},
		{30, Ratio{25, 1}, 8, 3, 3},
		{52, Ratio{24, 1}, 2, 4, 1},
		{52, Ratio{24, 1}, 1, 2, 1},
		{52, Ratio{24, 1}, 16, 5, 4},
		{100, Ratio{25, 1}, 2, 4, 1},
		{100, Ratio{25, 1}, 4, 8, 1},
		{363, Ratio{25, 1}, 2, 14, 1},
		{3600, Ratio{60, 1}, 8, 120, 1},
	} {
		p, err := MakePlan(facts(640, 360, c.seconds, func(v *VideoFacts) { v.Rate = c.rate }), Settings{}, c.workers)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Chunks) != c.chunks {
			t.Errorf("%v s, %d workers: %d chunks, want %d", c.seconds, c.workers, len(p.Chunks), c.chunks)
		}
		if p.Threads != c.threads {
			t.Errorf("%v s, %d workers: %d threads, want %d", c.seconds, c.workers, p.Threads, c.threads)
		}
		at := int64(0)
		for i, k := range p.Chunks {
			if k.N != i || k.Start != at || k.Start%int64(p.SegmentFrames) != 0 || (k.Frames == 0) != (i == len(p.Chunks)-1) {
				t.Fatalf("%v s: chunk %d is %+v, should start at %d", c.seconds, i, k, at)
			}
			at += k.Frames
		}
		if at >= p.Frames {
			t.Errorf("%v s: the open chunk starts at %d of %d frames", c.seconds, at, p.Frames)
		}
	}
}

func TestASourceThatCannotBeCutIsOneChunk(t *testing.T) {
	t.Parallel()
	unseekable := facts(640, 360, 100, nil)
	unseekable.Seekable = false
	for name, f := range map[string]Facts{"no index": unseekable, "long hold": facts(640, 360, 100, func(v *VideoFacts) { v.MaxHold = time.Minute })} {
		p, err := MakePlan(f, Settings{}, 4)
		if err != nil || len(p.Chunks) != 1 || p.Threads != 4 {
			t.Errorf("%s: %d chunks, %d threads, %v", name, len(p.Chunks), p.Threads, err)
		}
	}
}

func TestWhatNoLadderCanBeMadeForIsRefused(t *testing.T) {
	t.Parallel()
	for code, f := range map[string]Facts{
		"no_streams": {},
		"too_small":  facts(1, 1, 1, nil),
		"damaged":    facts(640, 360, 1, func(v *VideoFacts) { v.Rate = Ratio{} }),
	} {
		if _, err := MakePlan(f, Settings{}, 2); fault.Of(err).Code != code {
			t.Errorf("got %v, want %s", err, code)
		}
	}
	if _, err := MakePlan(facts(640, 360, 1, nil), Settings{MaxResolution: 721}, 2); fault.Of(err).Code != "bad_max_resolution" {
		t.Errorf("got %v, want bad_max_resolution", err)
	}
}

func TestAudioOnlyHasNoRungs(t *testing.T) {
	t.Parallel()
	p, err := MakePlan(Facts{Duration: time.Second, Audio: []AudioFacts{{Index: 1, Language: "de"}}}, Settings{}, 2)
	if err != nil || len(p.Rungs) != 0 || len(p.Chunks) != 0 || p.Audio == nil || p.Audio.Stream != 1 || p.Audio.Language != "de" {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestIDsAreParsedStrictly(t *testing.T) {
	t.Parallel()
	id := NewID(time.Now())
	if got, ok := ParseID(string(id)); !ok || got != id {
		t.Errorf("%q is not an id", id)
	}
	for _, bad := range []string{"", "x", "../../etc/passwd", string(id) + "0", "01ARZ3NDEKTSV4RRFFQ69G5FAV"} {
		if _, ok := ParseID(bad); ok {
			t.Errorf("%q passes for an id", bad)
		}
	}
}

func TestPlan_SoundOutlastsPicture_LastPictureIsHeld(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name         string
		start, end   float64 // of the picture: seconds
		sound        float64
		want         string // chunks: start+frames, h for held
		pictures, of int64
	}{
		{"as long", 0, 10, 10.05, "0+0", 0, 250},
		{"longer by less than a segment", 0, 10, 11, "0+275", 250, 275},
		{"longer by two segments", 0, 10, 20, "0+500", 250, 500},
		{"longer by minutes", 0, 10, 610, "0+300 300+14950h", 250, 15250},
		{"picture begins late", 61, 70, 70, "0+1500h 1500+0", 0, 1750},
		{"picture begins late and ends early", 61, 70, 130, "0+1500h 1500+300 1800+1450h", 1750, 3250},
		{"one picture", 0, 0.04, 40, "0+100 100+900h", 1, 1000},
	} {
		f := facts(640, 360, c.end, func(v *VideoFacts) { v.Start = time.Duration(c.start * float64(time.Second)) })
		f.Audio = []AudioFacts{{Index: 1, Duration: time.Duration(c.sound * float64(time.Second))}}
		p, err := MakePlan(f, Settings{}, 2)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for i, chunk := range p.Chunks {
			if chunk.N != i {
				t.Errorf("%s: chunk %d has number %d", c.name, i, chunk.N)
			}
			got += fmt.Sprintf(" %d+%d", chunk.Start, chunk.Frames)
			if chunk.Held {
				got += "h"
			}
		}
		if got != " "+c.want || p.Pictures != c.pictures || p.Frames != c.of {
			t.Errorf("%s: chunks%s, %d of %d frames are pictures; want %s, %d of %d", c.name, got, p.Pictures, p.Frames, c.want, c.pictures, c.of)
		}
	}
}

func TestAdditions_TracksOfUnequalLength_NameEachStretch(t *testing.T) {
	t.Parallel()
	f := facts(640, 360, 20, func(v *VideoFacts) { v.Start = 5 * time.Second })
	f.Audio = []AudioFacts{{Index: 1}, {Index: 3, Start: 2 * time.Second, Duration: 30 * time.Second}}
	p := Plan{Audio: &AudioRung{Stream: 3}}
	got := fmt.Sprint(p.Additions(f, 30*time.Second, 10*time.Second, 80*time.Millisecond))
	if want := "[{held_picture 0s 5s} {held_picture 20s 30s} {silence 0s 2s}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	f.Video = nil
	if got := p.Additions(f, 30*time.Second, 0, 0); got != nil {
		t.Errorf("sound alone: %v", got)
	}
}
