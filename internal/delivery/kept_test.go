package delivery

import (
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/video"
)

func TestARemoteObjectIsFetchedOnceForAllWhoMayHaveIt(t *testing.T) {
	t.Parallel()
	s := newStage(t, "kept")
	var crowd sync.WaitGroup
	for range 30 {
		crowd.Go(func() {
			resp, err := s.server.Client().Get(URL(s.server.URL, segment))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != string(content) {
				t.Errorf("%d, %d bytes, %v", resp.StatusCode, len(body), err)
			}
		})
	}
	crowd.Wait()
	if reads := s.reads(); len(reads) != 1 {
		t.Errorf("the storage was asked for %q", reads)
	}
	s.catalog.mu.Lock()
	p := s.playbacks[folder]
	p.Policy = video.Signed
	s.playbacks[folder] = p
	s.catalog.mu.Unlock()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		if resp, _ := s.do(t, "GET", segment); resp.StatusCode == http.StatusForbidden {
			break
		}
		if time.Since(began) > 30*time.Second {
			t.Fatal("what is kept is served to who may not have it")
		}
	}
}

func TestOnlyWhatIsWantedIsFetchedAndKeptWithinBounds(t *testing.T) {
	t.Parallel()
	s := newStage(t, "kept")
	for range 2 {
		if resp, body := s.do(t, "GET", segment, "Range", "bytes=1000-1999"); resp.StatusCode != http.StatusPartialContent || body != string(content[1000:2000]) {
			t.Fatal(resp.StatusCode, len(body))
		}
	}
	if reads := s.reads(); len(reads) != 1 || reads[0] != "bytes=1000-1999" {
		t.Errorf("the storage was asked for %q", reads)
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		key := strings.Replace(segment, "00001", name, 1)
		if _, err := s.store.Put(t.Context(), "media", key, strings.NewReader(string(content)), int64(len(content)), ""); err != nil {
			t.Fatal(err)
		}
		if resp, body := s.do(t, "GET", key); resp.StatusCode != http.StatusOK || body != string(content) {
			t.Fatal(name, resp.StatusCode, len(body))
		}
	}
	files, err := os.ReadDir(s.kept)
	if err != nil || len(files) == 0 || len(files) > 1 {
		t.Errorf("%d files of 100,000 bytes are kept where %d bytes may be (%v)", len(files), keptBytes, err)
	}
}

func TestWhatIsKeptNeedsNoStorageAndWhatCannotBeKeptIsSentThrough(t *testing.T) {
	t.Parallel()
	s := newStage(t, "kept")
	if resp, _ := s.do(t, "GET", segment); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.StatusCode)
	}
	s.remote.Close()
	if resp, body := s.do(t, "GET", segment, "Range", "bytes=5-9"); resp.StatusCode != http.StatusPartialContent || body != string(content[5:10]) {
		t.Errorf("without the storage: %d %q", resp.StatusCode, body)
	}
	if resp, _ := s.do(t, "GET", strings.Replace(segment, "00001", "00002", 1)); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("what isn't kept: %d", resp.StatusCode)
	}
	other := newStage(t, "kept")
	if err := os.RemoveAll(other.kept); err != nil {
		t.Fatal(err)
	}
	if resp, body := other.do(t, "GET", segment); resp.StatusCode != http.StatusOK || body != string(content) {
		t.Errorf("without a folder to keep it in: %d, %d bytes", resp.StatusCode, len(body))
	}
}
