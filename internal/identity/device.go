package identity

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"strconv"
	"time"

	"sluice/internal/account"
)

// A browser in which somebody signed in keeps a device cookie. Failures in such a browser are counted by themselves, so that neither guesses at the user nor guesses from the
// same address keep its owner out (OWASP, "Slow Down Online Guessing Attacks with Device Cookies"). The cookie is sealed, names one user, and is valid until their password or
// second factor changes. It authenticates nobody: it decides which counter a failure goes to.
const (
	deviceSuffix = "-device" // to the name of the session's cookie
	deviceFor    = 180 * 24 * time.Hour
	nonceBytes   = 16
)

// DeviceCookie is the name of the device cookie.
func (s *Service) DeviceCookie() string { return s.Config.Cookie + deviceSuffix }

// fingerprint is of what a user proves themselves with.
func fingerprint(hash string, factored time.Time) []byte {
	since := int64(0)
	if !factored.IsZero() {
		since = factored.UnixMilli()
	}
	sum := sha256.Sum256([]byte("device " + hash + " " + strconv.FormatInt(since, 10)))
	return sum[:]
}

// device is the header Set-Cookie of a new device cookie; empty where a user has no password here.
func (s *Service) device(u account.User, hash string) string {
	if hash == "" || s.Seal == nil {
		return ""
	}
	text := make([]byte, nonceBytes)
	_, _ = rand.Read(text) // never fails (crypto/rand)
	text = append(text, fingerprint(hash, u.Factored)...)
	c := http.Cookie{Name: s.DeviceCookie(), Value: s.Seal.Close("device "+u.ID, text), Path: "/", Secure: s.Secure, HttpOnly: true,
		SameSite: http.SameSiteStrictMode, Expires: s.Now().Add(deviceFor).UTC()}
	return c.String()
}

// deviceStrikes names the counter of a browser that carries a device cookie of the user, and reports whether caller is
// one. what separates the counters of different proofs.
func (s *Service) deviceStrikes(l account.Login, caller account.Caller, what string) (name string, ok bool) {
	if s.Seal == nil || l.Hash == "" || caller.Device == "" {
		return "", false
	}
	text, ok := s.Seal.Open("device "+l.ID, caller.Device)
	if !ok || len(text) <= nonceBytes || !bytes.Equal(text[nonceBytes:], fingerprint(l.Hash, l.Factored)) {
		return "", false
	}
	return "user:" + digest(what + " " + l.ID + " device " + string(text[:nonceBytes]))[:32], true
}

// factorPlace names the counter of tries at the second factor of a user from a browser or a network in which they have
// signed in before, and reports whether caller is in one. The address's own limit does not bind such a try.
func (s *Service) factorPlace(l account.Login, caller account.Caller) (name string, ok bool) {
	if name, ok := s.deviceStrikes(l, caller, "factor"); ok {
		return name, true
	}
	if l.Known {
		return "user:" + digest("factor " + l.ID + " " + account.Network(caller.Address))[:32], true
	}
	return "", false
}
