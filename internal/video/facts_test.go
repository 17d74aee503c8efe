package video

import (
	"reflect"
	"testing"
)

// TestFactsOfCopy_SecondProgramme_KeepsTheChoice joins the facts of a transport stream with two programmes, whose second
// sound belongs to the film, with those of its copy, which would choose the first.
func TestFactsOfCopy_SecondProgramme_KeepsTheChoice(t *testing.T) {
	source := Facts{Container: "mpegts", Bytes: 1000, Bitrate: 8, Warnings: []Failure{{Code: "first"}}, Audio: []AudioFacts{
		{Index: 1, Codec: "mp2", Language: "de", Layout: "stereo"}, {Index: 3, Codec: "ac3", Language: "fr", Layout: "5.1(side)", Main: true},
	}}
	timed := Facts{Container: "matroska", Bytes: 900, Bitrate: 7, Warnings: []Failure{{Code: "second"}}, Audio: []AudioFacts{
		{Index: 1, Codec: "mp2", Layout: "2 channels", Main: true}, {Index: 2, Codec: "ac3", Layout: ""},
	}}
	want := Facts{Container: "mpegts", Bytes: 1000, Bitrate: 8, Warnings: []Failure{{Code: "first"}, {Code: "second"}}, Audio: []AudioFacts{
		{Index: 1, Codec: "mp2", Language: "de", Layout: "stereo"}, {Index: 2, Codec: "ac3", Language: "fr", Layout: "5.1(side)", Main: true},
	}}
	got := source.OfCopy(timed)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if main := got.MainAudio(); main == nil || main.Index != 2 {
		t.Errorf("the main sound is %+v", main)
	}
	timed.Audio = timed.Audio[:1] // a track that could not be copied: positions tell nothing
	if got := source.OfCopy(timed); !got.Audio[0].Main || got.Audio[0].Layout != "2 channels" {
		t.Errorf("%+v", got.Audio)
	}
}

// TestEncoded_PairOfMonoTracks_BothAreUsed asks which tracks make the audio rendition of a master with one track a channel.
func TestEncoded_PairOfMonoTracks_BothAreUsed(t *testing.T) {
	mono := func(index int, main bool) AudioFacts {
		return AudioFacts{Index: index, Codec: "pcm_s24le", Channels: 1, SampleRate: 48000, Main: main}
	}
	f := Facts{Container: "mov,mp4,m4a,3gp,3g2,mj2", Audio: []AudioFacts{mono(1, true), mono(2, false), mono(3, false)}}
	for index, want := range map[int]bool{0: false, 1: true, 2: true, 3: false} {
		if got := f.Encoded(index); got != want {
			t.Errorf("track %d: %v", index, got)
		}
	}
	f.Audio[0].Channels = 2 // no pair
	if !f.Encoded(1) || f.Encoded(2) {
		t.Error("a stereo track has a partner")
	}
}
