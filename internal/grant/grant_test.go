package grant

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/account"
	"sluice/internal/catalog"
	"sluice/internal/fault"
	"sluice/internal/signing"
	"sluice/internal/video"
)

const edge = "https://edge.test"

// shelf is the videos and the playbacks; key pairs are in a real store.
type shelf struct {
	videos    map[video.ID]video.Video
	playbacks map[video.PlaybackID]video.Playback
	capped    []video.PlaybackForm
}

func (s *shelf) Video(_ context.Context, id video.ID) (video.Video, error) {
	v, ok := s.videos[id]
	if !ok {
		return v, fault.New(fault.NotFound, "shelf", "no_video", "There is no such video.", nil)
	}
	return v, nil
}

func (s *shelf) PlaybackByID(_ context.Context, id video.PlaybackID, _ int) (video.Playback, bool, error) {
	return s.playbacks[id], false, nil
}

func (s *shelf) AddPlayback(_ context.Context, p video.PlaybackForm) (video.PlaybackForm, error) {
	s.capped = append(s.capped, p)
	return p, nil
}

// stage is a Giver over them.
type stage struct {
	*Service
	*shelf
	t     *testing.T
	store *catalog.Store
	clock time.Time
	log   bytes.Buffer
}

const secret = "what seals, in a test of grants"

func open(t *testing.T) *stage {
	t.Helper()
	store, err := catalog.Open(t.Context(), filepath.Join(t.TempDir(), "sluice.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &stage{t: t, store: store, clock: time.Now().Truncate(time.Second), shelf: &shelf{videos: map[video.ID]video.Video{}, playbacks: map[video.PlaybackID]video.Playback{}}}
	s.Service = New(Config{Store: s.shelf, Keys: s.keys(secret), EdgeURL: edge + "/", Usual: 12 * time.Hour, Longest: 7 * 24 * time.Hour, Members: time.Hour,
		Now: func() time.Time { return s.clock }, Address: func(edge, key string) string {
			elements := strings.Split(strings.TrimPrefix(key, "streams/"), "/")
			for i := range elements {
				elements[i] = url.PathEscape(elements[i])
			}
			return edge + "/stream/" + strings.Join(elements, "/")
		}})
	return s
}

func (s *stage) keys(secret string) *Keys {
	s.t.Helper()
	k, err := OpenKeys(s.store, []byte(secret), func() time.Time { return s.clock }, slog.New(slog.NewTextHandler(&s.log, nil)))
	if err != nil {
		s.t.Fatal(err)
	}
	return k
}

// ready is a video that plays its second generation.
func (s *stage) ready(policy video.Policy, workspace string) video.Video {
	id := video.NewID(s.clock)
	v := video.Video{ID: id, Workspace: workspace, Policy: policy, Status: video.Ready, Published: 2, Prefix: "streams/a b*-" + string(id)}
	at := v.Prefix + "/2/"
	v.Output = &video.Output{HLS: at + "index.m3u8", DASH: at + "index.mpd", Poster: at + "poster.jpg", Thumbnail: at + "poster-thumbnail.jpg"}
	s.videos[id] = v
	return v
}

// opens asks an edge with those key pairs for an address: whether the credential, in the address or beside it, opens it.
func (s *stage) opens(address string, beside signing.Credential, from string, at time.Time, workspace ...string) error {
	s.t.Helper()
	users, internal, err := s.Keys.KeyPairs(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	ring, err := signing.NewKeyRing(append(users, internal...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := signing.Normalize(u.EscapedPath())
	if err != nil {
		s.t.Fatal(err)
	}
	c, rest, err := signing.FromQuery(u.RawQuery)
	if err != nil {
		s.t.Fatal(err)
	}
	if c == (signing.Credential{}) {
		c = beside
	}
	_, err = ring.Verify(c, &signing.Request{Scheme: u.Scheme, Host: u.Host, Path: p, Query: rest, Client: netip.MustParseAddr(from), Now: at, Workspace: strings.Join(workspace, "")})
	return err
}

func person(role account.Role, workspaces ...string) account.Principal {
	return account.Principal{Kind: account.Person, ID: "ann", Role: role, Workspaces: workspaces, Scopes: role.Scopes()}
}

func TestWhoGetsAGrantForWhatInWhichWay(t *testing.T) {
	t.Parallel()
	s := open(t)
	draft := s.ready(video.Signed, "films")
	draft.Status, draft.Output, draft.Published = video.Processing, nil, 0
	service := person(account.Editor, "films")
	service.Kind, service.Scopes = account.Service, account.Scopes{account.VideosRead}
	bound := person(account.Viewer, "films")
	bound.MustChange = true
	uploader := person(account.Editor, "films")
	uploader.Scopes = account.Scopes{account.UploadsWrite}
	for who, c := range map[string]struct {
		account.Principal
		ready, draft string // the code that they are refused with
	}{
		"operator":                          {account.Operator(), "", "not_playable"},
		"admin":                             {person(account.Admin), "", "not_playable"},
		"editor of its workspace":           {person(account.Editor, "films"), "", "not_playable"},
		"viewer of its workspace":           {person(account.Viewer, "main", "films"), "", "no_video"},
		"service that reads":                {service, "", "not_playable"},
		"editor elsewhere":                  {person(account.Editor, "main"), "no_video", "no_video"},
		"viewer elsewhere":                  {person(account.Viewer, "main"), "no_video", "no_video"},
		"viewer of nothing":                 {person(account.Viewer), "no_video", "no_video"},
		"viewer with a temporary password":  {bound, "no_video", "no_video"},
		"token that may upload and no more": {uploader, "no_video", "no_video"},
		"nobody":                            {account.Principal{}, "no_video", "no_video"},
	} {
		for _, policy := range video.Policies() {
			for _, way := range Ways() {
				v := s.ready(policy, "films")
				does := fmt.Sprintf("%s, %s by %s", who, policy, way)
				r := Request{Video: v.ID, Way: way}
				if way == URL {
					r.Path = "poster.jpg"
				}
				g, err := s.Give(t.Context(), c.Principal, r)
				if code := codeOf(err); code != c.ready {
					t.Errorf("%s: refused with %q, want %q", does, code, c.ready)
				}
				if err == nil {
					s.isGood(does, v, g)
				}
				s.videos[draft.ID] = draft
				r.Video = draft.ID
				if _, err := s.Give(t.Context(), c.Principal, r); codeOf(err) != c.draft {
					t.Errorf("%s, not ready: refused with %q, want %q", does, codeOf(err), c.draft)
				}
			}
		}
	}
}

func codeOf(err error) string {
	if err == nil {
		return ""
	}
	return fault.Of(err).Code
}

// isGood checks what a grant of a whole video, or of its poster, opens and doesn't.
func (s *stage) isGood(does string, v video.Video, g Grant) {
	s.t.Helper()
	own := edge + "/stream/a%20b%2A-" + string(v.ID) + "/2/"
	if v.Policy == video.Public {
		if g.Credential != (signing.Credential{}) || !g.Expires.IsZero() || g.HLS != own+"index.m3u8" {
			s.t.Errorf("%s: what is public has %+v", does, g)
		}
		return
	}
	want, members := s.clock.Add(12*time.Hour), v.Policy == video.Members
	if members {
		want = s.clock.Add(time.Hour)
	}
	if !g.Expires.Equal(want) {
		s.t.Errorf("%s: ends %s, want %s", does, g.Expires, want)
	}
	_, internal, err := s.Keys.KeyPairs(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	inside := false
	for _, k := range internal {
		inside = inside || k.ID == g.Credential.KeyPairID
	}
	if inside != members {
		s.t.Errorf("%s: signed by a key pair for members: %v", does, inside)
	}
	other := strings.Replace(own, string(v.ID), string(video.NewID(s.clock)), 1)
	cases := map[string]bool{} // address → whether it opens
	switch g.Way {
	case Cookies:
		cases = map[string]bool{own + "index.m3u8": true, own + "720p/00001.m4s": true, strings.TrimSuffix(own, "2/") + "3/index.m3u8": true, other + "index.m3u8": false,
			edge + "/stream/a%20b%2A-" + string(v.ID) + "x/2/index.m3u8": false, edge + "/v1/videos": false}
		if g.HLS != own+"index.m3u8" {
			s.t.Errorf("%s: %s is not plain", does, g.HLS)
		}
	case Manifest:
		cases = map[string]bool{g.HLS: true, g.DASH: true, g.Poster: true, g.Thumbnail: true, own + "720p/00001.m4s": true, strings.TrimSuffix(own, "2/") + "3/index.m3u8": false, other + "index.m3u8": false}
	case URL:
		cases = map[string]bool{g.File: true, own + "poster-thumbnail.jpg": false, own + "index.m3u8": false, other + "poster.jpg": false}
	}
	for address, opens := range cases {
		if err := s.opens(address, g.Credential, "192.0.2.7", s.clock); (err == nil) != opens {
			s.t.Errorf("%s: %s: %v", does, address, err)
		}
		if err := s.opens(address, g.Credential, "192.0.2.7", g.Expires); err == nil {
			s.t.Errorf("%s: %s opens after its end", does, address)
		}
	}
}

func TestConditionsAreKept(t *testing.T) {
	t.Parallel()
	s := open(t)
	v, p := s.ready(video.Signed, "main"), account.Operator()
	for _, c := range []struct {
		request Request
		from    string
		at      time.Duration
		opens   bool
	}{
		{Request{For: time.Minute}, "192.0.2.7", 59 * time.Second, true},
		{Request{For: time.Minute}, "192.0.2.7", time.Minute, false},
		{Request{NotBefore: s.clock.Add(time.Hour)}, "192.0.2.7", time.Hour - time.Second, false},
		{Request{NotBefore: s.clock.Add(time.Hour)}, "192.0.2.7", time.Hour, true},
		{Request{Client: netip.MustParsePrefix("192.0.2.0/24")}, "192.0.2.7", 0, true},
		{Request{Client: netip.MustParsePrefix("192.0.2.0/24")}, "192.0.3.7", 0, false},
		{Request{Client: netip.MustParsePrefix("2001:db8::/32")}, "2001:db8::7", 0, true},
		{Request{Client: netip.MustParsePrefix("2001:db8::/32")}, "192.0.2.7", 0, false},
	} {
		for _, way := range Ways() {
			c.request.Video, c.request.Way, c.request.Path = v.ID, way, "poster.jpg"
			g, err := s.Give(t.Context(), p, c.request)
			if err != nil {
				t.Fatal(err)
			}
			at := g.File
			if err := s.opens(at, g.Credential, c.from, s.clock.Add(c.at)); (err == nil) != c.opens {
				t.Errorf("%+v from %s after %s: %v", c.request, c.from, c.at, err)
			}
		}
	}
	for want, r := range map[string]Request{
		"grant_bad_time": {For: 7*24*time.Hour + time.Second}, "grant_bad_path": {Path: "../../x.jpg"}, "": {For: 7 * 24 * time.Hour},
	} {
		r.Video, r.Way = v.ID, Cookies
		if _, err := s.Give(t.Context(), p, r); codeOf(err) != want {
			t.Errorf("%+v: %v, want %q", r, err, want)
		}
	}
	if _, err := s.Give(t.Context(), p, Request{Video: v.ID, Way: Manifest, NotBefore: s.clock.Add(24 * time.Hour)}); codeOf(err) != "grant_bad_time" {
		t.Errorf("one that ends before it begins: %v", err)
	}
}

// A player that keeps the address it began with has to reach the end of a long film.
func TestAGrantLastsForTheLengthOfTheVideo(t *testing.T) {
	t.Parallel()
	s := open(t)
	const film, day = 3 * time.Hour, 24 * time.Hour
	for _, c := range []struct {
		policy video.Policy
		length time.Duration
		asked  Request
		want   time.Duration
	}{
		{video.Signed, film, Request{}, 12*time.Hour + film},
		{video.Signed, film, Request{For: time.Minute}, time.Minute}, // who says how long means it
		{video.Signed, 7*day - time.Hour, Request{}, 7 * day},
		{video.Members, film, Request{}, time.Hour + film},
		{video.Members, film, Request{For: 2 * day}, time.Hour + film},
		{video.Members, film, Request{For: 2 * time.Hour}, 2 * time.Hour},
		{video.Members, 0, Request{}, time.Hour},
		{video.Members, 8 * day, Request{}, 7 * day},
	} {
		for _, way := range Ways() {
			v := s.ready(c.policy, "main")
			v.Output.Duration = c.length
			c.asked.Video, c.asked.Way, c.asked.Path = v.ID, way, map[Delivery]string{URL: "poster.jpg"}[way]
			g, err := s.Give(t.Context(), account.Operator(), c.asked)
			if err != nil || !g.Expires.Equal(s.clock.Add(c.want)) {
				t.Errorf("%s of %s, %+v: good for %s, want %s: %v", c.policy, c.length, c.asked, g.Expires.Sub(s.clock), c.want, err)
			}
		}
	}
	g, err := s.Give(t.Context(), account.Operator(), Request{All: true, Way: Cookies})
	if err != nil || !g.Expires.Equal(s.clock.Add(time.Hour)) {
		t.Errorf("everything: %v %v", g.Expires, err)
	}
}

func TestTheAddressOfAManifestIsGivenForAllThatItNames(t *testing.T) {
	t.Parallel()
	s := open(t)
	v := s.ready(video.Signed, "main")
	for _, name := range []string{"index.m3u8", "index.mpd", "720p/index.m3u8"} {
		g, err := s.Give(t.Context(), account.Operator(), Request{Video: v.ID, Way: URL, Path: name})
		if err != nil || g.Way != Manifest {
			t.Fatalf("%s: %+v, %v", name, g, err)
		}
		for _, address := range []string{g.File, g.HLS, strings.Split(g.HLS, "index.m3u8")[0] + "1080p/00007.m4s"} {
			if err := s.opens(address, g.Credential, "192.0.2.7", s.clock); err != nil {
				t.Errorf("%s: %v", address, err)
			}
		}
	}
	for _, bad := range []string{"/poster.jpg", "a//b.jpg", "./poster.jpg", "x/../poster.jpg", "poster.jpg/", "a\\b.jpg", "a\r\nb.jpg", "a;b.jpg", "*\x00"} {
		if g, err := s.Give(t.Context(), account.Operator(), Request{Video: v.ID, Way: URL, Path: bad}); err == nil && strings.ContainsAny(g.File, "\r\n\\\x00;*") {
			t.Errorf("%q: %s", bad, g.File)
		}
	}
}

func TestACapIsAPlaybackOfItsOwn(t *testing.T) {
	t.Parallel()
	s := open(t)
	v := s.ready(video.Signed, "main")
	id := video.NewPlaybackID(s.clock)
	s.playbacks[id] = video.Playback{ID: id, Video: v.ID, Policy: video.Members, MaxResolution: 720}
	for _, c := range []struct {
		request Request
		base    string // of the form that is made; empty: none is
	}{
		{Request{Video: v.ID, MaxResolution: 480}, string(v.ID)},
		{Request{Playback: id, MaxResolution: 480}, string(id)},
		{Request{Playback: id, MaxResolution: 720}, ""},
		{Request{Playback: id, MaxResolution: 1080}, ""},
		{Request{Playback: id}, ""},
	} {
		s.capped, c.request.Way = nil, Manifest
		g, err := s.Give(t.Context(), account.Operator(), c.request)
		if err != nil {
			t.Fatal(err)
		}
		want := video.Members
		if c.base == string(v.ID) {
			want = video.Signed
		}
		if g.Policy != want {
			t.Errorf("%+v: %s, want %s", c.request, g.Policy, want)
		}
		folder := string(id)
		if c.base != "" {
			if len(s.capped) != 1 || s.capped[0].Base != c.base || s.capped[0].MaxResolution != 480 || s.capped[0].Policy != "" {
				t.Fatalf("%+v: made %+v", c.request, s.capped)
			}
			folder = string(s.capped[0].ID)
		} else if len(s.capped) != 0 {
			t.Errorf("%+v: made %+v", c.request, s.capped)
		}
		if g.Folder != folder || g.Resource != edge+"/stream/"+folder+"/2/*" {
			t.Errorf("%+v: folder %s, resource %s, want %s", c.request, g.Folder, g.Resource, folder)
		}
	}
}

func TestAPlaybackThatIsNotThereIsNotGranted(t *testing.T) {
	t.Parallel()
	s := open(t)
	v, w := s.ready(video.Signed, "main"), s.ready(video.Signed, "films")
	ids := map[string]video.PlaybackID{}
	for name, p := range map[string]video.Playback{"good": {Video: v.ID}, "revoked": {Video: v.ID, Revoked: true}, "elsewhere": {Video: w.ID}} {
		p.ID, p.Policy = video.NewPlaybackID(s.clock), video.Signed
		ids[name], s.playbacks[p.ID] = p.ID, p
	}
	ids["nobody's"] = video.NewPlaybackID(s.clock)
	for name, id := range ids {
		want := "no_playback"
		if name == "good" {
			want = ""
		}
		if _, err := s.Give(t.Context(), person(account.Viewer, "main"), Request{Playback: id, Way: Cookies}); codeOf(err) != want {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.Give(t.Context(), account.Operator(), Request{Video: s.ready(video.Signed, "main").ID, Playback: id, Way: Cookies}); codeOf(err) != "no_playback" {
			t.Errorf("%s, of another video: %v", name, err)
		}
	}
}

func TestEverythingIsWhatTheViewerMaySee(t *testing.T) {
	t.Parallel()
	s := open(t)
	given := map[string]string{} // reach → key pair
	for _, c := range []struct {
		who   account.Principal
		reach string
		code  string
	}{
		{account.Operator(), "", ""},
		{person(account.Admin, "films"), "", ""},
		{person(account.Viewer, "main", "films"), "films,main", ""},
		{person(account.Editor, "films", "main", "films"), "films,main", ""},
		{person(account.Viewer, "films"), "films", ""},
		{person(account.Viewer), "", "forbidden"},
		{account.Principal{}, "", "forbidden"},
	} {
		g, err := s.Give(t.Context(), c.who, Request{All: true, Way: Cookies})
		if codeOf(err) != c.code {
			t.Errorf("%+v: %v", c.who, err)
		}
		if err != nil {
			continue
		}
		if known := given[c.reach]; known != "" && known != g.Credential.KeyPairID {
			t.Errorf("two key pairs for the reach %q", c.reach)
		}
		given[c.reach] = g.Credential.KeyPairID
		users, internal, err := s.Keys.KeyPairs(t.Context())
		if err != nil || len(users) != 0 {
			t.Fatal(users, err)
		}
		for _, k := range internal {
			if k.ID == g.Credential.KeyPairID && strings.Join(k.Workspaces, ",") != c.reach {
				t.Errorf("%+v: the key pair opens %v", c.who, k.Workspaces)
			}
		}
		if !g.Expires.Equal(s.clock.Add(time.Hour)) {
			t.Errorf("%+v: ends %s", c.who, g.Expires)
		}
		for _, workspace := range []string{"films", "main", "other", ""} {
			err := s.opens(edge+"/stream/x/1/index.m3u8", g.Credential, "192.0.2.7", s.clock, workspace)
			if opens := c.reach == "" || slices.Contains(strings.Split(c.reach, ","), workspace); (err == nil) != opens {
				t.Errorf("%+v: what lies in %q: %v", c.who, workspace, err)
			}
		}
	}
	if len(given) != 3 {
		t.Errorf("%v, want a key pair for each reach", given)
	}
	for _, r := range []Request{{Way: Manifest}, {Way: URL, Path: "poster.jpg"}, {Way: Cookies, MaxResolution: 480}} {
		r.All = true
		if _, err := s.Give(t.Context(), account.Operator(), r); codeOf(err) != "grant_not_whole" {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func TestOfManyProcessesThatNeedTheFirstKeyPairAllSignWithOne(t *testing.T) {
	t.Parallel()
	s := open(t)
	var all sync.WaitGroup
	ids, sign := make([]string, 12), make([]func(), 12)
	for i := range ids {
		k := s.keys(secret)
		if _, _, err := k.KeyPairs(t.Context()); err != nil { // each has read that there is none
			t.Fatal(err)
		}
		sign[i] = func() {
			pair, err := k.Signer(t.Context(), signing.ForPlayback, nil)
			if err != nil {
				t.Error(err)
			}
			ids[i] = pair.ID
		}
	}
	for _, one := range sign {
		all.Go(one)
	}
	all.Wait()
	for _, id := range ids {
		if id != ids[0] || id == "" {
			t.Fatalf("signed with %v", ids)
		}
	}
}

func TestAKeyPairThatWasSealedWithAnotherSecretOpensAndSignsNoMore(t *testing.T) {
	t.Parallel()
	s := open(t)
	v := s.ready(video.Signed, "main")
	before, err := s.Give(t.Context(), account.Operator(), Request{Video: v.ID, Way: Cookies})
	if err != nil {
		t.Fatal(err)
	}
	s.Keys = s.keys("another secret, after the first was lost")
	for range 2 {
		after, err := s.Give(t.Context(), account.Operator(), Request{Video: v.ID, Way: Cookies})
		if err != nil || after.Credential.KeyPairID == before.Credential.KeyPairID {
			t.Fatalf("%+v, %v", after, err)
		}
	}
	if err := s.opens(before.HLS, before.Credential, "192.0.2.7", s.clock); err != nil {
		t.Error(err)
	}
	if all, err := s.Keys.List(t.Context()); err != nil || len(all) != 2 {
		t.Errorf("%d key pairs, %v", len(all), err)
	}
}

func TestRotationOverlaps(t *testing.T) {
	t.Parallel()
	s := open(t)
	v := s.ready(video.Signed, "main")
	give := func() Grant {
		t.Helper()
		g, err := s.Give(t.Context(), account.Operator(), Request{Video: v.ID, Way: Cookies, For: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	old := give()
	s.clock = s.clock.Add(time.Hour)
	late := give()
	made, err := s.Keys.Add(t.Context(), NewKeyPair{Algorithm: signing.RSA2048, Hash: signing.SHA1, Replaces: old.Credential.KeyPairID, After: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if g := give(); g.Credential.KeyPairID != old.Credential.KeyPairID {
		t.Error("the new key pair signs before every edge has read it")
	}
	s.clock = s.clock.Add(signing.Settle)
	if g := give(); g.Credential.KeyPairID != made.ID {
		t.Error("the new key pair does not sign")
	}
	if err := s.opens(late.HLS, late.Credential, "192.0.2.7", s.clock); err != nil {
		t.Errorf("while it is retiring: %v", err)
	}
	s.clock = s.clock.Add(time.Hour)
	if err := s.opens(late.HLS, late.Credential, "192.0.2.7", s.clock.Add(-2*time.Hour)); err != nil {
		t.Errorf("in its time: %v", err)
	}
	if err := s.opens(late.HLS, late.Credential, "192.0.2.7", s.clock); err == nil {
		t.Error("it opens after it is retired")
	}
	if _, err := s.Keys.Add(t.Context(), NewKeyPair{Algorithm: signing.ECDSAP256, Hash: signing.SHA256, Replaces: "Knone"}); codeOf(err) != "no_key_pair" {
		t.Errorf("one that replaces none: %v", err)
	}
	if _, err := s.Keys.Retire(t.Context(), made.ID, 0); err != nil {
		t.Fatal(err)
	}
	if g := give(); g.Credential.KeyPairID == made.ID {
		t.Error("a key pair signs that was retired")
	}
}

func TestNoPrivateKeyIsLoggedOrStoredOpenly(t *testing.T) {
	t.Parallel()
	s := open(t)
	pair, err := signing.Make(signing.RSA2048, signing.SHA256, s.clock)
	if err != nil {
		t.Fatal(err)
	}
	private, err := pair.PrivatePEM()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicPEM()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Keys.Add(t.Context(), NewKeyPair{PEM: private, ID: "K2JCJMDEHXQW5F", Hash: signing.SHA256}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Keys.Add(t.Context(), NewKeyPair{PEM: public, ID: "Kpublic"}); err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]byte{private[:len(private)/2], append(private, private...), []byte("-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----")} {
		if _, err := s.Keys.Add(t.Context(), NewKeyPair{PEM: bad}); err == nil || strings.Contains(err.Error(), string(private[40:80])) {
			t.Errorf("a bad key: %v", err)
		}
	}
	all, err := s.Keys.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	told := fmt.Sprintf("%+v %s", all, s.log.String())
	body := strings.Split(string(private), "\n")[3]
	if strings.Contains(told, body) || strings.Contains(told, "PRIVATE") || all[0].Sealed == "" || all[1].Sealed != "" {
		t.Errorf("%s", told)
	}
	if k, err := s.Keys.Signer(t.Context(), signing.ForPlayback, nil); err != nil || k.ID != "K2JCJMDEHXQW5F" {
		t.Errorf("signed with %v, %v", k, err)
	}
}

func TestAKeyPairOfTheServerIsNotReplacedByUsers(t *testing.T) {
	t.Parallel()
	s := open(t)
	own, err := s.Keys.Signer(t.Context(), signing.ForMembers, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Keys.Add(t.Context(), NewKeyPair{Algorithm: signing.ECDSAP256, Hash: signing.SHA256, Replaces: own.ID}); codeOf(err) != "no_key_pair" {
		t.Errorf("replaced: %v", err)
	}
	if all, err := s.Keys.List(t.Context()); err != nil || len(all) != 1 || !all[0].RetiredAt.IsZero() {
		t.Errorf("%+v, %v", all, err)
	}
}
