package attack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

// factor is a second factor of somebody: what their app and their slip of paper have.
type factor struct {
	s      *stage
	secret string
	spare  []string
}

// code is what the app shows a step from now, or before.
func (f factor) code(steps int) string {
	f.s.t.Helper()
	code, err := totp.GenerateCode(f.secret, time.Now().Add(time.Duration(steps)*30*time.Second))
	if err != nil {
		f.s.t.Fatal(err)
	}
	return code
}

func (s *stage) as(cookie string) []string {
	return []string{"Cookie: sluice=" + cookie, jsonBody, s.elsewhere()}
}

// offer begins a second factor in a session.
func (s *stage) offer(cookie string) factor {
	s.t.Helper()
	got := s.send("POST /v1/factor", s.as(cookie), object("password", own))
	var said struct{ Secret, URI string }
	if err := json.Unmarshal([]byte(got.body), &said); err != nil || got.status != 201 {
		s.t.Fatalf("%s %s", got, got.body)
	}
	s.keep("the secret of a second factor", said.Secret)
	if got := s.send("GET /v1/factor/image", s.as(cookie), ""); got.status != 200 || got.header.Get("Content-Type") != "image/png" || got.header.Get("Cache-Control") != "no-store" ||
		got.header.Get("X-Content-Type-Options") != "nosniff" || got.header.Get("Cross-Origin-Resource-Policy") != "same-origin" {
		s.t.Errorf("%s %v", got, got.header)
	}
	return factor{s: s, secret: said.Secret}
}

// enrol sets up a second factor for somebody who is signed in, whose cookie is another one then.
func (s *stage) enrol(name string) factor {
	s.t.Helper()
	cookie := s.names["{"+name+"'s cookie}"]
	f := s.offer(cookie)
	got := s.send("POST /v1/factor/confirm", s.as(cookie), object("code", f.code(-1)))
	var said struct {
		Codes []string `json:"recovery_codes"`
	}
	if err := json.Unmarshal([]byte(got.body), &said); err != nil || got.status != 200 || len(said.Codes) != 10 {
		s.t.Fatalf("%s %s", got, got.body)
	}
	for _, code := range said.Codes {
		s.keep("a recovery code", code)
		s.keep("a recovery code", strings.ReplaceAll(code, "-", ""))
		s.keep("a recovery code", strings.ToUpper(strings.ReplaceAll(code, "-", "")))
	}
	f.spare, s.names["{"+name+"'s cookie}"] = said.Codes, s.cookie(got)
	return f
}

// waits is a session of somebody's that waits for their second factor.
func (s *stage) waits(name string) string {
	s.t.Helper()
	return s.cookie(s.signIn(name+"@example.com", own, s.elsewhere()))
}

func TestAPasswordAloneOpensNothingWhereThereIsASecondFactor(t *testing.T) {
	t.Parallel()
	s := newStage(t, "json")
	for _, name := range []string{"ada", "bob"} {
		s.person(name, "admin", "main", "videos/read")
	}
	ada, bob := s.enrol("ada"), s.enrol("bob")
	prove := func(cookie, code string) answer {
		return s.send("POST /v1/session/factor", s.as(cookie), object("code", code))
	}

	// The cookie that the password opens is good for nothing else, whatever is asked.
	cookie := s.waits("ada")
	open := map[string]bool{"get /v1/session": true, "post /v1/session/factor": true, "delete /v1/session": true, "post /v1/session": true}
	var doc struct {
		Paths map[string]map[string]struct{ Security []map[string][]string }
	}
	if err := json.Unmarshal([]byte(s.send("GET /openapi.json", nil, "").body), &doc); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for path, item := range doc.Paths {
		for method, op := range item {
			if len(op.Security) == 0 || op.Security[0]["events"] != nil || open[method+" "+path] {
				continue
			}
			asked++
			at := strings.NewReplacer("{id}", s.names["{ada}"], "{name}", "ingest", "{playback}", "x").Replace(path)
			if got := s.send(strings.ToUpper(method)+" "+at, s.as(cookie), "{}"); got.String() != "403 second_factor_required" {
				t.Errorf("%s %s: %s", method, path, got)
			}
		}
	}
	if asked < 40 {
		t.Errorf("only %d routes were asked", asked)
	}
	client := s.operator(201, "POST /v1/clients", `{"name":"x","kind":"web","redirects":["https://app.example.com/cb"],"scopes":["videos/read"]}`)["id"].(string)
	authorize := "/oauth/authorize?" + url.Values{"client_id": {client}, "redirect_uri": {"https://app.example.com/cb"}, "response_type": {"code"}, "scope": {"openid videos/read"},
		"code_challenge": {strings.Repeat("A", 43)}, "code_challenge_method": {"S256"}}.Encode()
	if to := s.send("GET "+authorize, s.as(cookie), "").header.Get("Location"); !strings.HasPrefix(to, s.URL+"/#/signin?request=") || strings.Contains(to, "code=") {
		t.Errorf("a program is given something: %s", to)
	}

	// What is not her code opens nothing; what is, once; and neither tells which it was.
	refusals := map[string]bool{}
	for what, code := range map[string]string{"another account's code": bob.code(0), "another account's recovery code": bob.spare[0], "a code of long ago": ada.code(-20), "nothing": " "} {
		got := prove(cookie, code)
		if got.String() != "422 wrong_code" {
			t.Errorf("%s: %s", what, got)
		}
		refusals[got.body] = true
	}
	code := ada.code(0)
	got := prove(cookie, code)
	if got.status != 201 {
		t.Fatalf("%s %s", got, got.body)
	}
	full := s.cookie(got)
	if got := s.send("GET /v1/session", s.as(cookie), ""); got.status != 204 {
		t.Errorf("the session that waited lives: %s", got)
	}
	if got := s.send("GET /v1/users", s.as(full), ""); got.status != 200 {
		t.Errorf("%s", got)
	}
	replayed := prove(s.waits("ada"), code)
	if refusals[replayed.body] = true; replayed.String() != "422 wrong_code" || len(refusals) != 1 {
		t.Errorf("a replayed code: %s; %d kinds of refusals", replayed, len(refusals))
	}

	// Of fifty who show the same recovery code at once, one is let in.
	waiting := make([]string, 50)
	for i := range waiting {
		waiting[i] = s.waits("bob")
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	answers := map[string]int{}
	for _, one := range waiting {
		all.Go(func() {
			got := prove(one, bob.spare[1])
			mu.Lock()
			defer mu.Unlock()
			answers[got.String()]++
			if c := got.header.Get("Set-Cookie"); c != "" {
				cookie, err := http.ParseSetCookie(c)
				if err != nil {
					t.Error(err)
					return
				}
				s.keep("a cookie", cookie.Value)
			}
		})
	}
	all.Wait()
	if answers["201"] != 1 || answers["422 wrong_code"]+answers["429 try_later"] != 49 {
		t.Errorf("%v", answers)
	}
	s.tells("bob@example.com", "A recovery code was used")
	s.clean()
}

func TestASecondFactorIsNotGuessedOrTakenOver(t *testing.T) {
	t.Parallel()
	s := newStage(t, "text")
	for _, name := range []string{"ada", "bob"} {
		s.person(name, "admin", "main", "videos/read")
	}
	s.enrol("ada")

	// Who has the password guesses, from many addresses and in many sessions: the wait is the account's, and the password forgives nothing.
	answers := map[string]int{}
	for i := range 40 {
		cookie := s.waits("ada")
		got := s.send("POST /v1/session/factor", s.as(cookie), object("code", fmt.Sprintf("%06d", i)))
		if answers[got.String()]++; got.status == 429 && got.header.Get("Retry-After") == "" {
			t.Errorf("no Retry-After: %v", got.header)
		}
	}
	if answers["422 wrong_code"] > 12 || answers["429 try_later"] < 25 {
		t.Errorf("40 guesses: %v", answers)
	}
	if got := s.send("GET /v1/users", s.as(s.names["{ada's cookie}"]), ""); got.status != 200 {
		t.Errorf("her own session suffers: %s", got)
	}

	// A stolen session neither replaces the factor, nor takes it, nor makes recovery codes; and an administrator's is no way round for their own.
	stolen := s.names["{ada's cookie}"]
	for ask, want := range map[string]string{"POST /v1/factor": "403 password_required", "POST /v1/factor/remove": "403 password_required", "POST /v1/factor/recovery-codes": "403 password_required",
		s.told("DELETE /v1/users/{ada}/factor"): "403 own_factor"} {
		if got := s.send(ask, s.as(stolen), "{}"); got.String() != want {
			t.Errorf("%s: %s, want %s", ask, got, want)
		}
	}
	if got := s.send(s.told("DELETE /v1/users/{ada}/factor"), []string{s.told("Authorization: Bearer {ada's token}")}, ""); got.status != 403 {
		t.Errorf("her own token: %s", got)
	}
	if got := s.send("POST /v1/factor", s.as(stolen), object("password", own)); got.String() != "403 code_required" {
		t.Errorf("with the password too: %s", got)
	}

	// Two sessions set up a second factor at once: what one is offered is not the other's, and one of them wins.
	mine, theirs := s.cookie(s.signIn("bob@example.com", own, s.elsewhere())), s.cookie(s.signIn("bob@example.com", own, s.elsewhere()))
	first, second := s.offer(mine), s.offer(theirs)
	if first.secret == second.secret {
		t.Error("two sessions are offered the same secret")
	}
	if got := s.send("POST /v1/factor/confirm", s.as(mine), object("code", second.code(0))); got.String() != "422 wrong_code" {
		t.Errorf("what the other session was offered: %s", got)
	}
	got := s.send("POST /v1/factor/confirm", s.as(mine), object("code", first.code(0)))
	if got.status != 200 {
		t.Fatalf("%s %s", got, got.body)
	}
	s.cookie(got)
	if got := s.send("POST /v1/factor/confirm", s.as(theirs), object("code", second.code(0))); got.status != 401 {
		t.Errorf("the other session goes on: %s", got)
	}

	// The other admin lets her in again, and letters tell.
	s.operator(204, s.told("DELETE /v1/users/{ada}/factor"), "")
	if got := s.send("GET /v1/session", s.as(stolen), ""); got.status != 204 {
		t.Errorf("a session survives the reset: %s", got)
	}
	var in struct {
		MustProve bool `json:"must_prove"`
	}
	got = s.signIn("ada@example.com", own, s.elsewhere())
	if err := json.Unmarshal([]byte(got.body), &in); err != nil || in.MustProve || got.status != 201 {
		t.Errorf("%s %s", got, got.body)
	}
	s.cookie(got)
	s.tells("ada@example.com", "Your account has a second factor")
	s.tells("ada@example.com", "Your second factor was removed")
	s.tells("bob@example.com", "Your account has a second factor")
	s.clean()
}

// tells waits for a letter with that subject.
func (s *stage) tells(to, subject string) {
	s.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		for _, l := range s.office.Letters() {
			if l.To == to && l.Message.Header.Get("Subject") == subject {
				return
			}
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("no letter tells %s: %s", to, subject)
		}
	}
}
