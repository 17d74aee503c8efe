package attack

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

const form = "Content-Type: application/x-www-form-urlencoded"

// part is a part of a JWT, written anew.
func part(t *testing.T, text string, change func(map[string]any)) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]any{}
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	change(m)
	if raw, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// set changes one claim or field of a header; nil takes it away.
func set(key string, value any) func(map[string]any) {
	return func(m map[string]any) {
		if m[key] = value; value == nil {
			delete(m, key)
		}
	}
}

// What a forger with the signing key could do is in internal/oauth; this is what one without it may try at the front door.
func TestAForgedAccessTokenOpensNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, "json")
	made := s.operator(201, "POST /v1/clients", `{"name":"Robot","kind":"service","scopes":["videos/read"],"role":"viewer","workspaces":["main"]}`)
	id, secret := made["id"].(string), s.keep("a client's secret", made["secret"].(string))
	ask := func(head []string, pairs ...string) answer {
		v := url.Values{}
		for i := 0; i+1 < len(pairs); i += 2 {
			v.Add(pairs[i], pairs[i+1])
		}
		return s.send("POST /oauth/token", append([]string{form, s.elsewhere()}, head...), v.Encode())
	}
	got := ask(nil, "grant_type", "client_credentials", "client_id", id, "client_secret", secret, "scope", "videos/read users/admin")
	var tokens struct {
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(got.body), &tokens); err != nil || tokens.Access == "" {
		t.Fatalf("%s %s", got, got.body)
	}
	good := s.keep("an access token", tokens.Access)
	bearing := func(token string) []string { return []string{"Authorization: Bearer " + token} }
	if got := s.send("GET /v1/videos", bearing(good), ""); got.status != 200 {
		t.Fatalf("%s %s", got, got.body)
	}
	if got := s.send("GET /v1/users", bearing(good), ""); got.String() != "403 missing_scope" {
		t.Errorf("more than the program may: %s", got)
	}
	p := strings.Split(good, ".")
	head := func(change func(map[string]any)) string { return part(t, p[0], change) }
	body := func(change func(map[string]any)) string { return part(t, p[1], change) }
	admin := body(set("scope", "users/admin videos/read"))
	for what, token := range map[string]string{
		"no signature":                  p[0] + "." + p[1] + ".",
		"alg none":                      head(set("alg", "none")) + "." + admin + ".",
		"alg nOnE":                      head(set("alg", "nOnE")) + "." + admin + "." + p[2],
		"HS256":                         head(set("alg", "HS256")) + "." + admin + "." + p[2],
		"another scope":                 p[0] + "." + admin + "." + p[2],
		"another subject":               p[0] + "." + body(set("sub", "root")) + "." + p[2],
		"no end":                        p[0] + "." + body(set("exp", nil)) + "." + p[2],
		"its own key":                   head(set("jwk", map[string]any{"kty": "oct", "k": "AAAA"})) + "." + p[1] + "." + p[2],
		"keys from elsewhere":           head(set("jku", s.URL+"/uploads/keys.json")) + "." + p[1] + "." + p[2],
		"a kid that is a path":          head(set("kid", "../../oauth.key")) + "." + p[1] + "." + p[2],
		"a kid that is a line":          head(set("kid", "x\r\nlevel=ERROR")) + "." + p[1] + "." + p[2],
		"another type":                  head(set("typ", "JWT")) + "." + p[1] + "." + p[2],
		"a bit of the signature":        p[0] + "." + p[1] + "." + strings.NewReplacer("A", "B", "B", "A").Replace(p[2]),
		"four parts":                    good + ".AAAA",
		"five parts":                    good + ".AAAA.AAAA",
		"a space in it":                 p[0] + ". " + p[1] + "." + p[2],
		"padding":                       p[0] + "=." + p[1] + "." + p[2],
		"16 kB of it":                   good + strings.Repeat("A", 16<<10),
		"none of it":                    "eyJ..",
		"the client's secret":           secret,
		"the client's secret as a JWT":  "ey" + secret + ".x.y",
		"the token twice":               good + good,
		"the token in quotes":           `"` + good + `"`,
		"the token and another's scope": good + ",scope=users/admin",
	} {
		if got := s.send("GET /v1/videos", bearing(token), ""); got.status != 401 {
			t.Errorf("%s: %s %.200s", what, got, got.body)
		}
	}
	for what, got := range map[string]answer{
		"a wrong secret":            ask(nil, "grant_type", "client_credentials", "client_id", id, "client_secret", secret+"x"),
		"no secret":                 ask(nil, "grant_type", "client_credentials", "client_id", id),
		"a client that is none":     ask(nil, "grant_type", "client_credentials", "client_id", "nobody", "client_secret", secret),
		"a secret in the query":     s.send("POST /oauth/token?client_id="+id+"&client_secret=x&grant_type=client_credentials", []string{form}, "x=1"),
		"a password":                ask(nil, "grant_type", "password", "username", "admin@localhost", "password", own, "client_id", id, "client_secret", secret),
		"a token that is exchanged": ask(nil, "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token", good, "client_id", id, "client_secret", secret),
		"a parameter twice":         ask(nil, "grant_type", "client_credentials", "grant_type", "client_credentials", "client_id", id, "client_secret", secret),
		"JSON":                      s.send("POST /oauth/token", []string{jsonBody}, object("grant_type", "client_credentials", "client_id", id, "client_secret", secret)),
		"introspection by nobody":   s.send("POST /oauth/introspect", []string{form}, "token="+good),
	} {
		if got.status < 400 || got.status >= 500 || strings.Contains(got.body, "access_token") || strings.Contains(got.body, `"active":true`) {
			t.Errorf("%s: %s %.300s", what, got, got.body)
		}
	}
	s.clean()
}

func TestNobodyIsSentWhereNoProgramIs(t *testing.T) {
	t.Parallel()
	s := newStage(t, "text")
	s.person("ada", "editor", "main", "videos/read")
	const back = "https://app.example.com/cb"
	id := s.operator(201, "POST /v1/clients", `{"name":"App","kind":"spa","redirects":["`+back+`"],"scopes":["videos/read"]}`)["id"].(string)
	challenge := strings.Repeat("c", 43)
	ask := func(redirect string, more ...string) answer {
		v := url.Values{"client_id": {id}, "response_type": {"code"}, "scope": {"openid videos/read"}, "state": {"s"}, "redirect_uri": {redirect},
			"code_challenge": {challenge}, "code_challenge_method": {"S256"}}
		for i := 0; i+1 < len(more); i += 2 {
			if v.Set(more[i], more[i+1]); more[i+1] == "" {
				v.Del(more[i])
			}
		}
		return s.send("GET /oauth/authorize?"+v.Encode(), []string{s.told("Cookie: sluice={ada's cookie}")}, "")
	}
	at := ask(back).header.Get("Location")
	if u, err := url.Parse(at); err != nil || !strings.HasPrefix(at, back+"?") || u.Query().Get("code") == "" || u.Query().Get("iss") == "" {
		t.Fatalf("who may, is sent to %q", at)
	} else {
		s.keep("a code", u.Query().Get("code"))
	}
	for _, evil := range []string{
		"https://evil.example/cb", "//evil.example/cb", `/\evil.example`, "https://app.example.com.evil.example/cb", "https://app.example.com@evil.example/cb", "https://app.example.com/cb/../x",
		"https://app.example.com/cb?x=1", "https://app.example.com/cb#x", "https://app.example.com/CB", "HTTPS://app.example.com/cb", "https://app.example.com:443/cb", "http://app.example.com/cb",
		"https://app.example.com/cb\t", "https://app.example.com/cb%09", "\thttps://app.example.com/cb", "https://app.example.com\\@evil.example/cb", "javascript:alert(1)", "data:text/html,x", "",
		"https://app.example.com/cb\r\nLocation: https://evil.example", "https://аpp.example.com/cb",
	} {
		got := ask(evil)
		if got.status != 400 || got.header.Get("Location") != "" {
			t.Errorf("%q: %d to %q", evil, got.status, got.header.Get("Location"))
		}
		s.harmless(evil, got)
	}
	for what, more := range map[string][]string{
		"no PKCE": {"code_challenge", ""}, "plain PKCE": {"code_challenge_method", "plain"}, "a token at once": {"response_type", "token"}, "hybrid": {"response_type", "code id_token"},
		"another client": {"client_id", "nobody"}, "a request object": {"request", "eyJhbGciOiJub25lIn0.e30."}, "a request elsewhere": {"request_uri", "https://evil.example/r"},
	} {
		got := ask(back, more...)
		if to := got.header.Get("Location"); to != "" && (!strings.HasPrefix(to, back+"?") && !strings.HasPrefix(to, back+"#") || strings.Contains(to, "code=") || strings.Contains(to, "token=")) || got.status >= 500 {
			t.Errorf("%s: %d to %q", what, got.status, to)
		}
	}
	for _, to := range []string{"https://evil.example/", "//evil.example", `/\evil.example`, "javascript:alert(1)"} {
		for _, name := range []string{"post_logout_redirect_uri", "return_to", "redirect", "next"} {
			got := s.send("GET /oauth/logout?"+url.Values{name: {to}}.Encode(), nil, "")
			if at := got.header.Get("Location"); strings.Contains(at, "evil") || strings.HasPrefix(at, "javascript") || got.status >= 500 {
				t.Errorf("%s=%s: %d to %q", name, to, got.status, at)
			}
		}
	}
	s.clean()
}
