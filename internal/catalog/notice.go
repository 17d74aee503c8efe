package catalog

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"slices"
	"time"

	"sluice/internal/catalog/sqlc"
	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// MailJob makes the job that sends what waits for a subscription, not before a moment (at once where it is zero).
type MailJob func(subscription string, after time.Time) engine.Job

// MailBy has notices sent by jobs; without it they wait in the outbox. It must be called before the store is used.
func (s *Store) MailBy(job MailJob) { s.mail = job }

const (
	mostSubscriptions = 100              // each costs a row an event
	mostRefused       = 3                // messages in a row, then an address is suspended
	overdue           = 15 * time.Minute // a job that has not run so long after it was due is taken for lost: its last try, and the longest pause after it, are over
)

// announce adds a notice for each subscription to its event, and the job that sends it where there is none.
func (t tx) announce(ctx context.Context, n sqlc.InsertNoticeParams) error {
	all, err := t.SubscriptionIDs(ctx)
	if err != nil {
		return err
	}
	for _, s := range all {
		wanted := s.Failed
		if n.Event == string(event.VideoRecovered) {
			wanted = s.Recovered
		}
		if wanted == 0 {
			continue
		}
		sub, err := t.LockSubscription(ctx, s.ID)
		if errors.Is(err, sql.ErrNoRows) {
			continue // ended meanwhile
		}
		if err != nil {
			return err
		}
		n.Subscription, n.Address, n.Time = sub.ID, sub.Address, t.now
		if err := t.InsertNotice(ctx, n); err != nil {
			return err
		}
		if err := t.wake(ctx, sub); err != nil {
			return err
		}
	}
	return nil
}

// wake inserts the job of a locked subscription that has something to send, unless there is one or there must be none.
func (t tx) wake(ctx context.Context, sub sqlc.Subscription) error {
	if t.store.mail == nil || sub.Refused >= mostRefused || sub.Due > t.now-overdue.Milliseconds() {
		return nil
	}
	due, after := t.now, time.Time{} // a job that names a time at all waits for River's scheduler, which wakes each 5 s
	if sub.Next > t.now {
		due, after = sub.Next, timeOf(sub.Next)
	}
	if err := t.SetDue(ctx, sqlc.SetDueParams{ID: sub.ID, Due: due}); err != nil {
		return err
	}
	return t.insert(ctx, video.Admin, []engine.Job{t.store.mail(sub.ID, after)})
}

// failedNotice is the notice of a step that ended its generation.
func failedNotice(v sqlc.Video, ref video.StepRef, why video.Failure) sqlc.InsertNoticeParams {
	return sqlc.InsertNoticeParams{
		Event: string(event.VideoFailed), Video: v.ID, Name: v.Name, Generation: int64(ref.Generation), Step: string(ref.Name), Code: why.Code, Message: why.Message,
	}
}

// recovery tells that a video is ready of whose generations one after that published before had failed, maybe this one before it was redriven; nothing where none had.
func (t tx) recovery(ctx context.Context, v sqlc.Video, n int64) error {
	count, err := t.Recovered(ctx, sqlc.RecoveredParams{Video: v.ID, Published: v.Published, Newest: n})
	if err != nil || count == 0 {
		return err
	}
	if err := t.event(ctx, v.ID, event.VideoRecovered, fields{"generation": n}); err != nil {
		return err
	}
	return t.announce(ctx, sqlc.InsertNoticeParams{Event: string(event.VideoRecovered), Video: v.ID, Name: v.Name, Generation: n})
}

// Wake inserts the jobs of subscriptions that have something to send and no job: after a start without mail, or a loss. It returns how many.
func (s *Store) Wake(ctx context.Context) (woken int, err error) {
	err = s.write(ctx, func(t tx) error {
		woken = 0
		all, err := t.SubscriptionIDs(ctx)
		if err != nil {
			return err
		}
		for _, each := range all {
			sub, err := t.LockSubscription(ctx, each.ID)
			if errors.Is(err, sql.ErrNoRows) {
				continue // ended meanwhile
			}
			if err != nil {
				return err
			}
			left, err := t.left(ctx, sub.ID)
			if err != nil {
				return err
			}
			if !left {
				continue
			}
			before := sub.Due
			if err := t.wake(ctx, sub); err != nil {
				return err
			}
			if sub, err = t.LockSubscription(ctx, sub.ID); err != nil {
				return err
			}
			if sub.Due != before {
				woken++
			}
		}
		return nil
	})
	return woken, err
}

// left reports whether a subscription has notices that wait, or a message that was begun.
func (t tx) left(ctx context.Context, id string) (bool, error) {
	n, err := t.Waiting(ctx, id)
	if err != nil || n > 0 {
		return n > 0, err
	}
	_, err = t.SendingMail(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// Subscribe makes a subscription; an address that has one gets these events instead, and is no longer suspended. fault.Conflict, code
// "too_many_subscriptions", where there are as many as may be.
func (s *Store) Subscribe(ctx context.Context, sub event.Subscription) (event.Subscription, error) {
	err := s.write(ctx, func(t tx) error {
		others, err := t.CountSubscriptions(ctx, sub.Address)
		if err != nil {
			return err
		}
		if others >= mostSubscriptions {
			return fault.New(fault.Conflict, "catalog.subscribe", "too_many_subscriptions", "There are as many subscriptions as may be; remove one, or subscribe a mailing list.", nil)
		}
		flag := func(e event.Type) int64 {
			if slices.Contains(sub.Events, e) {
				return 1
			}
			return 0
		}
		row, err := t.PutSubscription(ctx, sqlc.PutSubscriptionParams{
			ID: sub.ID, Address: sub.Address, Failed: flag(event.VideoFailed), Recovered: flag(event.VideoRecovered), Created: t.now,
		})
		if err != nil {
			return err
		}
		waiting, err := t.Waiting(ctx, row.ID)
		if err != nil {
			return err
		}
		sub = subscriptionOf(row, waiting)
		left, err := t.left(ctx, row.ID)
		if err != nil || !left {
			return err
		}
		return t.wake(ctx, row)
	})
	return sub, err
}

func subscriptionOf(r sqlc.Subscription, waiting int64) event.Subscription {
	s := event.Subscription{ID: r.ID, Address: r.Address, Created: timeOf(r.Created), Waiting: int(waiting), Suspended: r.Refused >= mostRefused}
	if r.Failed != 0 {
		s.Events = append(s.Events, event.VideoFailed)
	}
	if r.Recovered != 0 {
		s.Events = append(s.Events, event.VideoRecovered)
	}
	return s
}

// Subscriptions returns all of them, by address.
func (s *Store) Subscriptions(ctx context.Context) ([]event.Subscription, error) {
	var all []event.Subscription
	err := s.read(ctx, func(q *sqlc.Queries) error {
		rows, err := q.Subscriptions(ctx)
		for _, r := range rows {
			all = append(all, subscriptionOf(r.Subscription, r.Waiting))
		}
		return err
	})
	return all, err
}

// Unsubscribe ends a subscription, with what waits for it. fault.NotFound, code "no_subscription", where there is none.
func (s *Store) Unsubscribe(ctx context.Context, id string) error {
	return s.write(ctx, func(t tx) error {
		rows, err := t.RemoveSubscription(ctx, id)
		if err != nil {
			return err
		}
		if rows == 0 {
			return fault.New(fault.NotFound, "catalog.unsubscribe", "no_subscription", "There is no such subscription; check its id.", nil)
		}
		if err := t.RemoveWaiting(ctx, id); err != nil {
			return err
		}
		return t.RemoveSending(ctx, id)
	})
}

// Outbox returns up to limit notices (1000 where it is 0 or more than that) with ids below before (0 for the newest) that are in a state (empty for all),
// newest first.
func (s *Store) Outbox(ctx context.Context, state event.State, before int64, limit int) ([]event.Notification, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	var notices []event.Notification
	err := s.read(ctx, func(q *sqlc.Queries) error {
		rows, err := q.Outbox(ctx, sqlc.OutboxParams{Before: before, State: string(state), Most: page(limit)})
		for _, r := range rows {
			n := noticeOf(r.Notice)
			n.State, n.Tries, n.Finished = event.State(r.State), int(r.Tries), timeOf(r.Finished)
			n.Trouble = event.Trouble{Code: r.Trouble, Message: r.Why}
			notices = append(notices, n)
		}
		return err
	})
	return notices, err
}

func noticeOf(r sqlc.Notice) event.Notification {
	return event.Notification{
		ID: r.ID, Address: r.Address, Event: event.Type(r.Event), Video: r.Video, Name: r.Name, Generation: int(r.Generation), Step: r.Step,
		Code: r.Code, Message: r.Message, Time: timeOf(r.Time), Mail: r.Mail,
	}
}
