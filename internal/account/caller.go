package account

import (
	"context"
	"net/netip"
)

// Caller is where a request comes from, whoever asks.
type Caller struct {
	Address string // of the client, an IP address: the proxy's where that isn't trusted to tell
	Agent   string // what its browser calls itself: bounded, and without control characters
	Cookie  string // the secret of its session's cookie; empty where there is none
	Device  string // the cookie of a browser that somebody signed in with before; empty where there is none
}

type callerKey struct{}

// WithCaller returns a context that carries where a request comes from.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf returns where a request comes from; the zero Caller where that isn't known.
func CallerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// Network returns what counts as one address: of IPv6 the /64 that one customer has, because browsers change the rest
// (RFC 8981). It is empty for text that is no IP address.
func Network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	if ip = ip.Unmap(); ip.Is6() {
		if p, err := ip.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}
