package catalog

import (
	"context"
	"database/sql"
	"errors"
	"math"

	"sluice/internal/account"
	"sluice/internal/catalog/sqlc"
	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// MessageJob makes the job that sends a letter.
type MessageJob func(letter int64) engine.Job

// LettersBy has letters sent by jobs; without it they wait in the outbox. It must be called before the store is used.
func (s *Store) LettersBy(job MessageJob) { s.letter = job }

// write writes a letter, and the job that sends it where mail is sent.
func (t tx) write(ctx context.Context, l account.Message) error {
	id, err := t.InsertLetter(ctx, sqlc.InsertLetterParams{
		Kind: string(l.Kind), Account: l.User, Address: l.Address, Secret: l.Secret, Expires: millis(l.Expires), Created: l.Created.UnixMilli(),
	})
	if err != nil {
		return err
	}
	return t.post(ctx, id)
}

// post inserts the job of a letter.
func (t tx) post(ctx context.Context, letter int64) error {
	if t.store.letter == nil {
		return nil
	}
	if err := t.SetLetterDue(ctx, sqlc.SetLetterDueParams{ID: letter, Due: t.now}); err != nil {
		return err
	}
	return t.insert(ctx, video.Admin, []engine.Job{t.store.letter(letter)})
}

// WakeLetters inserts the jobs of letters that wait and have none: after a start without mail, or a loss. It returns how many.
func (s *Store) WakeLetters(ctx context.Context) (woken int, err error) {
	if s.letter == nil {
		return 0, nil
	}
	err = s.write(ctx, func(t tx) error {
		asleep, err := t.SleepingLetters(ctx, t.now-overdue.Milliseconds())
		woken = len(asleep)
		for i := 0; i < len(asleep) && err == nil; i++ {
			err = t.post(ctx, asleep[i])
		}
		return err
	})
	return woken, err
}

// ClaimLetter returns a letter with its try counted. video.ErrStale, with the job completed, where it waits no more.
func (s *Store) ClaimLetter(ctx context.Context, id int64, done engine.Handle) (l account.Message, err error) {
	err = s.end(ctx, engine.Handle{}, func(t tx) error {
		row, err := t.TryLetter(ctx, sqlc.TryLetterParams{ID: id, Due: t.now})
		if errors.Is(err, sql.ErrNoRows) {
			return t.nothing(ctx, done)
		}
		if err != nil {
			return err
		}
		l = letterOf(row)
		return nil
	})
	return l, err
}

// SettleLetter ends a letter as sent, refused or dead, forgets its secret and completes the job. video.ErrStale, with the job completed, where it waits no more.
func (s *Store) SettleLetter(ctx context.Context, l account.Message, state account.MessageState, why account.Trouble, done engine.Handle) error {
	err := s.end(ctx, done, func(t tx) error {
		return fenced(t.EndLetter(ctx, sqlc.EndLetterParams{ID: l.ID, State: string(state), Code: why.Code, Message: why.Message, Finished: t.now}))
	})
	if err == nil && l.Secret != "" {
		s.scrub(ctx) // it may open an account for days
	}
	return err
}

// scrub takes secrets that were erased out of the database's files too. What can't be done now, Prune does.
func (s *Store) scrub(ctx context.Context) {
	if done, err := s.db.Checkpoint(ctx); err != nil || !done {
		s.log.InfoContext(ctx, "what was erased is still in the database's log, because somebody reads an older state; it goes within the hour", "error", err)
	}
}

// DelayLetter notes why a letter was not sent at this try.
func (s *Store) DelayLetter(ctx context.Context, l account.Message, why account.Trouble) error {
	return s.write(ctx, func(t tx) error {
		return t.TroubleLetter(ctx, sqlc.TroubleLetterParams{ID: l.ID, Code: why.Code, Message: why.Message})
	})
}

func letterOf(r sqlc.Letter) account.Message {
	return account.Message{
		ID: r.ID, Kind: account.MessageKind(r.Kind), User: r.Account, Address: r.Address, Secret: r.Secret, Expires: timeOf(r.Expires), State: account.MessageState(r.State),
		Tries: int(r.Tries), Code: r.Code, Message: r.Message, Created: timeOf(r.Created), Finished: timeOf(r.Finished),
	}
}

// Letters returns up to limit letters (1000 where it is 0 or more than that) with ids below before (0 for the newest) in a state (empty for all), newest first,
// without their secrets.
func (s *Store) Letters(ctx context.Context, state account.MessageState, before int64, limit int) (all []account.Message, err error) {
	if before == 0 {
		before = math.MaxInt64
	}
	err = s.read(ctx, func(q *sqlc.Queries) error {
		rows, err := q.Letters(ctx, sqlc.LettersParams{Before: before, State: string(state), Most: page(limit)})
		for _, r := range rows {
			r.Secret = ""
			all = append(all, letterOf(r))
		}
		return err
	})
	return all, err
}

// Letter returns one letter with its secret, where it waits and no job sends letters, and records who read it; else without. fault.NotFound, code "no_letter".
func (s *Store) Letter(ctx context.Context, id int64, act account.AuditEntry) (l account.Message, err error) {
	err = s.write(ctx, func(t tx) error {
		row, err := t.Queries.Letter(ctx, id)
		if err != nil {
			return absent(err, fault.New(fault.NotFound, "catalog.letter", "no_letter", "There is no such letter; look at the outbox.", nil))
		}
		if l = letterOf(row); l.State != account.LetterWaiting || s.letter != nil || !l.Expires.IsZero() && l.Expires.Before(act.Time) {
			l.Secret = ""
		}
		if l.Secret == "" {
			return nil
		}
		act.User, act.UserName = l.User, l.Address
		return t.act(ctx, act)
	})
	return l, err
}
