package seal

import (
	"bytes"
	"testing"
)

func made(t *testing.T, secret, purpose string) *Box {
	t.Helper()
	s, err := New([]byte(secret), purpose)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWhatWasSealedOpensForTheSameAlone(t *testing.T) {
	t.Parallel()
	const secret = "a secret of some length"
	s := made(t, secret, "a")
	sealed := s.Close("k1", []byte("private"))
	if sealed == s.Close("k1", []byte("private")) {
		t.Error("sealing twice gives one text")
	}
	if got, ok := made(t, secret, "a").Open("k1", sealed); !ok || !bytes.Equal(got, []byte("private")) {
		t.Errorf("opened to %q, %v", got, ok)
	}
	changed := []byte(sealed)
	changed[len(changed)/2] ^= 1
	for what, open := range map[string]func() ([]byte, bool){
		"another name":    func() ([]byte, bool) { return s.Open("k2", sealed) },
		"another purpose": func() ([]byte, bool) { return made(t, secret, "b").Open("k1", sealed) },
		"another secret":  func() ([]byte, bool) { return made(t, secret+".", "a").Open("k1", sealed) },
		"a changed text":  func() ([]byte, bool) { return s.Open("k1", string(changed)) },
		"a cut text":      func() ([]byte, bool) { return s.Open("k1", sealed[:8]) },
		"no text":         func() ([]byte, bool) { return s.Open("k1", "") },
		"no base64":       func() ([]byte, bool) { return s.Open("k1", "!") },
	} {
		if got, ok := open(); ok || got != nil {
			t.Errorf("%s: opened to %q", what, got)
		}
	}
}

func TestAShortSecretIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := New(make([]byte, Least-1), "a"); err == nil {
		t.Error("taken")
	}
}
