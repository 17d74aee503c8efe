package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"sluice/internal/bucket"
)

// The files of the data folder that hold secrets or tell other processes of this machine where the server is.
const (
	tokenFile  = "admin.token" // mode 0600
	keyFile    = "s3.json"     // mode 0600
	sealFile   = "seal.key"    // mode 0600
	serverFile = "server.json"
	lockFile   = "lock"
)

// secretFiles are those that a backup keeps only where it may hold secrets.
var secretFiles = []string{tokenFile, keyFile, sealFile}

// adminToken reads the admin token, or makes one on the first start.
func adminToken(data string) (token string, err error) {
	path := filepath.Join(data, tokenFile)
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		token = "sluice_" + secret(32)
		return token, writeFile(path, []byte(token+"\n"), 0o600)
	}
	if token = strings.TrimSpace(string(body)); err == nil && len(token) < 16 {
		return "", fmt.Errorf("%s holds no token of 16 characters or more; delete it to have a new one made", path)
	}
	return token, err
}

// s3Keys reads the S3 keys of the embedded endpoint, or makes them on the first start.
func s3Keys(data string) (keys bucket.Credentials, err error) {
	path := filepath.Join(data, keyFile)
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		keys = bucket.Credentials{Access: "SLUICE" + strings.ToUpper(strings.NewReplacer("-", "X", "_", "Y").Replace(secret(10))), Secret: secret(30)}
		body, err = json.MarshalIndent(map[string]string{"access_key": keys.Access, "secret_key": keys.Secret}, "", "  ")
		if err != nil {
			return keys, err
		}
		return keys, writeFile(path, append(body, '\n'), 0o600)
	}
	if err != nil {
		return keys, err
	}
	var stored struct {
		Access string `json:"access_key"`
		Secret string `json:"secret_key"`
	}
	if err := json.Unmarshal(body, &stored); err != nil || stored.Access == "" || stored.Secret == "" {
		return keys, fmt.Errorf("%s holds no access_key and secret_key; delete it to have new ones made", path)
	}
	return bucket.Credentials{Access: stored.Access, Secret: stored.Secret}, nil
}

// secret is n random bytes in URL-safe text.
func secret(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// writeFile writes a file whole or not at all.
func writeFile(path string, body []byte, mode os.FileMode) error {
	part, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(part.Name()) }() // gone already where the rename went well
	_, err = part.Write(body)
	err = errors.Join(err, part.Chmod(mode), part.Sync(), part.Close())
	if err != nil {
		return err
	}
	return os.Rename(part.Name(), path)
}

// lockData makes sure that one server works in a data folder.
func lockData(data string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(data, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another sluice serves %s; stop it, or name another folder with --data", data), f.Close())
	}
	return f, nil
}
