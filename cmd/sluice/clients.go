package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"sluice/client"
)

// Clients is the commands about programs that ask for tokens by OAuth 2.0.
type Clients struct {
	List   ListClients  `cmd:"" help:"List the programs that may ask for tokens."`
	Add    AddClient    `cmd:"" help:"Let a program ask for tokens, and print its client_id and client_secret."`
	Edit   EditClient   `cmd:"" help:"Change what a program may have; what isn't named stays."`
	Rotate RotateClient `cmd:"" help:"Give a program another secret; the old one is good no more."`
	Remove RemoveClient `cmd:"" help:"Let a program ask for tokens no more; those it has are good no more."`
}

// ListClients lists them.
type ListClients struct {
	ServerFlags `embed:""`
	JSON        bool `help:"Print one JSON object a program, each on its own line."`
}

// AddClient registers one.
type AddClient struct {
	ServerFlags `embed:""`
	Kind        string   `help:"web (on a server), spa (in a browser), native (on a person's machine) or service (acts for itself)." required:"" enum:"web,spa,native,service"`
	Redirects   []string `name:"redirect" help:"Where people come back to; again for more." sep:"none" placeholder:"URI"`
	Logouts     []string `name:"logout" help:"Where people come back to after signing out; again for more." sep:"none" placeholder:"URI"`
	Scopes      []string `name:"scope" help:"Most that its tokens may allow." required:"" placeholder:"SCOPE"`
	Role        string   `help:"What a service may do at most: admin, editor or viewer."`
	Workspaces  []string `name:"workspace" help:"Workspaces of a service." placeholder:"ID"`
	JSON        bool     `help:"Print it as JSON."`
	Name        string   `arg:"" name:"NAME" help:"Its name, which people are shown."`
}

// EditClient changes one.
type EditClient struct {
	ServerFlags `embed:""`
	Name        string   `help:"Its name, which people are shown."`
	Redirects   []string `name:"redirect" help:"Where people come back to; again for more." sep:"none" placeholder:"URI"`
	Logouts     []string `name:"logout" help:"Where people come back to after signing out; again for more." sep:"none" placeholder:"URI"`
	Scopes      []string `name:"scope" help:"Most that its tokens may allow." placeholder:"SCOPE"`
	Role        string   `help:"What a service may do at most: admin, editor or viewer."`
	Workspaces  []string `name:"workspace" help:"Workspaces of a service." placeholder:"ID"`
	ID          string   `arg:"" name:"CLIENT_ID" help:"The program."`
}

// RotateClient gives one another secret.
type RotateClient struct {
	ServerFlags `embed:""`
	ID          string `arg:"" name:"CLIENT_ID" help:"The program."`
}

// RemoveClient removes one.
type RemoveClient struct {
	ServerFlags `embed:""`
	ID          string `arg:"" name:"CLIENT_ID" help:"The program."`
}

const clientsCommand = "clients"

// OAuth is the commands about the keys that sign access tokens.
type OAuth struct {
	Rotate RotateKeys `cmd:"" help:"Have a new key sign access tokens at once. Keys take turns by themselves; this is for one that somebody else may have."`
}

// RotateKeys has a new key sign.
type RotateKeys struct {
	ServerFlags `embed:""`
	Withdraw    bool `help:"Know the keys before it no more: every access token that is out is good no more within a minute."`
}

// Run has a new key sign.
func (r *RotateKeys) Run() error {
	return r.ask("oauth", func(ctx context.Context, c *client.Client) error {
		k, err := c.RotateKeys(ctx, r.Withdraw)
		if err == nil {
			fmt.Println("signs now     " + k.ID)
		}
		return err
	})
}

// Run lists.
func (l *ListClients) Run() error {
	return l.ask(clientsCommand, func(ctx context.Context, c *client.Client) error {
		all, err := c.OAuthClients(ctx)
		if err != nil {
			return err
		}
		return l.print(os.Stdout, all)
	})
}

func (l *ListClients) print(out io.Writer, all []client.OAuthClient) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i, o := range all {
		if l.JSON {
			if err := json.NewEncoder(out).Encode(o); err != nil {
				return err
			}
			continue
		}
		if i == 0 {
			fmt.Fprintln(table, "CLIENT_ID\tNAME\tKIND\tROLE\tSCOPES\tCOMES BACK TO")
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", o.ID, o.Name, o.Kind, o.Role, strings.Join(o.Scopes, ","), strings.Join(o.Redirects, " "))
	}
	return table.Flush()
}

// Run registers.
func (a *AddClient) Run() error {
	return a.ask(clientsCommand, func(ctx context.Context, c *client.Client) error {
		o, err := c.AddOAuthClient(ctx, client.OAuthClient{Name: a.Name, Kind: a.Kind, Redirects: a.Redirects, Logouts: a.Logouts, Scopes: a.Scopes,
			Role: a.Role, Workspaces: a.Workspaces})
		switch {
		case err != nil:
			return err
		case a.JSON:
			return json.NewEncoder(os.Stdout).Encode(o)
		}
		printSecret(o)
		return nil
	})
}

// printSecret prints what a program needs to ask for tokens. Its secret can't be shown again.
func printSecret(o client.OAuthClient) {
	fmt.Println("client_id     " + o.ID)
	if o.Secret != "" {
		fmt.Println("client_secret " + o.Secret)
	}
}

// Run changes.
func (e *EditClient) Run() error {
	return e.ask(clientsCommand, func(ctx context.Context, c *client.Client) error {
		_, err := c.EditOAuthClient(ctx, e.ID, client.OAuthClientEdit{
			Name: given(e.Name, e.Name != ""), Role: given(e.Role, e.Role != ""), Redirects: given(e.Redirects, e.Redirects != nil),
			Logouts: given(e.Logouts, e.Logouts != nil), Scopes: given(e.Scopes, e.Scopes != nil), Workspaces: given(e.Workspaces, e.Workspaces != nil),
		})
		return err
	})
}

// given is a value that was named, or nil.
func given[T any](value T, named bool) *T {
	if !named {
		return nil
	}
	return &value
}

// Run gives another secret.
func (r *RotateClient) Run() error {
	return r.ask(clientsCommand, func(ctx context.Context, c *client.Client) error {
		o, err := c.RotateOAuthClient(ctx, r.ID)
		if err == nil {
			printSecret(o)
		}
		return err
	})
}

// Run removes.
func (r *RemoveClient) Run() error {
	return r.ask(clientsCommand, func(ctx context.Context, c *client.Client) error { return c.RemoveOAuthClient(ctx, r.ID) })
}
