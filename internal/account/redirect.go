package account

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
)

// mostURI bounds an address in bytes.
const mostURI = 1000

// CheckRedirect says why an address can't be one that people come back to, or nil. https goes for every client; http only on this machine itself; a scheme of
// its own only for a native client, and only one with a dot in it, as RFC 8252 §7.1 has it, which javascript and data have not.
func CheckRedirect(kind ClientKind, uri string) error {
	if uri == "" || len(uri) > mostURI {
		return errors.New("write an address of 1 to 1000 characters")
	}
	if strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\\*\"<>^`{|}", r) }) {
		return errors.New("write it in printable ASCII, without spaces, \\ and *")
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme == "" || u.Opaque != "" {
		return errors.New("write a whole address, such as https://app.example.com/callback")
	}
	switch {
	case strings.Contains(uri, "#"):
		return errors.New("leave out what begins with #")
	case u.User != nil:
		return errors.New("leave out user and password")
	case u.Scheme == "https" && u.Hostname() != "":
		return nil
	case u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return errors.New("use https; http is only for 127.0.0.1, [::1] and localhost")
	case kind == NativeClient && strings.Contains(u.Scheme, "."):
		return nil
	}
	return errors.New("use https, or for a native client a scheme with a dot, such as com.example.app:/callback")
}

func loopback(host string) bool { return host == "127.0.0.1" || host == "::1" || host == "localhost" }

// Returns reports whether people may be sent back to an address: exactly one that is registered. A native client on a loopback address may be on any port (RFC 8252 §7.3).
func (c Client) Returns(uri string) bool {
	for _, registered := range c.Redirects {
		if uri == registered || c.Kind == NativeClient && sameButPort(registered, uri) {
			return true
		}
	}
	return false
}

var local = regexp.MustCompile(`^(http://(?:127\.0\.0\.1|\[::1\]|localhost))(?::[0-9]{1,5})?(/.*|\?.*|)$`)

// sameButPort compares two addresses on this machine as text, so that there is nothing to read in two ways.
func sameButPort(a, b string) bool {
	x, y := local.FindStringSubmatch(a), local.FindStringSubmatch(b)
	return x != nil && y != nil && x[1] == y[1] && x[2] == y[2]
}
