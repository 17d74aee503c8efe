//go:build !drill

package main

import "time"

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
