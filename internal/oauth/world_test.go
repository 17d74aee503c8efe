package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/account"
	"sluice/internal/catalog"
	"sluice/internal/engine/enginetest"
	"sluice/internal/fault"
)

func TestMain(m *testing.M) { os.Exit(enginetest.Main(m, os.Getenv("SLUICE_TEST_POSTGRES"))) }

// people are users by id.
type people struct {
	mu  sync.Mutex
	all map[string]account.User
}

func (p *people) User(_ context.Context, id string) (account.User, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u, ok := p.all[id]
	if !ok {
		return u, fault.New(fault.NotFound, "test", "no_user", "There is none.", nil)
	}
	return u, nil
}

func (p *people) change(id string, f func(*account.User)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.all[id]
	f(&u)
	p.all[id] = u
}

func (p *people) remove(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, id)
}

// world is a provider over a real store, on a real listener.
type world struct {
	*Provider
	t      *testing.T
	store  *catalog.Store
	people *people
	later  atomic.Int64 // how far the provider's clock is ahead of the machine's
	asks   atomic.Pointer[account.Principal]
	log    *journal
	left   atomic.Int64 // sessions that were ended
	secret string       // of web
	web    account.Client
	client *http.Client // follows no redirects
}

// journal is a log that tests read.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (w *world) sleep(d time.Duration) { w.later.Add(int64(d)) }

// each runs f on both databases.
func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	enginetest.Each(t, func(t *testing.T, dsn string) { f(t, start(t, dsn)) })
}

func start(t *testing.T, dsn string) *world {
	t.Helper()
	store, err := catalog.Open(t.Context(), dsn, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, store: store, log: &journal{}, people: &people{all: map[string]account.User{
		"ed": {ID: "ed", Email: "ed@example.com", Name: "Ed Itor", Role: account.Editor, State: account.Active, Workspaces: []string{"main"}},
		"vi": {ID: "vi", Email: "vi@example.com", Name: "Vi Ewer", Role: account.Viewer, State: account.Active, Workspaces: []string{"main"}},
	}}}
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if p := w.asks.Load(); p != nil {
			r = r.WithContext(account.With(r.Context(), *p))
		}
		w.ServeHTTP(rw, r)
	}))
	t.Cleanup(srv.Close)
	w.Provider = w.provider(srv.URL, []byte("a secret of the folder"))
	w.client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	w.web, w.secret = w.add(account.Client{Kind: account.WebClient, Redirects: []string{"https://app.example.com/cb?x=1"}, Logouts: []string{"https://app.example.com/"},
		Scopes: account.Scopes{account.VideosRead, account.VideosWrite, account.JobsAdmin}})
	return w
}

func (w *world) provider(issuer string, secret []byte) *Provider {
	w.t.Helper()
	p, err := New(Config{
		Store: w.store, Users: w.people, Issuer: issuer, Secret: secret, Access: 15 * time.Minute, Idle: 30 * 24 * time.Hour, Most: 90 * 24 * time.Hour, Rotate: 30 * 24 * time.Hour,
		SignOut: func(context.Context, account.Principal) (string, error) {
			w.left.Add(1)
			return "sluice=; Max-Age=0", nil
		},
		Now:    func() time.Time { return time.Now().Add(time.Duration(w.later.Load())) },
		Logger: slog.New(slog.NewTextHandler(w.log, nil)),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// add registers a client.
func (w *world) add(c account.Client) (account.Client, string) {
	w.t.Helper()
	text, hash := NewSecret()
	if !c.Kind.Secret() {
		text, hash = "", ""
	}
	c.ID, c.Name, c.Secret, c.Created = secret()[:12], "A program", hash, time.Now()
	if err := w.store.AddClient(w.t.Context(), c, account.AuditEntry{What: account.ClientAdded}); err != nil {
		w.t.Fatal(err)
	}
	return c, text
}

// signIn makes the browser one of somebody who has just signed in.
func (w *world) signIn(id string) {
	w.t.Helper()
	u, err := w.people.User(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	w.asks.Store(&account.Principal{Kind: account.Person, ID: id, Name: u.Email, Role: u.Role, Workspaces: u.Workspaces, Scopes: u.Role.Scopes(),
		Session: "s-" + id, SignedIn: w.Now()})
}

const plainVerifier = "a-verifier-of-forty-three-characters-or-more-0"

func s256(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ask is the parameters of a good authorization request of web; change changes them.
func (w *world) ask(change ...string) url.Values {
	v := url.Values{"client_id": {w.web.ID}, "redirect_uri": {w.web.Redirects[0]}, "response_type": {"code"}, "scope": {"openid email profile offline_access videos/read videos/write"},
		"state": {"st &?#ate"}, "nonce": {"n-1"}, "code_challenge": {s256(plainVerifier)}, "code_challenge_method": {"S256"}}
	for i := 0; i < len(change); i += 2 {
		if change[i+1] == "" {
			v.Del(change[i])
		} else {
			v.Set(change[i], change[i+1])
		}
	}
	return v
}

// went is what came back: a document, or where it leads.
type went struct {
	status int
	header http.Header
	body   map[string]any
	text   string
	to     *url.URL
}

func (a went) str(name string) string { s, _ := a.body[name].(string); return s }

func (w *world) do(req *http.Request) went {
	w.t.Helper()
	res, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := went{status: res.StatusCode, header: res.Header, text: string(text)}
	_ = json.Unmarshal(text, &a.body) // not every answer is JSON
	if to, err := res.Location(); err == nil {
		a.to = to
	}
	return a
}

func (w *world) get(path string, query url.Values, headers ...string) went {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.Issuer+path+"?"+query.Encode(), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return w.do(req)
}

// post sends a form as a client; id empty sends none.
func (w *world) post(path, id, secret string, form url.Values) went {
	w.t.Helper()
	if id != "" && secret == "" {
		form.Set("client_id", id)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.Issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if secret != "" {
		req.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	}
	return w.do(req)
}

// code signs somebody in for web and returns the code.
func (w *world) code(user string, change ...string) string {
	w.t.Helper()
	w.signIn(user)
	a := w.get(pathAuthorize, w.ask(change...))
	if a.to == nil || a.to.Query().Get("code") == "" {
		w.t.Fatalf("no code: %d %s %v", a.status, a.text, a.to)
	}
	return a.to.Query().Get("code")
}

func (w *world) redeem(code string, change ...string) went {
	w.t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {w.web.Redirects[0]}, "code_verifier": {plainVerifier}}
	for i := 0; i < len(change); i += 2 {
		form.Set(change[i], change[i+1])
	}
	return w.post(pathToken, w.web.ID, w.secret, form)
}

// tokens signs somebody in for web and returns the tokens.
func (w *world) tokens(user string, change ...string) went {
	w.t.Helper()
	a := w.redeem(w.code(user, change...))
	if a.status != http.StatusOK {
		w.t.Fatalf("no tokens: %d %s", a.status, a.text)
	}
	return a
}

func (w *world) refresh(token string, change ...string) went {
	w.t.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
	for i := 0; i < len(change); i += 2 {
		form.Set(change[i], change[i+1])
	}
	return w.post(pathToken, w.web.ID, w.secret, form)
}

// as asks whom a bearer token speaks for.
func (p *Provider) as(ctx context.Context, token string) (account.Principal, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/v1/videos", nil)
	if err != nil {
		return account.Principal{}, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	who, ok, err := p.Authenticate(r)
	if !ok && err == nil {
		err = fault.New(fault.Unauthorized, "test", "not_mine", "It is no JWT.", nil)
	}
	return who, err
}

// bad wants a token to be refused as such.
func (w *world) bad(what, token string) {
	w.t.Helper()
	if who, err := w.as(w.t.Context(), token); err == nil || fault.Of(err).Code != "invalid_token" {
		w.t.Errorf("%s: %+v, %v", what, who, err)
	}
}

func (w *world) good(what, token string) account.Principal {
	w.t.Helper()
	who, err := w.as(w.t.Context(), token)
	if err != nil {
		w.t.Errorf("%s: %v", what, err)
	}
	return who
}

// parts are header and claims of a JWT.
func parts(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	for i, part := range strings.SplitN(token, ".", 3)[:2] {
		b, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			t.Fatal(err)
		}
		into := []*map[string]any{&header, &claims}[i]
		if err := json.Unmarshal(b, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}
