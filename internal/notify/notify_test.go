package notify_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"sluice/internal/catalog"
	"sluice/internal/engine"
	"sluice/internal/engine/enginetest"
	"sluice/internal/event"
	"sluice/internal/fault"
	"sluice/internal/notify"
	"sluice/internal/notify/notifytest"
	"sluice/internal/video"
)

var authority *notifytest.Authority

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sluice-notify")
	if err == nil {
		authority, err = notifytest.NewAuthority(filepath.Join(dir, "ca.pem"))
	}
	if err == nil {
		err = os.Setenv("SSL_CERT_FILE", filepath.Join(dir, "ca.pem")) // read once, by the first connection
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := enginetest.Main(m, os.Getenv("SLUICE_TEST_POSTGRES"))
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// world is a store with videos that fail and recover.
type world struct {
	*catalog.Store
	*testing.T
	patience time.Duration // with trouble; 0 for the engine's own
}

// each runs f on both databases.
func each(t *testing.T, f func(w world)) {
	t.Helper()
	enginetest.Each(t, func(t *testing.T, dsn string) { f(open(t, dsn)) })
}

func open(t *testing.T, dsn string) world {
	t.Helper()
	store, err := catalog.Open(t.Context(), dsn, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return world{Store: store, T: t}
}

func (w world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

const (
	every  = time.Second
	nobody = "nobody" // as user: no login
)

// mailer starts the engine that sends, with pauses of a test.
func (w world) mailer(at notify.SMTP, change ...func(notify.Store) notify.Store) {
	w.Helper()
	w.mailerEvery(every, at, change...)
}

func (w world) mailerEvery(every time.Duration, at notify.SMTP, change ...func(notify.Store) notify.Store) {
	w.Helper()
	var store notify.Store = w.Store
	for _, c := range change {
		store = c(store)
	}
	if at.Host == "" {
		at.Host = "localhost"
	}
	switch at.User {
	case "":
		at.User, at.Password = notifytest.User, notifytest.Password
	case nobody:
		at.User = ""
	}
	if at.TLS == "" {
		at.TLS = notify.StartTLS
	}
	at.From = "Sluice <sluice@example.com>"
	m, err := notify.New(notify.Config{Store: store, SMTP: at, Every: every, PublicURL: "https://video.example.com", Log: slog.New(slog.DiscardHandler)})
	w.must(err)
	w.MailBy(notify.Job)
	e, err := engine.New(w.DB(), engine.Config{
		Workers: m.Handlers(), Queues: []engine.Queue{{Name: notify.Queue, Workers: 2}}, Backoff: engine.Backoff{First: 50 * time.Millisecond, Max: 200 * time.Millisecond},
		LongestWait: w.patience,
	})
	w.must(err)
	w.must(e.Start(w.Context()))
	w.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(w.Context()), time.Minute)
		defer cancel()
		if err := e.Stop(ctx); err != nil {
			w.Error(err)
		}
	})
}

func (w world) subscribe(address string, events ...event.Type) event.Subscription {
	w.Helper()
	if len(events) == 0 {
		events = event.Notable()
	}
	s, err := w.Subscribe(w.Context(), event.Subscription{ID: string(video.NewID(time.Now())), Address: address, Events: events})
	w.must(err)
	return s
}

func (w world) received(name string) video.ID {
	w.Helper()
	id := video.NewID(time.Now())
	_, _, err := w.Received(w.Context(), video.Video{ID: id, Name: name, Prefix: "streams/" + string(id)},
		video.Source{Bucket: "uploads", Key: string(id), ETag: "e", Size: 1, Modified: time.Now()}, func(video.ID) []engine.Job { return nil })
	w.must(err)
	return id
}

// fail ends a generation of a video at its first step.
func (w world) fail(id video.ID, generation int, code string) {
	w.Helper()
	ref := video.StepRef{Video: id, Generation: generation, Name: video.Ingest}
	_, err := w.Begin(w.Context(), ref, "w", engine.Handle{})
	w.must(err)
	w.must(w.Fail(w.Context(), ref, video.StepFailure{Failure: video.Failure{Code: code, Message: "About " + code + "."}, Final: true}, nil, engine.Handle{}))
}

// publish takes a generation of a video to its end.
func (w world) publish(id video.ID, generation int) {
	w.Helper()
	ref := video.StepRef{Video: id, Generation: generation, Name: video.Ingest}
	begin := func(name video.StepName) {
		w.Helper()
		ref.Name = name
		_, err := w.Begin(w.Context(), ref, "w", engine.Handle{})
		w.must(err)
	}
	begin(video.Ingest)
	w.must(w.Plan(w.Context(), ref, video.Facts{}, video.Plan{Audio: &video.AudioRung{Name: "audio"}}, nil, engine.Handle{}))
	begin(video.Audio)
	w.must(w.Finish(w.Context(), ref, video.Result{}, nil, engine.Handle{}))
	begin(video.Publish)
	w.must(w.Publish(w.Context(), ref, video.Output{}, nil, engine.Handle{}))
}

func (w world) encode(id video.ID) {
	w.Helper()
	_, err := w.Encode(w.Context(), id, video.Settings{}, func(int) []engine.Job { return nil })
	w.must(err)
}

// outbox lists the notices as "name event state", newest first.
func (w world) outbox() (lines []string) {
	w.Helper()
	all, err := w.Outbox(w.Context(), "", 0, 0)
	w.must(err)
	for _, n := range all {
		lines = append(lines, fmt.Sprint(n.Name, " ", n.Event, " ", n.State))
	}
	return lines
}

// until waits for something that another goroutine does.
func (w world) until(what string, f func() bool) {
	w.Helper()
	for end := time.Now().Add(2 * time.Minute); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			w.Fatalf("no %s; the outbox is %q", what, w.outbox())
		}
	}
}

// states waits until all notices are in a state.
func (w world) states(want event.State) []event.Notification {
	w.Helper()
	var all []event.Notification
	w.until("notice "+string(want), func() bool {
		var err error
		all, err = w.Outbox(w.Context(), "", 0, 0)
		w.must(err)
		for _, n := range all {
			if n.State != want {
				return false
			}
		}
		return len(all) > 0
	})
	return all
}

// parts are the text and the HTML of a letter, and its subject.
func (w world) parts(l notifytest.Letter) (subject, text, html string) {
	w.Helper()
	subject, err := new(mime.WordDecoder).DecodeHeader(l.Message.Header.Get("Subject"))
	w.must(err)
	kind, params, err := mime.ParseMediaType(l.Message.Header.Get("Content-Type"))
	w.must(err)
	if kind != "multipart/alternative" {
		w.Fatalf("a letter of type %s", kind)
	}
	for r := multipart.NewReader(l.Message.Body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if err != nil {
			break
		}
		b, err := io.ReadAll(quotedprintable.NewReader(p))
		w.must(err)
		if strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
			html = string(b)
		} else {
			text = strings.ReplaceAll(string(b), "\r\n", "\n")
		}
	}
	if text == "" || html == "" {
		w.Fatalf("a letter without text or HTML:\n%s", l.Raw)
	}
	return subject, text, html
}

func TestTheFirstFailureGoesAtOnceAndWhatFollowsGoesTogether(t *testing.T) {
	each(t, func(w world) {
		const every = 10 * time.Second // long enough for all that follows to fail within it
		office := notifytest.Start(w.T, authority, notifytest.Options{})
		w.mailerEvery(every, notify.SMTP{Port: office.Port})
		w.subscribe("ops@example.com")
		a := w.received("a.mp4")
		w.fail(a, 1, "not_media")
		var later int // jobs for which River's scheduler, which wakes each 5 s, would have to come by
		w.must(w.DB().Read.QueryRowContext(w.Context(), `SELECT count(*) FROM river_job WHERE queue = $1 AND state = 'scheduled'`, notify.Queue).Scan(&later))
		if later > 0 {
			w.Error("the first letter waits for the scheduler")
		}
		first := office.Await(w.T, 1)[0]
		w.states(event.Sent)
		for i := range 3 {
			w.fail(w.received(fmt.Sprintf("b%d.mp4", i)), 1, "truncated")
		}
		w.fail(w.received("c.mp4"), 1, "not_media")
		second := office.Await(w.T, 2)[1]
		w.states(event.Sent)

		subject, text, html := w.parts(first)
		if subject != "Sluice: a.mp4 failed (not_media)" || first.To != "ops@example.com" || first.From != "sluice@example.com" || !first.TLS {
			w.Errorf("%q from %s to %s, encrypted %v", subject, first.From, first.To, first.TLS)
		}
		link := "https://video.example.com/#/v/" + string(a)
		if !strings.Contains(text, "not_media\nAbout not_media.\n") || !strings.Contains(text, link) || !strings.Contains(html, `<a href="`+link+`"`) {
			w.Errorf("the first letter\n%s\n%s", text, html)
		}
		subject, text, _ = w.parts(second)
		if subject != "Sluice: 4 videos failed" || !strings.Contains(text, "truncated (3)\nAbout truncated.\n") || strings.Index(text, "truncated (3)") > strings.Index(text, "not_media") ||
			!strings.Contains(text, "b2.mp4") || strings.Contains(text, "a.mp4") {
			w.Errorf("the second letter %q\n%s", subject, text)
		}
		if gap := second.At.Sub(first.At); gap < every {
			w.Errorf("two letters within %s", gap)
		}
		if n := len(office.Letters()); n != 2 {
			w.Errorf("%d letters", n)
		}
	})
}

func TestARecoveryIsToldToThoseWhoWantIt(t *testing.T) {
	each(t, func(w world) {
		w.subscribe("all@example.com")
		w.subscribe("failures@example.com", event.VideoFailed)
		w.publish(w.received("never-failed.mp4"), 1)
		id := w.received("a.mp4")
		w.fail(id, 1, "disk_full")
		w.encode(id)
		w.fail(id, 2, "disk_full")
		w.encode(id)
		w.publish(id, 3)
		w.encode(id)
		w.publish(id, 4) // nothing failed since
		w.encode(id)
		w.fail(id, 5, "disk_full") // generation 4 plays on
		w.encode(id)
		w.publish(id, 6)

		office := notifytest.Start(w.T, authority, notifytest.Options{})
		w.mailer(notify.SMTP{Port: office.Port})
		if n, err := w.Wake(w.Context()); n != 2 || err != nil {
			w.Fatalf("woke %d, %v", n, err)
		}
		letters := map[string]string{}
		for _, l := range office.Await(w.T, 2) {
			subject, text, _ := w.parts(l)
			letters[l.To] = subject + "\n" + text
		}
		if l := letters["all@example.com"]; !strings.HasPrefix(l, "Sluice: 3 videos failed, 2 are ready again\n") || !strings.Contains(l, "\nReady again (2)\n") || strings.Contains(l, "never") {
			w.Errorf("to all: %s", l)
		}
		if l := letters["failures@example.com"]; !strings.HasPrefix(l, "Sluice: 3 videos failed\n") || strings.Contains(l, "again (") {
			w.Errorf("to failures: %s", l)
		}
		w.states(event.Sent)
		if n, err := w.Wake(w.Context()); n != 0 || err != nil {
			w.Errorf("woke %d that have nothing to send, %v", n, err)
		}
	})
}

func TestTroubleOfTheMailServerIsWaitedFor(t *testing.T) {
	each(t, func(w world) {
		office := notifytest.Start(w.T, authority, notifytest.Options{Data: func(try int) error {
			if try < 3 {
				return &smtp.SMTPError{Code: 451, Message: "not now"}
			}
			return nil
		}})
		w.mailer(notify.SMTP{Port: office.Port})
		w.subscribe("ops@example.com")
		w.fail(w.received("a.mp4"), 1, "not_media")
		office.Await(w.T, 1)
		n := w.states(event.Sent)[0]
		if n.Tries != 3 || n.Trouble.Code != "" || n.Finished.IsZero() || len(office.Letters()) != 1 {
			w.Errorf("%+v", n)
		}
	})
}

func TestAMessageIsGivenUpAtLastAndTheNextOneIsNot(t *testing.T) {
	each(t, func(w world) {
		var open atomic.Bool
		office := notifytest.Start(w.T, authority, notifytest.Options{Data: func(int) error {
			if open.Load() {
				return nil
			}
			return &smtp.SMTPError{Code: 451, Message: "not now"}
		}})
		w.patience = 100 * time.Millisecond
		w.mailerEvery(time.Millisecond, notify.SMTP{Port: office.Port})
		w.subscribe("ops@example.com")
		w.fail(w.received("a.mp4"), 1, "not_media")
		if n := w.states(event.Dead)[0]; n.Trouble.Code != "smtp_unavailable" || n.Tries < 8 || n.Finished.IsZero() {
			w.Errorf("%+v", n)
		}
		open.Store(true)
		w.fail(w.received("b.mp4"), 1, "not_media")
		if subject, _, _ := w.parts(office.Await(w.T, 1)[0]); subject != "Sluice: b.mp4 failed (not_media)" {
			w.Errorf("%q", subject)
		}
	})
}

func TestTroubleIsToldByItsCode(t *testing.T) {
	t.Parallel()
	stranger, err := notifytest.NewAuthority(filepath.Join(t.TempDir(), "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, code string
		by         *notifytest.Authority
		office     notifytest.Options
		at         notify.SMTP
	}{
		{"nobody listens", "smtp_unavailable", authority, notifytest.Options{}, notify.SMTP{Port: 1}},
		{"a wrong password", "smtp_refused", authority, notifytest.Options{}, notify.SMTP{User: "sluice", Password: "guess"}},
		{"a stranger's certificate", "smtp_untrusted", stranger, notifytest.Options{}, notify.SMTP{}},
		{"a stranger's certificate from the first byte", "smtp_untrusted", stranger, notifytest.Options{Implicit: true}, notify.SMTP{TLS: notify.ImplicitTLS}},
		{"no STARTTLS", "smtp_unavailable", authority, notifytest.Options{Open: true}, notify.SMTP{}},
		{"a sender that is refused", "sender_refused", authority, notifytest.Options{}, notify.SMTP{User: nobody}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := open(t, filepath.Join(t.TempDir(), "sluice.db")) // what the mail server says, no database changes
			office := notifytest.Start(w.T, c.by, c.office)
			at := c.at
			if at.Port == 0 {
				at.Port = office.Port
			}
			w.mailer(at)
			w.subscribe("ops@example.com")
			w.fail(w.received("a.mp4"), 1, "not_media")
			w.until("trouble", func() bool {
				all, err := w.Outbox(w.Context(), event.Sending, 0, 0)
				w.must(err)
				return len(all) == 1 && all[0].Trouble.Code == c.code && all[0].Tries > 1 && all[0].Trouble.Message != ""
			})
			if len(office.Letters()) > 0 || c.office.Open && office.Logins() > 0 {
				w.Errorf("%d letters, %d logins", len(office.Letters()), office.Logins())
			}
		})
	}
}

// TestMail_ServerRefuses_OnlyTheAddressIsPermanent stages the replies of real servers at RCPT and DATA.
func TestMail_ServerRefuses_OnlyTheAddressIsPermanent(t *testing.T) {
	t.Parallel()
	bare := smtp.NoEnhancedCode
	for _, c := range []struct {
		name  string
		reply smtp.SMTPError
		data  bool // at DATA, not at RCPT
		code  string
		final bool
	}{
		{"Postfix relays nothing", smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "<ops@example.com>: Relay access denied"}, false, "relay_refused", false},
		{"Exchange relays nothing", smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Unable to relay"}, false, "relay_refused", false},
		{"Exim relays nothing", smtp.SMTPError{Code: 550, EnhancedCode: bare, Message: "relay not permitted"}, false, "relay_refused", false},
		{"qmail relays nothing", smtp.SMTPError{Code: 553, EnhancedCode: bare, Message: "sorry, that domain isn't in my list (#5.7.1)"}, false, "relay_refused", false},
		{"a login is required", smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}, false, "relay_refused", false},
		{"a login is required first", smtp.SMTPError{Code: 503, EnhancedCode: smtp.EnhancedCode{5, 5, 4}, Message: "Error: send AUTH first"}, false, "relay_refused", false},
		{"554 and nothing more", smtp.SMTPError{Code: 554, EnhancedCode: bare, Message: "Transaction failed"}, false, "relay_refused", false},
		{"the sender's domain", smtp.SMTPError{Code: 553, EnhancedCode: smtp.EnhancedCode{5, 1, 8}, Message: "Sender domain not found"}, false, "sender_refused", false},
		{"a policy after the text", smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 26}, Message: "unauthenticated mail is prohibited"}, true, "relay_refused", false},
		{"nobody of that name", smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}, false, "recipient_refused", true},
		{"nobody of that name, in words", smtp.SMTPError{Code: 550, EnhancedCode: bare, Message: "<relay@example.com> is unknown"}, false, "recipient_refused", true},
		{"no mail for that domain", smtp.SMTPError{Code: 556, EnhancedCode: smtp.EnhancedCode{5, 1, 10}, Message: "null MX"}, false, "recipient_refused", true},
		{"a mailbox that is closed", smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 2, 1}, Message: "disabled"}, false, "recipient_refused", true},
		{"Exchange has no such address", smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 4, 1}, Message: "Recipient address rejected: Access denied"}, false, "recipient_refused", true},
		{"nobody of that name, in words without brackets", smtp.SMTPError{Code: 550, EnhancedCode: bare, Message: "relay@example.com: user unknown"}, false, "recipient_refused", true},
		{"Amazon has not verified the sender", smtp.SMTPError{Code: 554, EnhancedCode: bare, Message: "Message rejected: Email address is not verified."}, true, "mail_refused", false},
		{"SendGrid has not verified the sender", smtp.SMTPError{Code: 550, EnhancedCode: bare, Message: "The from address does not match a verified Sender Identity."}, true, "mail_refused", false},
		{"no class after the text", smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 0, 0}, Message: "refused"}, true, "mail_refused", false},
		{"no relaying after the text", smtp.SMTPError{Code: 554, EnhancedCode: bare, Message: "Relay access denied"}, true, "relay_refused", false},
		{"a login is required after the text", smtp.SMTPError{Code: 550, EnhancedCode: bare, Message: "Authentication required"}, true, "relay_refused", false},
		{"Gmail's daily limit", smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 4, 5}, Message: "Daily SMTP relay sending limit exceeded for customer."}, false, "relay_refused", false},
		{"Gmail's daily limit after the text", smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 4, 5}, Message: "Daily user sending limit exceeded."}, true, "relay_refused", false},
		{"a text that is refused", smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "no"}, true, "message_refused", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := open(t, filepath.Join(t.TempDir(), "sluice.db")) // what the mail server says, no database changes
			var refusing atomic.Bool
			refusing.Store(true)
			said := func(at bool) error {
				if at == c.data && refusing.Load() {
					return &c.reply
				}
				return nil
			}
			office := notifytest.Start(w.T, authority, notifytest.Options{
				Rcpt: func(string) error { return said(false) }, Data: func(int) error { return said(true) },
			})
			w.mailer(notify.SMTP{Port: office.Port, Helo: "mail.example.com"})
			w.subscribe("ops@example.com")
			w.fail(w.received("a.mp4"), 1, "not_media")
			state := event.Sending
			if c.final {
				state = event.Refused
			}
			var last event.Trouble
			w.until("trouble", func() bool {
				all, err := w.Outbox(w.Context(), state, 0, 0)
				w.must(err)
				if len(all) == 1 {
					last = all[0].Trouble
				}
				return last.Code != ""
			})
			if last.Code != c.code || !strings.Contains(last.Message, fmt.Sprint(c.reply.Code)) {
				t.Errorf("%+v, want %s", last, c.code)
			}
			if c.final {
				return
			}
			refusing.Store(false) // a person has corrected the setting
			office.Await(w.T, 1)
			if name := office.Helo(); name != "mail.example.com" {
				t.Errorf("EHLO says %q", name)
			}
		})
	}
}

func TestAnAddressThatIsRefusedIsNotTriedAgainAndAgain(t *testing.T) {
	each(t, func(w world) {
		var open atomic.Bool
		office := notifytest.Start(w.T, authority, notifytest.Options{Rcpt: func(string) error {
			if open.Load() {
				return nil
			}
			return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
		}})
		w.mailerEvery(time.Millisecond, notify.SMTP{Port: office.Port})
		w.subscribe("gone@example.com")
		w.fail(w.received("0.mp4"), 1, "not_media")
		n := w.states(event.Refused)[0]
		if n.Tries != 1 || n.Trouble.Code != "recipient_refused" || !strings.Contains(n.Trouble.Message, "(550 5.1.1)") || office.Asked() != 1 {
			w.Errorf("%+v, asked %d times", n, office.Asked())
		}
		for i := 1; i < 3; i++ {
			w.fail(w.received(fmt.Sprint(i, ".mp4")), 1, "not_media")
			w.until("further refusal", func() bool { return office.Asked() == i+1 })
			w.states(event.Refused)
		}
		w.fail(w.received("می\u200cخواهم 👩\u200d👧.mp4"), 1, "not_media")
		subs, err := w.Subscriptions(w.Context())
		w.must(err)
		if len(subs) != 1 || !subs[0].Suspended || subs[0].Waiting != 1 {
			w.Errorf("%+v", subs)
		}
		open.Store(true)
		if s := w.subscribe("gone@example.com"); s.Suspended || s.ID != subs[0].ID {
			w.Errorf("%+v", s)
		}
		l := office.Await(w.T, 1)[0]
		if subject, _, _ := w.parts(l); subject != "Sluice: می\u200cخواهم 👩\u200d👧.mp4 failed (not_media)" {
			w.Errorf("%q", subject)
		}
	})
}

// forgetful loses the first record that a message was sent, as a crash does.
type forgetful struct {
	notify.Store
	lost *atomic.Int32
}

func (f forgetful) Settle(ctx context.Context, m event.Mail, state event.State, why event.Trouble, every time.Duration, done engine.Handle) error {
	if f.lost.Add(1) == 1 {
		return fault.New(fault.Internal, "test", "crash", "Gone.", nil)
	}
	return f.Store.Settle(ctx, m, state, why, every, done)
}

func TestAMessageWhoseRecordWasLostIsSentAgainAsTheSameMessage(t *testing.T) {
	each(t, func(w world) {
		office := notifytest.Start(w.T, authority, notifytest.Options{})
		lost := &atomic.Int32{}
		w.mailer(notify.SMTP{Port: office.Port}, func(s notify.Store) notify.Store { return forgetful{s, lost} })
		w.subscribe("ops@example.com")
		w.fail(w.received("a.mp4"), 1, "not_media")
		office.Await(w.T, 1)
		w.fail(w.received("b.mp4"), 1, "not_media") // comes too late for the message
		letters := office.Await(w.T, 3)
		w.states(event.Sent)
		var ids, subjects []string
		for _, l := range letters {
			subject, _, _ := w.parts(l)
			ids, subjects = append(ids, l.Message.Header.Get("Message-ID")), append(subjects, subject)
		}
		if ids[0] != ids[1] || subjects[0] != subjects[1] || ids[2] == ids[0] || subjects[2] != "Sluice: b.mp4 failed (not_media)" || !strings.HasSuffix(ids[0], "@example.com>") {
			w.Errorf("%q %q", ids, subjects)
		}
	})
}

func TestTheNameOfAVideoIsTextAndNothingElse(t *testing.T) {
	each(t, func(w world) {
		office := notifytest.Start(w.T, authority, notifytest.Options{})
		w.subscribe("ops@example.com")
		evil := "x\r\nBcc: victim@example.com\r\n\r\n<script>alert(1)</script><a href='https://evil.example'>{{.Page}}\u202egpj.mp4"
		w.fail(w.received(evil), 1, "not_media")
		w.mailer(notify.SMTP{Port: office.Port})
		_, err := w.Wake(w.Context())
		w.must(err)
		l := office.Await(w.T, 1)[0]
		subject, text, html := w.parts(l)
		if l.Message.Header.Get("Bcc") != "" || office.Asked() != 1 || strings.ContainsAny(subject, "\r\n\u202e") || !strings.HasPrefix(subject, "Sluice: x\ufffd\ufffdBcc: victim") {
			w.Errorf("headers %v, subject %q", l.Message.Header, subject)
		}
		if strings.Contains(text, "\nBcc") || strings.Contains(text, "\u202e") || !strings.Contains(text, "<script>") {
			w.Errorf("text %s", text)
		}
		if strings.Contains(html, "<script") || strings.Contains(html, "href='https://evil") || strings.Contains(html, "\u202e") || !strings.Contains(html, "&lt;script&gt;") {
			w.Errorf("html %s", html)
		}
		if auto := l.Message.Header.Get("Auto-Submitted"); auto != "auto-generated" {
			w.Errorf("Auto-Submitted: %q", auto)
		}
	})
}

func TestTLSFromTheFirstByteAndSeveralProcesses(t *testing.T) {
	each(t, func(w world) {
		office := notifytest.Start(w.T, authority, notifytest.Options{Implicit: true})
		for range 3 {
			w.mailer(notify.SMTP{Port: office.Port, TLS: notify.ImplicitTLS})
		}
		for i := range 5 {
			w.subscribe(fmt.Sprintf("ops%d@example.com", i))
		}
		for i := range 10 {
			w.fail(w.received(fmt.Sprint(i, ".mp4")), 1, "not_media")
		}
		all := w.states(event.Sent)
		seen := map[string]int{}
		for _, l := range office.Letters() {
			_, text, _ := w.parts(l)
			seen[l.To] += strings.Count(text, ".mp4\n")
			if !l.TLS {
				w.Error("a letter came in the open")
			}
		}
		if len(all) != 50 || fmt.Sprint(seen) != "map[ops0@example.com:10 ops1@example.com:10 ops2@example.com:10 ops3@example.com:10 ops4@example.com:10]" {
			w.Errorf("%d notices, told %v", len(all), seen)
		}
	})
}

func TestNothingIsSentAfterTheEndOfASubscription(t *testing.T) {
	each(t, func(w world) {
		s := w.subscribe("ops@example.com")
		w.fail(w.received("a.mp4"), 1, "not_media")
		if got := w.outbox(); len(got) != 1 || got[0] != "a.mp4 video.failed waiting" {
			w.Errorf("the outbox without a mail server: %q", got)
		}
		w.must(w.Unsubscribe(w.Context(), s.ID))
		if err := w.Unsubscribe(w.Context(), s.ID); !fault.Is(err, fault.NotFound) {
			w.Errorf("a second end: %v", err)
		}
		w.fail(w.received("b.mp4"), 1, "not_media")
		if n, err := w.Wake(w.Context()); n != 0 || err != nil || len(w.outbox()) != 0 {
			w.Errorf("woke %d, %v, %q", n, err, w.outbox())
		}
	})
}
