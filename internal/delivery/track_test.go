package delivery

import (
	"strings"
	"testing"
	"time"

	"sluice/internal/video"
)

func TestCaptionsAndStoryboardsAreDeliveredLikeTheRest(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, video.Signed)
	const (
		captions   = "WEBVTT\n\n00:00.000 --> 00:04.000\nHello.\n"
		storyboard = "WEBVTT\n\n00:00.000 --> 00:04.000\nstory/00001.jpg#xywh=0,0,160,90\n"
	)
	for file, text := range map[string]string{
		"captions/index.m3u8": "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:4,\n00001.vtt\n#EXT-X-ENDLIST\n",
		"captions/00001.vtt":  captions, "storyboard.vtt": storyboard, "story/00001.jpg": "a picture",
	} {
		if _, err := g.store.Put(t.Context(), "media", "streams/"+folder+"/2/"+file, strings.NewReader(text), int64(len(text)), ""); err != nil {
			t.Fatal(err)
		}
	}
	all := query(g.sign(t, g.user, at(folder, "")+"*"))

	list := g.ask(t, at(folder, "captions/index.m3u8")+all)
	if list.status != 200 || len(references(list.body)) != 1 {
		t.Fatalf("%s: %s", list, list.body)
	}
	got := g.ask(t, at(folder, "captions/")+references(list.body)[0])
	if got.status != 200 || got.body != captions || got.header.Get("Content-Type") != "text/vtt" || !strings.HasPrefix(got.header.Get("Cache-Control"), "private, max-age=") {
		t.Errorf("captions of a signed playlist: %s %v %q", got, got.header, got.body)
	}
	canned, err := g.user.SignCanned(g.server.URL+at(folder, "captions/00001.vtt"), g.now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if got := g.ask(t, at(folder, "captions/00001.vtt")+query(canned)); got.status != 200 || got.body != captions {
		t.Errorf("captions by an address of their own: %s", got)
	}
	if got := g.ask(t, at(folder, "captions/00001.vtt")); got.status != 403 {
		t.Errorf("captions without anything: %s", got)
	}

	board := g.ask(t, at(folder, "storyboard.vtt")+all)
	_, cue, _ := strings.Cut(strings.TrimSpace(board.body), "04.000\n")
	picture, place, _ := strings.Cut(cue, "#")
	if board.status != 200 || board.header.Get("Cache-Control") != "private, no-store" || place != "xywh=0,0,160,90" {
		t.Fatalf("%s %v %q", board, board.header, board.body)
	}
	if got := g.ask(t, at(folder, "")+picture); got.status != 200 || got.body != "a picture" {
		t.Errorf("a picture of a signed storyboard, %s: %s", picture, got)
	}
	if got := g.ask(t, at(folder, "storyboard.vtt"), "Authorization: Bearer main"); got.body != storyboard {
		t.Errorf("a storyboard by bearer token: %s %q", got, got.body)
	}
}

func TestATrackIsKeptForEverWhereItIsPublic(t *testing.T) {
	t.Parallel()
	s := newStage(t, "local")
	key := "streams/" + folder + "/2/captions.vtt"
	if _, err := s.store.Put(t.Context(), "media", key, strings.NewReader("WEBVTT\n"), 7, ""); err != nil {
		t.Fatal(err)
	}
	if resp, body := s.do(t, "GET", key); resp.StatusCode != 200 || body != "WEBVTT\n" || resp.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" || resp.Header.Get("ETag") == "" {
		t.Errorf("%d %v %q", resp.StatusCode, resp.Header, body)
	}
}
