package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sluice/internal/account"
)

// knock is one request at an entrance, and what it is answered.
type knock struct {
	as          caller
	method, at  string
	body        string
	status      int
	leads, says string // what its Location, and its text, have in them
}

// everybody knocks at an address, and is answered alike.
func (c cast) everybody(status int, method string, at ...string) (all []knock) {
	for _, one := range at {
		for _, who := range c.all {
			all = append(all, knock{as: who, method: method, at: one, status: status})
		}
	}
	return all
}

// knock knocks at everything that is served, and returns how often.
func (c cast) knock() (asked int) {
	c.t.Helper()
	for until := time.Now().Add(time.Minute); c.send(caller{}, "GET", "/readyz", "").status != http.StatusOK; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) {
			c.t.Fatal("the server is not ready")
		}
	}
	table := c.knocks()
	for _, e := range c.entrances() {
		if len(table[e.pattern]) == 0 {
			c.t.Errorf("nobody knocks at %s: %s", e.pattern, e.guard)
		}
	}
	for pattern, knocks := range table {
		for _, k := range knocks {
			asked++
			got := c.send(k.as, k.method, k.at, k.body)
			if got.status != k.status || !strings.Contains(got.header.Get("Location"), k.leads) || !strings.Contains(got.text, k.says) {
				c.t.Errorf("%s: %s %.200s as %s: %d to %q, want %d: %.300s", pattern, k.method, k.at, k.as.name, got.status, got.header.Get("Location"), k.status, got.text)
			}
		}
	}
	return asked
}

// knocks are what is knocked with, by entrance. The routes under /v1/ are the matrix's.
func (c cast) knocks() map[string][]knock {
	c.t.Helper()
	return map[string][]knock{
		"GET /healthz":                      c.everybody(200, "GET", "/healthz"),
		"GET /readyz":                       c.everybody(200, "GET", "/readyz"),
		"GET /openapi.json":                 c.everybody(200, "GET", "/openapi.json"),
		"GET /openapi.yaml":                 c.everybody(200, "GET", "/openapi.yaml"),
		"/":                                 append(c.everybody(200, "GET", "/"), c.everybody(405, "POST", "/")...),
		"/.well-known/openid-configuration": c.everybody(200, "GET", "/.well-known/openid-configuration"),
		"/.well-known/oauth-authorization-server": c.everybody(200, "GET", "/.well-known/oauth-authorization-server"),
		"/stream/":             c.streams(),
		"S3":                   c.objectsKnocks(),
		"/v1/":                 {{as: caller{}, method: "GET", at: "/v1/nowhere", status: 401}, {as: c.root(), method: "GET", at: "/v1/nowhere", status: 404}, {as: c.admin, method: "GET", at: "/v1/nowhere", status: 404}},
		"/v1/keys":             {{as: caller{}, method: "POST", at: "/v1/keys", body: `{"all":true}`, status: 401}, {as: c.root(), method: "POST", at: "/v1/keys", body: `{"all":true}`, status: 200}, {as: c.root(), method: "GET", at: "/v1/keys", status: 405}},
		"/keys":                {{as: caller{}, method: "GET", at: "/keys", status: 401}, {as: c.root(), method: "GET", at: "/keys", status: 200}, {as: c.root(), method: "POST", at: "/keys", status: 405}},
		"/v1/events/s3":        c.tellers(),
		"GET /oauth/authorize": c.authorizations(),
		"GET /oauth/logout":    {{as: caller{}, method: "GET", at: "/oauth/logout", status: 302, leads: "/#/"}},
		"/oauth/":              c.tokens(),
	}
}

func (c cast) prefix(id string) string {
	c.t.Helper()
	var prefix string
	if err := c.store.DB().Read.QueryRowContext(c.t.Context(), `SELECT prefix FROM video WHERE id = $1`, id).Scan(&prefix); err != nil {
		c.t.Fatal(err)
	}
	return prefix
}

// objectsKnocks: no credentials of people are any at the S3 endpoint, and a presigned address allows what was signed and nothing beside.
func (c cast) objectsKnocks() []knock {
	granted := c.done(c.root(), "POST", "/v1/uploads", `{"filename":"a.mp4"}`).str("url")
	at, err := url.Parse(granted)
	if err != nil {
		c.t.Fatal(err)
	}
	elsewhere, forged := *at, *at
	elsewhere.Path += "x"
	q := forged.Query()
	q.Set("X-Amz-Signature", strings.Repeat("0", 64))
	forged.RawQuery = q.Encode()
	all := c.everybody(403, "PUT", elsewhere.String(), forged.String())
	all = append(all, c.everybody(403, "GET", granted)...)
	all = append(all, c.everybody(400, "GET", "/uploads?X-Amz-Signature=0", "/media?X-Amz-Algorithm=AWS4-HMAC-SHA256")...)
	all = append(all, c.everybody(403, "DELETE", granted)...)
	all = append(all, knock{method: "PUT", at: granted, body: "not much of a video", status: 200})
	return append(all, c.s3Clients()...)
}

// tellers: only the token of events opens this, and it opens nothing else.
func (c cast) tellers() (all []knock) {
	for _, who := range c.all {
		all = append(all, knock{as: who, method: "POST", at: "/v1/events/s3", body: `{"Records":[]}`, status: 401})
	}
	teller := caller{name: "the token of events", token: eventsToken}
	return append(all, knock{as: teller, method: "POST", at: "/v1/events/s3", body: `{"Records":[]}`, status: 200}, knock{as: teller, method: "GET", at: "/v1/videos", status: 401})
}

// authorizations: a browser's session gives a code, a token gives none.
func (c cast) authorizations() (all []knock) {
	for _, who := range c.all {
		k := knock{as: who, method: "GET", at: c.app.asks(), status: 302, leads: "/#/signin?request="}
		switch {
		case who.refusal != "":
			k.status, k.leads, k.says = 401, "", who.refusal
		case who.cookie != "" && who.who.Settled() == nil && who.origin == "": // a script of another page, and no browser that was sent there
			k.leads = backAt + "?code="
		}
		all = append(all, k)
	}
	return append(all, knock{as: c.admin, method: "GET", at: strings.Replace(c.app.asks(), "app.example.com", "evil.example.com", 1), status: 400})
}

// tokens: a program proves itself by its secret, and userinfo is for access tokens of people.
func (c cast) tokens() (all []knock) {
	proof := url.Values{"client_id": {c.app.id}, "client_secret": {c.app.secret}}.Encode()
	given := c.given(c.viewer, c.app)
	shown := "token=" + given.token
	named := shown + "&client_secret=no&client_id=" + c.app.id
	for _, who := range c.all {
		person := who.token != "" && who.who.Kind == account.Person && strings.Count(who.token, ".") == 2
		info := knock{as: who, method: "GET", at: "/oauth/userinfo", status: 401}
		if person {
			info.status = 200
		}
		all = append(all, info)
		if who.token == "" { // a cookie is no proof
			all = append(all, knock{as: who, method: "POST", at: "/oauth/token", body: "grant_type=client_credentials&client_id=" + c.app.id, status: 401},
				knock{as: who, method: "POST", at: "/oauth/introspect", body: named, status: 401}, knock{as: who, method: "POST", at: "/oauth/revoke", body: named, status: 401})
		}
	}
	id, secret := c.registered(`{"name":"x","kind":"service","role":"viewer","scopes":["videos/read"]}`)
	service := "grant_type=client_credentials&" + url.Values{"client_id": {id}, "client_secret": {secret}}.Encode()
	return append(all,
		knock{method: "POST", at: "/oauth/token", body: service, status: 200, says: "access_token"},
		knock{method: "POST", at: "/oauth/token", body: service + "x", status: 401, says: "invalid_client"},
		knock{method: "POST", at: "/oauth/introspect", body: shown + "&" + proof, status: 200, says: fmt.Sprintf("%q:true", "active")},
		knock{method: "POST", at: "/oauth/revoke", body: shown + "&" + proof, status: 200},
		knock{method: "GET", at: "/oauth/jwks", status: 200, says: "keys"},
		knock{method: "GET", at: "/oauth/token", status: 405}, knock{as: c.admin, method: "GET", at: "/oauth/nowhere", status: 404})
}
