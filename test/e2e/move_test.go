package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"sluice/internal/engine/enginetest"
	"sluice/test/rig"
)

// nextLook is when a server looks for a source by itself, which one with a storage of its own does not.
var nextLook = regexp.MustCompile(`,"next_look":"[^"]*"`)

// history is everything that the API says of a video, without the server's address and the time of its next look.
func history(t *testing.T, s *rig.Server, id string) string {
	t.Helper()
	var events json.RawMessage
	if status := s.Call("GET", "/v1/videos/"+id+"/events?limit=200", nil, &events); status != http.StatusOK {
		t.Errorf("events: %d", status)
	}
	return nextLook.ReplaceAllString(strings.ReplaceAll(string(s.Video(id).Raw)+string(events), s.URL, ""), "")
}

// write puts a file to the uploads bucket under a key, as an S3 client does, and returns the video that it became.
func write(t *testing.T, s *rig.Server, path, key string) string {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before := map[string]bool{}
	for _, v := range s.Videos() {
		before[v.ID] = true
	}
	if _, err := s.AWS().PutObject(context.Background(), &s3.PutObjectInput{Bucket: aws.String("uploads"), Key: &key, Body: bytes.NewReader(body)}); err != nil {
		t.Fatal(err)
	}
	for _, v := range s.Videos() {
		if !before[v.ID] {
			return v.ID
		}
	}
	t.Fatalf("%s became no video", key)
	return ""
}

// sticking is a door to a storage that lets so many PUTs through and holds the next ones, and says when it does.
func sticking(t *testing.T, upstream string, puts int64) (address string, stuck <-chan struct{}) {
	t.Helper()
	to, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	through := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { // nothing that a signature covers changes
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.URL.RawQuery, p.Out.Host = to.Scheme, to.Host, p.In.URL.RawQuery, p.In.Host
		},
		ErrorLog: log.New(io.Discard, "", 0), // whoever was killed left
	}
	var n atomic.Int64
	held := make(chan struct{})
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			switch at := n.Add(1); {
			case at == puts+1:
				close(held)
				fallthrough
			case at > puts:
				_, _ = io.Copy(io.Discard, r.Body) // so that the end of the connection is noticed
				<-r.Context().Done()
				return
			}
		}
		through.ServeHTTP(w, r)
	}))
	t.Cleanup(door.Close)
	return door.URL, held
}

func TestAnInstallationMovesToPostgreSQLAndS3WhateverStopsTheMove(t *testing.T) {
	inFull(t)
	t.Parallel()
	dsn, storage := enginetest.Postgres(t), rig.VersityGW(t)
	args := []string{"--max-resolution", "480", "--workers-encode", "1"}
	s := rig.Start(t, rig.Options{Args: args})
	small, other := rig.Clip(t, "small.mp4", "320x180", 3), rig.Clip(t, "other.mp4", "320x180", 4)
	twice := s.Await(s.Upload(small, "twice.mp4"), time.Minute).ID
	s.Call("POST", "/v1/videos/"+twice+"/encode", map[string]int{"max_resolution": 240}, nil)
	s.AwaitUntil(twice, time.Minute, func(v rig.Video) bool { return v.Generation == 2 && v.Status == "ready" })
	failed := s.Await(s.Upload(rig.Make(t, "cut.mp4", "-f", "lavfi", "-i", "anullsrc=d=0.1", "-f", "data", "-map", "0", "-c", "copy"), "text.mp4"), time.Minute).ID
	first := s.Await(write(t, s, small, "a folder/über.mp4"), time.Minute).ID
	second := s.Await(write(t, s, other, "a folder/über.mp4"), time.Minute).ID // over the first one's upload
	gone := s.Await(s.Upload(other, "gone.mp4"), time.Minute).ID
	s.Call("DELETE", "/v1/videos/"+gone, nil, nil)
	var grant struct{ ID string }
	s.Call("POST", "/v1/uploads", map[string]any{"filename": "never.mp4", "content_type": "video/mp4"}, &grant)
	before := map[string]string{}
	bodies := map[string][]byte{}
	for _, id := range []string{twice, failed, first, second, grant.ID} {
		before[id] = history(t, s, id)
		if v := s.Video(id); v.Status == "ready" {
			for path, body := range streams(t, s, v) {
				bodies[path] = body
			}
		}
	}
	running := s.Upload(rig.Clip(t, "running.mp4", "1280x720", 30), "running.mp4")
	s.AwaitUntil(running, time.Minute, func(v rig.Video) bool { return v.Progress > 0.03 })

	move := append([]string{"move", "--data", s.Data, "--database", dsn}, storage.Flags()...)
	if said, ok := sluice(t, move...); ok || !strings.Contains(said, "another sluice serves") {
		t.Errorf("a running server's folder was moved: %s", said)
	}
	s.Kill()

	foreign := func(put bool) {
		t.Helper()
		var err error
		if put {
			_, err = storage.Client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("uploads"), Key: aws.String("theirs"), Body: strings.NewReader("x")})
		} else {
			_, err = storage.Client().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("uploads"), Key: aws.String("theirs")})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	foreign(true)
	if said, ok := sluice(t, move...); ok || !strings.Contains(said, "holds theirs; name empty buckets") {
		t.Errorf("a move among somebody's objects: %s", said)
	}
	foreign(false)

	// kill -9 in the middle of the objects, at several points.
	for _, after := range []int64{3, 7, 8} {
		narrow := *storage
		var stuck <-chan struct{}
		narrow.URL, stuck = sticking(t, storage.URL, after)
		cmd := exec.Command(rig.Binary(t, ""), append([]string{"move", "--data", s.Data, "--database", dsn}, narrow.Flags()...)...)
		said := &strings.Builder{}
		cmd.Stdout, cmd.Stderr = said, said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-stuck:
		case <-time.After(3 * time.Minute):
			t.Error("the move does not go on")
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Fatal(said)
		}
		if said, ok := sluice(t, append(move, "--check")...); ok {
			t.Errorf("half a move is taken for a whole one: %s", said)
		}
	}
	// Something that was sent and then deleted here must not stay there.
	if _, err := storage.Client().PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("media"), Key: aws.String("streams/stale-x/1/index.m3u8"), Body: strings.NewReader("stale"),
	}); err != nil {
		t.Fatal(err)
	}
	t.Log(must(t, move...))
	if said := must(t, move...); !strings.Contains(said, "moved before") {
		t.Errorf("a second move: %s", said)
	}
	t.Log(must(t, append(move, "--check")...))
	if said, ok := sluice(t, "serve", "--data", s.Data, "--listen", "127.0.0.1:0"); ok || !strings.Contains(said, "was moved to") {
		t.Errorf("the old folder is served: %s", said)
	}
	if strings.Contains(must(t, move...), strings.Split(strings.Split(dsn, ":")[2], "@")[0]) {
		t.Error("the password of the database is printed")
	}

	pins := 0
	for key := range storage.Keys("media") {
		if strings.HasPrefix(key, "sources/") {
			pins++
		}
	}
	r := rig.Start(t, rig.Options{Token: s.Token, Env: []string{"SLUICE_DATABASE=" + dsn}, Args: append(append(storage.Flags(), "--reconcile-every", "1s"), args...)})
	for id, was := range before {
		if is := history(t, r, id); is != was {
			t.Errorf("video %s\n is %s\nwas %s", id, is, was)
		}
	}
	for path, body := range bodies {
		if status, now := rig.Get(t, r.URL+"/stream/"+path); status != http.StatusOK || !bytes.Equal(now, body) {
			t.Errorf("%s: %d, %d bytes of %d", path, status, len(now), len(body))
		}
	}
	if v := r.Await(running, 2*time.Minute); v.Status != "ready" {
		t.Errorf("%s", v.Raw)
	} else {
		plays(t, v)
	}
	if v := r.Video(gone); v.ID != "" {
		t.Errorf("a deleted video is back: %s", v.Raw)
	}
	for _, id := range []string{first, second} { // the source is there to be encoded again
		r.Call("POST", "/v1/videos/"+id+"/encode", map[string]int{"max_resolution": 240}, nil)
		if v := r.AwaitUntil(id, time.Minute, func(v rig.Video) bool { return v.Generation == 2 }); v.Status != "ready" {
			t.Errorf("%s", v.Raw)
		}
	}
	if all := r.Videos(); len(all) != 6 {
		t.Errorf("%d videos, want 6: the reconciler took moved uploads for new ones", len(all))
	}
	now := 0
	for key := range storage.Keys("media") {
		if strings.HasPrefix(key, "sources/") {
			now++
		}
	}
	if now != pins {
		t.Errorf("%d sources are pinned, %d were: moved uploads were pinned again", now, pins)
	}
	if said, ok := sluice(t, move...); ok || !strings.Contains(said, "1 processes serve the new database") {
		t.Errorf("a move under a running server: %s", said)
	}
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	if said, ok := sluice(t, move...); ok || !strings.Contains(said, "used since") {
		t.Errorf("a move over what has gone on: %s", said)
	}
	// Another installation's folder doesn't go there, and leaves no trace.
	stranger := rig.Start(t, rig.Options{})
	stranger.Kill()
	move[2] = stranger.Data
	if said, ok := sluice(t, move...); ok || !strings.Contains(said, "another installation is there") {
		t.Errorf("two installations in one place: %s", said)
	}
	if _, err := os.Stat(filepath.Join(stranger.Data, "sluice-move.json")); err == nil {
		t.Error("the refused move left its mark")
	}
}
