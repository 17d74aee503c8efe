package rig

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Video is a video as a foreign client reads it from GET /v1/videos/{id}.
type Video struct {
	ID         string
	Name       string
	Status     string
	Playable   bool
	Progress   float64
	Generation int
	Waiting    *struct {
		For, Queue, Code string
		Ahead, Workers   *int
		ETA              *int64 `json:"eta_seconds"`
	}
	Error      *struct{ Code, Message string }
	Playback   struct{ HLS, DASH, Poster, Thumbnail string }
	Renditions []struct {
		Name, Codec   string
		Width, Height int
		Bitrate       int64
		Bytes         int64
	}
	Audio []struct {
		Codec    string
		Channels int
	}
	DurationMS       int64  `json:"duration_ms"`
	TimeToPlayableMS *int64 `json:"time_to_playable_ms"`
	Steps            []struct {
		Name, State string
		N           int
		Attempts    []struct {
			Number int
			Error  *struct{ Code string }
		}
	}
	Raw json.RawMessage `json:"-"`
}

// Sizes lists the renditions as "1280x720 640x360".
func (v Video) Sizes() string {
	var sizes []string
	for _, r := range v.Renditions {
		sizes = append(sizes, fmt.Sprintf("%dx%d", r.Width, r.Height))
	}
	return strings.Join(sizes, " ")
}

// Call asks the API and decodes the answer into out where it is not nil. It returns the status.
func (s *Server) Call(method, path string, in, out any) int {
	s.t.Helper()
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			s.t.Fatal(err)
		}
		body = bytes.NewReader(b)
	}
	request, err := http.NewRequest(method, s.URL+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+s.Token)
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := s.http.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return 0
	}
	if out != nil && response.StatusCode < 300 {
		if err := json.Unmarshal(answer, out); err != nil {
			s.t.Fatalf("%s %s: %v in %s", method, path, err, answer)
		}
	}
	return response.StatusCode
}

// Grant is the right to put one source.
type Grant struct {
	ID, URL string
	Headers map[string]string
}

// Upload puts a file by a presigned URL and returns the video's id.
func (s *Server) Upload(path, name string) string {
	s.t.Helper()
	grant := s.Grant(path, name)
	s.Put(grant, path)
	return grant.ID
}

// Grant asks for the right to put the file at path under a name.
func (s *Server) Grant(path, name string) (grant Grant) {
	s.t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		s.t.Fatal(err)
	}
	ask := map[string]any{"filename": name, "content_type": "application/octet-stream"}
	if info.Size() > 0 {
		ask["size"] = info.Size()
	}
	if status := s.Call("POST", "/v1/uploads", ask, &grant); status != http.StatusCreated {
		s.t.Fatalf("POST /v1/uploads: %d", status)
	}
	return grant
}

// Put puts the file at path as granted.
func (s *Server) Put(grant Grant, path string) {
	s.t.Helper()
	body, err := os.Open(path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer body.Close()
	info, err := body.Stat()
	if err != nil {
		s.t.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodPut, grant.URL, body)
	if err != nil {
		s.t.Fatal(err)
	}
	request.ContentLength = info.Size()
	if info.Size() == 0 {
		request.Body = http.NoBody
	}
	for k, v := range grant.Headers {
		request.Header.Set(k, v)
	}
	response, err := s.http.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(response.Body)
		s.t.Fatalf("PUT: %d %s", response.StatusCode, text)
	}
}

// Video reads one video; its ID is empty where there is none.
func (s *Server) Video(id string) (v Video) {
	s.t.Helper()
	var raw json.RawMessage
	if s.Call("GET", "/v1/videos/"+id, nil, &raw) == http.StatusOK {
		if err := json.Unmarshal(raw, &v); err != nil {
			s.t.Fatal(err)
		}
		v.Raw = raw
	}
	return v
}

// Videos lists the newest videos.
func (s *Server) Videos() []Video {
	s.t.Helper()
	var list struct{ Items []Video }
	s.Call("GET", "/v1/videos?limit=200", nil, &list)
	return list.Items
}

// Await waits until a video is ready or failed.
func (s *Server) Await(id string, limit time.Duration) Video {
	s.t.Helper()
	return s.AwaitUntil(id, limit, func(v Video) bool { return v.Status == "ready" || v.Status == "failed" })
}

// AwaitUntil waits until done says so of a video, for the limit or for as long as any test waits, whichever is longer.
func (s *Server) AwaitUntil(id string, limit time.Duration, done func(Video) bool) Video {
	s.t.Helper()
	limit = max(limit, leastWait)
	deadline := time.Now().Add(limit)
	for {
		v := s.Video(id)
		if done(v) {
			return v
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("video %s is not there after %s: %s\n%s", id, limit, v.Raw, s.Log())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Get reads a URL as anybody does.
func Get(t testing.TB, url string) (status int, body []byte) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, body
}

// Objects lists the files of a bucket by key, with their sizes.
func (s *Server) Objects(bucket string) map[string]int64 {
	s.t.Helper()
	root := filepath.Join(s.Data, "objects", bucket)
	keys := map[string]int64{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if os.IsNotExist(err) {
				return nil
			}
			return err
		}
		key, _ := filepath.Rel(root, path)
		if info, ierr := d.Info(); ierr == nil && !strings.HasPrefix(key, ".sgwtmp") {
			keys[key] = info.Size()
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return keys
}

// Leftovers lists what should not be there when nothing runs: scratch files and child processes.
func (s *Server) Leftovers() (left []string) {
	s.t.Helper()
	scratch := filepath.Join(s.Data, "scratch")
	_ = filepath.WalkDir(scratch, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			left = append(left, path)
		}
		return nil
	})
	for pid, name := range Children(s.PID()) {
		left = append(left, fmt.Sprintf("process %d %s", pid, name))
	}
	return left
}

// Quiet waits until nothing is left over: what tidies up does so after its work is recorded as done.
func (s *Server) Quiet() {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		left := s.Leftovers()
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Errorf("left over: %q", left)
			return
		}
	}
}

// Children lists the living descendants of a process.
func Children(parent int) map[int]string {
	procs, _ := filepath.Glob("/proc/[0-9]*/stat")
	type proc struct {
		parent int
		name   string
	}
	all := map[int]proc{}
	for _, path := range procs {
		body, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		text := string(body)
		open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
		fields := strings.Fields(text[end+1:])
		pid, _ := strconv.Atoi(strings.TrimSpace(text[:open]))
		up, _ := strconv.Atoi(fields[1])
		if fields[0] != "Z" {
			all[pid] = proc{up, text[open+1 : end]}
		}
	}
	found := map[int]string{}
	for pid, p := range all {
		for at := p; ; {
			if at.parent == parent {
				found[pid] = p.name
				break
			}
			up, ok := all[at.parent]
			if !ok {
				break
			}
			at = up
		}
	}
	return found
}

// Seconds is the CPU time of a usage.
func Seconds(u *syscall.Rusage) float64 {
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}
