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

// inspected is how many videos each comparison looks after.
const inspected = 500

// pinsEvery is how often pins that belong to no video are looked for.
const pinsEvery = time.Hour

// duties are what one process of all does every so often.
func (a *App) duties() []engine.Duty {
	return []engine.Duty{
		{Name: "reconcile", Every: a.settings.Reconcile.Every, Do: a.reconcile},
		{Name: "pins", Every: pinsEvery, Do: a.uploads.SweepPins},
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
