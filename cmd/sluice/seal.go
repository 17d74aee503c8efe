package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sluice/internal/account"
	"sluice/internal/fault"
	"sluice/internal/grant"
	"sluice/internal/oauth"
	"sluice/internal/seal"
	"sluice/internal/signing"
)

// sealSecret is what private keys are sealed with in the database: of the settings, or of the data folder. fresh is one that was made because there is none; it is not kept yet.
func (s *Settings) sealSecret() (key []byte, fresh bool, err error) {
	if s.SealKey != "" {
		return []byte(s.SealKey), false, nil
	}
	path := filepath.Join(s.Data, sealFile)
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return []byte(secret(32)), true, nil
	}
	if err != nil {
		return nil, false, err
	}
	text := strings.TrimSpace(string(body))
	if b, err := base64.RawURLEncoding.DecodeString(text); err != nil || len(b) < seal.Least {
		return nil, false, wrongSeal(fmt.Errorf("%s holds no key", path))
	}
	return []byte(text), false, nil
}

func wrongSeal(cause error) error {
	return fault.New(fault.Conflict, "seal", "seal_key_wrong", "This seal_key, or seal.key in the data folder, opens none of the private keys in the database; "+
		"give the one that they were sealed with. Where that is lost, start once with --forget-sealed: what they signed stays good, and they sign no more.", cause)
}

func missingSeal() error {
	return fault.New(fault.Conflict, "seal", "seal_key_missing", "The database holds private keys, and what they were sealed with is not here; put seal.key of the data folder that "+
		"made them into this one, or what it holds into seal_key. Where it is lost, start once with --forget-sealed: what they signed stays good, and they sign no more.", nil)
}

// requireShared refuses to make a secret that other processes need too. Each process would make one of its own without
// a word: the admin token of one would
// be refused by the next, and the first restart after a private key is sealed would fail, days later. A secret that is
// in the data folder already counts: the
// others may have been given what it holds.
func (s *Settings) requireShared() error {
	if !s.shared() {
		return nil
	}
	var code string
	var settings, lines []string
	require := func(set bool, file, name, setting, line string) {
		if _, err := os.Stat(filepath.Join(s.Data, file)); set || !errors.Is(err, fs.ErrNotExist) {
			return
		}
		code = cmp.Or(code, name)
		settings, lines = append(settings, setting), append(lines, line)
	}
	if s.has(roleAPI) || s.has(roleEdge) {
		require(s.SealKey != "", sealFile, "seal_key_required", "seal_key", "SLUICE_SEAL_KEY=$(openssl rand -base64 32)")
	}
	if s.has(roleAPI) {
		require(s.AdminToken != "", tokenFile, "admin_token_required", "admin_token", "SLUICE_ADMIN_TOKEN=$(openssl rand -hex 24)")
	}
	if len(settings) == 0 {
		return nil
	}
	return fault.New(fault.Invalid, "settings", code, fmt.Sprintf("No value is set for %s, and database and storage are shared with other processes. Give every process with the role api or "+
		"edge the same value in its environment. For a new installation, make one: %s. For one that is in use, take the value of another process, or of %s and %s in the data folder of its first one.",
		strings.Join(settings, " and "), strings.Join(lines, " and "), sealFile, tokenFile), nil)
}

// sealed is the private keys in the database that are in use, by whether they open.
type sealed struct {
	open              int
	tokens, playbacks []string // ids of those that don't
}

// openSeal takes the secret that seals private keys, and refuses one that opens none of those that are there: a server would make other keys without a word, which a CDN in front does not
// know. A new secret is kept once that is done.
func (a *App) openSeal(ctx context.Context) error {
	key, fresh, err := a.settings.sealSecret()
	if err != nil && !(a.settings.ForgetSealed && fault.Of(err).Code == "seal_key_wrong") {
		return err
	}
	if err != nil { // the file is damaged
		key, fresh = []byte(secret(32)), true
	}
	found, err := a.sealed(ctx, key)
	if err != nil {
		return err
	}
	if shut := len(found.tokens) + len(found.playbacks); shut > 0 && (found.open == 0 || a.settings.ForgetSealed) {
		switch {
		case a.settings.ForgetSealed:
			if err := a.forgetSealed(ctx, found); err != nil {
				return err
			}
		case fresh:
			return missingSeal()
		default:
			return wrongSeal(nil)
		}
	}
	if fresh {
		if err := writeFile(filepath.Join(a.settings.Data, sealFile), append(key, '\n'), 0o600); err != nil {
			return err
		}
	}
	a.seal = key
	return nil
}

// sealed tries the private keys that are in use.
func (a *App) sealed(ctx context.Context, key []byte) (found sealed, err error) {
	tokens, err := a.store.SigningKeys(ctx)
	if err != nil {
		return found, err
	}
	pairs, err := a.store.KeyPairs(ctx)
	if err != nil {
		return found, err
	}
	for _, k := range tokens {
		switch {
		case k.Sealed == "":
		case oauth.Opens(key, k):
			found.open++
		default:
			found.tokens = append(found.tokens, k.ID)
		}
	}
	for _, r := range pairs {
		switch {
		case r.Sealed == "" || r.State(now()) == signing.Retired:
		case grant.Opens(key, r):
			found.open++
		default:
			found.playbacks = append(found.playbacks, r.ID)
		}
	}
	return found, nil
}

// forgetSealed forgets private keys that don't open.
func (a *App) forgetSealed(ctx context.Context, found sealed) error {
	by := account.Operator()
	act := account.AuditEntry{Time: now(), What: account.KeysForgotten, By: by.ID, ByName: by.Name, Detail: map[string]string{
		"token_keys": strings.Join(found.tokens, " "), "key_pairs": strings.Join(found.playbacks, " ")}}
	if err := a.store.ForgetSealed(ctx, found.tokens, found.playbacks, act); err != nil {
		return err
	}
	a.log.Warn("private keys were forgotten, because nothing here opens them", "token_keys", found.tokens, "key_pairs", found.playbacks)
	return nil
}
