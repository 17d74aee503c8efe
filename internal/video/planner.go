package video

import (
	"fmt"
	"math"
	"time"

	"sluice/internal/fault"
)

const (
	gopSeconds = 2 // an IDR every 2 s (Apple's HLS authoring spec 1.10)
	// longestChunk bounds what a lost worker costs, and how long the last chunk keeps one core busy alone.
	longestChunk = 30 * time.Second
	// shortestChunk: the preroll's decoding and a process's start cost about 1 % of a chunk of this length.
	shortestChunk = 10 * time.Second
	// uncut is the length up to which cutting a video costs more than it brings.
	uncut = 20 * time.Second
	// preroll is decoded before each chunk besides the longest hold: the fps filter needs the picture before the first one, the deinterlacer a few.
	preroll = 2 * time.Second
	// longestHold: a source that shows one picture for longer than this is encoded in one piece; every chunk would decode most of it.
	longestHold = 30 * time.Second

	audioBitrate = 128_000
	audioRate    = 48_000
)

// MakePlan decides what is made of a source: ladder, chunks and audio. workers is how many encode steps run side by side on a machine; where a video has
// fewer chunks, its encoders use threads instead. The duration limits and codecs have been judged by the probe; what is refused here is what no
// ladder can be made for.
func MakePlan(f Facts, s Settings, workers int) (Plan, error) {
	if err := s.Validate(); err != nil {
		return Plan{}, err
	}
	workers = max(1, workers)
	p := Plan{Duration: f.Duration, Threads: 1}
	if len(f.Audio) > 0 {
		a := f.Audio[0]
		p.Audio = &AudioRung{Stream: a.Index, Name: "audio", Bitrate: audioBitrate, Channels: 2, SampleRate: audioRate, Language: a.Language}
	}
	v := f.Video
	if v == nil {
		if p.Audio == nil {
			return Plan{}, fault.New(fault.Invalid, "video.plan", "no_streams", "The file holds neither video nor audio that can be played; upload one that does.", nil)
		}
		return p, nil
	}
	width, height := v.Display()
	if math.Min(width, height) < smallest {
		return Plan{}, fault.New(fault.Invalid, "video.plan", "too_small",
			fmt.Sprintf("The picture is %.0f×%.0f pixels; the least side that can be made into a video is %d.", width, height, smallest), nil)
	}
	if v.Rate.Float() <= 0 {
		return Plan{}, fault.New(fault.Invalid, "video.plan", "damaged", "The file gives no usable times for its pictures; export it again.", nil)
	}
	limit := s.MaxResolution
	if limit == 0 {
		limit = DefaultResolution
	}
	p.Rate = v.Rate
	p.GOP = max(1, int(math.Round(gopSeconds*v.Rate.Float())))
	p.SegmentFrames = 2 * p.GOP
	p.Frames = max(1, int64(math.Round(v.Duration.Seconds()*v.Rate.Float())))
	p.Preroll = preroll + 2*v.MaxHold
	p.Filter = Filter{Deinterlace: v.Interlaced, ToneMap: v.HDR(), Rotation: v.Rotation}
	p.Rungs = ladder(width, height, v.Rate, limit)
	p.Chunks = chunks(p, f, workers)
	p.Threads = (workers + len(p.Chunks) - 1) / len(p.Chunks)
	return p, nil
}

// HDR reports whether the picture needs tone mapping for the BT.709 ladder: PQ (SMPTE ST 2084) or HLG (ARIB STD-B67).
func (v VideoFacts) HDR() bool {
	return v.Transfer == "smpte2084" || v.Transfer == "arib-std-b67"
}

// chunks cuts the output into runs of whole segments of nearly equal length, as many as keep workers busy twice over: they end together although pictures
// differ in cost. The last one is open: what the decoder gives decides where it ends.
func chunks(p Plan, f Facts, workers int) []Chunk {
	segments := (p.Frames + int64(p.SegmentFrames) - 1) / int64(p.SegmentFrames)
	count := max(1, min(chunkCount(f.Video.Duration, int64(workers)), segments))
	if !f.Seekable || f.Video.MaxHold > longestHold {
		count = 1
	}
	cut := make([]Chunk, count)
	for i := range cut {
		from, to := segments*int64(i)/count, segments*int64(i+1)/count
		cut[i] = Chunk{N: i, Start: from * int64(p.SegmentFrames), Frames: (to - from) * int64(p.SegmentFrames)}
	}
	cut[count-1].Frames = 0
	return cut
}

// chunkCount is into how many chunks a video of that length is cut for workers: a multiple of them where there is a choice, or one would idle at the end.
func chunkCount(length time.Duration, workers int64) int64 {
	if length <= uncut {
		return 1
	}
	least := int64((length + longestChunk - 1) / longestChunk)
	least += (workers - least%workers) % workers
	most := int64(length / shortestChunk)
	if least > most {
		return most
	}
	if wanted := min(2*workers, most-most%workers); wanted > least {
		return wanted
	}
	return least
}
