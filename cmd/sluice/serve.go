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
	"syscall"
)

// Serve is the command that runs the server.
type Serve struct {
	Settings `embed:""`
}

// Run serves until the process is told to stop.
func (c *Serve) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := c.finish(); err != nil {
		return err
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
	page := s.PublicURL + "/"
	if isTerminal(w) {
		page += "#token=" + a.token
	}
	fmt.Fprintf(w, `
Sluice is up.

  Page        %[2]s
  API         %[1]s/v1/videos   (reference: %[1]s/reference)
  S3          %[1]s   bucket %[3]s, keys in %[4]s
  Token       in %[5]s

Try:
  bin/sluice put --data %[6]s VIDEO.mp4
  curl -H "Authorization: Bearer $(cat %[5]s)" %[1]s/v1/videos

`, s.PublicURL, page, uploadsBucket, filepath.Join(s.Data, keyFile), filepath.Join(s.Data, tokenFile), s.Data)
}

// writeServerFile tells other processes of this machine where the server is.
func (a *App) writeServerFile() error {
	body, err := json.Marshal(map[string]string{"url": a.local})
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(a.settings.Data, serverFile), append(body, '\n'), 0o644)
}
