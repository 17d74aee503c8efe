package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice/internal/account"
	"sluice/internal/catalog"
	"sluice/internal/engine"
	"sluice/internal/signing"
	"sluice/internal/video"
)

// playable makes a video that plays, by the real store's own moves.
func playable(t *testing.T, s server, store *catalog.Store) video.ID {
	t.Helper()
	made := s.do(t, "POST", "/v1/uploads", `{"filename":"a.mp4"}`).object(t)
	id := video.ID(made["id"].(string))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	src := video.Source{Bucket: "uploads", Key: string(id) + "/a.mp4", ETag: "e", Size: 5, Modified: time.Now()}
	_, _, err := store.Received(t.Context(), video.Video{}, src, func(video.ID) []engine.Job { return nil })
	must(err)
	at := func(name video.StepName) video.StepRef {
		ref := video.StepRef{Video: id, Generation: 1, Name: name}
		_, err := store.Begin(t.Context(), ref, "w", engine.Handle{})
		must(err)
		return ref
	}
	must(store.Plan(t.Context(), at(video.Ingest), video.Facts{}, video.Plan{Audio: &video.AudioRung{Name: "audio"}, Duration: time.Second}, nil, engine.Handle{}))
	must(store.Finish(t.Context(), at(video.Audio), video.Result{}, nil, engine.Handle{}))
	folder := "streams/" + string(id) + "/1/"
	must(store.Publish(t.Context(), at(video.Publish), video.Output{HLS: folder + "index.m3u8", DASH: folder + "index.mpd", Poster: folder + "poster.jpg"}, nil, engine.Handle{}))
	return id
}

func TestAGrantIsAnsweredInEachWay(t *testing.T) {
	t.Parallel()
	s, store := startCatalog(t)
	id := playable(t, s, store)
	at := "https://edge.test/stream/" + string(id) + "/1/"

	m := s.do(t, "POST", "/v1/keys", fmt.Sprintf(`{"video":%q}`, id))
	g := m.object(t)
	if m.status != 200 || g["way"] != "manifest" || g["policy"] != "signed" || g["hls"] != at+"index.m3u8?"+g["query"].(string) || g["cookies"] != nil || m.header.Get("Set-Cookie") != "" {
		t.Errorf("manifest: %d %s", m.status, m.body)
	}
	if m.header.Get("Cache-Control") != "no-store" {
		t.Errorf("caches may keep it: %v", m.header)
	}

	c := s.do(t, "GET", "/keys?video="+string(id), "")
	g = c.object(t)
	set := c.header.Values("Set-Cookie")
	if c.status != 200 || g["way"] != "cookies" || g["hls"] != at+"index.m3u8" || len(set) != 4 || len(g["cookies"].([]any)) != 4 {
		t.Fatalf("cookies: %d %s %v", c.status, c.body, set)
	}
	for i, line := range set {
		told := g["cookies"].([]any)[i].(map[string]any)
		want := fmt.Sprintf("%s=%s; Path=/stream/%s/; Expires=", told["name"], told["value"], id)
		if !strings.HasPrefix(line, want) || !strings.HasSuffix(line, "; HttpOnly; Secure; SameSite=Lax") || told["same_site"] != "lax" || told["secure"] != true || told["http_only"] != true {
			t.Errorf("%s, told as %v", line, told)
		}
	}

	f := s.do(t, "POST", "/v1/keys", fmt.Sprintf(`{"video":%q,"way":"url","path":"poster.jpg","expires_in":60}`, id)).object(t)
	if !strings.HasPrefix(f["url"].(string), at+"poster.jpg?Expires=") || strings.Contains(f["hls"].(string), "?") {
		t.Errorf("url: %v", f)
	}
	all := s.do(t, "GET", "/keys", "")
	if g := all.object(t); g["resource"] != "https://edge.test/stream/*" || !strings.Contains(all.header.Get("Set-Cookie"), "; Path=/stream/;") {
		t.Errorf("everything: %v %s", all.header, all.body)
	}
}

func TestAGrantThatCannotBeIsRefusedByName(t *testing.T) {
	t.Parallel()
	s, store := startCatalog(t)
	id := playable(t, s, store)
	for body, want := range map[string]string{
		`{}`: "422 invalid_request",
		`{"video":"` + string(id) + `","all":true}`: "422 invalid_request",
		`{"video":"x"}`: "404 no_video",
		`{"video":"` + string(video.NewID(time.Now())) + `"}`: "404 no_video",
		`{"playback":"p-x"}`: "404 no_playback",
		`{"playback":"` + string(video.NewPlaybackID(time.Now())) + `"}`:               "404 no_playback",
		`{"video":"` + string(id) + `","way":"url"}`:                                   "422 invalid_request",
		`{"video":"` + string(id) + `","way":"url","path":"../x.jpg"}`:                 "422 grant_bad_path",
		`{"video":"` + string(id) + `","way":"url","path":"a\r\nSet-Cookie: x=y.jpg"}`: "422 grant_bad_path",
		`{"video":"` + string(id) + `","expires_in":86401}`:                            "422 grant_bad_time",
		`{"video":"` + string(id) + `","expires_in":9223372036854775807}`:              "422 grant_bad_time",
		`{"video":"` + string(id) + `","expires_in":0}`:                                "422 invalid_request",
		`{"video":"` + string(id) + `","ip":"10.0.0.0/40"}`:                            "422 invalid_request",
		`{"video":"` + string(id) + `","ip":"fe80::1%eth0"}`:                           "422 invalid_request",
		`{"video":"` + string(id) + `","not_before":"soon"}`:                           "422 invalid_request",
		`{"video":"` + string(id) + `","max_resolution":721}`:                          "422 invalid_request",
		`{"all":true,"max_resolution":720}`:                                            "422 grant_not_whole",
	} {
		a := s.do(t, "POST", "/v1/keys", body)
		if got := fmt.Sprint(a.status, " ", a.object(t)["code"]); got != want || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %s, want %s", body, a.body, want)
		}
	}
}

func TestConditionsOfAGrantAreWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	s, store := startCatalog(t)
	id := playable(t, s, store)
	for asked, want := range map[string]string{"192.0.2.7": "192.0.2.7/32", "192.0.2.7/24": "192.0.2.0/24", "2001:DB8::1": "2001:db8::1/128", "::ffff:192.0.2.7": "192.0.2.7/32"} {
		from := time.Now().Add(time.Minute).UTC().Truncate(time.Second)
		g := s.do(t, "POST", "/v1/keys", fmt.Sprintf(`{"video":%q,"ip":%q,"not_before":%q,"expires_in":600}`, id, asked, from.Format(time.RFC3339))).object(t)
		c, _, err := signing.FromQuery(g["query"].(string))
		if err != nil {
			t.Fatal(err)
		}
		users, _, err := keysOf(t, store).KeyPairs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ring, err := signing.NewKeyRing(users...)
		if err != nil {
			t.Fatal(err)
		}
		path, err := signing.Normalize("/stream/" + string(id) + "/1/index.m3u8")
		if err != nil {
			t.Fatal(err)
		}
		network := netip.MustParsePrefix(want)
		q := signing.Request{Scheme: "https", Host: "edge.test", Path: path, Client: network.Addr(), Now: from}
		granted, err := ring.Verify(c, &q)
		if err != nil || granted.Policy().Client != network {
			t.Errorf("%s: %v, %v", asked, granted.Policy(), err)
		}
		q.Now = from.Add(-time.Second)
		if _, err := ring.Verify(c, &q); err == nil {
			t.Errorf("good before its time")
		}
	}
}

func TestPlaybackIDsAreMadeChangedAndRevoked(t *testing.T) {
	t.Parallel()
	s, store := startCatalog(t)
	id := playable(t, s, store)
	path := "/v1/videos/" + string(id) + "/playbacks"
	made := s.do(t, "POST", path, `{"name":"<script>alert(1)</script>","policy":"members","origins":["HTTPS://Www.Example.com:443","http://a.example:8080","https://www.example.com"],"max_resolution":720}`)
	p := made.object(t)
	at, _ := p["id"].(string)
	if got := fmt.Sprint(p["origins"]); made.status != 201 || got != "[http://a.example:8080 https://www.example.com]" || p["hls"] != "https://edge.test/stream/"+at+"/1/index.m3u8" {
		t.Fatalf("%d %s", made.status, made.body)
	}
	if made.header.Get("Content-Type") != "application/json" || made.header.Get("X-Content-Type-Options") != "nosniff" || p["name"] != "<script>alert(1)</script>" {
		t.Errorf("a browser may take it for a page: %v %s", made.header, made.body)
	}
	g := s.do(t, "POST", "/v1/keys", fmt.Sprintf(`{"playback":%q}`, at)).object(t)
	if g["policy"] != "members" || !strings.HasPrefix(fmt.Sprint(g["hls"]), "https://edge.test/stream/"+at+"/1/index.m3u8?Policy=") {
		t.Errorf("granted %v", g)
	}
	capped := s.do(t, "POST", "/v1/keys", fmt.Sprintf(`{"playback":%q,"max_resolution":480}`, at)).object(t)
	again := s.do(t, "POST", "/v1/keys", fmt.Sprintf(`{"playback":%q,"max_resolution":480}`, at)).object(t)
	if r := fmt.Sprint(capped["resource"]); r != again["resource"] || strings.Contains(r, at) || !strings.HasPrefix(r, "https://edge.test/stream/p-") {
		t.Errorf("with a cap: %v and %v", capped["resource"], again["resource"])
	}
	edited := s.do(t, "PATCH", path+"/"+at, `{"policy":null,"origins":null,"max_resolution":null,"name":"b"}`).object(t)
	if edited["policy"] != nil || fmt.Sprint(edited["origins"]) != "[]" || edited["max_resolution"] != nil || edited["name"] != "b" {
		t.Errorf("edited %v", edited)
	}
	if list := s.do(t, "GET", path, "").object(t)["items"].([]any); len(list) != 2 || list[1].(map[string]any)["of"] != at {
		t.Errorf("listed %v", list)
	}
	if a := s.do(t, "DELETE", path+"/"+at, ""); a.status != 204 {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, c := range [][3]string{{"GET", path + "/" + at, ""}, {"PATCH", path + "/" + at, `{"name":"x"}`}, {"DELETE", path + "/" + at, ""}, {"POST", "/v1/keys", fmt.Sprintf(`{"playback":%q}`, at)}} {
		if a := s.do(t, c[0], c[1], c[2]); a.status != 404 || a.object(t)["code"] != codeNoPlayback {
			t.Errorf("%s %s of a revoked one: %d %s", c[0], c[1], a.status, a.body)
		}
	}
	for _, bad := range []string{`{"name":"a\r\nb"}`, `{"name":"a\u0000"}`, `{"origins":["*"]}`, `{"origins":["https://a.example/"]}`, `{"origins":["https://a.example\r\nX: y"]}`,
		`{"origins":["javascript:alert(1)"]}`, `{"origins":["https://u:p@a.example"]}`, `{"origins":["null"]}`, `{"origins":["https://bücher.example"]}`, `{"origins":["https://a.example?x"]}`,
		`{"origins":["https://a.example'"]}`, `{"policy":"secret"}`, `{"max_resolution":1}`} {
		if a := s.do(t, "POST", path, bad); a.status != 422 {
			t.Errorf("%s: %d %s", bad, a.status, a.body)
		}
	}
	if a := s.ask(t, person(account.Viewer, "main"), "GET", path, ""); a.status != 403 {
		t.Errorf("a viewer: %d", a.status)
	}
	if a := s.ask(t, person(account.Editor, "films"), "GET", path, ""); a.status != 404 {
		t.Errorf("an editor elsewhere: %d", a.status)
	}
}

func TestKeyPairsAreMadeBroughtRotatedAndNeverShown(t *testing.T) {
	t.Parallel()
	s, store := startCatalog(t)
	made := s.do(t, "POST", "/v1/key-pairs", `{"algorithm":"rsa-2048","hash":"SHA1"}`)
	first := made.object(t)
	if made.status != 201 || first["algorithm"] != "rsa-2048" || first["hash"] != "SHA1" || first["signs"] != true || first["state"] != "active" {
		t.Fatalf("%d %s", made.status, made.body)
	}
	if k, err := signing.ImportPublic([]byte(first["public"].(string)), first["id"].(string), time.Now()); err != nil || k.Fingerprint() != first["fingerprint"] {
		t.Errorf("its public key: %v", err)
	}
	own, err := signing.Make(signing.ECDSAP256, signing.SHA256, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	private, err := own.PrivatePEM()
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"pem": string(private), "id": "K2JCJMDEHXQW5F", "replaces": first["id"], "after": 3600})
	if err != nil {
		t.Fatal(err)
	}
	brought := s.do(t, "POST", "/v1/key-pairs", string(body))
	if got := brought.object(t); brought.status != 201 || got["id"] != "K2JCJMDEHXQW5F" || got["fingerprint"] != own.Fingerprint() {
		t.Fatalf("%d %s", brought.status, brought.body)
	}
	s.do(t, "POST", "/v1/keys", `{"all":true}`) // makes one for members
	list := s.do(t, "GET", "/v1/key-pairs", "")
	items := list.object(t)["items"].([]any)
	if old, members := items[0].(map[string]any), items[2].(map[string]any); len(items) != 3 || old["retired"] == nil || members["purpose"] != "members" || members["public"] != nil {
		t.Errorf("%s", list.body)
	}
	secret := strings.Split(string(private), "\n")[1]
	for _, a := range []answer{made, brought, list} {
		if text := string(a.body); strings.Contains(text, "PRIVATE") || strings.Contains(text, secret) || strings.Contains(text, "sealed") {
			t.Errorf("a private key is shown: %s", text)
		}
	}
	retire := "/v1/key-pairs/K2JCJMDEHXQW5F/retire"
	for _, c := range []struct{ method, path, body, want string }{
		{"DELETE", "/v1/key-pairs/K2JCJMDEHXQW5F", "", "409 key_not_retired"},
		{"POST", retire, `{"after":60}`, "200 <nil>"},
		{"POST", retire, `{"after":120}`, "409 key_ends_earlier"},
		{"POST", retire, `{"after":0}`, "200 <nil>"},
		{"POST", "/v1/key-pairs/Knone/retire", "", "404 no_key_pair"},
		{"DELETE", "/v1/key-pairs/Knone", "", "404 no_key_pair"},
		{"POST", "/v1/key-pairs", `{"pem":"x"}`, "422 key_malformed"},
		{"POST", "/v1/key-pairs", `{"pem":"x","algorithm":"rsa-2048"}`, "422 invalid_request"},
		{"POST", "/v1/key-pairs", `{"id":"K1"}`, "422 invalid_request"},
		{"POST", "/v1/key-pairs", `{"after":5}`, "422 invalid_request"},
		{"POST", "/v1/key-pairs", `{"replaces":"Knone"}`, "404 no_key_pair"},
		{"POST", "/v1/key-pairs", strings.Replace(string(body), first["id"].(string), "", 1), "409 key_id_taken"},
	} {
		if c.want == "409 key_id_taken" {
			c.body = strings.Replace(c.body, `"after":3600,`, "", 1)
		}
		a := s.do(t, c.method, c.path, c.body)
		if got := fmt.Sprint(a.status, " ", a.object(t)["code"]); got != c.want || strings.Contains(string(a.body), secret) {
			t.Errorf("%s %s %s: %s, want %s", c.method, c.path, c.body, a.body, c.want)
		}
	}
	if a := s.do(t, http.MethodDelete, "/v1/key-pairs/K2JCJMDEHXQW5F", ""); a.status != 204 {
		t.Errorf("a retired one: %d %s", a.status, a.body)
	}
	acts, err := store.Acts(t.Context(), "", 0, 10)
	if err != nil || len(acts) != 7 {
		t.Errorf("written down: %+v, %v", acts, err)
	}
}
