package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"sluice/client"
)

// Users are the commands that say who may sign in.
type Users struct {
	List        ListUsers    `cmd:"" help:"List users, oldest first."`
	Invite      InviteUser   `cmd:"" help:"Invite somebody: a letter with a temporary password, good once and for 7 days."`
	Role        RoleUser     `cmd:"" help:"Change what a user may do."`
	Disable     DisableUser  `cmd:"" help:"Shut a user out: sessions and personal tokens end at once."`
	Enable      EnableUser   `cmd:"" help:"Let a user sign in again."`
	Reset       ResetUser    `cmd:"" help:"Have a user choose another password: sessions and personal tokens end, and a letter with a temporary password is written."`
	ResetFactor ResetFactor  `cmd:"" name:"reset-factor" help:"Remove the second factor of a user who has lost it: sessions end, and a letter tells them. The password stays."`
	Sessions    UserSessions `cmd:"" help:"List, or end, where a user is signed in."`
	Programs    UserPrograms `cmd:"" help:"List the programs that a user has let in, or take back what one was given."`
	Remove      RemoveUser   `cmd:"" help:"Remove a user. Their videos stay."`
	Audit       Audit        `cmd:"" help:"List what was done to accounts, newest first."`
}

// OneUser is what the commands on one user share.
type OneUser struct {
	Operate `embed:""`
	Email   string `arg:"" name:"EMAIL" help:"The user's e-mail address."`
}

// on calls f with the user.
func (o OneUser) on(f func(ctx context.Context, c *client.Client, u client.User, out io.Writer) error) error {
	return o.do("users", func(ctx context.Context, c *client.Client, out io.Writer) error {
		for u, err := range c.Users(ctx) {
			if err != nil {
				return err
			}
			if strings.EqualFold(u.Email, o.Email) {
				return f(ctx, c, u, out)
			}
		}
		return &client.Error{Status: 404, Code: "no_user", Detail: "There is no user with this e-mail address; look at the list of users."}
	})
}

// user prints user n of a list.
func (o Operate) user(out io.Writer, n int, u client.User) error {
	if o.JSON {
		return json.NewEncoder(out).Encode(u)
	}
	if n == 0 {
		fmt.Fprintln(out, "E-MAIL\tNAME\tROLE\tSTATE\tWORKSPACES\tSIGNED IN\tSECOND FACTOR\tID")
	}
	last := "never"
	if !u.SignedIn.IsZero() {
		last = u.SignedIn.Local().Format(time.DateTime)
	}
	factor := "no"
	if !u.Factored.IsZero() {
		factor = "yes"
	}
	_, err := fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", plain(u.Email), plain(u.Name), u.Role, u.State, strings.Join(u.Workspaces, " "), last, factor, u.ID)
	return err
}

// written prints a user to whom a letter was just written, and what that says where no mail server takes it.
func (o Operate) written(ctx context.Context, c *client.Client, u client.User, out io.Writer) error {
	if err := o.user(out, 0, u); err != nil || o.JSON {
		return err
	}
	for l, err := range c.Letters(ctx, "") {
		if err != nil {
			return err
		}
		if l.User != u.ID {
			continue
		}
		if l, err = c.Letter(ctx, l.ID); err != nil {
			return err
		}
		if l.Text == "" {
			_, err = fmt.Fprintf(out, "\nA letter is on its way to %s.\n", plain(u.Email))
			return err
		}
		fmt.Fprintf(out, "\nThere is no mail server; pass this on:\n\n")
		for line := range strings.Lines(l.Text) {
			fmt.Fprintf(out, "    %s\n", plain(strings.TrimRight(line, "\r\n")))
		}
		return nil
	}
	return nil
}

// ListUsers lists users.
type ListUsers struct {
	Operate `embed:""`
}

// Run lists.
func (l *ListUsers) Run() error {
	return l.do("users", func(ctx context.Context, c *client.Client, out io.Writer) error {
		n := 0
		for u, err := range c.Users(ctx) {
			if err == nil {
				err = l.user(out, n, u)
			}
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
}

// InviteUser invites.
type InviteUser struct {
	Operate   `embed:""`
	Email     string   `arg:"" name:"EMAIL" help:"Their e-mail address."`
	Name      string   `help:"Their name, to show." placeholder:"NAME"`
	Role      string   `help:"What they may do: ${enum}." enum:"admin,editor,viewer" default:"viewer"`
	Workspace []string `help:"Workspaces they belong to. Default: main." placeholder:"ID"`
	Again     bool     `help:"Write another letter to somebody who has been invited."`
}

// Run invites.
func (i *InviteUser) Run() error {
	if i.Again {
		return OneUser{i.Operate, i.Email}.on(func(ctx context.Context, c *client.Client, u client.User, out io.Writer) error {
			u, err := c.InviteAgain(ctx, u.ID)
			if err != nil {
				return err
			}
			return i.written(ctx, c, u, out)
		})
	}
	return i.do("users", func(ctx context.Context, c *client.Client, out io.Writer) error {
		u, err := c.Invite(ctx, client.Invitation{Email: i.Email, Name: i.Name, Role: i.Role, Workspaces: i.Workspace})
		if err != nil {
			return err
		}
		return i.written(ctx, c, u, out)
	})
}

// edit changes a user and prints them.
func (o OneUser) edit(e client.UserEdit) error {
	return o.on(func(ctx context.Context, c *client.Client, u client.User, out io.Writer) error {
		u, err := c.EditUser(ctx, u.ID, e)
		if err != nil {
			return err
		}
		return o.user(out, 0, u)
	})
}

// RoleUser changes a role.
type RoleUser struct {
	OneUser   `embed:""`
	Role      string   `arg:"" name:"ROLE" help:"What they may do: ${enum}." enum:"admin,editor,viewer"`
	Workspace []string `help:"Workspaces they belong to from now on. Default: as before." placeholder:"ID"`
}

// Run changes.
func (r *RoleUser) Run() error {
	e := client.UserEdit{Role: &r.Role}
	if len(r.Workspace) > 0 {
		e.Workspaces = &r.Workspace
	}
	return r.edit(e)
}

// DisableUser disables.
type DisableUser struct {
	OneUser `embed:""`
}

// Run disables.
func (d *DisableUser) Run() error {
	state := "disabled"
	return d.edit(client.UserEdit{State: &state})
}

// EnableUser enables.
type EnableUser struct {
	OneUser `embed:""`
}

// Run enables.
func (e *EnableUser) Run() error {
	state := "active"
	return e.edit(client.UserEdit{State: &state})
}

// ResetUser forces another password.
type ResetUser struct {
	OneUser `embed:""`
}

// Run forces.
func (r *ResetUser) Run() error {
	return r.on(func(ctx context.Context, c *client.Client, u client.User, out io.Writer) error {
		u, err := c.ResetUser(ctx, u.ID)
		if err != nil {
			return err
		}
		return r.written(ctx, c, u, out)
	})
}

// ResetFactor removes a second factor.
type ResetFactor struct {
	OneUser `embed:""`
}

// Run removes it.
func (r *ResetFactor) Run() error {
	return r.on(func(ctx context.Context, c *client.Client, u client.User, out io.Writer) error {
		if err := c.ResetFactor(ctx, u.ID); err != nil {
			return err
		}
		_, err := fmt.Fprintf(out, "%s signs in by password alone now, until they set up a second factor again.\n", plain(u.Email))
		return err
	})
}

// RemoveUser removes.
type RemoveUser struct {
	OneUser `embed:""`
}

// Run removes.
func (r *RemoveUser) Run() error {
	return r.on(func(ctx context.Context, c *client.Client, u client.User, _ io.Writer) error {
		return c.RemoveUser(ctx, u.ID)
	})
}

// UserSessions lists or ends sessions.
type UserSessions struct {
	OneUser `embed:""`
	End     bool `help:"End them all."`
}

// Run lists or ends.
func (s *UserSessions) Run() error {
	return s.on(func(ctx context.Context, c *client.Client, u client.User, out io.Writer) error {
		if s.End {
			return c.EndUserSessions(ctx, u.ID)
		}
		all, err := c.UserSessions(ctx, u.ID)
		if !s.JSON && err == nil {
			fmt.Fprintln(out, "OPENED\tLAST SEEN\tFROM\tBROWSER\tID")
		}
		for i := 0; i < len(all) && err == nil; i++ {
			one := all[i]
			if s.JSON {
				err = json.NewEncoder(out).Encode(one)
				continue
			}
			_, err = fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\n", one.Created.Local().Format(time.DateTime), one.Seen.Local().Format(time.DateTime), one.Address, plain(one.Agent), one.ID)
		}
		return err
	})
}

// UserPrograms lists programs, or takes back what one was given.
type UserPrograms struct {
	OneUser `embed:""`
	End     string `help:"Take back what this program was given." placeholder:"CLIENT_ID"`
}

// Run lists or takes back.
func (p *UserPrograms) Run() error {
	return p.on(func(ctx context.Context, c *client.Client, u client.User, out io.Writer) error {
		if p.End != "" {
			return c.EndUserProgram(ctx, u.ID, p.End)
		}
		all, err := c.UserPrograms(ctx, u.ID)
		if !p.JSON && err == nil {
			fmt.Fprintln(out, "CLIENT_ID\tNAME\tSCOPES\tSINCE\tLAST USED\tSIGN-INS")
		}
		for i := 0; i < len(all) && err == nil; i++ {
			one := all[i]
			if p.JSON {
				err = json.NewEncoder(out).Encode(one)
				continue
			}
			_, err = fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%d\n", one.ID, plain(one.Name), strings.Join(one.Scopes, ","), one.Since.Local().Format(time.DateTime), one.Used.Local().Format(time.DateTime), one.SignIns)
		}
		return err
	})
}

// Audit lists what was done to accounts.
type Audit struct {
	Operate `embed:""`
	User    string `help:"Only what this user did, or was done to their account: an id." placeholder:"ID"`
	Limit   int    `help:"Most acts to list." default:"50"`
}

// Run lists.
func (a *Audit) Run() error {
	return a.do("users", func(ctx context.Context, c *client.Client, out io.Writer) error {
		n := 0
		for act, err := range c.Audit(ctx, a.User) {
			if err != nil || n == a.Limit {
				return err
			}
			if err := a.act(out, n, act); err != nil {
				return err
			}
			n++
		}
		return nil
	})
}

func (a *Audit) act(out io.Writer, n int, act client.AuditEntry) error {
	if a.JSON {
		return json.NewEncoder(out).Encode(act)
	}
	if n == 0 {
		fmt.Fprintln(out, "TIME\tWHAT\tBY\tUSER\tFROM\tDETAIL")
	}
	name := func(p *client.Actor) string {
		if p == nil {
			return "-"
		}
		return plain(p.Name)
	}
	var detail []string
	for k, v := range act.Detail {
		detail = append(detail, k+"="+plain(v))
	}
	slices.Sort(detail)
	_, err := fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\n", act.Time.Local().Format(time.DateTime), act.What, name(act.By), name(act.User), act.Address, strings.Join(detail, " "))
	return err
}
