package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/schollz/progressbar/v3"

	"sluice/client"
)

// Put is the command that uploads files and follows them. Results go to stdout, all else to stderr.
type Put struct {
	ServerFlags   `embed:""`
	JSON          bool     `help:"Print one JSON object a file, each on its own line, as GET /v1/videos/{id} answers."`
	Wait          string   `help:"What to wait for: ${enum}." enum:"playable,ready" default:"playable"`
	Workspace     string   `help:"Id of the workspace where the videos will lie. Default: main, or the first of yours." placeholder:"ID"`
	Playback      string   `help:"Who may watch: public, signed or members. Default: what the server is set to." placeholder:"POLICY" enum:",public,signed,members" default:""`
	MaxResolution int      `help:"Largest short side in pixels: ${enum}; 0 for the server's default." enum:"0,240,360,480,720,1080,1440,2160" default:"0"`
	Files         []string `arg:"" name:"FILE" help:"Files to upload."`
}

// item is one file on its way.
type item struct {
	path   string
	server string // its address
	id     string // empty until it is uploaded
	err    error  // why it was not uploaded
}

// Run uploads the files and waits for them; an interrupt ends it and leaves the server working.
func (p *Put) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return p.put(ctx, os.Stdout, os.Stderr)
}

// put uploads all files first, one after the other, so that the server always has the next one to work on, and then waits for each in turn: results come in the
// order of the files.
func (p *Put) put(ctx context.Context, out io.Writer, screen *os.File) error {
	if err := p.check(); err != nil {
		return exitError{exitUsage, err}
	}
	c, address, err := p.connect("put")
	if err != nil {
		return err
	}
	show := display{to: screen, terminal: isTerminal(screen)}
	items := make([]item, len(p.Files))
	for i, path := range p.Files {
		items[i] = item{path: path, server: address}
	}
	for i := range items {
		items[i].id, items[i].err = p.upload(ctx, c, items[i].path, show)
		if err := ended(ctx, "put", items[i].err); err != nil {
			look(screen, address, items)
			return err
		}
	}
	failed := false
	for _, it := range items {
		err := it.err
		if err == nil {
			err = p.follow(ctx, c, it, out, show)
		} else if p.JSON {
			err = errors.Join(err, printRefused(out, it))
		}
		if end := ended(ctx, "put", err); end != nil {
			look(screen, address, items)
			return end
		}
		if err != nil {
			failed = true
			show.line("sluice: %s: %s", it.path, err)
		}
	}
	if failed {
		return exitError{exitFailed, nil}
	}
	return nil
}

// check refuses files that can't be uploaded, before any is.
func (p *Put) check() error {
	for _, path := range p.Files {
		info, err := os.Stat(path) // first: opening a named pipe waits for its writer, and nothing ends that
		if err != nil {
			return fmt.Errorf("put: %w", err)
		}
		if info.IsDir() {
			return fmt.Errorf("put: %s is not a file; name the files in it", path)
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("put: %s is not a regular file; save it as one first", path)
		}
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("put: %w", err)
		}
		_ = f.Close() // only read from
	}
	return nil
}

// look says how to see what became of the files.
func look(w io.Writer, address string, items []item) {
	for _, it := range items {
		if it.id == "" {
			fmt.Fprintf(w, "%s: not uploaded; put it again\n", it.path)
			continue
		}
		fmt.Fprintf(w, "%s: uploaded, and the server goes on with it; look with\n  curl -H \"Authorization: Bearer $TOKEN\" %s/v1/videos/%s\n", it.path, address, it.id)
	}
}

func (p *Put) upload(ctx context.Context, c *client.Client, path string, show display) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // only read from
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	bar := show.upload(path, info.Size())
	defer bar.done()
	return c.Upload(ctx, f, client.UploadOptions{Workspace: p.Workspace, Policy: p.Playback, Settings: client.Settings{MaxResolution: p.MaxResolution}}, bar.sent)
}

// follow waits for one video and prints it.
func (p *Put) follow(ctx context.Context, c *client.Client, it item, out io.Writer, show display) error {
	bar := show.job(it)
	v, err := c.Wait(ctx, it.id, client.Until(p.Wait), bar.state)
	bar.done()
	var failure *client.Failure
	if err != nil && !errors.As(err, &failure) {
		return err
	}
	if p.JSON {
		b, jerr := c.VideoJSON(ctx, it.id)
		if jerr != nil {
			return jerr
		}
		_, jerr = fmt.Fprintf(out, "%s\n", b)
		return errors.Join(err, jerr)
	}
	if err != nil {
		return err
	}
	return printVideo(out, v, it.server+"/#/v/"+v.ID, grantFor(ctx, c, v))
}

// printRefused prints the line of a file that never became a video, in the form of one that failed.
func printRefused(out io.Writer, it item) error {
	refused := struct {
		ID       string         `json:"id"`
		Name     string         `json:"name"`
		Status   string         `json:"status"`
		Playable bool           `json:"playable"`
		Error    client.Failure `json:"error"`
	}{Name: filepath.Base(it.path), Status: "failed", Error: client.Failure{Code: "upload_failed", Message: it.err.Error()}}
	var e *client.Error
	if errors.As(it.err, &e) {
		refused.Error = client.Failure{Code: cmp.Or(e.Code, refused.Error.Code), Message: e.Detail}
	}
	return json.NewEncoder(out).Encode(refused)
}

// grantFor is where a video plays: its addresses are dead links without a grant, unless it is public. Without any the page is left to watch it on.
func grantFor(ctx context.Context, c *client.Client, v client.Video) client.Grant {
	if v.Playback == nil {
		return client.Grant{}
	}
	if v.Policy == "public" {
		return client.Grant{HLS: v.Playback.HLS, DASH: v.Playback.DASH, Poster: v.Playback.Poster}
	}
	g, err := c.Grant(ctx, v.ID)
	if err != nil {
		return client.Grant{}
	}
	return g
}

// printVideo prints where a video plays, for people: on the page, and in any player.
func printVideo(out io.Writer, v client.Video, page string, g client.Grant) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", v.Name, v.Status)
	if v.TimeToPlayable != nil {
		fmt.Fprintf(&b, ", playable after %s", seconds(*v.TimeToPlayable))
	}
	b.WriteString("\n")
	line := func(label, value string) {
		if value != "" {
			fmt.Fprintf(&b, "  %-7s %s\n", label, value)
		}
	}
	line("id", v.ID)
	var names []string
	for _, r := range v.Renditions {
		names = append(names, r.Name)
	}
	line("ladder", strings.Join(names, " "))
	line("page", page)
	line("HLS", g.HLS)
	line("DASH", g.DASH)
	line("poster", g.Poster)
	if !g.Expires.IsZero() {
		line("until", g.Expires.Local().Format("2 January 2006, 15:04"))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func seconds(ms int64) string {
	return (time.Duration(ms) * time.Millisecond).Round(100 * time.Millisecond).String()
}

// display shows progress: a bar on a terminal, else a line now and then.
type display struct {
	to       io.Writer
	terminal bool
}

// isTerminal reports whether a bar can be drawn: a file or a pipe takes lines.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (d display) line(format string, args ...any) { fmt.Fprintf(d.to, format+"\n", args...) }

// bar is the progress of one file, in one of its two phases.
type bar struct {
	display
	name  string
	drawn *progressbar.ProgressBar // nil where there is no terminal
	told  int                      // tenths that were told as lines, -1 for none
	last  time.Time                // when the last line was told
	look  time.Time                // the next look for the source that was told as a line
	why   string                   // what the video waited for when that was told as a line
}

// upload shows a file that goes up, from now on: its speed counts from here.
func (d display) upload(path string, size int64) *bar {
	b := &bar{display: d, name: path, told: -1}
	if d.terminal {
		b.draw(size, progressbar.OptionShowBytes(true))
	}
	return b
}

// job shows the work on a video that was uploaded.
func (d display) job(it item) *bar {
	b := &bar{display: d, name: it.path, told: -1}
	if d.terminal {
		b.draw(100, progressbar.OptionSetPredictTime(false))
	} else {
		d.line("%s: uploaded as video %s", it.path, it.id)
	}
	return b
}

func (b *bar) draw(total int64, options ...progressbar.Option) {
	b.drawn = progressbar.NewOptions64(total, append(options, progressbar.OptionSetWriter(b.to), progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionSetDescription(b.name))...)
}

// sent tells how much of the file has gone up.
func (b *bar) sent(sent, size int64) {
	if b.terminal {
		_ = b.drawn.Set64(sent) // a bar that can't be drawn is no reason to stop
		return
	}
	tenth := int(10 * sent / max(size, 1))
	if tenth == 10 && b.told != 10 || tenth != b.told && time.Since(b.last) > time.Second {
		b.told, b.last = tenth, time.Now()
		b.line("%s: uploading, %d%%", b.name, 10*tenth)
	}
}

// state tells how far the work on the video is.
func (b *bar) state(v client.Video) {
	if v.Waiting != nil && v.Waiting.For == "source" {
		b.awaited(v.Waiting.NextLook)
		return
	}
	if v.Waiting != nil {
		b.waits(v)
		return
	}
	left := ""
	if v.ETA != nil {
		left = fmt.Sprintf(", %s left", (time.Duration(*v.ETA) * time.Millisecond).Round(time.Second))
	}
	if b.terminal {
		b.drawn.Describe(b.name + " " + v.Status + left)
		_ = b.drawn.Set(int(100 * v.Progress)) // a bar that can't be drawn is no reason to stop
		return
	}
	if tenth := int(10 * v.Progress); tenth != b.told {
		b.told = tenth
		b.line("%s: %s, %d%%%s", b.name, v.Status, int(100*v.Progress), left)
	}
}

// awaited tells that the file is uploaded and the server has not found it yet.
func (b *bar) awaited(next time.Time) {
	said := "uploaded, and the server has not found it yet"
	if !next.IsZero() {
		said = fmt.Sprintf("uploaded, next look in %s", max(0, time.Until(next)).Round(time.Second))
	}
	if b.terminal {
		b.drawn.Describe(b.name + " " + said)
		return
	}
	if next.Equal(b.look) && b.told == toldAwaited {
		return
	}
	b.look, b.told = next, toldAwaited
	b.line("%s: %s", b.name, said)
}

// waits tells why the work on a video does not go on. As lines it tells each reason once, and every waitsEvery how far
// the queue is.
func (b *bar) waits(v client.Video) {
	said := waitWords(*v.Waiting, time.Now())
	if v.Status != "waiting" {
		said = fmt.Sprintf("%s, %d%%, %s", v.Status, int(100*v.Progress), said)
	}
	if b.terminal {
		b.drawn.Describe(b.name + " " + said)
		_ = b.drawn.Set(int(100 * v.Progress)) // a bar that can't be drawn is no reason to stop
		return
	}
	if b.why == v.Waiting.For+v.Waiting.Queue && time.Since(b.last) < waitsEvery {
		return
	}
	b.why, b.last, b.told = v.Waiting.For+v.Waiting.Queue, time.Now(), int(10*v.Progress)
	b.line("%s: %s", b.name, said)
}

// waitsEvery is how often a line says how far a queue is.
const waitsEvery = 5 * time.Second

// waitWords says what a video waits for, from now.
func waitWords(w client.Waiting, now time.Time) string {
	said := map[string]string{
		"paused": "waits until the queue " + w.Queue + " is resumed", "disk": "waits for room on the server's disk",
		"storage": "waits for the storage", "database": "waits for the database", "retry": "waits after a failed try",
	}[w.For]
	switch {
	case w.For == "worker" && w.Workers != nil && *w.Workers == 0:
		said = "waits for a worker: no process works on the queue " + w.Queue
	case said == "":
		said = "waits for a free worker"
	}
	var more []string
	switch {
	case w.Ahead == nil || *w.Ahead == 0 && w.ETA == nil:
	case *w.Ahead == 0:
		more = append(more, "it is next")
	case *w.Ahead == 1:
		more = append(more, "1 job is before it")
	case *w.Ahead >= mostAhead:
		more = append(more, fmt.Sprintf("%d or more jobs are before it", mostAhead))
	default:
		more = append(more, fmt.Sprintf("%d jobs are before it", *w.Ahead))
	}
	if w.ETA != nil && *w.ETA > 0 {
		more = append(more, "about "+(time.Duration(*w.ETA)*time.Second).String())
	}
	if !w.NextTry.IsZero() {
		more = append(more, "next try in "+max(0, w.NextTry.Sub(now)).Round(time.Second).String())
	}
	if len(more) == 0 {
		return said
	}
	sign := ": "
	if strings.Contains(said, ": ") {
		sign = ", "
	}
	return said + sign + strings.Join(more, ", ")
}

// mostAhead is how far into a queue the server looks.
const mostAhead = 1000

// toldAwaited is no tenth, so that the next one is told.
const toldAwaited = -2

// done takes the bar off the screen.
func (b *bar) done() {
	if b.drawn != nil {
		_ = b.drawn.Clear() // a bar that can't be drawn is no reason to stop
	}
}
