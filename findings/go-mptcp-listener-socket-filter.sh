#!/usr/bin/env bash
# A listener of Go takes no socket filter (SO_ATTACH_FILTER): it is an MPTCP socket.
#
# Version: Go 1.24 and newer with Linux 5.6 and newer; seen on 2026-11-30 with the Go of this machine on Linux 6.18
# (net.mptcp.enabled=1).
# Input:   net.Listen("tcp", "127.0.0.1:0"), and a classic BPF filter of one instruction that accepts everything.
# Seen:    setsockopt answers EOPNOTSUPP ("operation not supported"). By net.ListenConfig with SetMultipathTCP(false)
# the same call succeeds.
# A good engineer would guess that a *net.TCPListener is a TCP socket, for which Linux documents the option (socket(7)).
# Documented in the release notes of Go
# 1.24 ("ListenConfig now uses MPTCP by default on systems where it is supported"), but not with what it takes away.
# Exits 0 while that is so, and not 0 if it changes.
set -euo pipefail
if [[ $(cat /proc/sys/net/mptcp/enabled 2>/dev/null || echo 0) != 1 ]]; then
	echo "this kernel has no MPTCP: Go falls back to TCP, and there is nothing to see"
	exit 0
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
go version
cat >go.mod <<'END'
module finding

go 1.24

require golang.org/x/sys v0.30.0
END
cat >main.go <<'END'
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

func attach(l net.Listener, err error) error {
	if err != nil {
		return err
	}
	defer l.Close()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		return err
	}
	accept := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff}
	var serr error
	err = raw.Control(func(fd uintptr) {
		serr = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &accept})
	})
	return errors.Join(err, serr)
}

func main() {
	byDefault := attach(net.Listen("tcp", "127.0.0.1:0"))
	var c net.ListenConfig
	c.SetMultipathTCP(false)
	plain := attach(c.Listen(context.Background(), "tcp", "127.0.0.1:0"))
	fmt.Println("net.Listen:            ", byDefault)
	fmt.Println("SetMultipathTCP(false):", plain)
	if !errors.Is(byDefault, unix.EOPNOTSUPP) || plain != nil {
		os.Exit(1)
	}
}
END
GOFLAGS=-mod=mod go run .
