package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheTokenIsNotPrintedWhereItWouldBeKept(t *testing.T) {
	t.Parallel()
	a := &App{settings: Settings{Roles: []string{roleAPI}, PublicURL: "http://server.test", Data: "/data"}, token: "sluice_secret"}
	file, err := os.Create(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	a.greet(file)
	said, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	if text := string(said); !strings.Contains(text, "http://server.test/\n") || !strings.Contains(text, "/data/admin.token") || strings.Contains(text, a.token) {
		t.Errorf("said %s", text)
	}
}
