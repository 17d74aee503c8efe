package manifest

import (
	"strconv"
	"testing"

	"sluice/internal/video"
)

// film is a presentation as the ladder makes one of so many minutes, in segments of 4 s.
func film(minutes int) Presentation {
	rate := video.Ratio{Num: 25, Den: 1}
	grid := times(minutes*15-1, 100, 100)
	return presentation(
		track(pictureTrack("1080p", "avc1.640028", 1920, 1080, rate), 4_600_000, grid...),
		track(pictureTrack("720p", "avc1.64001f", 1280, 720, rate), 2_500_000, grid...),
		track(pictureTrack("480p", "avc1.64001f", 854, 480, rate), 1_300_000, grid...),
		track(pictureTrack("360p", "avc1.4d401e", 640, 360, rate), 700_000, grid...),
		track(soundTrack("audio-1", "en", 2, 48000), 128_000, times(minutes*15-1, 192512, 192512)...))
}

// BenchmarkSign compares what a request costs: with a template that was cut before ("stitch"), with one cut for each ("cut"), and, at the start of a
// cache entry, choosing too ("choose").
func BenchmarkSign(b *testing.B) {
	for _, c := range []struct {
		minutes int
		name    string
	}{{10, HLS}, {10, DASH}, {10, "1080p/" + HLS}, {120, "1080p/" + HLS}} {
		text := files(film(c.minutes))[c.name]
		name := strconv.Itoa(c.minutes) + "min/" + c.name
		cut, err := cutOf(c.name, text)
		if err != nil {
			b.Fatal(err)
		}
		out, err := cut.Sign(nil, Everywhere(signature))
		if err != nil {
			b.Fatal(err)
		}
		b.Run("stitch/"+name, func(b *testing.B) {
			b.SetBytes(int64(len(out)))
			b.ReportAllocs()
			for b.Loop() {
				if out, err = cut.Sign(out[:0], Everywhere(signature)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "manifests/s")
		})
		b.Run("cut/"+name, func(b *testing.B) {
			b.SetBytes(int64(len(out)))
			b.ReportAllocs()
			for b.Loop() {
				cut, err := cutOf(c.name, text)
				if err != nil {
					b.Fatal(err)
				}
				if out, err = cut.Sign(out[:0], Everywhere(signature)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "manifests/s")
		})
	}
	for name, apply := range map[string]func(Choice, []byte) ([]byte, error){HLS: Choice.Playlist, DASH: Choice.MPD} {
		text := files(film(10))[name]
		b.Run("choose/10min/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := apply(Choice{MaxResolution: 720, Order: Lowest}, text); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "manifests/s")
		})
	}
}
