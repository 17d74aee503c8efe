package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"sluice/internal/fault"
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
