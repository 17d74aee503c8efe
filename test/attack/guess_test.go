package attack

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// sameOutside is what of an answer everybody sees, without what differs between any two.
func sameOutside(a answer) string {
	h := a.header.Clone()
	h.Del("Date")
	return fmt.Sprint(a.status, h, a.body)
}

func TestNobodyLearnsByAnAnswerWhoHasAnAccount(t *testing.T) {
	t.Parallel()
	s := newStage(t, "text")
	s.person("ada", "viewer", "main", "videos/read")
	s.person("gone", "viewer", "main", "videos/read")
	s.operator(200, s.told("PATCH /v1/users/{gone}"), `{"state":"disabled"}`)
	_, _ = s.invite("new@example.com", "viewer", "main")
	want := ""
	for _, try := range [][2]string{
		{"nobody@example.com", own}, {"ada@example.com", "wrong"}, {"gone@example.com", own}, {"new@example.com", "wrong"}, {"ADA@EXAMPLE.COM", "wrong"}, {"ada@example.com ", own},
		{"ada@example.com\x00", own}, {"ada@example.com.", own}, {"ada+x@example.com", own}, {`"ada"@example.com`, own}, {"ada@example.com\r\nBcc: x@evil.example", own}, {"' OR 1=1 --", own},
	} {
		got := sameOutside(s.signIn(try[0], try[1], s.elsewhere()))
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("%q: %s, others %s", try[0], got, want)
		}
	}
	if !strings.HasPrefix(want, "401") {
		t.Error(want)
	}
	want = ""
	letters := len(s.office.Letters())
	for _, email := range []string{"nobody@example.com", "gone@example.com", "İ@example.com", "ada@example.com.", "ada@example.com,eve@evil.example", "ada@example.com\r\nBcc: eve@evil.example", "ada@example.com"} {
		got := sameOutside(s.send("POST /v1/password/forgot", []string{jsonBody, s.elsewhere(), "Host: evil.example", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https"},
			object("email", email)))
		if want == "" {
			want = got
		}
		if got != want || !strings.HasPrefix(got, "202") {
			t.Errorf("%q: %s, others %s", email, got, want)
		}
	}
	if at := s.letter("ada@example.com", resetLink)[0]; at != s.URL {
		t.Errorf("the link leads to %q", at)
	}
	for _, l := range s.office.Letters()[letters:] {
		if l.To != "ada@example.com" {
			t.Errorf("a letter to %s", l.To)
		}
	}
	// A code that is no good says nothing of who has one.
	for _, code := range []string{"x", strings.Repeat("A", 43), "' OR 1=1 --", "\x00"} {
		if got := s.send("POST /v1/password/reset", []string{jsonBody, s.elsewhere()}, object("code", code, "password", own)); got.String() != "410 code_gone" {
			t.Errorf("%q: %s", code, got)
		}
	}
	s.clean()
}

func TestGuessingIsSlowedAndNobodyIsLockedOut(t *testing.T) {
	t.Parallel()
	s := newStage(t, "json")
	s.person("ada", "viewer", "main", "videos/read")

	// Many addresses, one account.
	var last answer
	refused := 0
	for range 12 {
		if last = s.signIn("ada@example.com", "wrong", s.elsewhere()); last.String() == "429 try_later" {
			refused++
		}
	}
	if refused < 3 {
		t.Errorf("%d of 12 guesses from as many addresses had to wait", refused)
	}
	for range 30 { // the right password waits too, and no longer than it is told
		if last = s.signIn("ada@example.com", own, s.elsewhere()); last.status == 201 {
			s.cookie(last)
			break
		}
		wait, err := strconv.Atoi(last.header.Get("Retry-After"))
		if last.String() != "429 try_later" || err != nil || wait < 1 || wait > 900 {
			t.Fatalf("%s, Retry-After %q", last, last.header.Get("Retry-After"))
		}
		time.Sleep(time.Duration(wait) * time.Second)
	}
	if last.status != 201 {
		t.Errorf("kept out: %s", last)
	}

	// One address, many accounts. What a client writes to the left of the proxy's entry moves it nowhere.
	from, refused := s.elsewhere(), 0
	for i := range 40 {
		head := strings.Replace(from, ": ", fmt.Sprintf(": 192.0.2.%d, ", i), 1)
		if got := s.signIn(fmt.Sprintf("u%d@example.com", i), "wrong", head); got.String() == "429 try_later" {
			refused++
		}
	}
	if refused < 3 {
		t.Errorf("%d of 40 guesses from one address had to wait", refused)
	}
	if got := s.signIn("ada@example.com", own, s.elsewhere()); got.status != 201 {
		t.Errorf("from another address: %s", got)
	} else {
		s.cookie(got)
	}
	// What is mailed is bounded too, and says nothing.
	letters := len(s.office.Letters())
	for range 20 {
		if got := s.send("POST /v1/password/forgot", []string{jsonBody, s.elsewhere()}, `{"email":"ada@example.com"}`); got.status != 202 {
			t.Errorf("forgot: %s", got)
		}
	}
	s.letter("ada@example.com", resetLink)
	time.Sleep(time.Second)
	if n := len(s.office.Letters()) - letters; n > 5 {
		t.Errorf("%d letters to one mailbox", n)
	}
	s.clean()
}

func TestOfManyWhoReplayAnInvitationOneGetsIn(t *testing.T) {
	t.Parallel()
	s := newStage(t, "json")
	_, password := s.invite("ada@example.com", "admin", "main")
	var mu sync.Mutex
	answers := map[string]int{}
	cookie := ""
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			got := s.signIn("ada@example.com", password, s.elsewhere())
			mu.Lock()
			defer mu.Unlock()
			if answers[got.String()]++; got.status == 201 {
				cookie = s.cookie(got)
			}
		})
	}
	all.Wait()
	if answers["201"] != 1 || answers["401 sign_in_failed"]+answers["429 try_later"] != 19 {
		t.Fatalf("%v", answers)
	}
	// The one may do nothing but change it, and the temporary one can't be kept.
	for _, ask := range []string{"GET /v1/users", "GET /v1/videos", "GET /v1/sessions", "POST /v1/tokens", "DELETE /v1/sessions"} {
		if got := s.send(ask, []string{"Cookie: sluice=" + cookie, jsonBody}, ""); got.String() != "403 password_change_required" {
			t.Errorf("%s: %s", ask, got)
		}
	}
	if got := s.send("POST /v1/session/password", []string{"Cookie: sluice=" + cookie, jsonBody}, fmt.Sprintf(`{"current":%q,"password":%q}`, password, password)); got.String() != "422 weak_password" {
		t.Errorf("the temporary one, kept: %s", got)
	}
	// So with many changes at once: one counts.
	answers = map[string]int{}
	for i := range 10 {
		all.Go(func() {
			got := s.send("POST /v1/session/password", []string{"Cookie: sluice=" + cookie, jsonBody}, fmt.Sprintf(`{"current":%q,"password":"%s %d"}`, password, own, i))
			mu.Lock()
			defer mu.Unlock()
			if answers[strconv.Itoa(got.status)]++; got.status == 200 {
				s.cookie(got)
			}
		})
	}
	all.Wait()
	if answers["200"] != 1 || answers["500"] > 0 {
		t.Errorf("%v", answers)
	}
	s.clean()
}

func TestASessionThatWasPlantedIsOfNoUse(t *testing.T) {
	t.Parallel()
	s := newStage(t, "text")
	s.person("ada", "editor", "main", "videos/read")
	s.person("mal", "viewer", "main", "videos/read")
	alive := func(cookie string) bool {
		return s.send("GET /v1/session", []string{"Cookie: sluice=" + cookie}, "").status == 200
	}
	planted := strings.Repeat("A", 43)
	for _, had := range []string{planted, s.names["{mal's cookie}"]} { // one that nobody has, and one of the attacker's own
		got := s.cookie(s.signIn("ada@example.com", own, "Cookie: sluice="+had, s.elsewhere()))
		if got == had || alive(had) || !alive(got) {
			t.Errorf("the planted cookie lives %v, the new one %v", alive(had), alive(got))
		}
	}
	before := s.cookie(s.signIn("ada@example.com", own, s.elsewhere()))
	other := s.cookie(s.signIn("ada@example.com", own, s.elsewhere()))
	after := s.cookie(s.send("POST /v1/session/password", []string{"Cookie: sluice=" + before, jsonBody}, fmt.Sprintf(`{"current":%q,"password":"%s more"}`, own, own)))
	if alive(before) || alive(other) || !alive(after) {
		t.Errorf("after a change of the password: %v %v %v", alive(before), alive(other), alive(after))
	}
	// A role counts from the next request on, up and down, for the session and the token.
	asks := []string{"Cookie: sluice=" + after, s.told("Authorization: Bearer {ada's token}")}
	for role, want := range map[string]string{"viewer": "403 missing_scope", "editor": "422 invalid_request"} {
		s.operator(200, s.told("PATCH /v1/users/{ada}"), fmt.Sprintf(`{"role":%q}`, role))
		if got := s.send("POST /v1/uploads", []string{asks[0], jsonBody}, `{}`); got.String() != want {
			t.Errorf("%s: %s, want %s", role, got, want)
		}
		if got := s.send("GET /v1/videos", []string{asks[1]}, ""); got.status != 200 {
			t.Errorf("%s with a token: %s", role, got)
		}
	}
	s.operator(200, s.told("PATCH /v1/users/{ada}"), `{"state":"disabled"}`)
	for _, head := range asks {
		if got := s.send("GET /v1/videos", []string{head}, ""); got.String() != "401 unauthorized" {
			t.Errorf("disabled: %s", got)
		}
	}
	s.operator(200, s.told("PATCH /v1/users/{ada}"), `{"state":"active"}`)
	for _, head := range asks {
		if got := s.send("GET /v1/videos", []string{head}, ""); got.String() != "401 unauthorized" {
			t.Errorf("enabled again, an old credential: %s", got)
		}
	}
	s.clean()
}

// slow sends a request whose body comes in two halves, with something done between them.
func (s *stage) slow(ask, head, body string, between func()) answer {
	s.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(60 * time.Second))
	half := len(body) / 2
	fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n%s\r\nContent-Length: %d\r\n\r\n%s", ask, head, jsonBody, len(body), body[:half])
	time.Sleep(300 * time.Millisecond) // it has been let in
	between()
	_, _ = io.WriteString(c, body[half:])
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	all, _ := io.ReadAll(res.Body)
	return answer{status: res.StatusCode, body: string(all)}
}

func TestARequestUnderWayLeavesNothingToWhoWasDisabled(t *testing.T) {
	t.Parallel()
	s := newStage(t, "json")
	s.person("ada", "editor", "main", "videos/read")
	cookie := s.told("Cookie: sluice={ada's cookie}")
	got := s.slow("POST /v1/tokens", cookie, `{"name":"kept","scopes":["videos/read"]}`, func() {
		s.operator(200, s.told("PATCH /v1/users/{ada}"), `{"state":"disabled"}`)
		s.operator(200, s.told("PATCH /v1/users/{ada}"), `{"state":"active"}`)
	})
	if got.status != 401 || strings.Contains(got.body, "sluice_pat_") {
		t.Errorf("a token: %d %s", got.status, got.body)
	}
	got = s.slow("POST /v1/session", s.elsewhere(), fmt.Sprintf(`{"email":"ada@example.com","password":%q}`, own), func() {
		s.operator(200, s.told("PATCH /v1/users/{ada}"), `{"state":"disabled"}`)
	})
	if got.status != 401 {
		t.Errorf("a sign-in: %d %s", got.status, got.body)
	}
	if left := s.operator(200, s.told("GET /v1/tokens?user={ada}"), "")["items"].([]any); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	s.clean()
}
