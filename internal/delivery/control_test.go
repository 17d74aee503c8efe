package delivery

import (
	"container/list"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/account"
	"sluice/internal/bucket"
	"sluice/internal/signing"
	"sluice/internal/video"
)

func TestOnlyFilesAreServed(t *testing.T) {
	t.Parallel()
	s := newStage(t, "local")
	name, local := s.store.LocalPath("media", segment)
	if !local {
		t.Fatal("the storage is elsewhere")
	}
	dir := filepath.Dir(name)
	for _, err := range []error{os.Symlink(filepath.Join(s.root, "host.mp4"), filepath.Join(dir, "link.mp4")), syscall.Mkfifo(filepath.Join(dir, "pipe.mp4"), 0o600), os.Mkdir(filepath.Join(dir, "folder.mp4"), 0o700)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s.server.Client().Timeout = 30 * time.Second
	for _, name := range []string{"link.mp4", "pipe.mp4", "folder.mp4"} {
		if resp, body := s.do(t, "GET", strings.Replace(segment, "00001.m4s", name, 1)); resp.StatusCode != http.StatusNotFound || strings.Contains(body, secret) {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
}

func TestAKeyPairOfItsWorkspacesOpensNoOther(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, video.Signed)
	g.catalog.mu.Lock()
	g.stage.internal[0].Workspaces = []string{"main"}
	g.catalog.mu.Unlock()
	all := query(g.sign(t, g.internal, "/stream/*"))
	for folder, want := range map[string]string{folder: "200", string(playbackID): "200", otherFolder: "403", "x-" + string(otherID): "403"} {
		if got := g.ask(t, at(folder, "1080p/00001.m4s")+all); fmt.Sprint(got.status) != want {
			t.Errorf("%s: %s, want %s", folder, got, want)
		}
	}
}

func TestASignatureForARungHasTheSameConditions(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, video.Signed)
	index := at(folder, "index.m3u8")
	top := index[:strings.LastIndexByte(index, '/')+1]
	begins, ends, from := g.now.Add(-time.Minute), g.now.Add(10*time.Second), netip.MustParsePrefix("127.0.0.0/8")
	ask := index + "?max_resolution=720"
	signed := query(g.sign(t, g.user, ask, func(p *signing.Policy) { p.NotBefore, p.Expires, p.Client = begins, ends, from }))[1:]
	refs := references(g.ask(t, ask+"&"+signed).body)
	if len(refs) == 0 {
		t.Fatal("it names nothing")
	}
	ring, err := signing.NewKeyRing(g.user)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range refs {
		plain, q, _ := strings.Cut(top+ref, "?")
		c, _, err := signing.FromQuery(q)
		if err != nil {
			t.Fatal(err)
		}
		path, err := signing.Normalize(plain)
		if err != nil {
			t.Fatal(err)
		}
		for name, c2 := range map[string]struct {
			client string
			at     time.Time
			opens  bool
		}{"now": {"127.0.0.9", g.now, true}, "another client": {"192.0.2.7", g.now, false}, "before it begins": {"127.0.0.9", begins, false}, "after its end": {"127.0.0.9", ends, false}} {
			_, err := ring.Verify(c, &signing.Request{Scheme: "http", Host: g.server.Listener.Addr().String(), Path: path, Client: netip.MustParseAddr(c2.client), Now: c2.at})
			if (err == nil) != c2.opens {
				t.Errorf("%s, %s: %v", ref, name, err)
			}
		}
	}
}

func TestWhatSomebodyGotByBeingWhoTheyAreIsKeptForAMinute(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, video.Signed)
	for name, want := range map[string]string{"1080p/00001.m4s": "private, max-age=60, immutable", "index.m3u8": "private, max-age=60"} {
		if got := g.ask(t, at(folder, name), "Authorization: Bearer main"); got.header.Get("Cache-Control") != want {
			t.Errorf("%s: %s %q, want %q", name, got, got.header.Get("Cache-Control"), want)
		}
	}
}

func TestCredentialsAreToldApart(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for i, h := range []http.Header{
		{}, {"Authorization": {"ab"}}, {"Cookie": {"ab"}}, {"Authorization": {"a", "b"}}, {"Cookie": {"a", "b"}}, {"Authorization": {"a"}, "Cookie": {"b"}}, {"Authorization": {""}},
	} {
		sum := credentials(h)
		if before, ok := seen[string(sum[:])]; ok {
			t.Errorf("%v counts as the %d. one", h, before)
		}
		seen[string(sum[:])] = i
	}
}

func TestWhatTheEdgeRemembersIsBounded(t *testing.T) {
	t.Parallel()
	known := &viewers{known: map[[sha256.Size]byte]*list.Element{}}
	look := func(*http.Request) (account.Principal, bool, error) { return account.Principal{ID: "u"}, true, nil }
	for i := range viewersKept + 100 {
		if _, ok, err := known.who(&http.Request{Header: http.Header{"Authorization": {fmt.Sprint(i)}}}, look, time.Now()); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if len(known.known) != viewersKept || known.recent.Len() != viewersKept {
		t.Errorf("%d viewers are remembered", len(known.known))
	}
	keys := newKeyring(&catalog{}, time.Now)
	for i := range grantsKept + 100 {
		keys.keep(signing.Verified{}, signing.Credential{Policy: fmt.Sprint(i)})
	}
	if len(keys.grants) != grantsKept || keys.recent.Len() != grantsKept {
		t.Errorf("%d grants are remembered", len(keys.grants))
	}
	objects := &descriptions{known: map[string]*list.Element{}}
	for i := range descriptionsKept + 100 {
		if _, err := objects.head(t.Context(), whole{1}, "media", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if len(objects.known) != descriptionsKept || objects.recent.Len() != descriptionsKept {
		t.Errorf("%d objects are remembered", len(objects.known))
	}
}

// changing is storage whose object is another one each time.
type changing struct{ whole }

func (changing) Get(_ context.Context, b, key, _ string) (io.ReadCloser, bucket.Object, error) {
	return io.NopCloser(strings.NewReader(strings.Repeat("x", 100))), bucket.Object{Bucket: b, Key: key, ETag: "another", Size: 100}, nil
}

func TestAnObjectThatChangesWhileItIsSentIsNotTakenForOne(t *testing.T) {
	t.Parallel()
	s := newStage(t, "local", func(c *Config) { c.Objects = changing{whole{100}} })
	resp, err := s.server.Client().Get(URL(s.server.URL, segment))
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
	if err == nil || !strings.Contains(s.logged(), "a stream broke off") {
		t.Errorf("%v, logged %q", err, s.logged())
	}
}

func TestARemoteObjectIsAskedForInOnePiece(t *testing.T) {
	t.Parallel()
	s := newStage(t, "remote")
	resp, body := s.do(t, "GET", segment, "Range", "bytes=0-9,500-509")
	if reads := s.reads(); resp.StatusCode != http.StatusOK || body != string(content) || len(reads) != 1 {
		t.Errorf("%d, %d bytes, asked for %q", resp.StatusCode, len(body), reads)
	}
}
