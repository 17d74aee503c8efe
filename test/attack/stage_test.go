// Package attack attacks a whole server by its front door, as people with real sessions, tokens and mailboxes: what must be refused is refused with the right answer,
// changes nothing, and leaves a log in which each line is one record and no secret is found.
package attack

import (
	"bufio"
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite" // reads the records beside the server

	"sluice/internal/notify/notifytest"
	"sluice/test/rig"
)

func TestMain(m *testing.M) {
	code := m.Run()
	rig.Clean()
	os.Exit(code)
}

const own = "marmalade turnip orbit 77" // the password that everybody has who chose one

// stage is a server, the people who have accounts there, and every secret that it gave anybody.
type stage struct {
	*rig.Server
	t      *testing.T
	office *notifytest.Office
	greet  int // bytes of the log that the start has printed
	json   bool

	mu      sync.Mutex
	from    int // tells clients' addresses apart
	secrets map[string]string
	names   map[string]string // what {…} stands for in an attack
}

// newStage starts a server that sends mail, believes a proxy on this machine, and logs in a format.
func newStage(t *testing.T, format string) *stage {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	authority, err := notifytest.NewAuthority(ca)
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, office: notifytest.Start(t, authority, notifytest.Options{}), json: format == "json", secrets: map[string]string{}, names: map[string]string{}}
	s.Server = rig.Start(t, rig.Options{
		Args: []string{"--smtp-host", "localhost", "--smtp-port", strconv.Itoa(s.office.Port), "--smtp-from", "sluice@example.com", "--smtp-user", notifytest.User,
			"--trusted-proxies", "127.0.0.1", "--log-format", format, "--log-level", "debug"},
		Env: []string{"SLUICE_SMTP_PASSWORD=" + notifytest.Password, "SSL_CERT_FILE=" + ca},
	})
	s.greet = len(s.Log())
	s.keep("the admin token", s.Token)
	s.keep("the password of the mail server", notifytest.Password)
	s.keep("a password", own)
	return s
}

// keep remembers a secret, for clean.
func (s *stage) keep(what, secret string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets[secret] = what
	return secret
}

// answer is what came back.
type answer struct {
	status int
	code   string
	header http.Header
	body   string
}

func (a answer) String() string {
	if a.code == "" {
		return strconv.Itoa(a.status)
	}
	return fmt.Sprint(a.status, " ", a.code)
}

// send writes a request as it is told, byte by byte, and reads one answer.
func (s *stage) send(ask string, head []string, body string) answer {
	s.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(60 * time.Second))
	text := ask + " HTTP/1.1\r\n" + strings.Join(append(slices.Clone(head), "Connection: close"), "\r\n") + "\r\n"
	if !slices.ContainsFunc(head, func(h string) bool { return strings.HasPrefix(h, "Host:") }) {
		text += "Host: " + strings.TrimPrefix(s.URL, "http://") + "\r\n"
	}
	if body != "" {
		text += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	go func() { _, _ = io.WriteString(c, text+"\r\n"+body) }() // it may be refused before its end
	method, _, _ := strings.Cut(ask, " ")
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		s.t.Fatalf("%.100s: %v", ask, err)
	}
	defer res.Body.Close()
	all, _ := io.ReadAll(res.Body)
	var problem struct{ Code string }
	_ = json.Unmarshal(all, &problem)
	return answer{res.StatusCode, problem.Code, res.Header, string(all)}
}

const jsonBody = "Content-Type: application/json"

// elsewhere is the header of a client at an address that nobody else has.
func (s *stage) elsewhere() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from++
	return fmt.Sprintf("X-Forwarded-For: 10.%d.%d.%d", s.from>>16, s.from>>8&255, s.from&255)
}

// operator asks with the admin token.
func (s *stage) operator(want int, ask, body string) map[string]any {
	s.t.Helper()
	a := s.send(ask, []string{"Authorization: Bearer " + s.Token, jsonBody}, body)
	if a.status != want {
		s.t.Fatalf("%s: %d %s", ask, a.status, a.body)
	}
	said := map[string]any{}
	_ = json.Unmarshal([]byte(a.body), &said)
	return said
}

// cookie is the session that an answer opens.
func (s *stage) cookie(a answer) string {
	s.t.Helper()
	c, err := http.ParseSetCookie(a.header.Get("Set-Cookie"))
	if err != nil {
		s.t.Fatalf("%s %s: no cookie: %v", a, a.body, err)
	}
	return s.keep("a cookie", c.Value)
}

func (s *stage) signIn(email, password string, head ...string) answer {
	s.t.Helper()
	return s.send("POST /v1/session", append([]string{jsonBody}, head...), object("email", email, "password", password))
}

// object is JSON with these names and values, one after the other.
func object(pairs ...string) string {
	all := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic(err) // a map of strings
	}
	return string(text)
}

var (
	temporary = regexp.MustCompile(`Temporary password: (\S{43})`)
	resetLink = regexp.MustCompile(`(\S+)/#/reset\?code=([\w-]{43})`)
)

// letter waits for a letter to an address that says what is meant, the newest one.
func (s *stage) letter(to string, what *regexp.Regexp) []string {
	s.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		all := s.office.Letters()
		for _, l := range slices.Backward(all) {
			text := bytes.ReplaceAll(bytes.ReplaceAll(l.Raw, []byte("=\r\n"), nil), []byte("=3D"), []byte("="))
			if m := what.FindSubmatch(text); m != nil && l.To == to {
				s.keep("a secret of a letter", string(m[len(m)-1]))
				return []string{string(m[1]), string(m[len(m)-1])}
			}
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("no letter to %s says %s; there are %d", to, what, len(all))
		}
	}
}

// invite makes a user and returns their id and their temporary password.
func (s *stage) invite(email, role, workspace string) (id, password string) {
	s.t.Helper()
	made := s.operator(201, "POST /v1/users", fmt.Sprintf(`{"email":%q,"role":%q,"workspaces":[%q]}`, email, role, workspace))
	return made["id"].(string), s.letter(email, temporary)[0]
}

// person makes a user who has chosen a password, and the names of what is theirs: {ada}, {ada's session}, {ada's cookie}, {ada's token}, {ada's token id}.
func (s *stage) person(name, role, workspace string, scopes ...string) {
	s.t.Helper()
	email := name + "@example.com"
	id, password := s.invite(email, role, workspace)
	cookie := s.cookie(s.signIn(email, password, s.elsewhere()))
	a := s.send("POST /v1/session/password", []string{jsonBody, "Cookie: sluice=" + cookie}, fmt.Sprintf(`{"current":%q,"password":%q}`, password, own))
	cookie = s.cookie(a)
	var me struct{ Session struct{ ID string } }
	a = s.send("GET /v1/session", []string{"Cookie: sluice=" + cookie}, "")
	if err := json.Unmarshal([]byte(a.body), &me); err != nil {
		s.t.Fatal(a.body)
	}
	quoted, _ := json.Marshal(scopes)
	var token struct{ ID, Token string }
	a = s.send("POST /v1/tokens", []string{jsonBody, "Cookie: sluice=" + cookie}, fmt.Sprintf(`{"name":"laptop","scopes":%s}`, quoted))
	if err := json.Unmarshal([]byte(a.body), &token); err != nil || a.status != 201 {
		s.t.Fatal(a.body)
	}
	s.keep("a personal token", token.Token)
	for key, value := range map[string]string{"": id, "'s session": me.Session.ID, "'s cookie": cookie, "'s token": token.Token, "'s token id": token.ID} {
		s.names["{"+name+key+"}"] = value
	}
}

// told replaces the names in a text.
func (s *stage) told(text string) string {
	for name, value := range s.names {
		text = strings.ReplaceAll(text, name, value)
	}
	return text
}

// textLine is a record of slog's TextHandler: keys and values, the latter quoted where they hold anything but plain characters.
var textLine = regexp.MustCompile(`^time=\S+ level=(DEBUG|INFO|WARN|ERROR) msg=("(?:[^"\\]|\\.)*"|[^\s"]+)(?: [^\s="]+=("(?:[^"\\]|\\.)*"|[^\s"]*))*$`)

// clean wants each line of the log to be one record of printable text, and no secret in the log or the records.
func (s *stage) clean() {
	s.t.Helper()
	log := s.Log()[s.greet:]
	for line := range strings.Lines(log) {
		line, whole := strings.CutSuffix(line, "\n")
		if !whole {
			break // still being written
		}
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x202e }) {
			s.t.Errorf("a line of the log holds control characters: %q", line)
		}
		var record map[string]any
		if s.json && (json.Unmarshal([]byte(line), &record) != nil || record["time"] == nil || record["msg"] == nil) || !s.json && !textLine.MatchString(line) {
			s.t.Errorf("a line of the log is no record: %q", line)
		}
		if len(line) > 4096 {
			s.t.Errorf("a line of the log has %d bytes: %.300s", len(line), line)
		}
	}
	records := s.dump()
	s.mu.Lock()
	defer s.mu.Unlock()
	holds := func() bool {
		for secret := range s.secrets {
			if strings.Contains(records, secret) {
				return true
			}
		}
		return false
	}
	for end := time.Now().Add(30 * time.Second); holds() && time.Now().Before(end); time.Sleep(50 * time.Millisecond) { // a letter may just have been taken
		records = s.dump()
	}
	for secret, what := range s.secrets {
		if i := strings.Index(log, secret); i >= 0 {
			s.t.Errorf("the log holds %s: …%s…", what, log[max(0, i-100):i])
		}
		if i := strings.Index(records, secret); i >= 0 {
			s.t.Errorf("the records hold %s: …%s…", what, records[max(0, i-200):i])
		}
	}
}

// dump is every value of every table.
func (s *stage) dump() string {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.Data, "sluice.db")+"?mode=ro")
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	var all strings.Builder
	for _, name := range strings.Fields(s.column(db, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`)) {
		all.WriteString("\n" + name + ": " + s.column(db, `SELECT * FROM "`+name+`"`))
	}
	if !strings.Contains(all.String(), "$argon2id$") {
		s.t.Fatal("the dump holds no accounts")
	}
	return all.String()
}

// column is all values of a query, one after the other.
func (s *stage) column(db *sql.DB, query string) string {
	s.t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		s.t.Fatal(query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		s.t.Fatal(err)
	}
	var all strings.Builder
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			s.t.Fatal(err)
		}
		for _, v := range values {
			if b, ok := v.([]byte); ok {
				v = string(b)
			}
			fmt.Fprintf(&all, "%v ", v)
		}
	}
	if rows.Err() != nil {
		s.t.Fatal(rows.Err())
	}
	return all.String()
}
