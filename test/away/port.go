package away

import (
	"net"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// Address keeps a port of loopback for a test, as "127.0.0.1:port": whoever is told of it can listen there, stop, and listen there again, and nobody else
// is given that port meanwhile. Between the end of one listener and the start of the next, connections are refused.
//
// What keeps it is a socket that is bound and never listens. With SO_REUSEADDR, which Go's listeners set too, others may listen beside it when they ask for the
// port by its number, and the system hands it out to nobody who asks for any (socket(7), ip(7)).
func Address(t testing.TB) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(name.(*unix.SockaddrInet4).Port))
}
