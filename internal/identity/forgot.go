package identity

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"sluice/internal/account"
	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// Queue is the limit that the work on accounts shares.
const Queue = "account"

const forgotKind = "forgot"

type forgotArgs struct {
	Email   string `json:"email"`
	Address string `json:"address"` // from where it was asked
}

// Forgot has a code for a new password sent to whoever has an account with an e-mail address. Whether there is one is found out by a job, so that who asks can't tell by
// answer or by time. What is asked too often for one mailbox is dropped without a word; fault.Limited, code "try_later", where one address asks too often.
func (s *Service) Forgot(ctx context.Context, email string) error {
	now, wait, drop := s.Now(), time.Duration(0), false
	from := account.CallerOf(ctx).Address
	address := forgotStrikes(from)
	err := s.Store.Strike(ctx, []string{address, mailboxStrikes(email)}, func(name string, was account.FailureCount) account.FailureCount {
		left := was.Until.Sub(now)
		switch {
		case name == address && left > 0:
			wait = left
		case wait > 0:
		case name == address:
			return perAddress.strike(was, now)
		case left > 0:
			drop = true
		default:
			return perMailbox.strike(was, now)
		}
		return was
	}, nil)
	switch {
	case err != nil || drop || wait == 0 && strings.ContainsFunc(email, func(r rune) bool { return r <= ' ' || r > '~' }): // nobody has such an address
		return err
	case wait > 0:
		return later(wait)
	}
	args, err := json.Marshal(forgotArgs{email, from})
	if err != nil {
		return err
	}
	return s.Store.Enqueue(ctx, []engine.Job{{Kind: forgotKind, Args: args, Queue: Queue, Owner: video.Admin, Priority: 1}})
}

// Handlers maps each kind of job to the function that does it.
func (s *Service) Handlers() map[string]engine.Worker {
	return map[string]engine.Worker{forgotKind: s.forgot}
}

func (s *Service) forgot(ctx context.Context, a engine.Attempt) error {
	var asked forgotArgs
	if err := json.Unmarshal(a.Job.Args, &asked); err != nil {
		return fault.New(fault.Invalid, "identity.forgot", "bad_job", "The job's arguments are not those of a forgotten password.", err)
	}
	code, now := secret(), s.Now()
	act := account.AuditEntry{Time: now, What: account.PasswordForgotten, Address: asked.Address}
	letter := account.Message{Kind: account.ForgottenLetter, Secret: code, Expires: now.Add(codeFor), Created: now}
	return s.Store.OfferCode(ctx, asked.Email, digest(code), letter, act, a.Handle)
}

// Reset gives the user whose code it is another password and ends all sessions of theirs. fault.Gone, code "code_gone", where the code is wrong, used, replaced or expired;
// fault.Invalid, code "weak_password", after which the code is still good.
func (s *Service) Reset(ctx context.Context, code, fresh string) error {
	gone := fault.New(fault.Gone, "identity.reset", "code_gone", "This link is not good any more: it was used, replaced by a newer one, or is over an hour old; ask for another.", nil)
	login, err := s.Store.CodeOwner(ctx, digest(code), s.Now())
	if fault.Is(err, fault.NotFound) {
		return gone
	}
	if err != nil {
		return err
	}
	if err := check(fresh, login.Email, login.Name); err != nil {
		return err
	}
	hash, err := s.hasher.hash(ctx, fresh)
	if err != nil {
		return err
	}
	act := s.act(ctx, account.PasswordReset, self(login.User), login.User)
	err = s.Store.SetPassword(ctx, account.NewPassword{Login: login, Fresh: hash, Code: digest(code), Forgives: userStrikes(login.Email), Act: act})
	if errors.Is(err, video.ErrStale) {
		return gone
	}
	return err
}
