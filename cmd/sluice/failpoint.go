//go:build !drill

package main

// failpoint is where a drill stages a crash; this build has none.
var failpoint func(point string)
