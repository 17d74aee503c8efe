package pipeline_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/engine/enginetest"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// only returns the one video.
func (m *mill) only() video.Video {
	m.t.Helper()
	all, err := m.store.Videos(context.Background(), video.Query{Within: video.Everywhere(), Limit: 2})
	if err != nil || len(all) != 1 {
		m.t.Errorf("%d videos, %v", len(all), err)
		return video.Video{}
	}
	return all[0]
}

// occupy puts other bytes under names of the first generation's outputs, as an attempt does that is lost while it puts.
func (m *mill) occupy(names ...string) {
	m.t.Helper()
	prefix := m.only().Prefix
	for _, name := range names {
		body := []byte("other bytes of " + name)
		if _, err := m.objects.Put(context.Background(), "media", path.Join(prefix, "1", name), bytes.NewReader(body), int64(len(body)), ""); err != nil {
			m.t.Error(err)
		}
	}
}

// made returns the objects that the steps of the first generation recorded, by name.
func (m *mill) made(id video.ID) map[string]video.Object {
	m.t.Helper()
	parts, err := m.store.Parts(m.t.Context(), video.StepRef{Video: id, Generation: 1})
	if err != nil {
		m.t.Fatal(err)
	}
	all := map[string]video.Object{}
	for _, part := range parts {
		for _, t := range part.Result.Tracks {
			all[t.Init.Name] = t.Init
			for _, s := range t.Segments {
				all[s.Name] = s.Object
			}
		}
		for _, s := range part.Result.Stills {
			all[s.Name] = s
		}
	}
	return all
}

// keys lists the media bucket below a prefix.
func (m *mill) keys(prefix string) (all []string) {
	m.t.Helper()
	sizes, err := m.objects.Sizes(m.t.Context(), "media", prefix)
	if err != nil {
		m.t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(sizes))
}

// TestPublish_LostAttemptPutOtherBytes_PublishesOnlyTheFinishedAttempt stages an attempt that is lost while it puts and
// whose bytes differ, as those of another
// kind of CPU do. Each step needs one encode more and no second one.
func TestPublish_LostAttemptPutOtherBytes_PublishesOnlyTheFinishedAttempt(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		var m *mill
		started := make(chan struct{})
		late := false
		m = newMill(t, dsn, func(point string) {
			<-started
			switch point {
			case "encode.begun":
				m.occupy("90p/init.mp4", "90p/00001.m4s")
			case "stills.begun":
				m.occupy("poster.jpg")
			case "publish.made": // an attempt that stalls puts after the outputs have their names
				if _, err := m.objects.PutOwn(context.Background(), "media", path.Join(m.only().Prefix, "1/90p/00001.m4s"), "/etc/hostname", ""); err != nil {
					t.Error(err)
				}
				late = true
			}
		})
		close(started)
		m.put()
		for name, step := range m.ready() {
			if n := len(step.Attempts); n != 1 {
				t.Errorf("%s took %d attempts", name, n)
			}
		}
		if !late {
			t.Error("no late attempt put")
		}
		v := m.only()
		moved := 0
		for name, o := range m.made(v.ID) {
			body, _, err := m.objects.Get(t.Context(), "media", path.Join(v.Prefix, "1", name), "")
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			hash := sha256.New()
			if _, err := io.Copy(hash, body); err != nil {
				t.Error(err)
			}
			_ = body.Close()
			if got := hex.EncodeToString(hash.Sum(nil)); got != o.SHA256 {
				t.Errorf("%s is published with other bytes than the finished attempt's", name)
			}
			if o.At != "" {
				moved++
				if !strings.HasPrefix(o.At, v.Prefix+"/attempts/1/") {
					t.Errorf("%s was put at %s", name, o.At)
				}
			}
		}
		if moved != 3 {
			t.Errorf("%d outputs were put beside those of the lost attempt, want 3", moved)
		}
		for deadline := time.Now().Add(time.Minute); len(m.keys(v.Prefix+"/attempts/")) > 0; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("left over: %q", m.keys(v.Prefix+"/attempts/"))
			}
		}
		for _, o := range v.Output.Tracks {
			if o.Init.At != "" {
				t.Errorf("the published track %s names an attempt's object", o.Name)
			}
		}
		if _, err := m.objects.Head(t.Context(), "media", path.Join(v.Prefix, "1", "poster.jpg")); fault.Is(err, fault.NotFound) {
			t.Error("no poster")
		}
	})
}
