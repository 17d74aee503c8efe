package rig

import (
	"context"
	"errors"
	"io"
	"net/url"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Line is a TCP line to a server that can be cut.
type Line struct {
	t     testing.TB
	proxy *toxiproxy.Proxy
}

// Through lays a line to the host of a URL and returns it with the URL by which that is reached over it.
func Through(t testing.TB, to string) (*Line, string) {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.New(io.Discard))
	l := &Line{t: t, proxy: toxiproxy.NewProxy(server, u.Host, Address(t), u.Host)}
	if err := l.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.proxy.Stop)
	u.Host = l.proxy.Listen
	return l, u.String()
}

// Cut breaks all connections and refuses new ones until Mend.
func (l *Line) Cut() { l.proxy.Stop() }

// Hang swallows what is sent either way, without a word, until Mend.
func (l *Line) Hang() {
	for _, stream := range []string{"upstream", "downstream"} {
		toxic := `{"name": "` + stream + `", "type": "timeout", "stream": "` + stream + `", "attributes": {"timeout": 0}}`
		if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			l.t.Errorf("hang: %v", err)
		}
	}
}

// Mend makes the line whole again.
func (l *Line) Mend() {
	l.proxy.Toxics.ResetToxics(context.Background())
	if err := l.proxy.Start(); err != nil && !errors.Is(err, toxiproxy.ErrProxyAlreadyStarted) {
		l.t.Errorf("mend: %v", err)
	}
}
