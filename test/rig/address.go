package rig

import (
	"testing"

	"sluice/test/away"
)

// Address is one of loopback that nobody listens on and nobody else is given until the test ends, for a server that has to be told its own and keeps it over
// restarts.
func Address(t testing.TB) string {
	t.Helper()
	return away.Address(t)
}
