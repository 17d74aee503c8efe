package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/pquerna/otp/totp"

	"sluice/internal/account"
	"sluice/internal/engine"
	"sluice/internal/identity"
	"sluice/internal/video"
)

// house is a whole server on a data folder of its own, which takes no jobs.
type house struct {
	*App
	t      *testing.T
	door   http.Handler
	client *http.Client  // follows no redirects
	asked  *atomic.Int64 // requests so far: each comes from an address of its own, as a proxy tells it, so that nobody waits for the failures of others
	names  *atomic.Int64 // given so far
}

const eventsToken = "a-token-for-the-events"

func newHouse(t *testing.T, flags ...string) house {
	t.Helper()
	var c Serve
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	flags = append([]string{"--data", t.TempDir(), "--listen", "127.0.0.1:0", "--events-token", eventsToken, "--trusted-proxies", "127.0.0.1",
		"--cdn-purge-url", "http://127.0.0.1:1/{key}"}, flags...)
	if _, err := parser.Parse(flags); err != nil {
		t.Fatal(err)
	}
	if err := c.finish(); err != nil {
		t.Fatal(err)
	}
	c.Roles = []string{roleAPI, roleEdge}
	a, err := Open(t.Context(), c.Settings, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return house{App: a, t: t, door: a.routes(), client: client, asked: &atomic.Int64{}, names: &atomic.Int64{}}
}

// serves has the house answer on its port, and do the work on accounts, until the test ends.
func (h house) serves() {
	h.t.Helper()
	jobs, err := engine.New(h.store.DB(), engine.Config{Name: "accounts", Workers: h.identity.Handlers(), Queues: []engine.Queue{{Name: identity.Queue, Workers: 1}}})
	if err == nil {
		err = jobs.Start(h.t.Context())
	}
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(h.t.Context())
	over := make(chan error, 1)
	go func() { over <- h.Serve(ctx) }()
	h.t.Cleanup(func() {
		h.client.CloseIdleConnections()
		stop()
		if err := <-over; err != nil {
			h.t.Error(err)
		}
		if err := jobs.Stop(context.Background()); err != nil {
			h.t.Error(err)
		}
	})
}

// ask sends a request with a token, or with none, through the door and no network.
func (h house) ask(token, method, path, body string) (status int, code, text string) {
	h.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	h.door.ServeHTTP(w, r)
	all, err := io.ReadAll(w.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	var problem struct{ Code string }
	_ = json.Unmarshal(all, &problem) // not every answer is a problem
	return w.Code, problem.Code, string(all)
}

// caller is somebody with credentials that the server gave them.
type caller struct {
	name     string
	who      account.Principal   // whom the credentials stand for; nobody where they are no good
	token    string              // sent as a bearer token
	cookie   string              // sent as a browser does, with the origin of the page; name=value
	origin   string              // of the page; empty for the server's own
	refusal  string              // the code by which a token is refused that is no good
	lacks    account.Scope       // the one that was cut off; empty for none
	signs    func(*http.Request) // signs a request last of all; nil for who does not
	email    string              // of a person
	password string
	spare    *[]string // recovery codes of their second factor; nil where they have none
	code     string    // that they show next; empty for one of the spare ones
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   map[string]any
	text   string
}

func (r reply) str(name string) string { s, _ := r.body[name].(string); return s }

// said is the status, and the code of a refusal.
func (r reply) said() string {
	if r.status/100 == 2 {
		return fmt.Sprint(r.status)
	}
	return fmt.Sprint(r.status, " ", r.str("code"))
}

// cookieOf is the session's cookie that an answer sets.
func (r reply) cookieOf() string {
	value, _, _ := strings.Cut(r.header.Get("Set-Cookie"), ";")
	return value
}

// send makes a request as a caller, over the network. Bodies that aren't forms are JSON.
func (h house) send(c caller, method, at, body string) reply {
	h.t.Helper()
	if !strings.HasPrefix(at, "http") {
		at = h.local + at
	}
	r, err := http.NewRequestWithContext(h.t.Context(), method, at, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	n := h.asked.Add(1)
	r.Header.Set("X-Forwarded-For", fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255))
	switch {
	case strings.HasPrefix(body, "grant_type=") || strings.HasPrefix(body, "token="):
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	case body != "" && method != http.MethodPut:
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.cookie != "" {
		r.Header.Set("Cookie", c.cookie)
		r.Header.Set("Origin", h.settings.PublicURL)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}
	}
	if c.signs != nil {
		c.signs(r)
	}
	res, err := h.client.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	got := reply{status: res.StatusCode, header: res.Header, text: string(text)}
	_ = json.Unmarshal(text, &got.body) // not every answer is JSON
	return got
}

// done is send for what the test itself needs.
func (h house) done(c caller, method, at, body string) reply {
	h.t.Helper()
	got := h.send(c, method, at, body)
	if got.status/100 != 2 {
		h.t.Fatalf("%s %s as %s: %d %s", method, at, c.name, got.status, got.text)
	}
	return got
}

func (h house) root() caller {
	return caller{name: "the admin token", who: account.Operator(), token: h.token}
}

// fresh is a number that nothing else has.
func (h house) fresh() int64 { return h.names.Add(1) }

// letter is the temporary password, or the code, that the newest letter of a kind to a user tells.
func (h house) letter(kind account.MessageKind, user string) string {
	h.t.Helper()
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		for _, one := range h.done(h.root(), "GET", "/v1/outbox/letters?limit=20", "").body["items"].([]any) {
			if l := one.(map[string]any); l["user"] == user && l["kind"] == string(kind) && l["state"] == "waiting" {
				return h.done(h.root(), "GET", fmt.Sprintf("/v1/outbox/letters/%.0f", l["id"]), "").str("secret")
			}
		}
	}
	h.t.Fatalf("no letter %s", kind)
	return ""
}

const chosen = "marmalade turnip orbit 77"

// invited is somebody who has a temporary password and did not sign in yet.
func (h house) invited(role account.Role, workspace string) caller {
	h.t.Helper()
	email := fmt.Sprintf("somebody-%d@example.com", h.fresh())
	made := h.done(h.root(), "POST", "/v1/users", fmt.Sprintf(`{"email":%q,"role":%q,"workspaces":[%q]}`, email, role, workspace))
	who := account.Principal{Kind: account.Person, ID: made.str("id"), Role: role, Workspaces: []string{workspace}, Scopes: role.Scopes(), MustChange: true}
	return caller{name: "somebody invited", who: who, email: email, password: h.letter(account.InvitationLetter, who.ID)}
}

// signedIn is a caller with a session of its own.
func (h house) signedIn(c caller) caller {
	h.t.Helper()
	c.token, c.refusal = "", ""
	got := h.done(caller{}, "POST", "/v1/session", fmt.Sprintf(`{"email":%q,"password":%q}`, c.email, c.password))
	if c.cookie = got.cookieOf(); got.body["must_prove"] == true && !c.who.MustProve {
		c.cookie = h.done(c, "POST", "/v1/session/factor", fmt.Sprintf(`{"code":%q}`, h.spare(c))).cookieOf()
	}
	return c
}

// spare is a recovery code that was not used yet: the last one is for ten others.
func (h house) spare(c caller) string {
	h.t.Helper()
	one := (*c.spare)[0]
	if *c.spare = (*c.spare)[1:]; len(*c.spare) == 0 {
		h.t.Fatal("a test signs one person in too often: they have no recovery codes left")
	}
	return one
}

// offered is somebody's session with a second factor that waits for its first code, which is theirs to show.
func (h house) offered(c caller) caller {
	h.t.Helper()
	secret := h.done(c, "POST", "/v1/factor", "{}").str("secret")
	code, err := totp.GenerateCode(secret, time.Now())
	if err != nil {
		h.t.Fatal(err)
	}
	c.code = code
	return c
}

// enrolled is somebody who has set up a second factor.
func (h house) enrolled(c caller) caller {
	h.t.Helper()
	c = h.offered(c)
	got := h.done(c, "POST", "/v1/factor/confirm", fmt.Sprintf(`{"code":%q}`, c.code))
	var codes []string
	for _, one := range got.body["recovery_codes"].([]any) {
		codes = append(codes, one.(string))
	}
	c.cookie, c.code, c.spare, c.who.MustEnrol = got.cookieOf(), "", &codes, false
	return c
}

// waiting is somebody who has shown their password, and not their second factor.
func (h house) waiting() caller {
	h.t.Helper()
	c := h.enrolled(h.bare(account.Admin, account.DefaultWorkspace))
	c.who.MustProve = true
	c = h.signedIn(c)
	c.name, c.code = "an admin who has shown the password alone", h.spare(c)
	return c
}

// unsecured is somebody who must have a second factor, and has none.
func (h house) unsecured() caller {
	h.t.Helper()
	c := h.bare(account.Admin, account.DefaultWorkspace)
	c.name, c.who.MustEnrol = "an admin without the second factor that is asked for", true
	return c
}

// bound is somebody who has signed in with a temporary password.
func (h house) bound() caller {
	h.t.Helper()
	c := h.signedIn(h.invited(account.Admin, account.DefaultWorkspace))
	c.name = "an admin with a temporary password"
	return c
}

// person is somebody who has signed in with a password of their own, and set up a second factor where they must have one.
func (h house) person(role account.Role, workspace string) caller {
	h.t.Helper()
	c := h.bare(role, workspace)
	if h.identity.Demand.Of(account.User{Role: role}) {
		c = h.enrolled(c)
	}
	return c
}

// bare is somebody who has signed in with a password of their own, whatever else is asked of them.
func (h house) bare(role account.Role, workspace string) caller {
	h.t.Helper()
	c := h.signedIn(h.invited(role, workspace))
	c.cookie = h.done(c, "POST", "/v1/session/password", fmt.Sprintf(`{"current":%q,"password":%q}`, c.password, chosen)).cookieOf()
	c.password, c.who.MustChange, c.name = chosen, false, fmt.Sprintf("the session of a %s of %s", role, workspace)
	return c
}

// personal is somebody's personal token, cut to scopes.
func (h house) personal(c caller, scopes account.Scopes) caller {
	h.t.Helper()
	body, err := json.Marshal(map[string]any{"name": "x", "scopes": scopes})
	if err != nil {
		h.t.Fatal(err)
	}
	made := h.done(c, "POST", "/v1/tokens", string(body))
	c.token, c.cookie, c.who.Scopes, c.name = made.str("token"), "", scopes, "a token of "+c.name
	return c
}

// registered is a client, with its secret.
func (h house) registered(body string) (id, secret string) {
	h.t.Helper()
	made := h.done(h.root(), "POST", "/v1/clients", body)
	return made.str("id"), made.str("secret")
}

// service is a program that has a token of its own.
func (h house) service(role account.Role, workspace string, scopes account.Scopes) caller {
	h.t.Helper()
	all, err := json.Marshal(role.Scopes())
	if err != nil {
		h.t.Fatal(err)
	}
	id, secret := h.registered(fmt.Sprintf(`{"name":"x","kind":"service","role":%q,"workspaces":[%q],"scopes":%s}`, role, workspace, all))
	made := h.done(caller{}, "POST", "/oauth/token", "grant_type=client_credentials&"+url.Values{"client_id": {id}, "client_secret": {secret}, "scope": {scopes.String()}}.Encode())
	return caller{name: fmt.Sprintf("a service, %s of %s", role, workspace), token: made.str("access_token"),
		who: account.Principal{Kind: account.Service, ID: id, Role: role, Workspaces: []string{workspace}, Scopes: scopes}}
}

// program is what signs people in.
type program struct{ id, secret string }

const backAt = "https://app.example.com/cb"

func (h house) program() (p program) {
	h.t.Helper()
	scopes, err := json.Marshal(account.AllScopes())
	if err != nil {
		h.t.Fatal(err)
	}
	p.id, p.secret = h.registered(fmt.Sprintf(`{"name":"x","kind":"web","redirects":[%q],"scopes":%s}`, backAt, scopes))
	return p
}

var verifier = strings.Repeat("v", 43)

// asks is where a program sends a browser.
func (p program) asks() string {
	sum := sha256.Sum256([]byte(verifier))
	return "/oauth/authorize?" + url.Values{"client_id": {p.id}, "redirect_uri": {backAt}, "response_type": {"code"}, "scope": {"openid " + account.AllScopes().String()},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}.Encode()
}

// request is an authorization request that waits for somebody.
func (h house) request(p program) string {
	h.t.Helper()
	_, id, ok := strings.Cut(h.send(caller{}, "GET", p.asks(), "").header.Get("Location"), "request=")
	if !ok {
		h.t.Fatal("no request")
	}
	return id
}

// given is the token that somebody who is signed in gives a program.
func (h house) given(c caller, p program) caller {
	h.t.Helper()
	back, err := url.Parse(h.send(c, "GET", p.asks(), "").header.Get("Location"))
	if err != nil || back.Query().Get("code") == "" {
		h.t.Fatal(back, err)
	}
	made := h.done(caller{}, "POST", "/oauth/token", "grant_type=authorization_code&"+url.Values{"code": {back.Query().Get("code")}, "redirect_uri": {backAt}, "client_id": {p.id},
		"client_secret": {p.secret}, "code_verifier": {verifier}}.Encode())
	c.token, c.cookie, c.name = made.str("access_token"), "", "an access token of "+c.name
	return c
}

// uploaded is a video in main whose source was put, and which waits for ingest.
func (h house) uploaded() video.ID {
	h.t.Helper()
	granted := h.done(h.root(), "POST", "/v1/uploads", `{"filename":"a.mp4","workspace":"main","playback_policy":"public"}`)
	h.done(caller{}, "PUT", granted.str("url"), "not much of a video")
	return video.ID(granted.str("id"))
}

// job is the number of a video's job.
func (h house) job(id video.ID) string {
	h.t.Helper()
	return fmt.Sprintf("%.0f", h.done(h.root(), "GET", "/v1/jobs?video="+string(id), "").body["items"].([]any)[0].(map[string]any)["id"])
}

// canceled is a video whose encode was canceled.
func (h house) canceled() video.ID {
	h.t.Helper()
	id := h.uploaded()
	h.done(h.root(), "POST", "/v1/jobs/"+h.job(id)+"/cancel", "")
	return id
}

// ready is a video that plays.
func (h house) ready() video.ID {
	h.t.Helper()
	id, ctx := h.uploaded(), h.t.Context()
	step := func(name video.StepName) video.StepRef { return video.StepRef{Video: id, Generation: 1, Name: name} }
	must := func(err error) {
		h.t.Helper()
		if err != nil {
			h.t.Fatal(err)
		}
	}
	begin := func(name video.StepName) {
		h.t.Helper()
		_, err := h.store.Begin(ctx, step(name), "worker", engine.Handle{})
		must(err)
	}
	v, err := h.store.Video(ctx, id)
	must(err)
	begin(video.Ingest)
	plan := video.Plan{Rate: video.Ratio{Num: 25, Den: 1}, Frames: 100, Rungs: []video.Rung{{Name: "720p", Width: 1280, Height: 720}}, Chunks: []video.Chunk{{Frames: 100}}, Duration: 4 * time.Second}
	must(h.store.Plan(ctx, step(video.Ingest), video.Facts{}, plan, nil, engine.Handle{}))
	for _, name := range []video.StepName{video.Encode, video.Stills} {
		begin(name)
		must(h.store.Finish(ctx, step(name), video.Result{}, nil, engine.Handle{}))
	}
	begin(video.Publish)
	playlist := v.Prefix + "/1/index.m3u8"
	_, err = h.objects.Put(ctx, h.settings.S3.MediaBucket, playlist, bytes.NewReader([]byte("#EXTM3U\n")), 8, "application/vnd.apple.mpegurl")
	must(err)
	must(h.store.Publish(ctx, step(video.Publish), video.Output{HLS: playlist, Duration: plan.Duration}, nil, engine.Handle{}))
	return id
}
