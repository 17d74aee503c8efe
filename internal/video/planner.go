package video

import (
	"fmt"
	"math"
	"slices"
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
	p := Plan{Duration: f.Duration, Threads: 1, Together: true}
	if a := f.MainAudio(); a != nil {
		p.Audio = &AudioRung{Stream: a.Index, Right: f.right(a), Name: "audio", Bitrate: audioBitrate, Channels: 2, SampleRate: audioRate, Language: a.Language}
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
	p.Frames = p.framesOf(v.Duration)
	if a := p.Sound(f); a != nil && a.Duration > v.Duration+Together {
		p.Pictures, p.Frames = p.Frames, p.framesOf(a.Duration)
	}
	p.Preroll = preroll + 2*v.MaxHold
	p.Filter = Filter{Deinterlace: v.Interlaced, ToneMap: v.HDR(), Rotation: v.Rotation, Fit: v.Changes}
	p.Rungs = ladder(width, height, v.Rate, limit)
	p.Chunks = chunks(p, f, workers)
	pictures := slices.DeleteFunc(slices.Clone(p.Chunks), func(c Chunk) bool { return c.Held })
	p.Threads = (workers + len(pictures) - 1) / len(pictures)
	return p, nil
}

// HDR reports whether the picture needs tone mapping for the BT.709 ladder: PQ (SMPTE ST 2084) or HLG (ARIB STD-B67).
func (v VideoFacts) HDR() bool {
	return v.Transfer == "smpte2084" || v.Transfer == "arib-std-b67"
}

// framesOf is how many frames last for d.
func (p Plan) framesOf(d time.Duration) int64 {
	return max(1, int64(math.Round(d.Seconds()*p.Rate.Float())))
}

// leastHeld is how many segments of one held picture are worth a chunk of their own, which encodes one of them and
// repeats it.
const leastHeld = 3

// chunks cuts the output: the first picture held until the second segment, where the picture begins late; then the
// source's pictures; then the last picture held, where the sound is longer.
func chunks(p Plan, f Facts, workers int) (all []Chunk) {
	size := int64(p.SegmentFrames)
	begin, end := int64(0), int64(0)
	if before := p.framesOf(f.Video.Start) - 1; before/size >= leastHeld {
		begin = before / size * size
		all = append(all, Chunk{Frames: begin, Held: true})
	}
	if p.Pictures > 0 {
		end = p.Frames
		if whole := (p.Pictures + size - 1) / size * size; (p.Frames-whole)/size >= leastHeld {
			end = whole
		}
	}
	all = append(all, pictureChunks(p, f, workers, begin, end)...)
	if p.Pictures > 0 && end < p.Frames {
		all = append(all, Chunk{Start: end, Frames: p.Frames - end, Held: true})
	}
	for i := range all {
		all[i].N = i
	}
	return all
}

// pictureChunks cuts the frames from begin to end into runs of whole segments of nearly equal length, as many as keep
// workers busy twice over: they end together although pictures differ in cost. Where end is 0, the last one is open:
// what the decoder gives decides where it ends.
func pictureChunks(p Plan, f Facts, workers int, begin, end int64) []Chunk {
	size, last := int64(p.SegmentFrames), end
	if end == 0 {
		last = p.Frames
	}
	segments := max(1, (last-begin+size-1)/size)
	length := f.Video.Duration - time.Duration(float64(begin)/p.Rate.Float()*float64(time.Second))
	count := max(1, min(chunkCount(length, int64(workers)), segments))
	if !f.Seekable || f.Video.MaxHold > longestHold {
		count = 1
	}
	cut := make([]Chunk, count)
	for i := range cut {
		from, to := segments*int64(i)/count, segments*int64(i+1)/count
		cut[i] = Chunk{Start: begin + from*size, Frames: (to - from) * size}
	}
	if tail := &cut[count-1]; end == 0 {
		tail.Frames = 0
	} else {
		tail.Frames = end - tail.Start
	}
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
