package main

import (
	"context"
	"fmt"
	"time"

	"sluice/internal/engine"
)

// Reconcile says how often the storage is compared with the records.
type Reconcile struct {
	Every time.Duration `help:"How often the bucket is searched for objects that no event told of." default:"5m" env:"EVERY"`
}

func (r Reconcile) validate() error {
	if r.Every < time.Second || r.Every > 24*time.Hour {
		return fmt.Errorf("reconcile.every is %s; use 1s to 24h", r.Every)
	}
	return nil
}

// reconcileDuty is the name of the duty in the database.
const reconcileDuty = "reconcile"

// reconciler shows and hurries the duty to those who ask the API.
type reconciler struct{ app *App }

func (r reconciler) Reconciliation(ctx context.Context) (engine.DutyState, error) {
	return r.app.engine.Duty(ctx, reconcileDuty)
}

func (r reconciler) Reconcile(ctx context.Context) error {
	return r.app.engine.Hurry(ctx, reconcileDuty)
}

// The first look for the source of a grant, on a storage of its own. Where the storage sends events, they come within
// seconds, and a look is only for those that are late or lost.
const (
	firstLook     = 5 * time.Second
	lateEventLook = time.Minute
)

// firstLook is how long after a grant the server first looks for its source by itself; 0 on the embedded storage, which
// records a source before its PUT is answered.
func (s *Settings) firstLook() time.Duration {
	switch {
	case !s.remote():
		return 0
	case s.Events.Token != "" || s.Events.SQSURL != "":
		return lateEventLook
	}
	return firstLook
}

// inspected is how many videos each comparison looks after.
const inspected = 500

// Sweep says what counts as left over.
type Sweep struct {
	After       time.Duration `help:"How long something must have been left alone before it is swept, 3h at least." default:"24h" env:"AFTER"`
	ForgetAfter time.Duration `help:"How long failed attempts and notices are kept, 3h at least; 0 for ever." default:"2160h" env:"FORGET_AFTER"`
}

func (s Sweep) validate() error {
	if s.After < leastSweep {
		return fmt.Errorf("sweep.after is %s; use %s or more: clocks may differ", s.After, leastSweep)
	}
	if s.ForgetAfter != 0 && s.ForgetAfter < leastSweep {
		return fmt.Errorf("sweep.forget_after is %s; use %s or more, or 0 for ever", s.ForgetAfter, leastSweep)
	}
	return nil
}

// leastSweep lets the clocks of machines, storage and database differ by an hour each way, and more.
const leastSweep = 3 * time.Hour

// sweepEvery is how often what is left over is looked for.
const sweepEvery = 24 * time.Hour

// duties are what one process of all does every so often.
func (a *App) duties() []engine.Duty {
	return []engine.Duty{
		a.forgetful(),
		{Name: reconcileDuty, Every: a.settings.Reconcile.Every, Do: a.reconcile},
		{Name: "sweep", Every: sweepEvery, Do: func(ctx context.Context) error {
			_, err := a.sweeper.Sweep(ctx, true)
			return err
		}},
	}
}

// reconcile finds objects whose event was lost, and videos whose objects are.
func (a *App) reconcile(ctx context.Context) error {
	found, err := a.uploads.Reconcile(ctx)
	if found > 0 {
		a.log.Info("found objects without a video", "count", found)
	}
	if err != nil {
		return err
	}
	_, err = a.uploads.Inspect(ctx, inspected)
	return err
}
