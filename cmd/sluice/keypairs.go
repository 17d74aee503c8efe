package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"sluice/client"
	"sluice/internal/signing"
)

// KeyPairs are the commands about the key pairs that playback is signed with.
type KeyPairs struct {
	List   ListKeyPairs  `cmd:"" help:"List the key pairs."`
	Make   MakeKeyPair   `cmd:"" help:"Make a key pair."`
	Import ImportKeyPair `cmd:"" help:"Bring a key pair, or the public key of one."`
	Retire RetireKeyPair `cmd:"" help:"Have a key pair sign no more, and end what it signed after a time."`
	Remove RemoveKeyPair `cmd:"" help:"Remove a key pair that is retired."`
}

const keysCommand = "keys"

// Successor is what the commands share that add a key pair.
type Successor struct {
	Operate  `embed:""`
	Hash     string        `help:"What it signs with: ${enum}." enum:"SHA256,SHA1" default:"SHA256"`
	Replaces string        `help:"Retire this key pair in its favour, as soon as every edge knows the new one." placeholder:"ID"`
	After    time.Duration `help:"How long what the replaced one signed stays good." default:"168h"`
}

// add adds a key pair and prints it.
func (s Successor) add(n client.NewKeyPair) error {
	return s.do(keysCommand, func(ctx context.Context, c *client.Client, out io.Writer) error {
		n.Replaces = s.Replaces
		if n.Replaces != "" {
			n.After = s.After
		}
		k, err := c.AddKeyPair(ctx, n)
		if err != nil {
			return err
		}
		return s.printKeyPair(out, 0, k)
	})
}

// printKeyPair prints key pair n of a list.
func (o Operate) printKeyPair(out io.Writer, n int, k client.KeyPair) error {
	if o.JSON {
		return json.NewEncoder(out).Encode(k)
	}
	if n == 0 {
		fmt.Fprintln(out, "ID\tFOR\tALGORITHM\tHASH\tSTATE\tPRIVATE KEY\tCREATED\tENDS")
	}
	private, ends := "elsewhere", "–"
	if k.Signs {
		private = "here"
	}
	if !k.Retired.IsZero() {
		ends = k.Retired.Local().Format(time.DateTime)
	}
	_, err := fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", plain(k.ID), k.Purpose, k.Algorithm, k.Hash, k.State, private, k.Created.Local().Format(time.DateTime), ends)
	return err
}

// ListKeyPairs lists them.
type ListKeyPairs struct {
	Operate `embed:""`
	Public  string `help:"Print the public key of this one, as CloudFront takes it." placeholder:"ID"`
}

// Run lists.
func (l *ListKeyPairs) Run() error {
	return l.do(keysCommand, func(ctx context.Context, c *client.Client, out io.Writer) error {
		all, err := c.KeyPairs(ctx)
		for i := 0; i < len(all) && err == nil; i++ {
			switch {
			case l.Public == "":
				err = l.printKeyPair(out, i, all[i])
			case l.Public == all[i].ID:
				_, err = io.WriteString(out, all[i].Public)
				return err
			}
		}
		if err == nil && l.Public != "" {
			err = fmt.Errorf("there is no key pair %q", l.Public)
		}
		return err
	})
}

// MakeKeyPair makes one.
type MakeKeyPair struct {
	Successor `embed:""`
	Algorithm string `help:"Kind of the key: ${enum}." enum:"ecdsa-p256,rsa-2048" default:"ecdsa-p256"`
	Private   string `help:"Make the key pair on this machine, write its private key to this new file, for a program that signs by itself, and give the server the public key alone." placeholder:"FILE" type:"path"`
}

// Run makes.
func (m *MakeKeyPair) Run() error {
	if m.Private == "" {
		return m.add(client.NewKeyPair{Algorithm: m.Algorithm, Hash: m.Hash})
	}
	k, err := signing.Make(signing.Algorithm(m.Algorithm), signing.Hash(m.Hash), time.Now())
	if err != nil {
		return err
	}
	private, err := k.PrivatePEM()
	if err != nil {
		return err
	}
	public, err := k.PublicPEM()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(m.Private, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return exitError{exitUsage, fmt.Errorf("keys: %w", err)}
	}
	_, err = f.Write(private)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = m.add(client.NewKeyPair{PEM: string(public)})
	}
	if err != nil { // nobody knows the key
		err = errors.Join(err, os.Remove(m.Private))
	}
	return err
}

// ImportKeyPair brings one.
type ImportKeyPair struct {
	Successor `embed:""`
	ID        string `help:"The id that CloudFront gave to the public key. Default: made from the key." placeholder:"ID"`
	File      string `arg:"" help:"PEM file of the private key, or of the public one where others sign." type:"existingfile"`
}

// Run brings.
func (i *ImportKeyPair) Run() error {
	text, err := os.ReadFile(i.File)
	if err != nil {
		return exitError{exitUsage, fmt.Errorf("keys: %w", err)}
	}
	return i.add(client.NewKeyPair{PEM: string(text), ID: i.ID, Hash: i.Hash})
}

// RetireKeyPair ends one.
type RetireKeyPair struct {
	Operate `embed:""`
	After   time.Duration `help:"How long what it signed stays good; 0s ends it at once." default:"168h"`
	ID      string        `arg:"" name:"ID" help:"The key pair's id."`
}

// Run retires.
func (r *RetireKeyPair) Run() error {
	return r.do(keysCommand, func(ctx context.Context, c *client.Client, out io.Writer) error {
		k, err := c.RetireKeyPair(ctx, r.ID, r.After)
		if err != nil {
			return err
		}
		return r.printKeyPair(out, 0, k)
	})
}

// RemoveKeyPair removes one.
type RemoveKeyPair struct {
	Operate `embed:""`
	ID      string `arg:"" name:"ID" help:"The key pair's id."`
}

// Run removes.
func (r *RemoveKeyPair) Run() error {
	return r.do(keysCommand, func(ctx context.Context, c *client.Client, _ io.Writer) error { return c.RemoveKeyPair(ctx, r.ID) })
}
