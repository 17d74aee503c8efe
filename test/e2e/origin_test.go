package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/test/rig"
)

// TestAPageOfAnotherOriginSignsInAndPlays has the API on one host, the edge on a second, and pages of other houses on further ones, over TLS.
func TestAPageOfAnotherOriginSignsInAndPlays(t *testing.T) {
	t.Parallel()
	rig.BuiltPage(t)
	ca, files := newAuthority(t), playerPage(t)
	var sluice string
	api, edge := ca.serve("api.sluice.test", front(&sluice)), ca.serve("cdn.sluice.test", front(&sluice))
	near, far, other := ca.serve("app.sluice.test", files), ca.serve("www.friend.test", files), ca.serve("www.other.test", files)

	data := filepath.Join(t.TempDir(), "data")
	s := rig.Start(t, rig.Options{Data: data, Args: []string{"--playback", "signed", "--admin-email", "root@example.com"}}) // uploads go to the public URL, which names no machine that Go finds
	printed := firstPassword.FindStringSubmatch(s.Log())
	if printed == nil {
		t.Fatalf("nothing says how to sign in:\n%s", s.Log())
	}
	person := browse(t, s)
	person.signIn(201, "root@example.com", printed[1])
	person.must(200, "", "POST", "/v1/session/password", fmt.Sprintf(`{"current":%q,"password":%q}`, printed[1], own))
	program := person.must(201, "", "POST", "/v1/clients", fmt.Sprintf(`{"name":"A player elsewhere","kind":"spa","redirects":[%q],"scopes":["videos/read"]}`, far+"/"))
	id := s.Upload(rig.Clip(t, "clip.mp4", "320x180", 20), "clip.mp4")
	if v := s.Await(id, 5*time.Minute); v.Status != "ready" {
		t.Fatalf("%s", v.Raw)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	s = rig.Start(t, rig.Options{Data: data, Args: []string{"--public-url", api, "--edge-url", edge, "--cors-origins", near + "," + far, "--playback-cookies-domain", "sluice.test"}})
	sluice = s.URL
	node(t, "origin.test.mjs", "ORIGIN_API="+api, "ORIGIN_EDGE="+edge, "ORIGIN_NEAR="+near, "ORIGIN_FAR="+far, "ORIGIN_OTHER="+other, "ORIGIN_CA="+ca.print(), "ORIGIN_HOSTS=*.test",
		"SLUICE_CLIENT="+program["id"].(string), "SLUICE_EMAIL=root@example.com", "SLUICE_PASSWORD="+own, "SLUICE_VIDEO="+id, "SLUICE_TOKEN="+s.Token)
	if log := s.Log(); strings.Contains(log, "Signature=") || strings.Contains(log, own) {
		t.Error("the log tells secrets")
	}
}
