package bench

import (
	"fmt"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"sluice/internal/signing"
)

// signatureCosts measures verifying in this process, and at the edge with a signature that it knows and with one that is new each time.
func (s *edgeStage) signatureCosts() {
	fresh := 256
	if *full {
		fresh = 6000 // the edge remembers 4,096: of more, one after the other, it has forgotten each when it comes again
	}
	rounds, last := pace()
	rung := s.rungs[0]
	fmt.Printf("\nsignatures, on segments of %.0f kB\n  %-16s %18s %18s %24s %24s %16s\n", float64(s.size[rung])/1e3, "", "verify µs, cold", "cached", "segments/s known / new", "edge's CPU µs each", "new costs µs")
	for _, kind := range []struct {
		algorithm signing.Algorithm
		hash      signing.Hash
	}{{signing.RSA2048, signing.SHA1}, {signing.RSA2048, signing.SHA256}, {signing.ECDSAP256, signing.SHA256}} {
		pair, queries := s.signed(kind.algorithm, kind.hash, fresh)
		cold, cached := s.verify(pair, queries)
		var known, unknown []run
		for range rounds {
			known = append(known, s.round(s.ours, plan{Connections: viewers, For: last, Targets: s.hot[rung], Queries: queries[:viewers]}))
			unknown = append(unknown, s.round(s.ours, plan{Connections: viewers, For: last, Targets: s.hot[rung], Queries: queries, Fresh: true}))
		}
		a, b := together(known).each(), together(unknown).each()
		fmt.Printf("  %-16s %18.1f %18.2f %13.0f / %8.0f %13.1f / %8.1f %16.1f\n", string(kind.algorithm)+" "+string(kind.hash), cold, cached, median(known, run.rate), median(unknown, run.rate), a, b, b-a)
	}
}

// signed brings a key pair, and signs so many policies with it that say the same but for their end.
func (s *edgeStage) signed(a signing.Algorithm, h signing.Hash, n int) (signing.KeyPair, []string) {
	s.t.Helper()
	pair, err := signing.Make(a, h, time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	public, err := pair.PublicPEM()
	if err != nil {
		s.t.Fatal(err)
	}
	if status := s.Call(http.MethodPost, "/v1/key-pairs", map[string]any{"pem": string(public), "id": pair.ID}, nil); status != http.StatusCreated {
		s.t.Fatalf("POST /v1/key-pairs: %d", status)
	}
	end := time.Now().Add(12 * time.Hour)
	queries := make([]string, n)
	for i := range queries {
		c, err := pair.Sign(signing.Policy{Resource: s.URL + s.path + "*", Expires: end.Add(time.Duration(i) * time.Second)})
		if err != nil {
			s.t.Fatal(err)
		}
		queries[i] = string(c.AppendQuery(nil))
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) { // the edge asks for unknown key pairs once in some seconds
		resp, err := http.Get(s.URL + s.hot[s.rungs[0]][0] + "?" + queries[0])
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return pair, queries
			}
		}
		if time.Now().After(deadline) {
			s.t.Fatal("the edge doesn't take a key pair that was brought")
		}
	}
}

// verify is what a signature costs in µs: with all that the edge asks of package signing for one request, and without the public-key operation.
func (s *edgeStage) verify(pair signing.KeyPair, queries []string) (cold, cached float64) {
	s.t.Helper()
	ring, err := signing.NewKeyRing(pair)
	if err != nil {
		s.t.Fatal(err)
	}
	at := s.hot[s.rungs[0]][0]
	check := func(query string, known *signing.Verified) *signing.Verified {
		p, err := signing.Normalize(at)
		if err != nil {
			s.t.Fatal(err)
		}
		c, rest, err := signing.FromQuery(query)
		if err != nil {
			s.t.Fatal(err)
		}
		q := &signing.Request{Scheme: "http", Host: strings.TrimPrefix(s.URL, "http://"), Path: p, Query: rest, Now: time.Now()}
		if known == nil {
			g, err := ring.Authenticate(c, q)
			if err != nil {
				s.t.Fatal(err)
			}
			known = &g
		}
		if err := known.Check(ring, q); err != nil {
			s.t.Fatal(err)
		}
		return known
	}
	took := func(n int, once func(i int)) float64 {
		began := time.Now()
		for i := range n {
			once(i)
		}
		return float64(time.Since(began).Nanoseconds()) / 1e3 / float64(n)
	}
	cold = took(min(len(queries), 2000), func(i int) { check(queries[i], nil) })
	known := check(queries[0], nil)
	return cold, took(20*len(queries), func(int) { check(queries[0], known) })
}

// minutes is how long the film is whose playlist is measured beside those of the clip.
const minutes = 10

// manifests measures manifests in which every reference gets the viewer's signature.
func (s *edgeStage) manifests() {
	rounds, last := pace()
	list := s.path + s.largest() + "/index.m3u8"
	long := path.Dir(list) + "/film.m3u8"
	s.lengthen(list, long)
	fmt.Printf("\nmanifests, signed for each request (goal: %d a second), %d connections\n  %-52s %10s %10s %10s %14s\n", goalManifests, viewers, "", "bytes", "a second", "p99 ms", "CPU µs each")
	for _, beside := range []string{"alone", "beside an encode"} {
		stop := func() {}
		if beside != "alone" {
			stop = s.encode()
		}
		for _, m := range []struct{ name, path string }{
			{"multivariant playlist", s.path + "index.m3u8"}, {"media playlist of the clip", list}, {fmt.Sprintf("media playlist of %d min", minutes), long}, {"MPD", s.path + "index.mpd"},
		} {
			for _, packed := range []bool{true, false} {
				if !*full && packed == (beside != "alone") {
					continue
				}
				head, how := playerHead, ""
				if !packed {
					head, how = strings.Replace(playerHead, "Accept-Encoding: gzip, deflate, br\r\n", "", 1), ", not compressed"
				}
				var runs []run
				for range rounds {
					runs = append(runs, s.round(s.ours, plan{Connections: viewers, For: last, Targets: []string{m.path}, Head: head}))
				}
				fmt.Printf("  %-52s %10.0f %10.0f %10.2f %14.1f\n", m.name+how+", "+beside, float64(together(runs).Bytes)/float64(together(runs).Answers),
					median(runs, run.rate), median(runs, run.p99), together(runs).each())
			}
		}
		stop()
	}
}

// lengthen writes a playlist of a film that has the clip's segments again and again.
func (s *edgeStage) lengthen(from, to string) {
	s.t.Helper()
	text, err := os.ReadFile(s.file(from))
	if err != nil {
		s.t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(text), "#EXTINF")
	body, _, ended := strings.Cut(rest, "#EXT-X-ENDLIST")
	if !found || !ended {
		s.t.Fatalf("no segments in %s", text)
	}
	body = "#EXTINF" + body
	const seconds = 4 // of a segment
	for strings.Count(body, "#EXTINF") < minutes*60/seconds {
		body += body
	}
	if err := os.WriteFile(s.file(to), []byte(head+body+"#EXT-X-ENDLIST\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
}
