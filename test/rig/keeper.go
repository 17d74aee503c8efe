package rig

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// Keeper is one Sluice that is started again whenever it ended, and a client of it that tries again, as those who run and use it do.
type Keeper struct {
	*Server
	Restarts  int
	Forgiving bool // a server that ended by itself is started again too, as where its database is away

	t testing.TB
	o Options
}

// Keep launches a server that keeps its address over restarts, so that what was signed for it stays good. It does not wait until that takes work.
func Keep(t testing.TB, o Options) *Keeper {
	t.Helper()
	o.Args = append(o.Args, "--listen", Address(t))
	k := &Keeper{t: t, o: o, Server: Launch(t, o)}
	k.o.Data = k.Server.Data
	return k
}

// Alive says whether the server has not ended.
func (s *Server) Alive() bool {
	select {
	case err := <-s.done:
		s.done <- err
		return false
	default:
		return true
	}
}

// Revive waits until the server takes work, and starts another where it ended.
func (k *Keeper) Revive(limit time.Duration) {
	k.t.Helper()
	limit = max(limit, leastWait)
	for deadline := time.Now().Add(limit); !k.Alive() || !k.Find() || !k.ready(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			k.t.Fatalf("the server is not ready after %s\n%s", limit, k.Log())
		}
		if !k.Alive() {
			if err := k.Wait(time.Second); !k.Forgiving && (err == nil || !strings.Contains(err.Error(), "killed")) {
				k.t.Fatalf("the server ended by itself: %v\n%s", err, k.Log())
			}
			k.Restarts++
			k.Again()
		}
	}
}

// Again starts another server in the place of one that ended.
func (k *Keeper) Again() {
	k.t.Helper()
	k.Server = Launch(k.t, k.o)
}

// With starts the server again in an environment with more in it.
func (k *Keeper) With(env ...string) {
	k.t.Helper()
	k.Kill()
	k.o.Env = append(k.o.Env, env...)
	k.Again()
	k.Revive(time.Minute)
}

// Ask calls the API until it answers with something better than 5xx.
func (k *Keeper) Ask(method, path string, in, out any) (status int) {
	k.t.Helper()
	for deadline := time.Now().Add(leastWait); ; time.Sleep(100 * time.Millisecond) {
		if status = k.Call(method, path, in, out); status != 0 && status < 500 {
			return status
		}
		if time.Now().After(deadline) {
			k.t.Fatalf("%s %s: %d for %s\n%s", method, path, status, leastWait, k.Log())
		}
		k.Revive(time.Minute)
	}
}

// Send uploads a file, trying again where there was no answer, and returns the id of the video whose upload was acknowledged. An upload that was stored and
// not acknowledged is given patience to be found before it is sent again.
func (k *Keeper) Send(path, name string, patience time.Duration) string {
	k.t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		k.t.Fatal(err)
	}
	var grant struct {
		ID, URL string
		Headers map[string]string
	}
	if status := k.Ask(http.MethodPost, "/v1/uploads", map[string]any{"filename": name}, &grant); status != http.StatusCreated {
		k.t.Fatalf("POST /v1/uploads: %d", status)
	}
	for deadline := time.Now().Add(leastWait); ; {
		if put(grant.URL, grant.Headers, body) {
			return grant.ID
		}
		k.Revive(time.Minute)
		for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
			if v := k.Look(grant.ID); v.Status != "" && v.Status != "waiting" {
				return grant.ID
			}
		}
		if time.Now().After(deadline) {
			k.t.Fatalf("the upload is not taken\n%s", k.Log())
		}
	}
}

func put(url string, header map[string]string, body []byte) bool {
	request, err := http.NewRequest(http.MethodPut, url, bytes.NewReader(body))
	if err != nil {
		return false
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return err == nil && response.StatusCode == http.StatusOK
}

// Tell posts a bucket notification of an object, as a storage does, until it is taken.
func (k *Keeper) Tell(token, bucket, key string) {
	k.t.Helper()
	body := fmt.Sprintf(`{"Records": [{"eventName": "s3:ObjectCreated:Put", "s3": {"bucket": {"name": %q}, "object": {"key": %q}}}]}`, bucket, url.QueryEscape(key))
	for deadline := time.Now().Add(leastWait); ; k.Revive(time.Minute) {
		request, err := http.NewRequest(http.MethodPost, k.URL+"/v1/events/s3", strings.NewReader(body))
		if err != nil {
			k.t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Content-Type", "application/json")
		status := 0
		if response, err := http.DefaultClient.Do(request); err == nil {
			status = response.StatusCode
			_ = response.Body.Close()
		}
		if status == http.StatusOK {
			return
		}
		if status != 0 && status < 500 || time.Now().After(deadline) {
			k.t.Fatalf("the notification is answered %d\n%s", status, k.Log())
		}
	}
}

// Look reads a video; its ID is empty where there is none.
func (k *Keeper) Look(id string) (v Video) {
	k.t.Helper()
	var raw json.RawMessage
	if k.Ask(http.MethodGet, "/v1/videos/"+id, nil, &raw) == http.StatusOK {
		if err := json.Unmarshal(raw, &v); err != nil {
			k.t.Fatal(err)
		}
		v.Raw = raw
	}
	return v
}

// Until looks at a video until done says so.
func (k *Keeper) Until(id string, limit time.Duration, done func(Video) bool) Video {
	k.t.Helper()
	limit = max(limit, leastWait)
	for deadline := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		v := k.Look(id)
		if done(v) {
			return v
		}
		if time.Now().After(deadline) {
			k.t.Fatalf("video %s is not there after %s: %s\n%s", id, limit, v.Raw, k.Log())
		}
	}
}
