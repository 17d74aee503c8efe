package video

import (
	"testing"
	"time"
)

func TestAPlaybackIDIsReadAsItIsMade(t *testing.T) {
	t.Parallel()
	made := NewPlaybackID(time.Now())
	if got, ok := ParsePlaybackID(string(made)); !ok || got != made {
		t.Errorf("%s is read as %s, %v", made, got, ok)
	}
	for _, s := range []string{"", "p-", string(made)[2:], "P" + string(made)[1:], "q" + string(made)[1:], "p-" + string(made), string(made) + "0", "p-01JQ3V8K2M4N5P6R7S8T9V0W1X"} {
		if got, ok := ParsePlaybackID(s); ok {
			t.Errorf("%q is read as %s", s, got)
		}
	}
}
