package identity_test

import (
	"strings"
	"testing"
	"time"

	"sluice/internal/fault"
	"sluice/internal/identity"
)

func TestWhatPeopleGuessIsNoPassword(t *testing.T) {
	t.Parallel()
	words := []string{"ada.lovelace@example.com", "Ada Lovelace"}
	for password, good := range map[string]bool{
		own:                            true,
		"correct horse battery staple": true,
		"päßwört für die Küche":        true,
		"パスワードは長いほうがいいです":                           true,
		strings.Repeat("x9 kettle Qz", 10):          true,  // 120
		strings.Repeat("marmalade turnip", 8):       true,  // 128
		strings.Repeat("marmalade turnip", 8) + "!": false, // 129
		"short 7 4 kq":             true, // 12
		"short 7 4 k":              false,
		"password1234":             false,
		"Passw0rd!Passw0rd!":       false,
		"qwertyuiopasdf":           false,
		"aaaaaaaaaaaaaaaaaaaa":     false,
		"ada.lovelace@example.com": false,
		"lovelaceada1":             false,
		"sluicesluice":             false,
		"abcdefghijklmnop":         false,
		"marmalade\x00turnip 77":   false,
		"marmalade\nturnip 77":     false,
		"marmalade \xff turnip 77": false,
		"ääääääääääääääää":         false,
		"ééééé":                    false, // five characters, however many bytes
	} {
		err := identity.Check(password, words...)
		if good != (err == nil) || !good && fault.Of(err).Code != "weak_password" {
			t.Errorf("%q: %v", password, err)
		}
	}
}

func TestALongPasswordIsJudgedInTime(t *testing.T) {
	t.Parallel()
	began := time.Now()
	for _, s := range []string{"a", "ab1", "password", "aA@4", "19901990", "qwerty"} {
		_ = identity.Check(strings.Repeat(s, 128)[:128], strings.Repeat("a", 254))
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestTheSameCharactersTypedOtherwiseAreTheSamePassword(t *testing.T) {
	each(t, func(w *world) {
		u := w.invite("ada@example.com", "viewer")
		cookie := w.signIn(home, u.Email, w.secret(u.ID))
		p, err := w.ask(cookie)
		w.must(err)
		_, err = w.ChangePassword(w.from(home, cookie), p, w.used(u.ID), "caf\u00e9 turnip orbit 77")
		w.must(err)
		w.signIn(home, u.Email, "cafe\u0301 turnip orbit 77")
	})
}
