//go:build !drill

package main

// failpoint is where a drill stages a crash; this build has none.
var failpoint func(point string)

// moreBuckets are buckets that a drill wants on the endpoint; this build has none.
var moreBuckets []string
