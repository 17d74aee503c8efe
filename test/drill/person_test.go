package drill

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"sluice/internal/notify/notifytest"
	"sluice/test/rig"
)

// answer is what came of a demand that was made until it was answered.
type answer struct {
	status int
	lost   bool // an earlier try was not answered: whether it counted, nobody knows
	header http.Header
	said   map[string]any
	raw    string
}

func (a answer) text(name string) string { s, _ := a.said[name].(string); return s }

// person is somebody with a browser, or with a token in its place, who tries again until there is an answer.
type person struct {
	t     *testing.T
	k     *rig.Keeper
	http  *http.Client
	token string

	id, email, password string
	spent               map[string]bool // temporary passwords and codes that were good once
}

func newPerson(t *testing.T, k *rig.Keeper, email string) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &person{t: t, k: k, http: &http.Client{Jar: jar, CheckRedirect: stay, Timeout: time.Minute}, email: email, spent: map[string]bool{}}
}

// bearing is somebody with that token.
func bearing(t *testing.T, k *rig.Keeper, token string) *person {
	p := newPerson(t, k, "")
	p.token = token
	return p
}

// once makes a demand; the status is 0 where there was no answer.
func (p *person) once(method, path string, in any) (a answer) {
	p.t.Helper()
	var body io.Reader
	kind := ""
	switch in := in.(type) {
	case nil:
	case url.Values:
		body, kind = strings.NewReader(in.Encode()), "application/x-www-form-urlencoded"
	default:
		text, err := json.Marshal(in)
		if err != nil {
			p.t.Fatal(err)
		}
		body, kind = bytes.NewReader(text), "application/json"
	}
	if strings.HasPrefix(path, "/") {
		path = p.k.URL + path
	}
	r, err := http.NewRequest(method, path, body)
	if err != nil {
		p.t.Fatal(err)
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	if p.token != "" {
		r.Header.Set("Authorization", "Bearer "+p.token)
	}
	res, err := p.http.Do(r)
	if err != nil {
		return answer{}
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}
	}
	a = answer{status: res.StatusCode, header: res.Header, raw: string(raw)}
	_ = json.Unmarshal(raw, &a.said) // media are no JSON
	return a
}

// ask makes a demand until it is answered with something better than 5xx and "try later".
func (p *person) ask(method, path string, in any) answer {
	p.t.Helper()
	lost := false
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		a := p.once(method, path, in)
		if a.lost = lost; a.status != 0 && a.status < 500 && a.status != http.StatusTooManyRequests {
			return a
		}
		lost = lost || a.status != http.StatusTooManyRequests
		if time.Now().After(deadline) {
			p.t.Fatalf("%s %s: %d for 5 minutes\n%s", method, path, a.status, p.k.Log())
		}
		p.k.Revive(time.Minute)
	}
}

// must wants one of these statuses; after a try that was not answered, one of what a second try may be told, too: again.
func (p *person) must(method, path string, in any, want int, again ...int) answer {
	p.t.Helper()
	a := p.ask(method, path, in)
	good := a.status == want
	for _, other := range again {
		good = good || a.lost && a.status == other
	}
	if !good {
		p.t.Fatalf("%s %s: %d %s, want %d or, after a try without an answer, %v (lost: %v)", method, path, a.status, a.raw, want, again, a.lost)
	}
	return a
}

func (p *person) signIn(password string) answer {
	p.t.Helper()
	return p.ask(http.MethodPost, "/v1/session", map[string]any{"email": p.email, "password": password})
}

var (
	temporary = regexp.MustCompile(`Temporary password: (\S{43})`)
	resetLink = regexp.MustCompile(`#/reset\?code=([\w-]{43})`)
)

// told returns what the newest letter to somebody tells that was not tried yet; empty where none came in time.
func (p *person) told(office *notifytest.Office, what *regexp.Regexp, within time.Duration) string {
	for deadline := time.Now().Add(within); ; time.Sleep(50 * time.Millisecond) {
		all := office.Letters()
		for i := len(all) - 1; i >= 0; i-- {
			plain := strings.ReplaceAll(strings.ReplaceAll(string(all[i].Raw), "=\r\n", ""), "=3D", "=") // RFC 2045 §6.7
			if m := what.FindStringSubmatch(plain); m != nil && all[i].To == p.email && !p.spent[m[1]] {
				return m[1]
			}
		}
		if time.Now().After(deadline) {
			return ""
		}
		p.k.Revive(time.Minute)
	}
}

// accept signs somebody in with the temporary password of their letter, once, and has them choose one of their own. Where the password was spent by a try that nobody answered,
// the administrator writes another letter.
func (p *person) accept(admin *person, office *notifytest.Office, password string) {
	p.t.Helper()
	for tries := 0; ; tries++ {
		secret := p.told(office, temporary, time.Minute)
		if secret == "" {
			p.t.Fatalf("no letter tells %s a temporary password; there are %d\n%s", p.email, len(office.Letters()), p.k.Log())
		}
		p.spent[secret] = true
		a := p.signIn(secret)
		if a.status == http.StatusCreated {
			if a.said["must_change"] != true {
				p.t.Fatalf("a temporary password opened %s", a.raw)
			}
			if twice := newPerson(p.t, p.k, p.email).signIn(secret); twice.status != http.StatusUnauthorized {
				p.t.Fatalf("a temporary password opened a second session: %d", twice.status)
			}
			p.change(secret, password)
			return
		}
		if a.status != http.StatusUnauthorized || tries > 8 {
			p.t.Fatalf("%s signs in: %d %s", p.email, a.status, a.raw)
		}
		if p.told(office, temporary, 0) == "" {
			if !a.lost { // the letter that replaces this one may be on its way
				if p.told(office, temporary, 15*time.Second) != "" {
					continue
				}
			}
			admin.must(http.MethodPost, "/v1/users/"+p.id+"/reset", nil, http.StatusOK)
		}
	}
}

// change chooses a password. A change that was not answered counted or not: the new password or the session tells.
func (p *person) change(current, password string) {
	p.t.Helper()
	a := p.ask(http.MethodPost, "/v1/session/password", map[string]any{"current": current, "password": password})
	switch {
	case a.status == http.StatusOK:
	case a.lost && a.status == http.StatusUnauthorized: // it counted, and ended the session
		if b := p.signIn(password); b.status != http.StatusCreated {
			p.t.Fatalf("%s changed the password, by halves: %d %s", p.email, b.status, b.raw)
		}
	default:
		p.t.Fatalf("%s changes the password: %d %s", p.email, a.status, a.raw)
	}
	p.password = password
}

// forgot has somebody choose a password by a mailed code.
func (p *person) forgot(office *notifytest.Office, password string) {
	p.t.Helper()
	p.must(http.MethodPost, "/v1/password/forgot", map[string]any{"email": p.email}, http.StatusAccepted)
	for tries := 0; ; tries++ {
		code := p.told(office, resetLink, time.Minute)
		if code == "" || tries > 4 {
			p.t.Fatalf("no letter tells %s a code that is good", p.email)
		}
		p.spent[code] = true
		demand := map[string]any{"code": code, "password": password}
		a := p.ask(http.MethodPost, "/v1/password/reset", demand)
		switch {
		case a.status == http.StatusNoContent || a.lost && a.status == http.StatusGone && p.signIn(password).status == http.StatusCreated:
			if again := p.ask(http.MethodPost, "/v1/password/reset", demand); again.status != http.StatusGone {
				p.t.Fatalf("a code was good twice: %d", again.status)
			}
			p.password = password
			return
		case a.status != http.StatusGone: // else a second request, made for want of an answer, replaced it
			p.t.Fatalf("%s resets the password: %d %s", p.email, a.status, a.raw)
		}
	}
}

// found returns the id of an entry of a list whose field says that.
func (p *person) found(path, field, value string) string {
	p.t.Helper()
	items, _ := p.must(http.MethodGet, path, nil, http.StatusOK).said["items"].([]any)
	for _, one := range items {
		if m, ok := one.(map[string]any); ok && fmt.Sprint(m[field]) == value {
			return fmt.Sprint(m["id"])
		}
	}
	return ""
}
