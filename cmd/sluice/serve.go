package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
)

// Serve is the command that runs the server.
type Serve struct {
	Settings `embed:""`
}

// garbage is how much may be made, in hundredths of what is in use, before it is collected. In use are 10 to 30 MB, so that Go's own 100 has it collected several times a second
// under load, for a tenth of the processor time (ADR 10).
const garbage = 400

// Run serves until the process is told to stop.
func (c *Serve) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := c.finish(); err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" { // else whoever runs it has said
		debug.SetGCPercent(garbage)
	}
	log := newLogger(os.Stderr, c.Log)
	app, err := Open(ctx, c.Settings, log)
	if err != nil {
		return err
	}
	app.greet(os.Stdout)
	err = app.Serve(ctx)
	if cerr := app.Close(); cerr != nil {
		log.Error("closing", "error", cerr)
	}
	if err == nil {
		log.Info("stopped; running jobs were given back")
	}
	return err
}

// newLogger logs to w as the settings say.
func newLogger(w io.Writer, l Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		level = slog.LevelInfo // kong lets only levels through
	}
	options := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// greet says where to look, how to sign in and what to try. The token is shown on a terminal alone: what a service prints is kept in a log.
func (a *App) greet(w *os.File) {
	s := a.settings
	fmt.Fprintln(w, "\nSluice is up.")
	if !s.has(roleAPI) {
		fmt.Fprintf(w, "\n  %s on %s\n\n", strings.Join(s.Roles, " and "), a.local)
		return
	}
	page, token, bearer, shown := s.PublicURL+"/", "in "+filepath.Join(s.Data, tokenFile), "$(cat "+filepath.Join(s.Data, tokenFile)+")", ""
	if s.AdminToken != "" { // then no file has it, and commands are shown where it is
		token, bearer = "as configured; put it into TOKEN for the commands below", "$TOKEN"
		if os.Getenv("SLUICE_ADMIN_TOKEN") == string(s.AdminToken) {
			token, bearer = "in SLUICE_ADMIN_TOKEN", "$SLUICE_ADMIN_TOKEN"
		}
		shown = ` --token "` + bearer + `"`
	} else if isTerminal(w) && a.first == "" { // else they are to sign in as a person: greetFirst says how
		page += "#admin=" + a.links.Make() // valid once: no address holds the token
	}
	keys := "in " + filepath.Join(s.Data, keyFile)
	if s.remote() {
		keys = "as set"
	}
	fmt.Fprintf(w, `
  Page        %[2]s
  API         %[1]s/v1/videos   (reference: %[1]s/reference)
  S3          %[3]s   bucket %[4]s, keys %[5]s
  Token       %[6]s

Try:
  bin/sluice put --data %[7]s%[9]s VIDEO.mp4
  curl -H "Authorization: Bearer %[8]s" %[1]s/v1/videos

`, s.PublicURL, page, s.publicStorage(), s.S3.UploadsBucket, keys, token, s.Data, bearer, shown)
	fmt.Fprint(w, a.greetFirst())
}

// writeServerFile tells other processes of this machine where the server is.
func (a *App) writeServerFile() error {
	body, err := json.Marshal(serverNote{URL: a.local, Certificate: a.ownCertificate()})
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(a.settings.Data, serverFile), append(body, '\n'), 0o644)
}
