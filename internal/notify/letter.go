package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"strings"
	texttemplate "text/template"
	"time"

	gomail "github.com/wneessen/go-mail"

	"sluice/internal/account"
	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/video"
)

const letterKind = "letter"

type letterArgs struct {
	Letter int64 `json:"letter"`
}

// LetterJob sends a letter to the holder of an account. The job names the letter only: what it tells stays in one place.
func LetterJob(letter int64) engine.Job {
	body, err := json.Marshal(letterArgs{letter})
	if err != nil {
		panic(err) // a number
	}
	return engine.Job{Kind: letterKind, Args: body, Queue: Queue, Priority: 1}
}

// Letters keeps letters to holders of accounts. Each method is one transaction.
type Letters interface {
	// ClaimLetter returns a letter with its try counted. video.ErrStale, with the job completed, where it waits no more.
	ClaimLetter(ctx context.Context, id int64, done engine.Handle) (account.Message, error)
	// SettleLetter ends a letter as sent, refused or dead, forgets its secret and completes the job. video.ErrStale, with the job completed, where it waits no more.
	SettleLetter(ctx context.Context, l account.Message, state account.MessageState, why account.Trouble, done engine.Handle) error
	// DelayLetter notes why a letter was not sent at this try.
	DelayLetter(ctx context.Context, l account.Message, why account.Trouble) error
	// WakeLetters inserts the jobs of letters that wait and have none: after a start without mail, or a loss. It returns how many.
	WakeLetters(ctx context.Context) (int, error)
}

// LetterHandlers maps the kind of job that sends letters to the function that does it.
func (m *Mailer) LetterHandlers() map[string]engine.Worker {
	return map[string]engine.Worker{letterKind: m.letter}
}

// letter is one try at a letter.
func (m *Mailer) letter(ctx context.Context, a engine.Attempt) error {
	var which letterArgs
	if err := json.Unmarshal(a.Job.Args, &which); err != nil {
		return fault.New(fault.Invalid, "notify.letter", "bad_job", "The job's arguments are not those of a letter.", err)
	}
	l, err := m.Letters.ClaimLetter(ctx, which.Letter, a.Handle)
	if errors.Is(err, video.ErrStale) {
		return nil
	}
	if err != nil {
		return err
	}
	log := m.Log.With("letter", l.ID, "kind", l.Kind, "user", l.User)
	if !l.Expires.IsZero() && !l.Expires.After(time.Now()) {
		return m.settleLetter(ctx, l, account.LetterVoid, account.Trouble{}, a.Handle)
	}
	msg, err := m.composeLetter(l)
	if err == nil {
		err = m.send(ctx, msg)
	}
	why := account.Trouble{Code: fault.Of(err).Code, Message: fault.Of(err).Message}
	switch {
	case err == nil:
		log.Info("letter sent")
		return m.settleLetter(ctx, l, account.LetterSent, account.Trouble{}, a.Handle)
	case ctx.Err() != nil: // the server is stopping, or the job was canceled
		return err
	case fault.Permanent(err):
		log.Warn("letter refused", "error", err)
		return m.settleLetter(ctx, l, account.LetterRefused, why, a.Handle)
	case a.Final(err):
		log.Error("letter given up", "error", err)
		return m.settleLetter(ctx, l, account.LetterDead, why, a.Handle)
	}
	log.Warn("letter not sent; it will be tried again", "error", err)
	return errors.Join(err, m.Letters.DelayLetter(ctx, l, why))
}

func (m *Mailer) settleLetter(ctx context.Context, l account.Message, state account.MessageState, why account.Trouble, done engine.Handle) error {
	return patiently(ctx, func(ctx context.Context) error { return m.Letters.SettleLetter(ctx, l, state, why, done) })
}

// The words of letters; html/template escapes what comes from outside.
var (
	letterText = texttemplate.Must(texttemplate.ParseFS(templates, "template/letter.txt"))
	letterHTML = htmltemplate.Must(htmltemplate.ParseFS(templates, "template/letter.html"))
)

// words are what a letter says.
type words struct {
	Title  string
	Lines  []string // above what it tells
	Label  string   // of what it tells
	Secret string
	Link   string
	Button string
	After  []string // below
	Host   string
}

// letterWords says it. The code is behind #: browsers send that to nobody, so that it is in no log of a proxy.
func letterWords(l account.Message, publicURL string) words {
	const until = "2 January 2006, 15:04 UTC"
	w := words{Host: strings.TrimPrefix(strings.TrimPrefix(publicURL, "https://"), "http://"), Link: publicURL + "/#/signin"}
	end := l.Expires.UTC().Format(until)
	switch l.Kind {
	case account.InvitationLetter:
		w.Title, w.Label, w.Button = "You are invited to Sluice", "Temporary password", "Sign in"
		w.Lines = []string{"There is an account for " + l.Address + " at " + w.Host + ".", "Sign in with this address and the temporary password below. You will then choose a password of your own."}
		w.After = []string{"The temporary password works once, until " + end + ". If it has expired, ask whoever invited you for another."}
	case account.ForcedLetter:
		w.Title, w.Label, w.Button = "Your password was reset", "Temporary password", "Sign in"
		w.Lines = []string{"An administrator has reset the password of " + l.Address + " at " + w.Host + ". Your sessions and personal tokens have ended.",
			"Sign in with the temporary password below. You will then choose a password of your own."}
		w.After = []string{"The temporary password works once, until " + end + "."}
	case account.ForgottenLetter:
		w.Title, w.Button, w.Link = "Choose a new password", "Choose a new password", publicURL+"/#/reset?code="+l.Secret
		w.Lines = []string{"Somebody, you we hope, has asked for a new password for " + l.Address + " at " + w.Host + "."}
		w.After = []string{"The link works once, until " + end + ".", "If it wasn't you, do nothing: your password stays as it is."}
		return w
	case account.ChangedLetter:
		w.Title, w.Button, w.Link = "Your password was changed", "Choose another password", publicURL+"/#/forgot"
		w.Lines = []string{"The password of " + l.Address + " at " + w.Host + " was changed on " + l.Created.UTC().Format(until) + ". All other sessions have ended; personal tokens go on."}
		w.After = []string{"If it wasn't you, choose another password at once and tell an administrator."}
	case account.FactorSetLetter:
		w.Title, w.Button, w.Link = "Your account has a second factor", "Look at your account", publicURL+"/#/account"
		w.Lines = []string{"A second factor was set up for " + l.Address + " at " + w.Host + " on " + l.Created.UTC().Format(until) + ": signing in asks for a code of an app from now on. All other sessions have ended; personal tokens and programs go on.",
			"Recovery codes from before are good no more."}
		w.After = []string{"If it wasn't you, tell an administrator at once: they can reset it."}
	case account.FactorEndLetter:
		w.Title, w.Button, w.Link = "Your second factor was removed", "Look at your account", publicURL+"/#/account"
		w.Lines = []string{"The second factor of " + l.Address + " at " + w.Host + " was removed on " + l.Created.UTC().Format(until) + ", by you or an administrator: signing in asks for the password alone. All other sessions have ended; personal tokens and programs go on."}
		w.After = []string{"If you don't know of it, choose another password at once, set up a second factor again, and tell an administrator."}
	case account.RecoveryLetter:
		w.Title, w.Button, w.Link = "A recovery code was used", "Look at your account", publicURL+"/#/account"
		w.Lines = []string{"A recovery code of " + l.Address + " at " + w.Host + " was used on " + l.Created.UTC().Format(until) + ", after the password. It is good no more."}
		w.After = []string{"If it wasn't you, choose another password at once, set up your second factor anew, and tell an administrator."}
	}
	w.Secret = l.Secret
	return w
}

// LetterText is what a letter says, for administrators who pass it on by other means.
func LetterText(l account.Message, publicURL string) (subject, text string) {
	w := letterWords(l, publicURL)
	var b strings.Builder
	_ = letterText.ExecuteTemplate(&b, "letter.txt", w) // a Builder takes everything, and tests execute the template
	return w.Title, b.String()
}

func (m *Mailer) composeLetter(l account.Message) (*gomail.Msg, error) {
	w := letterWords(l, m.PublicURL)
	msg, err := m.envelope(l.Address, w.Title, l.Created, fmt.Sprintf("sluice.letter.%d.%d", l.ID, l.Created.UnixMilli()))
	if err == nil {
		err = msg.SetBodyTextTemplate(letterText.Lookup("letter.txt"), w)
	}
	if err == nil {
		err = msg.AddAlternativeHTMLTemplate(letterHTML.Lookup("letter.html"), w)
	}
	if err != nil {
		return nil, unmade(err)
	}
	return msg, nil
}
