// Package notify tells people by mail what became of videos, and of their accounts.
//
// The store writes a notice for each subscribed address in the transaction of the event itself, with the job that sends it. The job makes one message of
// all that waits for the address: the first failure goes at once, and what fails within the window after a message goes together in the next one.
//
// It promises that a notice is told at least once, and once in the normal case: a crash between the mail server's answer and its record sends
// the message again, with the same Message-ID. Trouble of the mail server is waited for, with growing pauses, for about a day; an address that
// the server refuses for good is not tried again with that message. It costs one SMTP connection a message.
//
// A letter to the holder of an account goes by itself and at once. The secret that it may tell is forgotten in the transaction that records its end.
package notify

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/mail"
	"time"

	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// Queue is the limit that messages share.
const Queue = "mail"

const kind = "mail"

// Job sends what waits for a subscription, not before a moment (at once where it is zero).
func Job(subscription string, after time.Time) engine.Job {
	body, err := json.Marshal(args{subscription})
	if err != nil {
		panic(err) // a string
	}
	return engine.Job{Kind: kind, Args: body, Group: "mail:" + subscription, Queue: Queue, Priority: 2, After: after}
}

type args struct {
	Subscription string `json:"subscription"`
}

// Store keeps notices and messages. Each method is one transaction.
type Store interface {
	// Claim returns the message that is due to a subscription, with its try counted: the one begun before and not ended, else a new one with all
	// that waits. video.ErrStale, with the job completed, where nothing waits or the subscription was ended.
	Claim(ctx context.Context, subscription string, done engine.Handle) (event.Mail, error)
	// Settle ends a message as sent, refused or dead and completes the job. What waits then is due when every has passed. video.ErrStale, with the
	// job completed, where a twin has settled it.
	Settle(ctx context.Context, m event.Mail, state event.State, why event.Trouble, every time.Duration, done engine.Handle) error
	// Delay notes why a message was not sent at this try.
	Delay(ctx context.Context, m event.Mail, why event.Trouble) error
	// Wake inserts the jobs of subscriptions that have something to send and no job: after a start without mail, or a loss. It returns how many.
	Wake(ctx context.Context) (int, error)
}

// Config is what a Mailer is made from.
type Config struct {
	Store     Store
	Letters   Letters
	SMTP      SMTP
	Every     time.Duration // least time between two messages to one address
	PublicURL string        // of the page that messages link to
	Log       *slog.Logger
}

// Mailer sends messages.
type Mailer struct {
	Config
	from mail.Address
}

// New makes a Mailer. It fails where the sender is no address; it does not connect.
func New(c Config) (*Mailer, error) {
	from, err := mail.ParseAddress(c.SMTP.From)
	if err != nil {
		return nil, fault.New(fault.Invalid, "notify.new", "bad_sender", "smtp.from is no mail address; write sluice@example.com or Sluice <sluice@example.com>.", err)
	}
	return &Mailer{Config: c, from: *from}, nil
}

// Handlers maps the kind of job to the function that does it.
func (m *Mailer) Handlers() map[string]engine.Worker {
	return map[string]engine.Worker{kind: m.mail}
}

// Wake has what waits in the outbox without a job sent: it was written by a process that knows no mail server, before there was one, or its job was lost.
func (m *Mailer) Wake(ctx context.Context) error {
	letters, err := m.Letters.WakeLetters(ctx)
	if letters > 0 {
		m.Log.Info("found letters that wait", "letters", letters)
	}
	notices, nerr := m.Store.Wake(ctx)
	if notices > 0 {
		m.Log.Info("found notices that wait", "subscriptions", notices)
	}
	return errors.Join(err, nerr)
}

// mail is one try at a message.
func (m *Mailer) mail(ctx context.Context, a engine.Attempt) error {
	var which args
	if err := json.Unmarshal(a.Job.Args, &which); err != nil {
		return fault.New(fault.Invalid, "notify.mail", "bad_job", "The job's arguments are not those of a message.", err)
	}
	letter, err := m.Store.Claim(ctx, which.Subscription, a.Handle)
	if errors.Is(err, video.ErrStale) {
		return nil
	}
	if err != nil {
		return err
	}
	log := m.Log.With("mail", letter.ID, "address", letter.Address)
	msg, err := m.compose(letter)
	if err == nil {
		err = m.send(ctx, msg)
	}
	why := event.Trouble{Code: fault.Of(err).Code, Message: fault.Of(err).Message}
	switch {
	case err == nil:
		log.Info("mail sent")
		return m.settle(ctx, letter, event.Sent, event.Trouble{}, a.Handle)
	case ctx.Err() != nil: // the server is stopping, or the job was canceled
		return err
	case fault.Permanent(err):
		log.Warn("mail refused", "error", err)
		return m.settle(ctx, letter, event.Refused, why, a.Handle)
	case a.Final(err): // the engine has let it wait for a day
		log.Error("mail given up", "error", err)
		return m.settle(ctx, letter, event.Dead, why, a.Handle)
	}
	log.Warn("mail not sent; it will be tried again", "error", err)
	return errors.Join(err, m.Store.Delay(ctx, letter, why))
}

// settle records the end of a message.
func (m *Mailer) settle(ctx context.Context, letter event.Mail, state event.State, why event.Trouble, done engine.Handle) error {
	return patiently(ctx, func(ctx context.Context) error { return m.Store.Settle(ctx, letter, state, why, m.Every, done) })
}

// patiently records an end. A database that is away is waited for, because the job's next try would send the message again.
func patiently(ctx context.Context, record func(context.Context) error) error {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := record(context.WithoutCancel(ctx))
		if err == nil || errors.Is(err, video.ErrStale) {
			return nil
		}
		if !fault.Is(err, fault.Unavailable) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}
