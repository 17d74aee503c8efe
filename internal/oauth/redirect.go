package oauth

import (
	"net/url"
	"strings"
)

// answer is a redirect URI with the parameters of an answer (RFC 6749 §4.1.2), and with iss (RFC 9207).
func answer(uri string, params url.Values) string {
	mark := "?"
	if strings.Contains(uri, "?") {
		mark = "&"
	}
	return uri + mark + params.Encode()
}
