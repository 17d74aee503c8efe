package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sort"
	"syscall"
	"testing"
	"time"

	"sluice/internal/bucket"
	"sluice/internal/ffmpeg"
	"sluice/internal/video"
)

// TestTheSoundOfALongMP4AgainstMergingOneByOne measures what the audio step of an MP4 on a remote storage computes
// before its first byte comes: reading the index, and
// comparing the places of the sound with what is there. Its peer merges these places one at a time, as Sluice did
// before. Both have the same extents.
func TestTheSoundOfALongMP4AgainstMergingOneByOne(t *testing.T) {
	lengths, peers := []time.Duration{2 * time.Minute}, 2*time.Minute
	if *full {
		lengths, peers = []time.Duration{20 * time.Minute, 2 * time.Hour, 10 * time.Hour}, 2*time.Hour
	}
	fmt.Printf("\nthe sound of an MP4 on a remote storage, CPU s before the first byte (goals: 10 h ≤1 s, 2 h ≥1000×)\n")
	fmt.Printf("  %8s %10s %10s %12s %10s\n", "", "extents", "Sluice", "one by one", "ratio")
	for _, length := range lengths {
		body := interleaved(length)
		file := remoteFile(t, body)
		var sound []video.Extent
		ours := spent(func() {
			x, err := ffmpeg.ReadIndex(file.Reader(t.Context()), file.Size)
			if err != nil || x == nil {
				t.Fatalf("no index: %v", err)
			}
			sound = x.Sound()
			if err := file.Fetch(t.Context(), sound...); err != nil {
				t.Fatal(err)
			}
		})
		if length > peers {
			fmt.Printf("  %8s %10d %10.3f\n", length, len(sound), ours)
			continue
		}
		peer := spent(func() { oneByOne(sound) })
		fmt.Printf("  %8s %10d %10.3f %12.3f %9.0f×\n", length, len(sound), ours, peer, peer/max(ours, 1e-6))
	}
}

// spent is the CPU time of this process that f takes, in seconds.
func spent(f func()) float64 {
	now := func() float64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			panic(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
	}
	before := now()
	f()
	return now() - before
}

// oneByOne is the peer: a sorted set, copied for each extent that is added.
func oneByOne(extents []video.Extent) []video.Extent {
	var set []video.Extent
	for _, e := range extents {
		from := sort.Search(len(set), func(i int) bool { return set[i].To >= e.From })
		to := from
		for ; to < len(set) && set[to].From <= e.To; to++ {
			e.From, e.To = min(e.From, set[to].From), max(e.To, set[to].To)
		}
		set = slices.Concat(set[:from], []video.Extent{e}, set[to:])
	}
	return set
}

// remoteFile serves body as an object of a storage, fetches all of it, and returns its file.
func remoteFile(t *testing.T, body []byte) *bucket.File {
	t.Helper()
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		http.ServeContent(w, r, "", time.Unix(0, 0), bytes.NewReader(body))
	}))
	t.Cleanup(storage.Close)
	store, err := bucket.Open(t.Context(), bucket.Config{
		Endpoint: storage.URL, Region: "us-east-1", Credentials: bucket.Credentials{Access: "a", Secret: "b"},
		Cache: filepath.Join(t.TempDir(), "cache"), CacheBytes: 1 << 30,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	file, err := store.Local(context.Background(), "media", "long.mp4")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	if err := file.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	return file
}

// interleaved is an MP4 of one second's 30 pictures and 47 sound samples after the other, as ffmpeg writes it: a chunk
// a picture, and the sound of its time after it.
// Samples have a few bytes; the tables are those of a real file.
func interleaved(length time.Duration) []byte {
	const fps, rate, unit, picture, sound = 30, 48000, 1024, 12, 3
	pictures := int(length.Seconds() * fps)
	units := int(length.Seconds() * rate / unit)
	head := box("ftyp", []byte("isom\x00\x00\x02\x00isomavc1"))
	at := len(head) + 8
	var video, audio, runs []byte // chunk offsets, and the samples a chunk of the sound
	done, chunks, before := 0, uint32(0), uint32(0)
	for i := range pictures {
		video = be(video, uint32(at))
		at += picture
		n := min(units, (i+1)*rate/unit/fps) - done
		if n == 0 {
			continue
		}
		audio = be(audio, uint32(at))
		chunks++
		if uint32(n) != before {
			before = uint32(n)
			runs = be(runs, chunks, before, 1)
		}
		at += n * sound
		done += n
	}
	media := box("mdat", make([]byte, at-len(head)-8))
	visual := append(make([]byte, 78), box("avcC", []byte{1, 100, 0, 31, 255, 224, 0})...)
	heard := append(make([]byte, 28), box("esds", []byte{0, 0, 0, 0, 3, 25, 0, 1, 0, 4, 17, 0x40, 0x15})...)
	moov := box("moov", box("mvhd", append(be(nil, 0, 0, 0, 1000, uint32(length.Milliseconds())), make([]byte, 80)...)),
		track("vide", fps, box("avc1", visual), pictures, 1, picture, be(nil, 1, 1, 1), video),
		track("soun", rate, box("mp4a", heard), done, unit, sound, runs, audio))
	return slices.Concat(head, media, moov)
}

// track is a trak box; each sample lasts ticks and has size bytes, runs say how many are in each chunk.
func track(handler string, scale uint32, entry []byte, samples int, ticks, size uint32, runs, chunks []byte) []byte {
	sizes := be(nil, 0, 0, uint32(samples))
	for range samples {
		sizes = be(sizes, size)
	}
	counted := func(width int, b []byte) []byte { return append(be(nil, 0, uint32(len(b)/width)), b...) }
	return box("trak", box("mdia",
		box("mdhd", be(nil, 0, 0, 0, scale, uint32(samples)*ticks, 0)),
		box("hdlr", append(append(be(nil, 0, 0), handler...), make([]byte, 13)...)),
		box("minf", box("dinf", box("dref", be(nil, 0, 1), box("url ", be(nil, 1)))),
			box("stbl", box("stsd", be(nil, 0, 1), entry), box("stts", be(nil, 0, 1, uint32(samples), ticks)), box("stsz", sizes),
				box("stsc", counted(12, runs)), box("stco", counted(4, chunks))))))
}

func box(name string, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	return slices.Concat(be(nil, uint32(8+len(body))), []byte(name), body)
}

func be(b []byte, values ...uint32) []byte {
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}
