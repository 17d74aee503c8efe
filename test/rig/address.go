package rig

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Address is one of loopback that nobody listens on, for a server that has to be told its own and keeps it over restarts. Its port is below those that the kernel
// gives out by itself (Linux: 32768 and up), or a connection of anybody on this machine could take it meanwhile.
func Address(t testing.TB) string {
	t.Helper()
	const first, ports = 10_000, 10_000
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(ports)) //nolint:gosec // chance, not secrets
		listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
		if err == nil {
			_ = listener.Close()
			return address
		}
	}
	t.Fatal("there is no free port on 127.0.0.1")
	return ""
}
