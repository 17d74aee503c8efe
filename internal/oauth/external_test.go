package oauth

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"sluice/internal/account"
	"sluice/internal/fault"
)

// issuer is an external one, with what tests stage about its documents.
type issuer struct {
	*httptest.Server
	mu    sync.Mutex
	keys  map[string]*rsa.PrivateKey
	more  []any // raw keys beside
	fails bool
	to    string // redirects there
	says  string // another issuer in its discovery document
	asked atomic.Int64
}

func startIssuer(t *testing.T) *issuer {
	t.Helper()
	is := &issuer{keys: map[string]*rsa.PrivateKey{}}
	is.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		is.mu.Lock()
		defer is.mu.Unlock()
		switch {
		case is.fails:
			w.WriteHeader(http.StatusBadGateway)
		case r.URL.Path == "/.well-known/openid-configuration":
			says := is.says
			if says == "" {
				says = is.URL
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": says, "jwks_uri": is.URL + "/keys"})
		case is.to != "":
			http.Redirect(w, r, is.to, http.StatusFound)
		default:
			is.asked.Add(1)
			all := append([]any{}, is.more...)
			for kid, key := range is.keys {
				all = append(all, jose.JSONWebKey{Key: key.Public(), KeyID: kid, Algorithm: "RS256", Use: "sig"})
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"keys": all})
		}
	}))
	t.Cleanup(is.Close)
	is.keys["k1"] = sharedKey()
	return is
}

// sharedKey is the first key of every issuer here, otherKey one that signs nothing: making one is slow.
var sharedKey, otherKey = sync.OnceValue(aKey), sync.OnceValue(aKey)

func aKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

func (is *issuer) add(t *testing.T, kid string) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	is.mu.Lock()
	defer is.mu.Unlock()
	is.keys[kid] = key
	return key
}

func (is *issuer) set(f func()) {
	is.mu.Lock()
	defer is.mu.Unlock()
	f()
}

// trusting is what verifies its tokens, on a clock that can be put forward.
func (is *issuer) trusting(change func(*ExternalConfig)) (e *External, later *atomic.Int64) {
	later = &atomic.Int64{}
	c := ExternalConfig{Issuer: is.URL, Audiences: []string{"https://video.example.com"}, RoleClaim: "roles", Workspaces: []string{"main"}, ScopeClaim: "scope",
		Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) }, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&c)
	}
	return NewExternal(c), later
}

func (is *issuer) claims() map[string]any {
	return map[string]any{"iss": is.URL, "sub": "somebody", "aud": "https://video.example.com", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
		"scope": "openid videos/read videos/write", "roles": []string{"viewer", "editor"}, "email": "somebody@example.com"}
}

func (is *issuer) sign(t *testing.T, claims map[string]any, header ...any) string {
	t.Helper()
	is.mu.Lock()
	key := is.keys["k1"]
	is.mu.Unlock()
	return forge(t, with(map[string]any{"alg": "RS256", "kid": "k1", "typ": "at+jwt"}, header...), claims, key, nil)
}

func (e *External) as(t *testing.T, token string) (account.Principal, error) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/videos", nil)
	r.Header.Set("Authorization", "bearer "+token)
	who, ok, err := e.Authenticate(r)
	if !ok && err == nil {
		err = fault.New(fault.Unauthorized, "test", "not_mine", "It is no JWT.", nil)
	}
	return who, err
}

func TestTokensOfCognitoKeycloakAndAuth0SpeakForTheirUsers(t *testing.T) {
	t.Parallel()
	is := startIssuer(t)
	base := with(is.claims(), "aud", nil, "scope", nil, "roles", nil, "email", nil)
	for name, c := range map[string]struct {
		typ    any
		conf   func(*ExternalConfig)
		claims map[string]any
		want   account.Principal
	}{
		"Cognito": {nil, func(c *ExternalConfig) {
			c.Audiences, c.Clients, c.RoleClaim = nil, []string{"3n4b5urk1ft4fl3mg5e62d9ado"}, "cognito:groups"
			c.Roles = map[string]account.Role{"video-editors": account.Editor, "video-admins": account.Admin}
		}, with(base, "token_use", "access", "client_id", "3n4b5urk1ft4fl3mg5e62d9ado", "username", "jane", "cognito:groups", []string{"others", "video-editors", "admin"}, "scope", "aws.cognito.signin.user.admin videos/read videos/write"),
			account.Principal{Kind: account.Person, Name: "jane", Role: account.Editor, Workspaces: []string{"main"}, Scopes: account.Scopes{account.VideosRead, account.VideosWrite}}},
		"Cognito, a machine": {nil, func(c *ExternalConfig) {
			c.Audiences, c.Clients, c.DefaultRole = nil, []string{"machine"}, account.Viewer
		}, with(base, "token_use", "access", "client_id", "machine", "sub", "machine", "scope", "videos/read jobs/admin"),
			account.Principal{Kind: account.Service, Name: "machine", Role: account.Viewer, Workspaces: []string{"main"}, Scopes: account.Scopes{account.VideosRead}}},
		"Keycloak": {"JWT", func(c *ExternalConfig) {
			c.Audiences, c.RoleClaim, c.ScopeClaim, c.WorkspaceClaim = []string{"sluice"}, "realm_access.roles", "", "workspaces"
		}, with(base, "typ", "Bearer", "azp", "page", "aud", []string{"account", "sluice"}, "scope", "openid profile", "nonce", "n", "preferred_username", "jane",
			"realm_access", map[string]any{"roles": []string{"offline_access", "editor"}}, "workspaces", []string{"a", "b"}),
			account.Principal{Kind: account.Person, Name: "jane", Role: account.Editor, Workspaces: []string{"a", "b"}, Scopes: account.Editor.Scopes()}},
		"Auth0": {"JWT", func(c *ExternalConfig) {
			c.RoleClaim, c.ScopeClaim = "https://video.example.com/roles", "permissions"
			c.Scopes = map[string]account.Scope{"read:videos": account.VideosRead, "write:videos": account.VideosWrite}
		}, with(base, "aud", []string{"https://video.example.com", is.URL + "/userinfo"}, "azp", "page", "scope", "openid", "permissions", []string{"read:videos", "run:jobs"},
			"https://video.example.com/roles", []string{"admin"}, "email", "jane@example.com\n\x00"),
			account.Principal{Kind: account.Person, Name: "jane@example.com", Role: account.Admin, Workspaces: []string{"main"}, Scopes: account.Scopes{account.VideosRead}}},
	} {
		e, _ := is.trusting(c.conf)
		who, err := e.as(t, is.sign(t, c.claims, "typ", c.typ))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !strings.HasPrefix(who.ID, "oidc:") || len(who.ID) != 31 {
			t.Errorf("%s: id %q", name, who.ID)
		}
		who.ID = ""
		got, _ := json.Marshal(who)
		want, _ := json.Marshal(c.want)
		if string(got) != string(want) {
			t.Errorf("%s:\n%s, want\n%s", name, got, want)
		}
	}
}

func TestAForeignTokenThatIsNotAsConfiguredIsRefused(t *testing.T) {
	t.Parallel()
	is := startIssuer(t)
	e, _ := is.trusting(func(c *ExternalConfig) {
		c.Clients, c.Require = []string{"page"}, map[string]string{"tid": "ours"}
	})
	base := with(is.claims(), "azp", "page", "tid", "ours")
	if who, err := e.as(t, is.sign(t, base)); err != nil || who.Scopes.String() != "videos/read videos/write" || who.Role != account.Editor {
		t.Fatalf("%+v %v", who, err)
	}
	mine, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for what, token := range map[string]string{
		"alg none":                    forge(t, map[string]any{"alg": "none", "kid": "k1", "typ": "at+jwt"}, base, nil, nil),
		"HS256":                       forge(t, map[string]any{"alg": "HS256", "kid": "k1", "typ": "at+jwt"}, base, nil, []byte("secret")),
		"another algorithm":           is.sign(t, base, "alg", "RS384"),
		"another key":                 forge(t, map[string]any{"alg": "RS256", "kid": "k1", "typ": "at+jwt"}, base, mine, nil),
		"an unknown kid":              is.sign(t, base, "kid", "k9"),
		"a jku":                       is.sign(t, base, "jku", is.URL+"/keys"),
		"another issuer":              is.sign(t, with(base, "iss", "https://evil.example.com")),
		"another audience":            is.sign(t, with(base, "aud", []string{"https://other.example.com"})),
		"no audience":                 is.sign(t, with(base, "aud", nil)),
		"another client":              is.sign(t, with(base, "azp", "evil")),
		"another tenant":              is.sign(t, with(base, "tid", "theirs")),
		"no tenant":                   is.sign(t, with(base, "tid", nil)),
		"expired":                     is.sign(t, with(base, "exp", now.Add(-time.Minute).Unix())),
		"no end":                      is.sign(t, with(base, "exp", nil)),
		"not good yet":                is.sign(t, with(base, "nbf", now.Add(time.Hour).Unix())),
		"issued in the future":        is.sign(t, with(base, "iat", now.Add(time.Hour).Unix())),
		"nbf in words":                is.sign(t, with(base, "nbf", "soon")),
		"an ID token by at_hash":      is.sign(t, with(base, "at_hash", "x"), "typ", "JWT"),
		"an ID token by token_use":    is.sign(t, with(base, "token_use", "id"), "typ", nil),
		"an ID token by its claim":    is.sign(t, with(base, "typ", "ID"), "typ", "JWT"),
		"an ID token, plain":          is.sign(t, with(base, "scope", nil), "typ", "JWT"),
		"a refresh token of Keycloak": is.sign(t, with(base, "typ", "Refresh"), "typ", "JWT"),
		"a logout token":              is.sign(t, base, "typ", "logout+jwt"),
		"a token bound to a key":      is.sign(t, with(base, "cnf", map[string]any{"jkt": "x"})),
	} {
		if who, err := e.as(t, token); err == nil || fault.Of(err).Code != "invalid_token" {
			t.Errorf("%s: %+v %v", what, who, err)
		}
	}
	if _, err := e.as(t, is.sign(t, with(base, "roles", []string{"guest"}))); err == nil || fault.Of(err).Code != "no_role" {
		t.Errorf("without a role: %v", err)
	}
	plain, _ := is.trusting(func(c *ExternalConfig) { c.Audiences, c.Clients = nil, []string{"page"} })
	if _, err := plain.as(t, is.sign(t, with(base, "aud", "page"))); err == nil || fault.Of(err).Code != "invalid_token" {
		t.Errorf("no audience is configured, and none is needed only by tokens with a token_use: %v", err)
	}
}

func TestKeysOfAnIssuerAreReadSeldomAndHeededSoon(t *testing.T) {
	t.Parallel()
	is := startIssuer(t)
	e, later := is.trusting(nil)
	good := func(what, token string) {
		t.Helper()
		if _, err := e.as(t, token); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	bad := func(what, token, code string) {
		t.Helper()
		if _, err := e.as(t, token); err == nil || fault.Of(err).Code != code {
			t.Errorf("%s: %v, want %s", what, err, code)
		}
	}
	old := is.sign(t, with(is.claims(), "exp", time.Now().Add(100*time.Hour).Unix()))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { good("one of many", old) })
	}
	all.Wait()
	if n := is.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	header := map[string]any{"alg": "RS256", "kid": "k2", "typ": "at+jwt"}
	next := forge(t, header, with(is.claims(), "exp", time.Now().Add(100*time.Hour).Unix()), is.add(t, "k2"), nil)
	for i := range 50 {
		bad("made up", is.sign(t, is.claims(), "kid", strings.Repeat("x", i+1)), "invalid_token")
	}
	bad("a new key, too soon", next, "invalid_token")
	if n := is.asked.Load(); n != 1 {
		t.Errorf("tokens of nobody made it ask %d times", n)
	}
	later.Add(int64(keysAgain))
	good("a new key", next)
	is.set(func() { is.fails = true })
	later.Add(int64(keysFresh + time.Second))
	good("while the issuer is away", old)
	bad("made up while the issuer is away", is.sign(t, is.claims(), "kid", "k3"), "issuer_unavailable")
	is.set(func() { is.fails = false; delete(is.keys, "k1") })
	later.Add(int64(keysAgain))
	bad("a key that was taken back", old, "invalid_token")
	is.set(func() { is.fails = true })
	later.Add(int64(keysStale))
	bad("away for a day", next, "issuer_unavailable")
}

func TestKeysComeFromWhereTheyAreSaidToBeAndFromNowhereElse(t *testing.T) {
	t.Parallel()
	elsewhere := startIssuer(t)
	for what, stage := range map[string]func(*issuer){
		"another issuer's document": func(is *issuer) { is.says = "https://evil.example.com" },
		"a redirect":                func(is *issuer) { is.to = elsewhere.URL + "/keys" },
		"a huge document":           func(is *issuer) { is.more = []any{map[string]any{"kty": "oct", "k": strings.Repeat("x", mostKeys)}} },
		"no key of use": func(is *issuer) {
			is.keys, is.more = nil, []any{map[string]any{"kty": "oct", "k": "c2VjcmV0", "kid": "k1"}}
		},
	} {
		is := startIssuer(t)
		token := is.sign(t, is.claims())
		is.set(func() { stage(is) })
		e, _ := is.trusting(nil)
		if _, err := e.as(t, token); err == nil || fault.Of(err).Code != "issuer_unavailable" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := elsewhere.asked.Load(); n != 0 {
		t.Errorf("%d questions went elsewhere", n)
	}
	is := startIssuer(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	is.set(func() {
		is.more = []any{map[string]any{"kty": "new", "kid": "k7"}, map[string]any{"kty": "oct", "k": "c2VjcmV0", "kid": "k8"},
			jose.JSONWebKey{Key: weak.Public(), KeyID: "weak"}, jose.JSONWebKey{Key: is.keys["k1"].Public(), KeyID: "seals", Use: "enc"}}
	})
	e, _ := is.trusting(nil)
	if _, err := e.as(t, is.sign(t, is.claims())); err != nil {
		t.Errorf("keys beside that nobody here knows: %v", err)
	}
	for what, token := range map[string]string{
		"a key that seals": is.sign(t, is.claims(), "kid", "seals"),
		"a weak key":       forge(t, map[string]any{"alg": "RS256", "kid": "weak", "typ": "at+jwt"}, is.claims(), weak, nil),
		"a shared key":     forge(t, map[string]any{"alg": "HS256", "kid": "k8", "typ": "at+jwt"}, is.claims(), nil, []byte("secret")),
	} {
		if _, err := e.as(t, token); err == nil || fault.Of(err).Code != "invalid_token" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if secureAs("https://a.example.com", "http://a.example.com/keys") == nil || secureAs("https://a.example.com", "file:///keys") == nil {
		t.Error("keys may come by a way that anybody can change")
	}
}
