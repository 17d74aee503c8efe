package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/test/rig"
)

// authority is a CA of one test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	a := authority{t: t}
	a.cert, a.key = a.issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "CA of a test of Sluice"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// issue makes a certificate for a day, signed by the CA, or by itself where there is none yet.
func (a authority) issue(what *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	what.SerialNumber, what.NotBefore, what.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = what, key
	}
	der, err := x509.CreateCertificate(rand.Reader, what, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// serve answers over TLS as that host, on a free port of loopback, and returns its origin.
func (a authority) serve(host string, handler http.Handler) string {
	a.t.Helper()
	cert, key := a.issue(&x509.Certificate{DNSNames: []string{host}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw, a.cert.Raw}, PrivateKey: key}}}
	server.StartTLS()
	a.t.Cleanup(func() {
		server.CloseClientConnections() // a browser keeps its own open
		server.Close()
	})
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		a.t.Fatal(err)
	}
	return "https://" + net.JoinHostPort(host, port)
}

// print is the hash of the CA's public key, as browsers pin it (RFC 7469 §2.4).
func (a authority) print() string {
	sum := sha256.Sum256(a.cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// front passes requests on to a server that is started later, as a proxy that terminates TLS does.
func front(to *string) http.Handler {
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = "http", strings.TrimPrefix(*to, "http://")
	}}
}

// playerPage is the page of test/browser that plays, with its libraries.
func playerPage(t *testing.T) *http.ServeMux {
	t.Helper()
	browser := filepath.Join(rig.Root(t), "test", "browser")
	files := http.NewServeMux()
	for path, name := range map[string]string{
		"/{$}": "player.html", "/player.mjs": "player.mjs", "/lib/hls.js": "node_modules/hls.js/dist/hls.js",
		"/lib/shaka.js": "node_modules/shaka-player/dist/shaka-player.compiled.js", "/lib/dash.js": "node_modules/dashjs/dist/modern/umd/dash.all.min.js",
	} {
		files.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(name, "js") {
				w.Header().Set("Content-Type", "text/javascript")
			}
			http.ServeFile(w, r, filepath.Join(browser, filepath.FromSlash(name)))
		})
	}
	return files
}

func TestPlayersPlayInEachWayAcrossOrigins(t *testing.T) {
	t.Parallel()
	files := playerPage(t)
	var sluice string
	files.Handle("/v1/", front(&sluice))
	ca := newAuthority(t)
	page, other, edge := ca.serve("www.sluice.test", files), ca.serve("evil.other.test", files), ca.serve("cdn.sluice.test", front(&sluice))
	data, clip := filepath.Join(t.TempDir(), "data"), rig.Clip(t, "clip.mp4", "320x180", 60)
	s := rig.Start(t, rig.Options{Data: data, Args: []string{"--playback", "signed"}}) // uploads go to the public URL, which names no machine that Go finds
	id := s.Upload(clip, "clip.mp4")
	if v := s.Await(id, 5*time.Minute); v.Status != "ready" {
		t.Fatalf("%s", v.Raw)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	s = rig.Start(t, rig.Options{Data: data, Args: []string{"--public-url", page, "--edge-url", edge, "--playback-cookies-domain", "sluice.test"}})
	sluice = s.URL
	all := "" // the short form takes each way and each player once
	if *full {
		all = "yes"
	}
	node(t, "ways.test.mjs", "WAYS_FULL="+all, "WAYS_PAGE="+page, "WAYS_OTHER="+other, "WAYS_EDGE="+edge, "WAYS_CA="+ca.print(), "WAYS_HOSTS=*.test",
		"SLUICE_TOKEN="+s.Token, "SLUICE_VIDEO="+id)
	if log := s.Log(); strings.Contains(log, "Signature=") || strings.Contains(log, s.Token) {
		t.Error("the log tells secrets")
	}
}
