package bench

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/test/rig"
)

// playerHead is what a player in a browser sends along.
const playerHead = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n" +
	"Accept: */*\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en\r\n"

// edgeStage is a server with one encoded video, whose playback is signed, and an nginx that serves the very same files.
type edgeStage struct {
	*rig.Server
	t                *testing.T
	servers, clients cores

	clip    string // what was encoded
	video   rig.Video
	path    string              // of the generation at the edge: "/stream/<folder>/1/"
	dir     string              // of the generation on the disk
	rungs   []string            // the smallest first, with sound
	hot     map[string][]string // by rung: the segments as they were encoded, paths at the edge
	many    map[string][]string // by rung: copies of these, more than would be kept in memory
	size    map[string]int64    // mean of a rung's segments
	ours    contender
	nginx   contender
	caching contender // nginx with open files kept
}

// contender is a server that serves signed files.
type contender struct {
	name, address string
	pids          func() []int
	targets       func(paths []string) []string
	queries       []string // put behind each target, one a viewer
}

func (s *edgeStage) contenders() []contender { return []contender{s.ours, s.nginx} }

// viewers is how many connections players have at once.
const viewers = 16

// newEdgeStage encodes a clip and starts both again on cores of their own.
func newEdgeStage(t *testing.T) *edgeStage {
	t.Helper()
	s := &edgeStage{t: t, hot: map[string][]string{}, many: map[string][]string{}, size: map[string]int64{}}
	s.servers, s.clients = halves()
	perRung := int64(4 << 20)
	if *full {
		s.clip, perRung = rig.Media(t, "long/jellyfish-1080p30-h264-aac51-30s.mp4"), 640<<20
	} else {
		s.clip = rig.Clip(t, "clip.mp4", "640x360", 4)
	}
	maker := rig.Start(t, rig.Options{})
	id := maker.Upload(s.clip, "clip.mp4")
	if s.video = maker.Await(id, 20*time.Minute); s.video.Status != "ready" {
		t.Fatalf("%s", s.video.Raw)
	}
	if status := maker.Call("PATCH", "/v1/videos/"+id, map[string]string{"playback_policy": "signed"}, nil); status != http.StatusOK {
		t.Fatalf("PATCH: %d", status)
	}
	if err := maker.Stop(); err != nil {
		t.Fatal(err)
	}
	s.Server = rig.Start(t, rig.Options{Data: maker.Data, Args: []string{"--playback", "signed"}, Under: s.servers.under()})
	s.look()
	s.multiply(perRung)
	s.ours = contender{name: "Sluice", address: strings.TrimPrefix(s.URL, "http://"), pids: s.pids, targets: slices.Clone[[]string], queries: s.signatures()}
	s.nginx, s.caching = s.foreign("nginx", ""), s.foreign("nginx, open_file_cache", openFiles)
	return s
}

// look finds the files of the generation.
func (s *edgeStage) look() {
	u, err := url.Parse(s.video.Playback.HLS)
	if err != nil {
		s.t.Fatal(err)
	}
	s.path = strings.TrimSuffix(u.Path, "index.m3u8")
	s.dir = filepath.Join(s.Data, "objects", "media", "streams", strings.TrimPrefix(s.path, "/stream/"))
	segments, err := filepath.Glob(filepath.Join(s.dir, "*", "0*.m4s"))
	if err != nil || len(segments) == 0 {
		s.t.Fatalf("no segments in %s: %v", s.dir, err)
	}
	for _, file := range segments {
		rung := filepath.Base(filepath.Dir(file))
		if s.hot[rung] == nil {
			s.rungs = append(s.rungs, rung)
		}
		s.hot[rung] = append(s.hot[rung], s.path+rung+"/"+filepath.Base(file))
		info, err := os.Stat(file)
		if err != nil {
			s.t.Fatal(err)
		}
		s.size[rung] += info.Size()
	}
	for rung, all := range s.hot {
		s.size[rung] /= int64(len(all))
	}
	slices.SortFunc(s.rungs, func(a, b string) int { return int(s.size[a] - s.size[b]) })
}

// multiply copies each rung's segments under further names until they are so many bytes. The edge knows generations, not files.
func (s *edgeStage) multiply(bytes int64) {
	for _, rung := range s.rungs {
		for n := range bytes / s.size[rung] {
			from := s.hot[rung][n%int64(len(s.hot[rung]))]
			to := fmt.Sprintf("%s%s/%05d.m4s", s.path, rung, 10000+n)
			text, err := os.ReadFile(s.file(from))
			if err == nil {
				err = os.WriteFile(s.file(to), text, 0o600)
			}
			if err != nil {
				s.t.Fatal(err)
			}
			s.many[rung] = append(s.many[rung], to)
		}
	}
}

// file is the file of a path at the edge.
func (s *edgeStage) file(path string) string {
	return filepath.Join(s.dir, filepath.FromSlash(strings.TrimPrefix(path, s.path)))
}

// few are a rung's segments as they were encoded, or those of the largest where there is no such rung.
func (s *edgeStage) few(rung string) []string {
	if s.hot[rung] == nil {
		rung = s.largest()
	}
	return s.hot[rung]
}

func (s *edgeStage) largest() string { return s.rungs[len(s.rungs)-1] }

// signatures are grants of the API for the video, one a viewer: what a player puts behind each address.
func (s *edgeStage) signatures() (all []string) {
	for i := range viewers {
		var given struct{ Query string }
		if status := s.Call("POST", "/v1/keys", map[string]any{"video": s.video.ID, "expires_in": 40000 + i}, &given); status != http.StatusOK || given.Query == "" {
			s.t.Fatalf("POST /v1/keys: %d", status)
		}
		all = append(all, given.Query)
	}
	return all
}

func (s *edgeStage) pids() []int {
	all := []int{s.PID()}
	for pid := range rig.Children(s.PID()) {
		all = append(all, pid)
	}
	return all
}

// foreign is an nginx before the same files.
func (s *edgeStage) foreign(name, more string) contender {
	address, pids := startNginx(s.t, filepath.Join(s.Data, "objects", "media", "streams"), more, s.servers)
	return contender{name: name, address: address, pids: pids, targets: func(paths []string) (signed []string) {
		for _, p := range paths {
			signed = append(signed, linked(p))
		}
		return signed
	}}
}

// load has a client ask, and wants every answer to be whole.
func (s *edgeStage) load(c contender, p plan) report {
	s.t.Helper()
	r := load(s.t, p, s.clients)
	if len(r.Refused) > 0 || r.Answers == 0 {
		s.t.Fatalf("%s: %d answers, and others by status: %v", c.name, r.Answers, r.Refused)
	}
	return r
}

// get asks a contender for one path as its first viewer does.
func (s *edgeStage) get(c contender, path string) (status int, body []byte) {
	s.t.Helper()
	target := c.targets([]string{path})[0]
	if len(c.queries) > 0 {
		target += "?" + c.queries[0]
	}
	return rig.Get(s.t, "http://"+c.address+target)
}

// median is that of what of says of all.
func median[T any](all []T, of func(T) float64) float64 {
	values := make([]float64, 0, len(all))
	for _, one := range all {
		values = append(values, of(one))
	}
	slices.Sort(values)
	if len(values) == 0 {
		return math.NaN()
	}
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

// geometric is the mean of ratios.
func geometric(ratios []float64) float64 {
	sum := 0.0
	for _, r := range ratios {
		sum += math.Log(r)
	}
	return math.Exp(sum / float64(len(ratios)))
}
