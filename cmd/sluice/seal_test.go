package main

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"sluice/internal/account"
	"sluice/internal/fault"
	"sluice/internal/signing"
)

func TestTheSecretThatSealsIsThatOfTheSettingsOrOfTheDataFolder(t *testing.T) {
	t.Parallel()
	s := Settings{Data: t.TempDir()}
	path := filepath.Join(s.Data, sealFile)
	first, fresh, err := s.sealSecret()
	if err != nil || len(first) < 32 || !fresh {
		t.Fatalf("%q %v %v", first, fresh, err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("it is kept before anybody knows whether it is good: %v", err)
	}
	if err := os.WriteFile(path, append(first, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	if again, fresh, err := s.sealSecret(); err != nil || fresh || !bytes.Equal(again, first) {
		t.Errorf("%q %v %v", again, fresh, err)
	}
	s.SealKey = Secret(first) // what move tells to do with the file
	if set, fresh, err := s.sealSecret(); err != nil || fresh || !bytes.Equal(set, first) {
		t.Errorf("%q %v %v", set, fresh, err)
	}
	s.SealKey = ""
	if err := os.WriteFile(path, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.sealSecret(); fault.Of(err).Code != "seal_key_wrong" {
		t.Errorf("%v", err)
	}
}

// TestRequireShared_SecretNeitherSetNorInTheFolder_RefusesTheStart covers each role with and without its secrets.
func TestRequireShared_SecretNeitherSetNorInTheFolder_RefusesTheStart(t *testing.T) {
	t.Parallel()
	kept := t.TempDir()
	for _, name := range []string{sealFile, tokenFile} {
		if err := os.WriteFile(filepath.Join(kept, name), []byte("a secret of this folder\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all := []string{roleAPI, roleWorker, roleEdge}
	const token, key, database = "a-token-of-operators", "a-key-that-seals-keys", "postgres://u:p@127.0.0.1:1/n"
	for _, c := range []struct {
		roles      []string
		data       string
		token, key Secret
		database   string
		code       string
		say        []string // in the message
	}{
		{[]string{roleEdge}, t.TempDir(), token, "", database, "seal_key_required", []string{"SLUICE_SEAL_KEY=$(openssl rand -base64 32)"}},
		{[]string{roleAPI}, t.TempDir(), token, "", database, "seal_key_required", []string{"SLUICE_SEAL_KEY="}},
		{[]string{roleAPI}, t.TempDir(), "", key, database, "admin_token_required", []string{"SLUICE_ADMIN_TOKEN=$(openssl rand -hex 24)"}},
		{all, t.TempDir(), "", "", database, "seal_key_required", []string{"SLUICE_SEAL_KEY=", "SLUICE_ADMIN_TOKEN="}},
		{[]string{roleWorker}, t.TempDir(), "", "", database, "", nil}, // seals nothing and is asked nothing
		{[]string{roleAPI, roleEdge}, t.TempDir(), token, key, database, "", nil},
		{all, kept, "", "", database, "", nil},  // an installation of one process keeps its folder's
		{all, t.TempDir(), "", "", "", "", nil}, // nobody shares a SQLite file
	} {
		s := Settings{Data: c.data, Roles: c.roles, AdminToken: c.token, SealKey: c.key, Database: c.database, S3: S3{Endpoint: "http://127.0.0.1:1"}}
		err := s.requireShared()
		if c.code == "" {
			if err != nil {
				t.Errorf("%v: %v", c.roles, err)
			}
			continue
		}
		if err == nil || fault.Of(err).Code != c.code {
			t.Errorf("%v: %v, want %s", c.roles, err, c.code)
			continue
		}
		for _, text := range c.say {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%v: %q does not show %q", c.roles, err, text)
			}
		}
		a, err := Open(t.Context(), s, slog.New(slog.DiscardHandler))
		if err == nil {
			t.Errorf("%v: the server opens", c.roles)
			_ = a.Close()
		}
		if made, _ := filepath.Glob(filepath.Join(c.data, "*")); len(made) > 0 {
			t.Errorf("%v: the refused start made %v", c.roles, made)
		}
	}
}

// reopened opens the server of a data folder.
func reopened(t *testing.T, data string, flags ...string) (*App, error) {
	t.Helper()
	var c Serve
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(append([]string{"--data", data, "--listen", "127.0.0.1:0"}, flags...)); err != nil {
		t.Fatal(err)
	}
	if err := c.finish(); err != nil {
		t.Fatal(err)
	}
	c.Roles = []string{roleAPI, roleEdge}
	return Open(t.Context(), c.Settings, slog.New(slog.DiscardHandler))
}

// TestAServerWithoutWhatSealsItsKeysDoesNotStart takes the secret away from a folder whose keys are in use, for tokens and for playback, and from one whose keys are not.
func TestAServerWithoutWhatSealsItsKeysDoesNotStart(t *testing.T) {
	t.Parallel()
	for what, use := range map[string]func(*App) error{
		"tokens":   func(a *App) error { _, err := a.provider.Renew(t.Context(), account.AuditEntry{}, false); return err },
		"playback": func(a *App) error { _, err := a.keyPairs.Signer(t.Context(), signing.ForPlayback, nil); return err },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			data := t.TempDir()
			path := filepath.Join(data, sealFile)
			open := func(flags ...string) *App {
				t.Helper()
				a, err := reopened(t, data, flags...)
				if err != nil {
					t.Fatal(err)
				}
				return a
			}
			refused := func(code string, flags ...string) {
				t.Helper()
				a, err := reopened(t, data, flags...)
				if err == nil {
					_ = a.Close()
				}
				if err == nil || fault.Of(err).Code != code {
					t.Errorf("got %v, want %s", err, code)
				}
			}
			a := open()
			if err := errors.Join(a.Close(), os.Remove(path)); err != nil {
				t.Fatal(err)
			}
			a = open() // nothing is sealed yet
			if err := errors.Join(use(a), a.Close()); err != nil {
				t.Fatal(err)
			}
			right, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			refused("seal_key_wrong", "--seal-key", "another secret than that")
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			refused("seal_key_missing")
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the refused start made a secret: %v", err)
			}
			if err := open("--seal-key=" + strings.TrimSpace(string(right))).Close(); err != nil { // what the file holds is good as a setting
				t.Error(err)
			}
			a = open("--forget-sealed")
			found, err := a.sealed(t.Context(), right)
			if err != nil || found.open+len(found.tokens)+len(found.playbacks) != 0 {
				t.Errorf("%+v is not forgotten: %v", found, err)
			}
			acts, err := a.store.Acts(t.Context(), "", 0, 1)
			if err != nil || len(acts) != 1 || acts[0].What != account.KeysForgotten || acts[0].Detail["key_pairs"]+acts[0].Detail["token_keys"] == "" {
				t.Errorf("%+v %v", acts, err)
			}
			if err := errors.Join(use(a), a.Close()); err != nil {
				t.Fatal(err)
			}
			if err := open().Close(); err != nil { // it has another secret now, and keys that it opens
				t.Error(err)
			}
		})
	}
}
