package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/notify/notifytest"
	"sluice/test/rig"
)

// node runs one file of test/browser with more environment.
func node(t *testing.T, file string, env ...string) {
	t.Helper()
	rig.Node(t, file, env...)
}

func TestForeignPlayersPlayAVideoInABrowser(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{})
	v := s.Await(s.Upload(rig.Clip(t, "clip.mp4", "640x360", 16), "clip.mp4"), 2*time.Minute)
	if v.Status != "ready" {
		t.Fatalf("%s", v.Raw)
	}
	node(t, "players.test.mjs", "SLUICE_HLS="+v.Playback.HLS, "SLUICE_DASH="+v.Playback.DASH, "SLUICE_SIGNED="+signedLink(t))
}

// signedLink is the HLS link of a video that only signed requests may watch, as sluice put prints it.
func signedLink(t *testing.T) string {
	t.Helper()
	s := rig.Start(t, rig.Options{Args: []string{"--playback", "signed"}})
	v := s.Await(s.Upload(rig.Clip(t, "signed.mp4", "320x180", 8), "signed.mp4"), 2*time.Minute)
	if v.Status != "ready" {
		t.Fatalf("%s", v.Raw)
	}
	var grant struct {
		HLS string `json:"hls"`
	}
	if status := s.Call("POST", "/v1/keys", map[string]string{"video": v.ID}, &grant); status != http.StatusCreated && status != http.StatusOK || grant.HLS == "" {
		t.Fatalf("the grant has no HLS link: %d", status)
	}
	return grant.HLS
}

// TestPlayers_TracksOfUnequalLength_ReachTheEnd plays sources whose sound or picture ends 14 s early. What the API says was
// added must be what is missing.
func TestPlayers_TracksOfUnequalLength_ReachTheEnd(t *testing.T) {
	s := rig.Start(t, rig.Options{})
	for _, c := range []struct{ name, picture, sound, kind string }{
		{"sound ends early", "18", "4", "silence"},
		{"picture ends early", "4", "18", "held_picture"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.kind == "silence" {
				inFull(t)
			}
			clip := rig.Make(t, "clip.mp4", "-f", "lavfi", "-i", "testsrc2=size=480x270:rate=5:duration="+c.picture, "-f", "lavfi", "-i",
				"sine=sample_rate=48000:duration="+c.sound, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac")
			v := s.Await(s.Upload(clip, "clip.mp4"), 2*time.Minute)
			var told struct {
				Added []struct {
					Kind   string
					FromMS int `json:"from_ms"`
					ToMS   int `json:"to_ms"`
				}
			}
			if err := json.Unmarshal(v.Raw, &told); err != nil || v.Status != "ready" {
				t.Fatalf("%v in %s", err, v.Raw)
			}
			if len(told.Added) != 1 || told.Added[0].Kind != c.kind || told.Added[0].FromMS/100 != 40 || told.Added[0].ToMS/100 != 180 {
				t.Errorf("added is %+v; want %s from 4 s to 18 s", told.Added, c.kind)
			}
			rig.Node(t, "ends.test.mjs", "SLUICE_HLS="+v.Playback.HLS, "SLUICE_DASH="+v.Playback.DASH, "SLUICE_GAP=4", "SLUICE_END=18")
		})
	}
}

func TestThePageTakesAVideoFromUploadToPlayback(t *testing.T) {
	t.Parallel()
	rig.BuiltPage(t)
	s := rig.Start(t, rig.Options{Args: []string{"--playback", "signed"}}) // as servers do by themselves: the page has to ask for the right to watch
	node(t, "page.test.mjs", "SLUICE_URL="+s.URL, "SLUICE_TOKEN="+s.Token, "SLUICE_FILE="+rig.Clip(t, "clip.mp4", "640x360", 12))
}

func TestASecondFactorIsSetUpAndShownOnThePage(t *testing.T) {
	t.Parallel()
	rig.BuiltPage(t)
	s := rig.Start(t, rig.Options{Args: []string{"--admin-email", "root@example.com", "--second-factor", "admins"}})
	printed := firstPassword.FindStringSubmatch(s.Log())
	if printed == nil {
		t.Fatalf("nothing says how to sign in:\n%s", s.Log())
	}
	node(t, "factor.test.mjs", "SLUICE_URL="+s.URL, "SLUICE_TOKEN="+s.Token, "SLUICE_EMAIL=root@example.com", "SLUICE_PASSWORD="+printed[1])
}

func TestPage_SessionNetworkOrServerAway_KeepsUploadsAndLists(t *testing.T) {
	rig.BuiltPage(t)
	s := rig.Start(t, rig.Options{Args: []string{"--admin-email", "root@example.com"}})
	printed := firstPassword.FindStringSubmatch(s.Log())
	if printed == nil {
		t.Fatalf("nothing says how to sign in:\n%s", s.Log())
	}
	node(t, "lists.test.mjs", "SLUICE_URL="+s.URL, "SLUICE_TOKEN="+s.Token, "SLUICE_EMAIL=root@example.com", "SLUICE_PASSWORD="+printed[1],
		"SLUICE_FILE="+rig.Clip(t, "short.mp4", "320x180", 4))
}

func TestPeopleAreInvitedSignInAndManageTheirAccountsOnThePage(t *testing.T) {
	t.Parallel()
	rig.BuiltPage(t)
	o, options := office(t, notifytest.Options{})
	options.Args = append(options.Args, "--admin-email", "root@example.com", "--playback", "signed")
	s := rig.Start(t, options)
	postless := rig.Start(t, rig.Options{Token: s.Token})
	printed := firstPassword.FindStringSubmatch(s.Log())
	if printed == nil {
		t.Fatalf("nothing says how to sign in:\n%s", s.Log())
	}
	v := s.Await(s.Upload(rig.Clip(t, "clip.mp4", "640x360", 4), "A clip to watch.mp4"), 2*time.Minute)
	if v.Status != "ready" {
		t.Fatalf("%s", v.Raw)
	}
	mailbox := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		type letter struct {
			To   string `json:"to"`
			Text string `json:"text"`
		}
		all := []letter{}
		for _, l := range o.Letters() {
			all = append(all, letter{l.To, plain(l.Raw)})
		}
		_ = json.NewEncoder(w).Encode(all)
	}))
	defer mailbox.Close()
	node(t, "account.test.mjs", "SLUICE_URL="+s.URL, "SLUICE_TOKEN="+s.Token, "SLUICE_EMAIL=root@example.com", "SLUICE_PASSWORD="+printed[1],
		"SLUICE_VIDEO="+v.ID, "SLUICE_MAIL="+mailbox.URL, "SLUICE_POSTLESS="+postless.URL)
	for _, secret := range []string{printed[1], "marmalade turnip", "seven lamps"} {
		if strings.Count(s.Log(), secret) > strings.Count(printed[0], secret) {
			t.Errorf("the log has the secret %q", secret)
		}
	}
}

func TestSomebodySignsInOnThePageByAnotherIssuer(t *testing.T) {
	t.Parallel()
	rig.BuiltPage(t)
	dir := filepath.Join(rig.Root(t), "test", "browser")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "oidc-provider")); err != nil {
		t.Fatal("the npm packages of the browser tests are missing: run npm ci in test/browser, or make test")
	}
	foreign := exec.Command("node", "issuer.mjs")
	foreign.Dir, foreign.Stderr = dir, os.Stderr
	in, err := foreign.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := foreign.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := foreign.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = foreign.Wait() }) // it ends with its input
	var is struct{ Issuer, Audience string }
	if err := json.NewDecoder(out).Decode(&is); err != nil {
		t.Fatal(err)
	}
	external := rig.Options{
		Args: []string{"--oidc-issuer", is.Issuer, "--oidc-audience", is.Audience, "--oidc-default-role", "viewer", "--oidc-scope-claim", "",
			"--oidc-client-id", "house", "--oidc-name", "The office"},
		Env: []string{"SLUICE_OIDC_CLIENT_SECRET=a secret of the house"},
	}
	s := rig.Start(t, external)
	external.Args, external.Token = append(external.Args, "--oidc-only"), s.Token
	only := rig.Start(t, external)
	house := url.Values{"redirect": {s.URL + "/oauth/external/callback"}, "left": {s.URL + "/"}, "tell": {s.URL + "/oauth/external/logout"}}
	res, err := http.Post(is.Issuer+"/stage/client?"+house.Encode(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	node(t, "external.test.mjs", "SLUICE_URL="+s.URL, "SLUICE_TOKEN="+s.Token, "SLUICE_ISSUER="+is.Issuer, "SLUICE_ONLY="+only.URL)
}
