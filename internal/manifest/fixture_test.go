package manifest

import (
	"math/rand/v2"
	"time"

	"sluice/internal/video"
)

// track makes the segments of a track as the pipeline does: as long as their durations say, on one grid, each weighing
// its share of rate bits a second, every third one half as much again.
func track(t video.Track, rate int64, durations ...uint64) video.Track {
	t.Init = video.Object{Name: InitName(t.Name), Bytes: 800}
	start := uint64(0)
	for i, d := range durations {
		n := int64(i + 1)
		bytes := max(200, int64(float64(d)/float64(t.Timescale)*float64(rate)/8))
		if i%3 == 1 {
			bytes += bytes / 2
		}
		s := video.Segment{Object: video.Object{Name: SegmentName(t.Name, n), Bytes: bytes}, Number: n, Start: start, Duration: d}
		if t.Kind == video.VideoTrack {
			s.Offset, s.Sync = 24, bytes/4
		}
		t.Segments = append(t.Segments, s)
		start += d
	}
	Rate(&t)
	return t
}

func pictureTrack(name, codec string, w, h int, rate video.Ratio) video.Track {
	return video.Track{Kind: video.VideoTrack, Name: name, Codec: codec, Width: w, Height: h, FrameRate: rate, Timescale: uint32(rate.Num)}
}

func soundTrack(name, language string, channels, hertz int) video.Track {
	return video.Track{Kind: video.AudioTrack, Name: name, Codec: "mp4a.40.2", Language: language, Channels: channels,
		SampleRate: hertz, Timescale: uint32(hertz)}
}

// times is n segments of one duration and then a last one.
func times(n int, each, last uint64) []uint64 {
	var list []uint64
	for range n {
		list = append(list, each)
	}
	return append(list, last)
}

// frames is audio in whole frames of 1024 samples, cut where segments of each samples would end.
func frames(total, each uint64) []uint64 {
	var list []uint64
	for at, cut := uint64(0), each; at < total; cut += each {
		end := min((cut+1023)/1024*1024, (total+1023)/1024*1024)
		list = append(list, end-at)
		at = end
	}
	return list
}

// length is when the last track ends.
func length(tracks []video.Track) time.Duration {
	var most time.Duration
	for _, t := range tracks {
		last := t.Segments[len(t.Segments)-1]
		most = max(most, time.Duration(micros(last.Start+last.Duration, t.Timescale))*time.Microsecond)
	}
	return most
}

func presentation(tracks ...video.Track) Presentation {
	return Presentation{Tracks: tracks, Duration: length(tracks)}
}

// fixtures are presentations of every shape that the ladder makes, and some that it must not trip over.
func fixtures() map[string]Presentation {
	ntsc, film, pal := video.Ratio{Num: 30000, Den: 1001}, video.Ratio{Num: 24, Den: 1}, video.Ratio{Num: 25, Den: 1}
	ladder := times(5, 120120, 45045)
	late := track(pictureTrack("360p", "avc1.4d401e", 640, 360, pal), 800_000, times(3, 100, 37)...)
	for i := range late.Segments {
		late.Segments[i].Start += 50 // the picture comes in two seconds after the sound
	}
	return map[string]Presentation{
		"ntsc": presentation(
			track(pictureTrack("1080p", "avc1.640028", 1920, 1080, ntsc), 4_600_000, ladder...),
			track(pictureTrack("720p", "avc1.64001f", 1280, 720, ntsc), 2_500_000, ladder...),
			track(pictureTrack("480p", "avc1.64001f", 854, 480, ntsc), 1_300_000, ladder...),
			track(pictureTrack("360p", "avc1.4d401e", 640, 360, ntsc), 700_000, ladder...),
			track(soundTrack("audio-1", "en", 2, 48000), 128_000, frames(1033032, 192192)...)),
		"silent": presentation(
			track(pictureTrack("720p", "avc1.64001f", 1280, 720, film), 1_700_000, times(2, 96, 50)...),
			track(pictureTrack("480p", "avc1.64001e", 854, 480, film), 900_000, times(2, 96, 50)...)),
		"audio-only": presentation(
			track(soundTrack("audio-1", "", 2, 44100), 128_000, frames(1_000_000, 176400)...)),
		"portrait": presentation(
			track(pictureTrack("1080p", "avc1.64002a", 1080, 1920, video.Ratio{Num: 60, Den: 1}), 4_900_000, times(1, 240, 240)...),
			track(pictureTrack("360p", "avc1.4d401f", 360, 640, video.Ratio{Num: 60, Den: 1}), 790_000, times(1, 240, 240)...),
			track(soundTrack("audio-1", "pt-BR", 2, 48000), 128_000, frames(384000, 192000)...)),
		"single": presentation(
			track(pictureTrack("96p", "avc1.42c00b", 128, 96, video.Ratio{Num: 15, Den: 1}), 90_000, 11),
			track(soundTrack("audio-1", "und", 1, 22050), 64_000, frames(16170, 88200)...)),
		"odd": presentation(
			late,
			track(soundTrack("audio-1", `x",URI="evil`, 2, 44100), 128_000, 5120, 203776, 13312),
			track(soundTrack("audio 2: l'été", "fr", 6, 48000), 300_000, frames(99999, 192000)...),
			track(soundTrack("audio-3", "fr", 2, 48000), 128_000, frames(99999, 192000)...)),
		"instant": presentation(
			track(pictureTrack("240p", "avc1.42c00c", 320, 240, pal), 300_000, 3)),
	}
}

// random is a presentation that obeys what the package relies on and nothing more.
func random(r *rand.Rand) Presentation {
	var tracks []video.Track
	pictures, sounds := r.IntN(4), r.IntN(3)
	if pictures+sounds == 0 {
		sounds = 1
	}
	scale := uint32(1 + r.IntN(100_000))
	grid := make([]uint64, 1+r.IntN(60))
	for i := range grid {
		grid[i] = uint64(scale)/2 + 1 + r.Uint64N(uint64(scale)*6)
		if i > 0 && r.IntN(3) > 0 {
			grid[i] = grid[i-1]
		}
	}
	for i := range pictures {
		t := pictureTrack(string(rune('a'+i))+"p", "avc1.64001f", 2+r.IntN(4000), 2+r.IntN(4000), video.Ratio{Num: 1 + r.Int64N(60000), Den: 1 + r.Int64N(1001)})
		t.Timescale = scale
		tracks = append(tracks, track(t, 1+r.Int64N(9_000_000), grid...))
	}
	for i := range sounds {
		t := soundTrack("sound-"+string(rune('a'+i)), []string{"", "en", "de", "zh-Hant"}[r.IntN(4)], 1+r.IntN(6), 8000+r.IntN(88000))
		tracks = append(tracks, track(t, 1+r.Int64N(400_000), frames(1+r.Uint64N(10_000_000), uint64(t.Timescale)*4)...))
	}
	return presentation(tracks...)
}
