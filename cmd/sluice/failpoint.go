//go:build !drill

package main

import (
	"time"

	"sluice/internal/engine"
	"sluice/internal/sweep"
)

// Where a drill stages its faults; this build has none.
var (
	failpoint   func(point string)
	moreBuckets []string
	now         = time.Now
)

// deleteAgain is when a deletion is repeated: a canceled attempt is gone by then, whatever held it up.
const deleteAgain = 2 * time.Minute

func stageRecords(r records) records { return r }

func stageBlobs(b blobs) blobs { return b }

func stageSweep(s sweep.Store) sweep.Store { return s }

func stageHistory(h sweep.History) sweep.History { return h }

func stageLeftovers(o sweep.Objects) sweep.Objects { return o }

func stageJobs(j operations) operations { return j }

func stageDuties(d engine.Duties) engine.Duties { return d }
