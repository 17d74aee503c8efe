package oauth

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/account"
)

// forge writes a JWT with any header, signed by a key as its alg has it (RS256 where that is none of RSA's), or by a MAC.
func forge(t *testing.T, header, claims map[string]any, key *rsa.PrivateKey, mac []byte) string {
	t.Helper()
	text := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	body := text(header) + "." + text(claims)
	var signature []byte
	switch {
	case key != nil:
		hash := map[any]crypto.Hash{"RS384": crypto.SHA384, "RS512": crypto.SHA512}[header["alg"]]
		if hash == 0 {
			hash = crypto.SHA256
		}
		sum := hash.New()
		sum.Write([]byte(body))
		var err error
		if signature, err = rsa.SignPKCS1v15(rand.Reader, key, hash, sum.Sum(nil)); err != nil {
			t.Fatal(err)
		}
	case mac != nil:
		h := hmac.New(sha256.New, mac)
		h.Write([]byte(body))
		signature = h.Sum(nil)
	}
	return body + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// with is a copy of a map with more, or without what is nil.
func with(m map[string]any, more ...any) map[string]any {
	all := map[string]any{}
	for k, v := range m {
		all[k] = v
	}
	for i := 0; i < len(more); i += 2 {
		if all[more[i].(string)] = more[i+1]; more[i+1] == nil {
			delete(all, more[i].(string))
		}
	}
	return all
}

// certificate is one of a key, by the key itself, as x5c has it.
func certificate(t *testing.T, key *rsa.PrivateKey) string {
	t.Helper()
	one := x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &one, &one, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

func TestForgedTokensAreRefused(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		one := w.tokens("ed")
		header, claims := parts(t, one.str("access_token"))
		key, err := w.ring.signer(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w.good("the pattern of the forgeries", forge(t, header, claims, key.private, nil))
		mine, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKIXPublicKey(key.public.Key)
		if err != nil {
			t.Fatal(err)
		}
		public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		jwk, err := json.Marshal(key.public)
		if err != nil {
			t.Fatal(err)
		}
		own := map[string]any{"kty": "RSA", "e": "AQAB", "n": base64.RawURLEncoding.EncodeToString(mine.N.Bytes())}
		now := w.Now()
		good, bad := one.str("access_token"), func(more ...any) string { return forge(t, header, with(claims, more...), key.private, nil) }
		for what, token := range map[string]string{
			"alg none":                        forge(t, with(header, "alg", "none"), claims, nil, nil),
			"alg None":                        forge(t, with(header, "alg", "None"), claims, nil, nil),
			"alg none with a good signature":  forge(t, with(header, "alg", "none"), claims, key.private, nil),
			"no alg":                          forge(t, with(header, "alg", nil), claims, key.private, nil),
			"no signature":                    good[:strings.LastIndex(good, ".")+1],
			"HS256 with the public key (PEM)": forge(t, with(header, "alg", "HS256"), claims, nil, public),
			"HS256 with the public key (DER)": forge(t, with(header, "alg", "HS256"), claims, nil, der),
			"HS256 with the public key (JWK)": forge(t, with(header, "alg", "HS256"), claims, nil, jwk),
			"RS512":                           forge(t, with(header, "alg", "RS512"), claims, key.private, nil),
			"another key under our kid":       forge(t, header, claims, mine, nil),
			"its own key":                     forge(t, with(header, "jwk", own), claims, mine, nil),
			"its own key, without kid":        forge(t, with(header, "jwk", own, "kid", nil), claims, mine, nil),
			"our key, sent along":             forge(t, with(header, "jwk", json.RawMessage(jwk)), claims, key.private, nil),
			"jku":                             forge(t, with(header, "jku", "https://evil.example.com/jwks"), claims, key.private, nil),
			"x5u":                             forge(t, with(header, "x5u", "https://evil.example.com/cert"), claims, key.private, nil),
			"x5c":                             forge(t, with(header, "x5c", []string{certificate(t, key.private)}), claims, key.private, nil),
			"JWK in capitals":                 forge(t, with(header, "JWK", own), claims, key.private, nil),
			"crit":                            forge(t, with(header, "crit", []string{"x"}, "x", 1), claims, key.private, nil),
			"b64":                             forge(t, with(header, "b64", false, "crit", []string{"b64"}), claims, key.private, nil),
			"no kid":                          forge(t, with(header, "kid", nil), claims, key.private, nil),
			"kid a path":                      forge(t, with(header, "kid", "../../../../dev/null"), claims, key.private, nil),
			"kid SQL":                         forge(t, with(header, "kid", "' OR 1=1 --"), claims, key.private, nil),
			"kid a number":                    forge(t, with(header, "kid", 1), claims, key.private, nil),
			"kid huge":                        forge(t, with(header, "kid", strings.Repeat("k", 10_000)), claims, key.private, nil),
			"huge":                            bad("more", strings.Repeat("x", 1<<20)),
			"typ JWT":                         forge(t, with(header, "typ", "JWT"), claims, key.private, nil),
			"no typ":                          forge(t, with(header, "typ", nil), claims, key.private, nil),
			"an ID token":                     one.str("id_token"),
			"an ID token under our typ":       forge(t, header, func() map[string]any { _, c := parts(t, one.str("id_token")); return c }(), key.private, nil),
			"a refresh token":                 "ey." + one.str("refresh_token") + ".x",
			"expired":                         bad("exp", now.Add(-time.Minute).Unix()),
			"without an end":                  bad("exp", nil),
			"an end in words":                 bad("exp", "tomorrow"),
			"issued tomorrow":                 bad("iat", now.Add(24*time.Hour).Unix()),
			"wrong iss":                       bad("iss", "https://evil.example.com"),
			"iss with a slash":                bad("iss", w.Issuer+"/"),
			"wrong aud":                       bad("aud", "https://other.example.com"),
			"no aud":                          bad("aud", nil),
			"the client as aud":               bad("aud", w.web.ID),
			"a client that is none":           bad("client_id", "nobody"),
			"a user that is none":             bad("sub", "nobody"),
			"a user as service":               bad("sid", nil),
			"changed claims":                  strings.Replace(good, strings.Split(good, ".")[1], strings.Split(bad("scope", "users/admin"), ".")[1], 1),
		} {
			w.bad(what, token)
		}
		if who := w.good("signed by us, with more scope than anybody gave", bad("scope", "users/admin videos/read")); who.Scopes.String() != "videos/read" {
			t.Errorf("%+v", who)
		}
		w.sleep(w.Access + leeway + time.Second)
		w.bad("a quarter of an hour later", good)
	})
}

func TestACodeWorksOnceForItsClientAndVerifier(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		other, secret := w.add(account.Client{Kind: account.WebClient, Redirects: w.web.Redirects, Scopes: w.web.Scopes})
		form := func(code string) url.Values {
			return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {w.web.Redirects[0]}, "code_verifier": {plainVerifier}}
		}
		code := w.code("ed")
		if a := w.post(pathToken, other.ID, secret, form(code)); a.str("error") != "invalid_grant" {
			t.Errorf("another client: %d %s", a.status, a.text)
		}
		a := w.redeem(code)
		if a.status != 200 {
			t.Fatalf("another client's try has spent it: %d %s", a.status, a.text)
		}
		w.good("before", a.str("access_token"))
		if b := w.redeem(code); b.str("error") != "invalid_grant" {
			t.Errorf("replayed: %d %s", b.status, b.text)
		}
		w.bad("what a replayed code gave", a.str("access_token"))
		if b := w.refresh(a.str("refresh_token")); b.str("error") != "invalid_grant" {
			t.Errorf("what a replayed code gave: %d %s", b.status, b.text)
		}
		for what, change := range map[string][]string{
			"another verifier":     {"code_verifier", strings.Repeat("b", 43)},
			"the challenge":        {"code_verifier", s256(plainVerifier)},
			"another redirect URI": {"redirect_uri", "https://app.example.com/cb"},
		} {
			code := w.code("ed")
			if b := w.redeem(code, change...); b.str("error") != "invalid_grant" {
				t.Errorf("%s: %d %s", what, b.status, b.text)
			}
			if b := w.redeem(code); b.str("error") != "invalid_grant" {
				t.Errorf("after %s: %d %s", what, b.status, b.text)
			}
		}
		for what, change := range map[string][]string{"no verifier": {"code_verifier", ""}, "a short verifier": {"code_verifier", "short"}} {
			if b := w.redeem(w.code("ed"), change...); b.str("error") != "invalid_grant" {
				t.Errorf("%s: %d %s", what, b.status, b.text)
			}
		}
		if b := w.redeem(w.code("ed", "code_challenge", s256("short")), "code_verifier", "short"); b.str("error") != "invalid_grant" {
			t.Errorf("a verifier that can be guessed: %d %s", b.status, b.text)
		}
		gone := w.code("ed")
		w.people.change("ed", func(u *account.User) { u.State = account.Disabled })
		w.sleep(Fresh)
		if b := w.redeem(gone); b.str("error") != "invalid_grant" || b.str("access_token") != "" {
			t.Errorf("of somebody disabled since: %d %s", b.status, b.text)
		}
	})
}

func TestACodeIsGoodForAMinute(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.sleep(-time.Minute) // the store has the machine's clock
		if a := w.redeem(w.code("ed")); a.str("error") != "invalid_grant" {
			t.Errorf("of a minute ago: %d %s", a.status, a.text)
		}
		w.sleep(time.Minute)
		w.tokens("ed")
	})
}

func TestOnlyPKCEWithS256AndTheCodeFlowAreTaken(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.signIn("ed")
		for name, c := range map[string]struct {
			change []string
			want   string
		}{
			"plain":                {[]string{"code_challenge", plainVerifier, "code_challenge_method", "plain"}, "invalid_request"},
			"no method":            {[]string{"code_challenge_method", ""}, "invalid_request"},
			"no challenge":         {[]string{"code_challenge", ""}, "invalid_request"},
			"neither":              {[]string{"code_challenge", "", "code_challenge_method", ""}, "invalid_request"},
			"a challenge too long": {[]string{"code_challenge", strings.Repeat("a", 44)}, "invalid_request"},
			"implicit":             {[]string{"response_type", "token"}, "unsupported_response_type"},
			"an ID token at once":  {[]string{"response_type", "id_token"}, "unsupported_response_type"},
			"hybrid":               {[]string{"response_type", "code id_token"}, "unsupported_response_type"},
			"no response type":     {[]string{"response_type", ""}, "unsupported_response_type"},
			"in the fragment":      {[]string{"response_mode", "fragment"}, "invalid_request"},
			"by a form":            {[]string{"response_mode", "form_post"}, "invalid_request"},
			"a request object":     {[]string{"request", "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"},
			"a request by address": {[]string{"request_uri", "https://evil.example.com/r"}, "request_uri_not_supported"},
			"another resource":     {[]string{"resource", "https://other.example.com"}, "invalid_target"},
			"no scope of ours":     {[]string{"scope", "everything"}, "invalid_scope"},
			"a huge state":         {[]string{"state", strings.Repeat("s", mostState+1)}, "invalid_request"},
		} {
			a := w.get(pathAuthorize, w.ask(c.change...))
			if a.to == nil || a.to.Query().Get("error") != c.want || a.to.Query().Get("code") != "" || a.to.Query().Get("iss") != w.Issuer || a.to.Host != "app.example.com" {
				t.Errorf("%s: %d %v %s, want %s", name, a.status, a.to, a.text, c.want)
			}
		}
		for grant, want := range map[string]string{"password": "unsupported_grant_type", "urn:ietf:params:oauth:grant-type:device_code": "unauthorized_client",
			"urn:ietf:params:oauth:grant-type:token-exchange": "unauthorized_client", "urn:ietf:params:oauth:grant-type:jwt-bearer": "unsupported_grant_type",
			"client_credentials": "unauthorized_client", "implicit": "unsupported_grant_type", "": "invalid_request"} {
			form := url.Values{"grant_type": {grant}, "username": {"ed"}, "password": {"x"}, "device_code": {"x"}, "assertion": {"x"}, "subject_token": {"x"}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"}}
			if a := w.post(pathToken, w.web.ID, w.secret, form); a.status != 400 || a.str("error") != want {
				t.Errorf("grant %q: %d %s, want %s", grant, a.status, a.text, want)
			}
		}
	})
}

func TestNobodyIsSentWhereNoClientIsRegistered(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.signIn("ed")
		native, _ := w.add(account.Client{Kind: account.NativeClient, Redirects: []string{"http://127.0.0.1:8000/cb", "com.example.app:/cb"}, Scopes: account.Scopes{account.VideosRead}})
		for _, uri := range []string{
			"", "https://evil.example.com/cb?x=1", "https://app.example.com/cb", "https://app.example.com/cb?x=1&y=2", "https://app.example.com/cb?x=1#f", "https://app.example.com/cb?x=1/",
			"https://app.example.com/cb%3Fx=1", "https://app.example.com%2Fcb?x=1", "https://app.example.com/./cb?x=1", "https://app.example.com/x/../cb?x=1", "https://APP.example.com/cb?x=1",
			"https://app.example.com:443/cb?x=1", "https://app.example.com@evil.example.com/cb?x=1", "https://evil.example.com\\@app.example.com/cb?x=1", "https://app.example.com\\.evil.example.com/cb?x=1",
			"https:app.example.com/cb?x=1", "//app.example.com/cb?x=1", "/\\app.example.com/cb", "https://app.example.com/cb?x=1\t", "https://app.example.com/\tcb?x=1", "https://app.example.com/%09cb?x=1",
			"http://app.example.com/cb?x=1", "javascript:alert(1)//app.example.com/cb?x=1", "https://app.example.com.evil.example.com/cb?x=1", "https://app.example.com/cb?x=1 https://evil.example.com", "http://127.0.0.1:8000/cb",
		} {
			v := w.ask()
			v.Set("redirect_uri", uri)
			if a := w.get(pathAuthorize, v); a.status != 400 || a.to != nil || strings.Contains(a.text, "evil") {
				t.Errorf("%q: %d %v %s", uri, a.status, a.to, a.text)
			}
		}
		onNative := func(uri string) went {
			return w.get(pathAuthorize, w.ask("client_id", native.ID, "redirect_uri", uri, "scope", "videos/read"))
		}
		for _, uri := range []string{"http://127.0.0.1:1/cb", "http://127.0.0.1:65535/cb", "http://127.0.0.1/cb", "com.example.app:/cb"} {
			if a := onNative(uri); a.to == nil || !strings.HasPrefix(a.to.Fragment, "/signin") {
				t.Errorf("%q: %d %s", uri, a.status, a.text)
			}
		}
		for _, uri := range []string{"http://127.0.0.1:1@evil.example.com/cb", "http://127.0.0.1:1/cb/", "http://127.0.0.1:1/cb?x", "http://127.0.0.2:1/cb", "https://127.0.0.1:1/cb", "http://localhost:1/cb",
			"http://127.0.0.1.evil.example.com/cb", "http://127.0.0.1:/cb", "http://127.0.0.1:123456/cb", "http://127.0.0.1:1\\@evil/cb", "http://127.0.0.1:1%2f/cb", "com.example.app://evil/cb", "com.example.app:/cb/.."} {
			if a := onNative(uri); a.status != 400 || a.to != nil {
				t.Errorf("%q: %d %v", uri, a.status, a.to)
			}
		}
		web, _ := w.add(account.Client{Kind: account.WebClient, Redirects: []string{"http://127.0.0.1:8000/cb"}, Scopes: w.web.Scopes})
		if a := w.get(pathAuthorize, w.ask("client_id", web.ID, "redirect_uri", "http://127.0.0.1:8001/cb")); a.status != 400 || a.to != nil {
			t.Errorf("another port of a client that is not native: %d %v", a.status, a.to)
		}
		for _, client := range []string{"", "nobody", "' OR 1=1", strings.Repeat("c", 10_000)} {
			if a := w.get(pathAuthorize, w.ask("client_id", client)); a.status != 400 || a.to != nil {
				t.Errorf("client %.20q: %d %v", client, a.status, a.to)
			}
		}
		for name, values := range map[string][]string{"redirect_uri": {w.web.Redirects[0], "https://evil.example.com/"}, "state": {"a", "b"}, "scope": {"videos/read", "videos/read"}, "x": {"1", "2"}} {
			for range 2 {
				twice := w.ask()
				twice[name] = values
				if a := w.get(pathAuthorize, twice); a.status != 400 || a.to != nil {
					t.Errorf("%s twice: %d %v", name, a.status, a.to)
				}
				slices.Reverse(values)
			}
		}
	})
}

func TestTheTokenEndpointTakesOnlyWhatIsClear(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		good := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}}
		send := func(method, query, contentType, body, user, password string) went {
			req, err := http.NewRequestWithContext(t.Context(), method, w.Issuer+pathToken+query, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", contentType)
			if user != "" {
				req.SetBasicAuth(user, password)
			}
			return w.do(req)
		}
		const kind = "application/x-www-form-urlencoded"
		spa, _ := w.add(account.Client{Kind: account.SPAClient, Redirects: w.web.Redirects, Scopes: w.web.Scopes})
		for name, c := range map[string]struct {
			a    went
			want string
		}{
			"a GET":                         {send("GET", "?"+good.Encode(), kind, "", w.web.ID, w.secret), "405 invalid_request"},
			"parameters in the address":     {send("POST", "?"+good.Encode(), kind, "", w.web.ID, w.secret), "400 invalid_request"},
			"a secret in the address":       {send("POST", "?client_secret="+w.secret+"&client_id="+w.web.ID, kind, good.Encode(), "", ""), "400 invalid_request"},
			"JSON":                          {send("POST", "", "application/json", `{"grant_type":"refresh_token"}`, w.web.ID, w.secret), "400 invalid_request"},
			"a parameter twice":             {send("POST", "", kind, good.Encode()+"&refresh_token=y", w.web.ID, w.secret), "400 invalid_request"},
			"two proofs":                    {send("POST", "", kind, good.Encode()+"&client_secret="+w.secret, w.web.ID, w.secret), "400 invalid_request"},
			"two clients":                   {send("POST", "", kind, good.Encode()+"&client_id=other", w.web.ID, w.secret), "400 invalid_request"},
			"a huge body":                   {send("POST", "", kind, good.Encode()+"&x="+strings.Repeat("x", mostForm), w.web.ID, w.secret), "413 invalid_request"},
			"no secret":                     {send("POST", "", kind, good.Encode()+"&client_id="+w.web.ID, "", ""), "401 invalid_client"},
			"an empty secret":               {send("POST", "", kind, good.Encode(), w.web.ID, ""), "401 invalid_client"},
			"a hash as secret":              {send("POST", "", kind, good.Encode(), w.web.ID, w.web.Secret), "401 invalid_client"},
			"nobody":                        {send("POST", "", kind, good.Encode(), "", ""), "400 invalid_request"},
			"a client that is none":         {send("POST", "", kind, good.Encode(), "nobody", "x"), "401 invalid_client"},
			"an assertion":                  {send("POST", "", kind, good.Encode()+"&client_id="+w.web.ID+"&client_assertion=x&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer", "", ""), "401 invalid_client"},
			"a secret of who has none":      {send("POST", "", kind, good.Encode(), spa.ID, "x"), "401 invalid_client"},
			"a good form and a wrong token": {send("POST", "", kind, good.Encode(), w.web.ID, w.secret), "400 invalid_grant"},
		} {
			if got := fmt.Sprint(c.a.status, " ", c.a.str("error")); got != c.want || c.a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %s %s, want %s", name, got, c.a.text, c.want)
			}
		}
		if a := w.get(pathUserinfo, url.Values{"access_token": {w.tokens("ed").str("access_token")}}); a.status != 401 {
			t.Errorf("a token in the address: %d %s", a.status, a.text)
		}
		if text := w.log.String(); strings.Contains(text, w.secret) || strings.Contains(text, "eyJ") {
			t.Errorf("the log has a secret: %s", text)
		}
	})
}

func TestAnotherOriginMayAskAndIsSentNoCookies(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, path := range []string{pathToken, pathUserinfo, pathRevoke, pathKeys, "/.well-known/openid-configuration", pathMetadata} {
			a := w.get(path, nil, "Origin", "https://app.example.com")
			if a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s: %v", path, a.header)
			}
		}
		if a := w.get(pathAuthorize, w.ask(), "Origin", "https://app.example.com"); a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%v", a.header)
		}
	})
}
