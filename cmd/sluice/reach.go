package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"sluice/client"
)

// ServerFlags is how a command finds the server that it talks to, and the token to show it.
type ServerFlags struct {
	URL   string `help:"Address of the server. Default: what the server of the data folder wrote there." env:"SLUICE_URL" placeholder:"URL"`
	Token string `help:"Admin token. Default: that of the data folder." env:"SLUICE_TOKEN" placeholder:"TOKEN"`
	Data  string `help:"Data folder of a server on this machine." default:"./data" env:"SLUICE_DATA" type:"path" placeholder:"DIR"`
}

// connect finds server and token for a command. The data folder's token is shown to no other server than the data folder's own.
func (r ServerFlags) connect(command string) (*client.Client, string, error) {
	local, localErr := readServerFile(r.Data)
	address := strings.TrimRight(cmp.Or(r.URL, local.URL), "/")
	if address == "" {
		return nil, "", exitError{exitNoServer, fmt.Errorf("%s: no server: %w; start one with 'sluice serve', or name one with --url or --data", command, localErr)}
	}
	token := r.Token
	if token == "" && address == strings.TrimRight(local.URL, "/") {
		b, err := os.ReadFile(filepath.Join(r.Data, tokenFile))
		if err != nil {
			return nil, "", exitError{exitNoServer, fmt.Errorf("%s: no token: %w; give it with --token or SLUICE_TOKEN", command, err)}
		}
		token = strings.TrimSpace(string(b))
	}
	c, err := client.New(address, token)
	if err != nil {
		return nil, "", exitError{exitUsage, err}
	}
	if address == strings.TrimRight(local.URL, "/") {
		if err := local.trust(c); err != nil {
			return nil, "", exitError{exitNoServer, fmt.Errorf("%s: %w", command, err)}
		}
	}
	return c, address, nil
}

// serverNote is what a server tells other processes of its machine.
type serverNote struct {
	URL         string `json:"url"`                   // where it answers
	Certificate string `json:"certificate,omitempty"` // PEM: the one that it shows there, whatever name that has
}

// readServerFile returns what the server of a data folder wrote there when it started.
func readServerFile(data string) (server serverNote, err error) {
	b, err := os.ReadFile(filepath.Join(data, serverFile))
	if err != nil {
		return server, err
	}
	if err := json.Unmarshal(b, &server); err != nil || server.URL == "" {
		return server, fmt.Errorf("%s holds no address", serverFile)
	}
	return server, nil
}

// trust has a client take the certificate that the note has, at the note's address alone.
func (n serverNote) trust(c *client.Client) error {
	block, _ := pem.Decode([]byte(n.Certificate))
	if block == nil {
		return nil
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fmt.Errorf("%s holds no certificate: %w", serverFile, err)
	}
	c.Trust(certificate)
	return nil
}

// ended is the error for a command to end with where err, or the end of ctx, is no matter of one item alone; else nil.
func ended(ctx context.Context, command string, err error) error {
	if ctx.Err() != nil {
		return exitError{exitFailed, errors.New(command + ": interrupted")}
	}
	var e *client.Error
	if errors.As(err, &e) && (e.Status == 0 || e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden && e.Code != client.UploadRefused) {
		return exitError{exitNoServer, fmt.Errorf("%s: %w", command, e)}
	}
	return nil
}

// refusedBy is the error for a command to end with where the server, or the way to it, gave err: the server's refusal of what was asked is a wrong use.
func refusedBy(ctx context.Context, command string, err error) error {
	if end := ended(ctx, command, err); end != nil {
		return end
	}
	var e *client.Error
	if errors.As(err, &e) && !e.Temporary() {
		return exitError{exitUsage, fmt.Errorf("%s: %w", command, e)}
	}
	return exitError{exitFailed, fmt.Errorf("%s: %w", command, err)}
}
