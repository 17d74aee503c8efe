package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"sluice/client"
	"sluice/internal/delivery"
	"sluice/internal/purge"
)

// Purge says how a CDN is told to drop copies.
type Purge struct {
	URL       string   `help:"Address at which a CDN is told to drop copies of what was deleted or may be watched by others now; the same for all processes. Without one none is told. It may have the placeholders {key}, {keys}, {path} and more: docs/CDN.md." env:"URL"`
	Method    string   `help:"Method of that request: POST, PURGE or BAN, say." default:"POST" env:"METHOD"`
	Headers   []Secret `help:"Headers of it, each 'Name: value'; a comma in one is written \\,. Other users of this machine see command lines: set them in the environment or the file." env:"HEADERS" placeholder:"HEADER"`
	Body      string   `help:"Body of it." env:"BODY"`
	Most      int      `help:"Most keys or paths in one request." default:"30" env:"MOST"`
	AWSKey    string   `help:"Access key that signs the request as CloudFront asks for." env:"AWS_KEY"`
	AWSSecret Secret   `help:"Secret key of that." env:"AWS_SECRET"`
}

// mostNames bounds one call: CloudFront takes 3,000 paths, and nobody takes more.
const mostNames = 3000

func (p Purge) check() error {
	if p.URL == "" {
		if len(p.Headers) > 0 || p.Body != "" || p.AWSKey != "" || p.AWSSecret != "" {
			return fmt.Errorf("cdn.purge_url is empty and others of cdn.purge are not; set it too")
		}
		return nil
	}
	if p.Most < 1 || p.Most > mostNames {
		return fmt.Errorf("cdn.purge_most is %d; use 1 to %d", p.Most, mostNames)
	}
	if err := p.call().Check(); err != nil {
		return fmt.Errorf("cdn.purge_url and what belongs to it can't be used: %w", err)
	}
	return nil
}

func (p Purge) call() purge.Call {
	c := purge.Call{Method: p.Method, URL: p.URL, Body: p.Body, Most: p.Most, Access: p.AWSKey, Secret: string(p.AWSSecret)}
	for _, h := range p.Headers {
		c.Headers = append(c.Headers, string(h))
	}
	return c
}

// openPurge has a CDN told where one is named; else it returns nil, and nothing is noted.
func (a *App) openPurge() (*purge.Purger, error) {
	p := a.settings.CDN.Purge
	if p.URL == "" {
		return nil, nil
	}
	a.store.PurgesBy(purge.Job)
	return purge.New(purge.Config{Store: stageRecords(a.store), Call: p.call(), Path: streamPattern, Now: now, Log: a.log})
}

// streamPattern is what all addresses begin with that name a folder, and a generation of it where that isn't 0.
func streamPattern(folder string, generation int) string {
	key := "streams/" + folder
	if generation > 0 {
		key += "/" + strconv.Itoa(generation)
	}
	return delivery.URL("", key) + "/*"
}

// PurgeCopies is the command that has a CDN drop copies.
type PurgeCopies struct {
	Operate `embed:""`
	Videos  []string `arg:"" name:"VIDEO" help:"Ids of videos."`
}

// Run tells the server.
func (p *PurgeCopies) Run() error {
	return p.do("purge", func(ctx context.Context, c *client.Client, out io.Writer) error {
		for _, id := range p.Videos {
			if err := c.Purge(ctx, id); err != nil {
				return err
			}
			if !p.JSON {
				fmt.Fprintf(out, "%s\tthe CDN is told\n", plain(id))
			}
		}
		return nil
	})
}
