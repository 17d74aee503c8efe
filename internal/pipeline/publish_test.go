package pipeline

import (
	"testing"

	"sluice/internal/fault"
	"sluice/internal/video"
)

var twoChunks = video.Plan{
	Rungs: []video.Rung{{Name: "360p"}},
	Audio: &video.AudioRung{Name: "audio"},
}

func track(name string, segments ...video.Segment) video.Track {
	return video.Track{Kind: video.VideoTrack, Name: name, Timescale: 100, Init: video.Object{Name: name + "/init.mp4", Bytes: 1, SHA256: "x"}, Segments: segments}
}

func segment(number int64, start, duration uint64) video.Segment {
	return video.Segment{Object: video.Object{Bytes: 10}, Number: number, Start: start, Duration: duration}
}

func part(name video.StepName, n int, tracks ...video.Track) video.Part {
	return video.Part{StepRef: video.StepRef{Name: name, N: n}, Result: video.Result{Tracks: tracks}}
}

func TestChunksAreJoinedInTheirOrder(t *testing.T) {
	t.Parallel()
	tracks, stills, err := assemble(twoChunks, []video.Part{
		part(video.Encode, 1, track("360p", segment(3, 800, 100))),
		part(video.Audio, 0, track("audio", segment(1, 0, 900))),
		{StepRef: video.StepRef{Name: video.Stills}, Result: video.Result{Stills: []video.Object{{Name: "poster.jpg"}}}},
		part(video.Encode, 0, track("360p", segment(1, 0, 400), segment(2, 400, 400))),
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(tracks) != 2 || tracks[0].Name != "360p" || tracks[1].Name != "audio" || len(tracks[0].Segments) != 3 || len(stills) != 1 {
		t.Errorf("%+v, %+v", tracks, stills)
	}
	if tracks[0].Average == 0 || tracks[0].Peak == 0 {
		t.Errorf("the rates are not told: %+v", tracks[0])
	}
}

func TestWhatDoesNotFitTogetherIsNotPublished(t *testing.T) {
	t.Parallel()
	audio := part(video.Audio, 0, track("audio", segment(1, 0, 900)))
	other := track("360p", segment(2, 400, 400))
	other.Init.SHA256 = "y"
	for name, parts := range map[string][]video.Part{
		"a rung is missing":         {audio},
		"the audio is missing":      {part(video.Encode, 0, track("360p", segment(1, 0, 400)))},
		"a segment is missing":      {audio, part(video.Encode, 0, track("360p", segment(1, 0, 400), segment(3, 800, 400)))},
		"a gap between segments":    {audio, part(video.Encode, 0, track("360p", segment(1, 0, 400), segment(2, 401, 400)))},
		"an empty segment":          {audio, part(video.Encode, 0, track("360p", segment(1, 0, 0)))},
		"no segment":                {audio, part(video.Encode, 0, track("360p"))},
		"init segments that differ": {audio, part(video.Encode, 0, track("360p", segment(1, 0, 400))), part(video.Encode, 1, other)},
	} {
		if _, _, err := assemble(twoChunks, parts); fault.Of(err).Code != "output_unfit" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEndTogether_TracksMoreThanASegmentApart_AreRefused(t *testing.T) {
	t.Parallel()
	plan := video.Plan{Rate: video.Ratio{Num: 25, Den: 1}, SegmentFrames: 100, Together: true} // 4 s
	for _, c := range []struct {
		picture, sound uint64 // hundredths of a second
		refused        bool
	}{{6000, 6000, false}, {6000, 5700, false}, {5700, 6000, false}, {6000, 500, true}, {500, 6000, true}} {
		tracks := []video.Track{track("360p", segment(1, 0, 6000)), track("240p", segment(1, 0, c.picture)), track("audio", segment(1, 0, c.sound))}
		tracks[0].Segments[0].Duration = c.picture
		if err := endTogether(plan, tracks); (fault.Of(err).Code == "output_unfit") != c.refused || (err != nil) != c.refused {
			t.Errorf("picture %d, sound %d: %v", c.picture, c.sound, err)
		}
	}
	alone := []video.Track{track("audio", segment(1, 0, 500))}
	if err := endTogether(video.Plan{Together: true}, alone); err != nil {
		t.Errorf("sound alone: %v", err)
	}
	apart := []video.Track{track("360p", segment(1, 0, 500)), track("audio", segment(1, 0, 6000))}
	if plan.Together = false; endTogether(plan, apart) != nil {
		t.Error("a plan that a version before stored is held to what it does not plan")
	}
}
