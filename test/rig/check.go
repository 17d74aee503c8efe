package rig

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	_ "github.com/jackc/pgx/v5/stdlib" // "pgx"
	_ "modernc.org/sqlite"             // "sqlite"
)

// World is a Sluice, of one process or many, as the checker looks at it once the work is done.
type World struct {
	Servers  []*Server // at least one with API and edge first; scratch and children of all are looked at
	Database string    // postgres://… or the SQLite file
	Objects  Storage
	Acked    []string // the videos whose uploads were acknowledged and that were not deleted; others that are there must have ended too
	Deleted  []string // the videos whose deletion was acknowledged

	// LeftPins is how many pins may be left to the sweep: a kill between the pin of a write and its record leaves one
	// where the client's next PUT replaces that write.
	LeftPins int
}

// Storage reads the buckets, and robs them, behind a Sluice's back.
type Storage interface {
	Keys(bucket string) map[string]int64
	Read(bucket, key string) ([]byte, error)
	Remove(bucket, key string) error
}

// Files is the storage of an embedded endpoint.
func (s *Server) Files() Storage { return files{s} }

type files struct{ s *Server }

func (f files) Keys(bucket string) map[string]int64 { return f.s.Objects(bucket) }

func (f files) Read(bucket, key string) ([]byte, error) {
	return os.ReadFile(filepath.Join(f.s.Data, "objects", bucket, filepath.FromSlash(key)))
}

func (f files) Remove(bucket, key string) error {
	return os.Remove(filepath.Join(f.s.Data, "objects", bucket, filepath.FromSlash(key)))
}

// Remote is the storage that a client reads; Keys comes from the caller.
type Remote struct {
	Client *s3.Client
	List   func(bucket string) map[string]int64
}

// Keys lists a bucket.
func (r Remote) Keys(bucket string) map[string]int64 { return r.List(bucket) }

// Read reads one object.
func (r Remote) Read(bucket, key string) ([]byte, error) {
	out, err := r.Client.GetObject(context.Background(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	return io.ReadAll(out.Body)
}

// Remove removes one object.
func (r Remote) Remove(bucket, key string) error {
	_, err := r.Client.DeleteObject(context.Background(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key})
	return err
}

// Check asserts what must hold after any fault:
//
//   - every acknowledged upload is ready, or failed with a code and a sentence
//   - one generation of a video is published, the one that its pointer names, and no step of it is other than done
//   - every object of it is in the bucket with the size and hash that the records keep, and playlists and MPD name no other
//   - each event is written once, and none is missing; every notice is in a message that the mail server has answered
//   - no object lies in the buckets that no record names, no job is left, no scratch file, no child process
func Check(t testing.TB, w World) {
	t.Helper()
	driver := "sqlite"
	if strings.Contains(w.Database, "://") {
		driver = "pgx"
	}
	db, err := sql.Open(driver, w.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	c := &checker{TB: t, World: w, db: db, named: map[string]bool{}}
	c.settle()
	for _, id := range w.Acked {
		c.video(id)
	}
	for _, row := range c.rows(`SELECT id, source FROM video ORDER BY id`) {
		switch {
		case slices.Contains(w.Acked, row[0]) || slices.Contains(w.Deleted, row[0]):
		case row[1] != "": // of an upload that was taken and not acknowledged
			c.video(row[0])
		default: // of a grant that nobody used
		}
	}
	for _, id := range w.Deleted {
		c.gone(id)
	}
	c.counters()
	c.mails()
	c.strays()
}

type checker struct {
	testing.TB
	World
	db    *sql.DB
	named map[string]bool // keys in the media bucket that a record names
}

// rows reads a query as text.
func (c *checker) rows(query string, args ...any) (all [][]string) {
	c.Helper()
	rows, err := c.db.QueryContext(context.Background(), query, args...)
	if err != nil {
		c.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		c.Fatal(err)
	}
	for rows.Next() {
		row, into := make([]string, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			c.Fatal(err)
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		c.Fatal(err)
	}
	return all
}

// settle waits until nothing is under way: a twin of a job that is done may still be ending.
func (c *checker) settle() {
	c.Helper()
	var left []string
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		left = nil
		for _, s := range c.Servers {
			if s.Alive() {
				left = append(left, s.Leftovers()...)
			}
		}
		// A deletion is repeated minutes later, for what a late attempt may have put, and a CDN is told a second time of what it is to drop; until then these jobs wait.
		// So does the next look for a source that has come meanwhile: it finds that and ends.
		for _, row := range c.rows(`SELECT id, kind, state, attempt, CAST(args AS TEXT) FROM river_job WHERE state IN ('available', 'running', 'retryable', 'pending')
			OR (state = 'scheduled' AND kind NOT IN ('delete', 'purge', 'look'))`) {
			left = append(left, "job "+strings.Join(row, " "))
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			c.Errorf("left over: %q", left)
			return
		}
	}
}

type object struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

func (c *checker) video(id string) {
	c.Helper()
	v := c.Servers[0].Video(id)
	switch {
	case v.Status == "failed" && v.Error != nil && v.Error.Code != "" && v.Error.Message != "":
	case v.Status == "ready" && v.Generation > 0 && v.Progress == 1:
	default:
		c.Errorf("an acknowledged upload ended as %s", v.Raw)
		return
	}
	rows := c.rows(`SELECT published, prefix, source FROM video WHERE id = $1`, id)
	if len(rows) != 1 {
		c.Errorf("%d rows of video %s", len(rows), id)
		return
	}
	published, prefix := rows[0][0], rows[0][1]
	var source struct {
		Pin string `json:"pin"`
	}
	if err := json.Unmarshal([]byte(rows[0][2]), &source); err != nil || source.Pin == "" {
		c.Errorf("video %s has no source: %s", id, rows[0][2])
	}
	c.named[source.Pin] = true
	for _, g := range c.rows(`SELECT n, state FROM generation WHERE video = $1 ORDER BY n`, id) {
		switch {
		case (g[1] == "published") != (g[0] == published):
			c.Errorf("generation %s of %s is %s, and %s is published", g[0], id, g[1], published)
		case g[1] == "published":
			c.generation(id, prefix, g[0])
		case g[1] == "superseded": // kept for a while
			c.outputs(id, prefix, g[0])
		case g[1] == "waiting" || g[1] == "planned":
			c.Errorf("generation %s of %s is still %s", g[0], id, g[1])
		}
	}
	if v.Status == "ready" {
		c.plays(v, prefix+"/"+published+"/")
	}
	c.events(id)
}

// outputs names what the steps of a generation made, and the playlists; it returns them with size and hash where a record keeps those.
func (c *checker) outputs(id, prefix, n string) (made []object) {
	c.Helper()
	add := func(o object) {
		made = append(made, o)
		c.named[path.Join(prefix, n, o.Name)] = true
	}
	for _, name := range []string{"index.m3u8", "index.mpd"} {
		add(object{Name: name})
	}
	for _, row := range c.rows(`SELECT result FROM step WHERE video = $1 AND generation = $2 AND result <> ''`, id, n) {
		var result struct {
			Tracks []struct {
				Name     string
				Kind     string
				Init     object
				Segments []object
			}
			Stills []object
		}
		if err := json.Unmarshal([]byte(row[0]), &result); err != nil {
			c.Errorf("a step's result: %v", err)
		}
		for _, t := range result.Tracks {
			add(t.Init)
			add(object{Name: t.Name + "/index.m3u8"})
			if t.Kind == "video" {
				add(object{Name: t.Name + "/iframes.m3u8"})
			}
			for _, s := range t.Segments {
				add(s)
			}
		}
		for _, s := range result.Stills {
			add(s)
		}
	}
	return made
}

// generation checks the published generation: its steps, and each of its objects.
func (c *checker) generation(id, prefix, n string) {
	c.Helper()
	for _, s := range c.rows(`SELECT name, n, state FROM step WHERE video = $1 AND generation = $2 AND state <> 'done'`, id, n) {
		c.Errorf("generation %s of %s is published, and its step %q is not done", n, id, s)
	}
	for _, o := range c.outputs(id, prefix, n) {
		body, err := c.Objects.Read("media", path.Join(prefix, n, o.Name))
		sum := sha256.Sum256(body)
		switch {
		case err != nil:
			c.Errorf("%s of generation %s of %s: %v", o.Name, n, id, err)
		case o.SHA256 == "" && len(body) == 0:
			c.Errorf("%s of generation %s of %s is empty", o.Name, n, id)
		case o.SHA256 != "" && (int64(len(body)) != o.Bytes || hex.EncodeToString(sum[:]) != o.SHA256):
			c.Errorf("%s of generation %s of %s has %d bytes and hash %x; the record says %d and %s", o.Name, n, id, len(body), sum, o.Bytes, o.SHA256)
		}
	}
}

var uri = regexp.MustCompile(`URI="([^"]+)"`)

// plays follows the playlists and the MPD from the edge, as a player does.
func (c *checker) plays(v Video, prefix string) {
	c.Helper()
	seen, public := map[string]bool{}, "/stream/"+strings.TrimPrefix(prefix, "streams/") // where the edge shows it
	var follow func(at string)
	follow = func(at string) {
		if seen[at] {
			return
		}
		seen[at] = true
		status, body := Get(c, at)
		if status != http.StatusOK {
			c.Errorf("%s: %d", at, status)
			return
		}
		if i := strings.Index(at, public); i < 0 || !c.named["streams/"+at[i+len("/stream/"):]] {
			c.Errorf("%s is played, and no record names it", at)
		}
		if !strings.HasSuffix(at, ".m3u8") {
			return
		}
		base, err := url.Parse(at)
		if err != nil {
			c.Fatal(err)
		}
		for _, line := range strings.Split(string(body), "\n") {
			next := strings.TrimSpace(line)
			if strings.HasPrefix(next, "#") {
				m := uri.FindStringSubmatch(next)
				if m == nil {
					continue
				}
				next = m[1]
			}
			if to, err := base.Parse(next); err == nil && next != "" {
				follow(to.String())
			}
		}
	}
	follow(v.Playback.HLS)
	if len(seen) < 4 {
		c.Errorf("%s leads to %d objects only", v.Playback.HLS, len(seen))
	}
	hls := len(seen)
	for _, segment := range c.mpd(v.Playback.DASH) {
		follow(segment)
	}
	if len(seen) != hls {
		c.Errorf("%s names %d objects that %s doesn't lead to", v.Playback.DASH, len(seen)-hls, v.Playback.HLS)
	}
}

// events checks that what happened was written, and once.
func (c *checker) events(id string) {
	c.Helper()
	seen := map[string]int{}
	for _, row := range c.rows(`SELECT type, data FROM event WHERE video = $1 ORDER BY id`, id) {
		var data struct {
			Generation, N, Attempt int
			Step                   string
		}
		if row[1] != "" {
			if err := json.Unmarshal([]byte(row[1]), &data); err != nil {
				c.Errorf("event %q: %v", row, err)
			}
		}
		if row[0] != "step.failed" {
			data.Attempt = 0
		}
		if row[0] == "video.updated" || row[0] == "video.encode_requested" {
			continue // as often as it was asked
		}
		seen[fmt.Sprintf("%s %d %s %d %d", row[0], data.Generation, data.Step, data.N, data.Attempt)]++
	}
	for what, n := range seen {
		if n != 1 {
			c.Errorf("the event %q of %s is there %d times", what, id, n)
		}
	}
	want := []string{}
	for _, row := range c.rows(`SELECT 'source.received 0  0 0' FROM fact WHERE video = $1
		UNION ALL SELECT 'step.finished ' || generation || ' ' || name || ' ' || n || ' 0' FROM step WHERE video = $1 AND state = 'done'
		UNION ALL SELECT 'video.planned ' || n || '  0 0' FROM generation WHERE video = $1 AND plan <> ''
		UNION ALL SELECT 'video.ready ' || n || '  0 0' FROM generation WHERE video = $1 AND output <> ''
		UNION ALL SELECT 'generation.retired ' || n || '  0 0' FROM generation WHERE video = $1 AND state = 'retired'
		UNION ALL SELECT 'video.failed ' || n || '  0 0' FROM generation WHERE video = $1 AND plan = '' AND state IN ('failed', 'retired')`, id) {
		want = append(want, row[0])
	}
	for _, what := range want {
		if seen[what] != 1 {
			c.Errorf("the event %q of %s is there %d times; there are %v", what, id, seen[what], seen)
		}
	}
}

// gone checks that nothing but events is left of a deleted video.
func (c *checker) gone(id string) {
	c.Helper()
	if v := c.Servers[0].Video(id); v.ID != "" {
		c.Errorf("deleted, and still read: %s", v.Raw)
	}
	if c.kept(id) {
		return
	}
	for _, table := range []string{"upload", "fact", "generation", "step", "attempt", "rendition", "playback"} {
		if rows := c.rows(`SELECT * FROM `+table+` WHERE video = $1`, id); len(rows) > 0 {
			c.Errorf("%d rows in %s are left of %s", len(rows), table, id)
		}
	}
	if rows := c.rows(`SELECT 1 FROM video WHERE id = $1`, id); len(rows) > 0 {
		c.Errorf("the row of deleted video %s is left", id)
	}
	c.events(id)
	if rows := c.rows(`SELECT 1 FROM event WHERE video = $1 AND type = 'video.deleted'`, id); len(rows) != 1 {
		c.Errorf("video.deleted of %s is there %d times", id, len(rows))
	}
}

// kept reports whether a video was deleted while it waited for its source. Its row and its upload stay, out of sight, for as long as the source may come, and its removal
// waits for the end of that time.
func (c *checker) kept(id string) bool {
	c.Helper()
	if rows := c.rows(`SELECT 1 FROM video WHERE id = $1 AND status = 'deleting' AND source = ''`, id); len(rows) == 0 {
		return false
	}
	for _, table := range []string{"fact", "generation", "step", "attempt", "rendition", "playback"} {
		if rows := c.rows(`SELECT * FROM `+table+` WHERE video = $1`, id); len(rows) > 0 {
			c.Errorf("%d rows in %s are there of %s, which never had a source", len(rows), table, id)
		}
	}
	if rows := c.rows(`SELECT 1 FROM river_job WHERE kind = 'delete' AND state = 'scheduled' AND CAST(args AS TEXT) LIKE $1`, "%"+id+"%"); len(rows) == 0 {
		c.Errorf("nothing will remove %s, which is kept until its source can't come any more", id)
	}
	return true
}

// mails checks that everything that there was to tell was told.
func (c *checker) mails() {
	c.Helper()
	for _, row := range c.rows(`SELECT id, state, tries FROM mail WHERE state NOT IN ('sent', 'refused')`) {
		c.Errorf("a message is neither sent nor refused: %q", row)
	}
	for _, row := range c.rows(`SELECT n.id, n.event, n.video FROM notice n JOIN subscription s ON s.id = n.subscription WHERE n.mail = 0`) {
		c.Errorf("a notice still waits: %q", row)
	}
}

// counters checks what is counted: attempts are numbered without a gap, and none is open of a step that ended.
func (c *checker) counters() {
	c.Helper()
	for _, row := range c.rows(`SELECT video, generation, name, n, COUNT(*), MAX(number) FROM attempt GROUP BY video, generation, name, n HAVING COUNT(*) <> MAX(number)`) {
		c.Errorf("attempts are missing: %q", row)
	}
	for _, row := range c.rows(`SELECT s.video, s.generation, s.name, s.n FROM step s WHERE s.state = 'done' AND NOT EXISTS (SELECT 1 FROM attempt a
		WHERE a.video = s.video AND a.generation = s.generation AND a.name = s.name AND a.n = s.n AND a.finished > 0 AND a.code = '')`) {
		c.Errorf("a step is done that no attempt ended: %q", row)
	}
	for _, row := range c.rows(`SELECT video, COUNT(*) FROM generation WHERE state = 'published' GROUP BY video HAVING COUNT(*) > 1`) {
		c.Errorf("published more than once: %q", row)
	}
}

// strays checks that each object in the buckets is named by a record.
func (c *checker) strays() {
	c.Helper()
	left := 0
	for key := range c.Objects.Keys("media") {
		if c.named[key] {
			continue
		}
		if strings.HasPrefix(key, "sources/") && left < c.LeftPins {
			left++
			continue
		}
		c.Errorf("no record names media/%s", key)
	}
	facts := map[string]bool{}
	for _, row := range c.rows(`SELECT key FROM fact WHERE bucket = 'uploads'`) {
		facts[row[0]] = true
	}
	for key := range c.Objects.Keys("uploads") {
		if !facts[key] {
			c.Errorf("no fact names uploads/%s", key)
		}
	}
}
