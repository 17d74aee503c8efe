// Package away puts a link that can be cut in front of a part of the system: a database, a storage endpoint. It is toxiproxy in the test's process, on
// loopback, and is used by tests alone.
package away

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Link passes bytes on until it is told otherwise.
type Link struct {
	Addr string // where to connect instead

	t     testing.TB
	proxy *toxiproxy.Proxy
}

// Before makes a link to what listens on upstream, "host:port". It ends with the test.
func Before(t testing.TB, upstream string) *Link {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, "link", Address(t), upstream)
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	return &Link{Addr: proxy.Listen, t: t, proxy: proxy}
}

// BeforeURL makes a link to the host of a URL, and returns that URL by way of it.
func BeforeURL(t testing.TB, upstream string) (*Link, string) {
	t.Helper()
	u, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	link := Before(t, u.Host)
	u.Host = link.Addr
	return link, u.String()
}

// Cut breaks every connection and refuses new ones, as a server that was killed does.
func (l *Link) Cut() {
	l.t.Helper()
	l.proxy.Stop()
}

// Hang lets connections be and passes nothing on, as a server that was stopped does.
func (l *Link) Hang() {
	l.t.Helper()
	for _, stream := range []string{"upstream", "downstream"} {
		if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(
			`{"name":"` + stream + `","type":"timeout","stream":"` + stream + `","attributes":{"timeout":0}}`)); err != nil {
			l.t.Errorf("hang: %v", err)
		}
	}
}

// Mend makes the link pass bytes on again. Connections that hung break. It may be called from any goroutine.
func (l *Link) Mend() {
	l.t.Helper()
	l.proxy.Toxics.ResetToxics(context.Background())
	if err := l.proxy.Start(); err != nil && !errors.Is(err, toxiproxy.ErrProxyAlreadyStarted) {
		l.t.Errorf("mend: %v", err)
	}
}
