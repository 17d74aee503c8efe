package ffmpeg

import (
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
)

// TestPackAudio_FourTimesTheLength_AllocatesFourTimesTheBytes counts what it costs to cut a track into segments.
func TestPackAudio_FourTimesTheLength_AllocatesFourTimesTheBytes(t *testing.T) { //nolint:paralleltest // it counts the allocations of the process
	tool := newTool(t)
	f, p := soundPlan()
	cost := func(seconds int) uint64 {
		dir := t.TempDir()
		src := makeMedia(t, tool, "src.wav", "-f", "lavfi", "-i", fmt.Sprint("anoisesrc=r=48000:a=0.1:d=", seconds))
		args := audioArgs(tool.config.Limits, src, sound{}, *p.Audio, phase(f, p), "-copyts", "-start_at_zero")
		if _, err := tool.run(t.Context(), spec{op: "test", reads: []string{src}, dir: dir, args: args}); err != nil {
			t.Fatal(err, Detail(err))
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := packAudio(filepath.Join(dir, "audio.mp4"), t.TempDir(), p, nil); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	one, four := cost(60), cost(240)
	t.Logf("60 s allocate %d bytes, 240 s %d", one, four)
	if four > 5*one {
		t.Errorf("60 s allocate %d bytes, 240 s %d", one, four)
	}
}
