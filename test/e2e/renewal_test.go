package e2e

import (
	"net/http/httptest"
	"testing"
	"time"

	"sluice/test/rig"
)

func TestPlaybackGoesOnPastTheEndOfAGrant(t *testing.T) {
	inFull(t)
	t.Parallel()
	rig.BuiltPage(t)
	page := httptest.NewServer(playerPage(t))
	t.Cleanup(func() {
		page.CloseClientConnections() // a browser keeps its own open
		page.Close()
	})
	s := rig.Start(t, rig.Options{Args: []string{"--playback", "signed", "--cors-origins", page.URL}})
	id := s.Upload(rig.Clip(t, "clip.mp4", "640x360", 60), "clip.mp4")
	if v := s.Await(id, 5*time.Minute); v.Status != "ready" {
		t.Fatalf("%s", v.Raw)
	}
	node(t, "renewal.test.mjs", "RENEWAL_PAGE="+page.URL, "SLUICE_URL="+s.URL, "SLUICE_TOKEN="+s.Token, "SLUICE_VIDEO="+id)
}
