//go:build !drill

package main

import "time"

// Where a drill stages its faults; this build has none.
var (
	failpoint   func(point string)
	moreBuckets []string
	now         = time.Now
)

func stageRecords(r records) records { return r }

func stageBlobs(b blobs) blobs { return b }
