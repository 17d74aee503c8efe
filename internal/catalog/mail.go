package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"sluice/internal/catalog/sqlc"
	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/video"
)

const (
	mostTold = 100                 // notices of a message by name; its groups count them all
	keepMail = 30 * 24 * time.Hour // how long a message and its notices are kept after its end
)

// Claim returns the message that is due to a subscription: the one begun before, or a new one with all that waits. See notify.Store.
func (s *Store) Claim(ctx context.Context, subscription string, done engine.Handle) (m event.Mail, err error) {
	err = s.end(ctx, engine.Handle{}, func(t tx) error {
		sub, err := t.LockSubscription(ctx, subscription)
		if errors.Is(err, sql.ErrNoRows) {
			return t.nothing(ctx, done) // unsubscribed
		}
		if err != nil {
			return err
		}
		row, err := t.begun(ctx, sub)
		if errors.Is(err, sql.ErrNoRows) {
			if err := t.SetDue(ctx, sqlc.SetDueParams{ID: sub.ID}); err != nil {
				return err
			}
			return t.nothing(ctx, done)
		}
		if err != nil {
			return err
		}
		if err := t.SetDue(ctx, sqlc.SetDueParams{ID: sub.ID, Due: t.now}); err != nil {
			return err
		}
		if err := t.TryMail(ctx, row.ID); err != nil {
			return err
		}
		m = event.Mail{ID: row.ID, Subscription: sub.ID, Address: sub.Address, Created: timeOf(row.Created)}
		return t.fill(ctx, &m)
	})
	return m, err
}

// nothing completes a job that has nothing left to do.
func (t tx) nothing(ctx context.Context, done engine.Handle) error {
	if err := t.complete(ctx, done); err != nil {
		return err
	}
	return video.ErrStale
}

// begun is the message under way of a locked subscription, begun now where there is none and notices wait; sql.ErrNoRows where none do.
func (t tx) begun(ctx context.Context, sub sqlc.Subscription) (sqlc.Mail, error) {
	row, err := t.SendingMail(ctx, sub.ID)
	if !errors.Is(err, sql.ErrNoRows) {
		return row, err
	}
	waiting, err := t.Waiting(ctx, sub.ID)
	if err != nil {
		return row, err
	}
	if waiting == 0 {
		return row, sql.ErrNoRows
	}
	if row, err = t.InsertMail(ctx, sqlc.InsertMailParams{Subscription: sub.ID, Created: t.now}); err != nil {
		return row, err
	}
	return row, t.TakeNotices(ctx, sqlc.TakeNoticesParams{Subscription: sub.ID, Mail: row.ID})
}

// fill reads what a message tells.
func (t tx) fill(ctx context.Context, m *event.Mail) error {
	m.Groups, m.Notices = nil, nil
	groups, err := t.NoticeGroups(ctx, m.ID)
	if err != nil {
		return err
	}
	for _, g := range groups {
		m.Groups = append(m.Groups, event.NotificationGroup{Event: event.Type(g.Event), Code: g.Code, Count: int(g.Count)})
	}
	rows, err := t.NoticesOfMail(ctx, sqlc.NoticesOfMailParams{Mail: m.ID, Limit: mostTold})
	for _, r := range rows {
		m.Notices = append(m.Notices, noticeOf(r))
	}
	return err
}

// Settle ends a message, and makes the next one due where notices wait. See notify.Store.
func (s *Store) Settle(ctx context.Context, m event.Mail, state event.State, why event.Trouble, every time.Duration, done engine.Handle) error {
	return s.end(ctx, done, func(t tx) error {
		sub, err := t.LockSubscription(ctx, m.Subscription)
		if errors.Is(err, sql.ErrNoRows) {
			return video.ErrStale // unsubscribed, and the message is gone with it
		}
		if err != nil {
			return err
		}
		if err := fenced(t.EndMail(ctx, sqlc.EndMailParams{ID: m.ID, State: string(state), Code: why.Code, Message: why.Message, Finished: t.now})); err != nil {
			return err
		}
		switch state {
		case event.Sent:
			sub.Refused = 0
		case event.Refused:
			sub.Refused++
		case event.Waiting, event.Sending, event.Dead:
		}
		sub.Next, sub.Due = t.now+every.Milliseconds(), 0
		if err := t.SetSent(ctx, sqlc.SetSentParams{ID: sub.ID, Next: sub.Next, Due: 0, Refused: sub.Refused}); err != nil {
			return err
		}
		waiting, err := t.Waiting(ctx, sub.ID)
		if err == nil && waiting > 0 {
			err = t.wake(ctx, sub)
		}
		if err != nil {
			return err
		}
		old := t.now - keepMail.Milliseconds()
		if err := t.RemoveOldNotices(ctx, old); err != nil {
			return err
		}
		return t.RemoveOldMail(ctx, old)
	})
}

// Delay notes why a message was not sent at this try. See notify.Store.
func (s *Store) Delay(ctx context.Context, m event.Mail, why event.Trouble) error {
	return s.write(ctx, func(t tx) error {
		return t.TroubleMail(ctx, sqlc.TroubleMailParams{ID: m.ID, Code: why.Code, Message: why.Message})
	})
}
