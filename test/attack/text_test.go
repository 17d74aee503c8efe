package attack

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// texts are what somebody may type. Those that hold what can't be typed are refused wherever text is taken, or taken as they are where only a comparison follows.
var texts = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `javascript:alert(1)`, `{{constructor.constructor('alert(1)')()}}`, `${7*7}`, `' OR 1=1; DROP TABLE account; --`,
	`</textarea><svg/onload=alert(1)>`, `%0d%0aSet-Cookie: a=b`, `../../../../etc/passwd`, `=cmd|' /C calc'!A0`, `%s%n%x`, `\u003cscript\u003e`, "Ünï ⚡ 漢字",
	"a\r\nSet-Cookie: sluice=x", "a\nlevel=ERROR msg=forged", "a\x00b", "\x1b[2J\x1b[31mred", "\u202egnp.exe", "\u2028line", "a\u0085b", "\ufeffbom", strings.Repeat("x", 1500),
}

// unprintable reports whether a text holds what none of ours may.
func unprintable(text string) bool {
	return strings.ContainsAny(text, "\r\n\x00\x1b\u202e\u2028\u0085\ufeff")
}

// bodies are what each route takes that takes a body: every text of it is replaced by every one of texts.
var bodies = map[string]string{
	"createUpload":      `{"filename":"a.mp4","content_type":"video/mp4","workspace":"main","playback_policy":"signed"}`,
	"createUploadParts": `{"first":1,"count":1}`,
	"editVideo":         `{"title":"x","description":"x","workspace":"main","playback_policy":"signed"}`,
	"encodeVideo":       `{}`,
	"redriveVideo":      `{}`,
	"sweep":             `{}`,
	"subscribe":         `{"address":"ops@example.com"}`,
	"editQueue":         `{"machine":"media-1","workers":2}`,
	"signIn":            `{"email":"ada@example.com","password":"x"}`,
	"changePassword":    `{"current":"x","password":"y"}`,
	"proveFactor":       `{"code":"x"}`,
	"offerFactor":       `{"password":"x","code":"x"}`,
	"setFactor":         `{"code":"x"}`,
	"makeRecoveryCodes": `{"password":"x","code":"x"}`,
	"removeFactor":      `{"password":"x","code":"x"}`,
	"forgotPassword":    `{"email":"ada@example.com"}`,
	"takeLink":          `{"code":"x"}`,
	"resetPassword":     `{"code":"x","password":"y"}`,
	"makeToken":         `{"name":"x","scopes":["videos/read"],"expires":"` + time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339) + `"}`,
	"inviteUser":        `{"email":"new@example.com","name":"x","role":"viewer"}`,
	"editUser":          `{"name":"x"}`,
	"makeWorkspace":     `{"id":"w","name":"x"}`,
	"editWorkspace":     `{"name":"x"}`,
	"inviteUserAgain":   `{}`,
	"tellObjects":       `{"Records":[]}`,
	"addClient":         `{"name":"x","kind":"spa","redirects":["https://app.example.com/cb"],"scopes":["videos/read"]}`,
	"editClient":        `{"name":"x"}`,
	"authorize":         `{"request":"x"}`,
	"addPlayback":       `{"name":"x"}`,
	"editPlayback":      `{"name":"x"}`,
	"addKeyPair":        `{"pem":"x","id":"K1","replaces":"K2"}`,
	"retireKeyPair":     `{"after":604800}`,
	"rotateTokenKeys":   `{}`,
	"createKey":         `{"video":"x","playback":"x","path":"poster.jpg","ip":"192.0.2.1","not_before":"` + time.Now().UTC().Format(time.RFC3339) + `"}`,
}

// kept are the texts that are stored for people to read: the printable ones come back as they are, and the others are refused.
var kept = map[string]string{
	"editVideo title": "title", "editVideo description": "description", "makeToken name": "name", "inviteUser name": "name", "editUser name": "name",
	"makeWorkspace name": "name", "editWorkspace name": "name", "addClient name": "name", "editClient name": "name",
	"addPlayback name": "name", "editPlayback name": "name",
}

func TestATextIsATextInEveryField(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, format)
			s.person("ada", "admin", "main", "videos/read")
			s.names["{video}"] = s.operator(201, "POST /v1/uploads", `{"filename":"a.mp4"}`)["id"].(string)
			s.names["{playback}"] = s.operator(201, s.told("POST /v1/videos/{video}/playbacks"), bodies["addPlayback"])["id"].(string)
			s.names["{client}"] = s.operator(201, "POST /v1/clients", bodies["addClient"])["id"].(string)
			asked := 0
			for _, r := range s.bodied() {
				base, ok := bodies[r.id]
				if !ok {
					t.Errorf("%s takes a body, and none is known here", r.id)
					continue
				}
				fields := map[string]any{}
				if err := json.Unmarshal([]byte(base), &fields); err != nil {
					t.Fatal(err)
				}
				for _, name := range r.texts {
					if fields[name] == nil {
						t.Errorf("%s has a text %s, and no sample of it is here", r.id, name)
					}
					for i, text := range texts {
						asked++
						s.type1(r, fields, name, text, i)
					}
				}
			}
			if asked < 300 {
				t.Errorf("only %d texts were sent", asked)
			}
			s.inPlaces()
			s.readAll()
			s.clean()
		})
	}
}

// bodied is a route that takes a body.
type bodied struct {
	ask, id string
	texts   []string
}

// bodied reads from the server's own description which routes take a body, and which texts there are in it.
func (s *stage) bodied() (all []bodied) {
	s.t.Helper()
	type property struct {
		Type any
		Enum []any
	}
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string
			RequestBody struct {
				Content map[string]struct {
					Schema struct {
						Ref string `json:"$ref"`
					}
				}
			}
		}
		Components struct {
			Schemas map[string]struct{ Properties map[string]property }
		}
	}
	if err := json.Unmarshal([]byte(s.send("GET /openapi.json", nil, "").body), &doc); err != nil {
		s.t.Fatal(err)
	}
	for path, item := range doc.Paths {
		for method, op := range item {
			content, ok := op.RequestBody.Content["application/json"]
			if !ok {
				continue
			}
			at := strings.NewReplacer("/videos/{id}", "/videos/"+s.names["{video}"], "/uploads/{id}", "/uploads/"+s.names["{video}"], "/users/{id}", "/users/"+s.names["{ada}"], "/workspaces/{id}", "/workspaces/main", "/clients/{id}", "/clients/"+s.names["{client}"],
				"{playback}", s.names["{playback}"], "{name}", "ingest").Replace(path)
			r := bodied{ask: strings.ToUpper(method) + " " + at, id: op.OperationID}
			for name, p := range doc.Components.Schemas[content.Schema.Ref[strings.LastIndexByte(content.Schema.Ref, '/')+1:]].Properties {
				if strings.Contains(fmt.Sprint(p.Type), "string") && len(p.Enum) == 0 {
					r.texts = append(r.texts, name)
				}
			}
			all = append(all, r)
		}
	}
	if len(all) < 15 {
		s.t.Errorf("only %d routes take a body", len(all))
	}
	return all
}

// type1 types a text into one field of a route's body.
func (s *stage) type1(r bodied, fields map[string]any, name, text string, n int) {
	s.t.Helper()
	body := map[string]any{}
	for k, v := range fields {
		body[k] = v
	}
	body[name] = text
	if r.id == "inviteUser" && name == "name" {
		body["email"] = fmt.Sprintf("new%d@example.com", n)
	}
	if r.id == "makeWorkspace" && name == "name" {
		body["id"] = fmt.Sprintf("w%d", n)
	}
	raw, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	who := s.told("Cookie: sluice={ada's cookie}")
	if strings.HasSuffix(r.ask, "/events/s3") || r.id == "editUser" || r.id == "signIn" { // her own session is to go on
		who = "Authorization: Bearer " + s.Token
	}
	got := s.send(r.ask, []string{who, jsonBody, s.elsewhere()}, string(raw))
	what := fmt.Sprintf("%s %s=%.40q", r.id, name, text)
	s.harmless(what, got)
	if got.status >= 500 {
		s.t.Errorf("%s: %d %s", what, got.status, got.body)
	}
	if strings.ContainsAny(fmt.Sprint(got.header), "\r\n\x00\x1b") || got.header.Get("Set-Cookie") != "" && r.id != "signIn" && r.id != "changePassword" {
		s.t.Errorf("%s: headers %q", what, got.header)
	}
	field, keeps := kept[r.id+" "+name]
	if !keeps {
		return
	}
	var said map[string]any
	if err := json.Unmarshal([]byte(got.body), &said); err != nil {
		s.t.Errorf("%s: %d %s", what, got.status, got.body)
	}
	if token, ok := said["token"].(string); ok {
		s.keep("a personal token", token)
	}
	bad := unprintable(text) || len(text) > 1000
	if name == "description" { // of several lines
		bad = unprintable(strings.NewReplacer("\r\n", "", "\n", "").Replace(text))
	}
	switch {
	case bad:
		if got.status != 422 {
			s.t.Errorf("%s: %d %.300s", what, got.status, got.body)
		}
	case got.status >= 300 || said[field] != text:
		s.t.Errorf("%s: %d, came back as %q", what, got.status, said[field])
	}
}

// inPlaces sends texts where no body is: the path, the query, and headers that servers heed.
func (s *stage) inPlaces() {
	s.t.Helper()
	for _, raw := range []string{
		"%0d%0aSet-Cookie:%20a=b", "%00", "%1b%5b31mred", "%3Cscript%3Ealert(1)%3C/script%3E", "%E2%80%AEgnp", "%E2%80%A8line", "%C2%85x", "%ff%fe", strings.Repeat("%0a", 500), strings.Repeat("z", 6000),
		"x%22%20level=ERROR%20msg=forged",
	} {
		for _, ask := range []string{"GET /v1/" + raw, "GET /v1/videos/" + raw, "GET /v1/users/" + raw, "DELETE /v1/sessions/" + raw, "GET /v1/videos?cursor=" + raw, "GET /v1/videos?" + raw + "=1", "GET /v1/users?cursor=" + raw} {
			for _, who := range []string{"Authorization: Bearer " + s.Token, "Authorization: Bearer " + raw} {
				got := s.send(ask, []string{who}, "")
				what := fmt.Sprintf("%.60s", ask)
				s.harmless(what, got)
				if got.status < 400 || got.status >= 500 || got.header.Get("Set-Cookie") != "" {
					s.t.Errorf("%s: %s", what, got)
				}
			}
		}
	}
	for _, value := range []string{"<script>", `1.2.3.4" msg="forged`, "1.2.3.4, evil", "::ffff:1.2.3.4%eth0", "\u202ex", "\u0085", strings.Repeat("9", 5000), "unknown", "999.1.1.1"} {
		for _, name := range []string{"X-Forwarded-For", "User-Agent", "Cookie", "Authorization", "Origin", "Referer", "Accept-Language", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Request-Id", "Traceparent"} {
			got := s.send("POST /v1/session", []string{name + ": " + value, jsonBody}, object("email", "ada@example.com", "password", "wrong"))
			if got.status >= 500 || got.status < 400 || strings.Contains(got.body, value) {
				s.t.Errorf("%s: %.40q: %d %.300s", name, value, got.status, got.body)
			}
		}
	}
}

// readAll reads back whatever was kept: as JSON that no browser takes for a page.
func (s *stage) readAll() {
	s.t.Helper()
	for _, path := range []string{"/v1/users", "/v1/workspaces", "/v1/videos", "/v1/videos/{video}", "/v1/videos/{video}/events", "/v1/tokens", "/v1/sessions", "/v1/audit", "/v1/outbox/letters", "/v1/subscriptions", "/v1/errors", "/v1/jobs", "/v1/clients"} {
		got := s.send(s.told("GET "+path), []string{s.told("Cookie: sluice={ada's cookie}")}, "")
		if got.status != 200 {
			s.t.Errorf("%s: %s %s", path, got, got.body)
		}
		s.harmless(path, got)
		if unprintable(strings.TrimSuffix(got.body, "\n")) {
			s.t.Errorf("%s: unprintable: %q", path, got.body)
		}
	}
}
