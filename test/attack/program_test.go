package attack

import (
	"crypto/sha256"
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

// idToken has somebody who is signed in sign in to a program, and returns the ID token that it gets.
func (s *stage) idToken(name, client, back string) string {
	s.t.Helper()
	verifier := strings.Repeat("v", 43)
	sum := sha256.Sum256([]byte(verifier))
	ask := url.Values{"client_id": {client}, "response_type": {"code"}, "scope": {"openid videos/read"}, "redirect_uri": {back},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
	at, err := url.Parse(s.send("GET /oauth/authorize?"+ask.Encode(), []string{s.told("Cookie: sluice={" + name + "'s cookie}")}, "").header.Get("Location"))
	if err != nil || at.Query().Get("code") == "" {
		s.t.Fatalf("%v: %v", at, err)
	}
	redeem := url.Values{"grant_type": {"authorization_code"}, "code": {s.keep("a code", at.Query().Get("code"))}, "redirect_uri": {back}, "client_id": {client}, "code_verifier": {verifier}}
	got := s.send("POST /oauth/token", []string{form}, redeem.Encode())
	var tokens struct {
		ID     string `json:"id_token"`
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(got.body), &tokens); err != nil || tokens.ID == "" {
		s.t.Fatalf("%s %s", got, got.body)
	}
	s.names["{"+name+"'s access token}"] = s.keep("an access token", tokens.Access)
	return s.keep("an ID token", tokens.ID)
}

func TestNobodyIsSignedOutOrSentAwayByALink(t *testing.T) {
	t.Parallel()
	s := newStage(t, "json")
	s.person("ada", "editor", "main", "videos/read")
	s.person("mal", "viewer", "main", "videos/read")
	const back, bye = "https://app.example.com/cb", "https://app.example.com/bye"
	client := func(name, back, bye string) string {
		return s.operator(201, "POST /v1/clients", `{"name":"`+name+`","kind":"spa","redirects":["`+back+`"],"logouts":["`+bye+`"],"scopes":["videos/read"]}`)["id"].(string)
	}
	app, other := client("App", back, bye), client("Other", "https://other.example.com/cb", "https://other.example.com/bye")
	hers, his := s.idToken("ada", app, back), s.idToken("mal", app, back)
	page := s.URL + "/#/"
	leave := func(pairs ...string) answer {
		v := url.Values{}
		for i := 0; i+1 < len(pairs); i += 2 {
			v.Add(pairs[i], pairs[i+1])
		}
		return s.send("GET /oauth/logout?"+v.Encode(), []string{s.told(ada)}, "")
	}
	in := func(what string) {
		t.Helper()
		if got := s.send("GET /v1/session", []string{s.told(ada)}, ""); got.status != 200 {
			t.Errorf("%s: she is signed out", what)
		}
	}
	p := strings.Split(hers, ".")
	for what, hint := range map[string]string{
		"none": "", "another person's": his, "an access token": s.told("{ada's access token}"), "no signature": p[0] + "." + p[1] + ".",
		"alg none": part(t, p[0], set("alg", "none")) + "." + p[1] + ".", "his, in her name": strings.Split(his, ".")[0] + "." + p[1] + "." + strings.Split(his, ".")[2],
		"another client's": p[0] + "." + part(t, p[1], set("azp", other)) + "." + p[2], "with a key": part(t, p[0], set("jwk", map[string]any{"kty": "oct", "k": "AA"})) + "." + p[1] + "." + p[2],
		"of another type": part(t, p[0], set("typ", "request+jwt")) + "." + p[1] + "." + p[2], "16 kB": hers + strings.Repeat("A", 16<<10),
	} {
		for _, to := range []string{"", bye} {
			got := leave("id_token_hint", hint, "post_logout_redirect_uri", to, "client_id", app)
			if at := got.header.Get("Location"); got.status >= 500 || at != "" && !strings.HasPrefix(at, page) || got.header.Get("Set-Cookie") != "" {
				t.Errorf("a hint that is %s, to %q: %d to %q", what, to, got.status, at)
			}
			in("a hint that is " + what)
		}
	}
	for _, evil := range []string{
		"https://evil.example/bye", "//evil.example", `/\evil.example`, "/bye", bye + "/", bye + "?x=1", bye + "#x", "https://app.example.com/bye/../x", "https://app.example.com.evil.example/bye",
		"https://app.example.com@evil.example/bye", "HTTPS://app.example.com/bye", "https://app.example.com:443/bye", "http://app.example.com/bye", bye + "\t", bye + "%09", "javascript:alert(1)",
		bye + "\r\nLocation: https://evil.example", "https://other.example.com/bye", back,
	} {
		for what, got := range map[string]answer{
			"with her hint": leave("id_token_hint", hers, "post_logout_redirect_uri", evil), "with a client": leave("client_id", app, "post_logout_redirect_uri", evil),
			"with another client": leave("id_token_hint", hers, "client_id", other, "post_logout_redirect_uri", evil), "with neither": leave("post_logout_redirect_uri", evil),
		} {
			if got.status != 400 || got.header.Get("Location") != "" {
				t.Errorf("%q %s: %d to %q", evil, what, got.status, got.header.Get("Location"))
			}
			s.harmless(evil, got)
		}
	}
	in("addresses that nobody has registered")
	if got := leave("id_token_hint", hers, "id_token_hint", his); got.status != 400 {
		t.Errorf("two hints: %s", got)
	}
	if got := s.send("POST /oauth/logout", []string{form, s.told(ada), "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}, "client_id="+app); !strings.HasPrefix(got.header.Get("Location"), "/oauth/logout?") {
		t.Errorf("a form of another site: %s to %q", got, got.header.Get("Location"))
	}
	for _, site := range []string{"cross-site", "same-site"} {
		if got := s.send("DELETE /v1/session", []string{s.told(ada), "Origin: https://evil.example", "Sec-Fetch-Site: " + site}, ""); got.String() != "403 cross_site" {
			t.Errorf("a page of another site (%s): %s", site, got)
		}
	}
	in("another site's requests")

	// Where she is asked she goes back to the program alone that asked, and by what this server signed.
	asked := strings.TrimPrefix(leave("client_id", app, "post_logout_redirect_uri", bye, "state", "a\r\nb").header.Get("Location"), page+"signout?request=")
	out := func(request string) answer {
		got := s.signIn("ada@example.com", own, s.elsewhere())
		return s.send("DELETE /v1/session?request="+url.QueryEscape(request), []string{"Cookie: sluice=" + s.cookie(got)}, "")
	}
	q := strings.Split(asked, ".")
	for what, forged := range map[string]string{
		"elsewhere": q[0] + "." + part(t, q[1], set("to", "https://evil.example/")) + "." + q[2], "unsigned": q[0] + "." + q[1] + ".", "her ID token": hers, "nothing": "", "another text": "https://evil.example/",
	} {
		if got := out(forged); got.status != 204 || strings.Contains(got.body, "evil") {
			t.Errorf("%s: %s %s", what, got, got.body)
		}
	}
	if got := out(asked); got.status != 200 || !strings.Contains(got.body, bye+`?state=a%0D%0Ab`) {
		t.Errorf("%s %s", got, got.body)
	}
	if got := leave("id_token_hint", hers, "post_logout_redirect_uri", bye, "state", "s"); got.header.Get("Location") != bye+"?state=s" {
		t.Errorf("who may, is sent to %q", got.header.Get("Location"))
	}
	if got := s.send("GET /v1/session", []string{s.told(ada)}, ""); got.status != 204 {
		t.Errorf("signed out, and still in: %s", got)
	}
	s.clean()
}
