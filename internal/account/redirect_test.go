package account

import (
	"strings"
	"testing"
)

func TestWhichRedirectAddressesAProgramMayHave(t *testing.T) {
	t.Parallel()
	const evil = "\u202e"
	for uri, good := range map[string]string{ // the kinds that may have it
		"https://app.example.com/callback":                        "web spa native",
		"https://app.example.com":                                 "web spa native",
		"https://app.example.com/cb?x=1":                          "web spa native",
		"http://127.0.0.1:8000/cb":                                "web spa native",
		"http://[::1]/cb":                                         "web spa native",
		"http://localhost/cb":                                     "web spa native",
		"com.example.app:/callback":                               "native",
		"":                                                        "",
		"/callback":                                               "",
		"//app.example.com/callback":                              "",
		"callback":                                                "",
		"app:/callback":                                           "",
		"javascript:alert(1)":                                     "",
		"com.example.app:callback":                                "",
		"https://[::1":                                            "",
		"javascript://app.example.com/%0aalert":                   "",
		"data:text/html,x":                                        "",
		"file:///etc/passwd":                                      "",
		"https:///callback":                                       "",
		"http://app.example.com/callback":                         "",
		"http://127.0.0.1.evil.example.com/":                      "",
		"https://app.example.com/cb#x":                            "",
		"https://app.example.com/cb#":                             "",
		"https://user@app.example.com/cb":                         "",
		"https://u:p@app.example.com/cb":                          "",
		"https://*.example.com/cb":                                "",
		"https://app.example.com/*":                               "",
		"https://app.example.com\\@evil/cb":                       "",
		"https://app.example.com/c b":                             "",
		"https://app.example.com/\tcb":                            "",
		"https://app.example.com/\u00e9":                          "",
		"https://app.example.com/" + evil:                         "",
		"https://app.example.com/" + strings.Repeat("a", mostURI): "",
	} {
		for _, kind := range []ClientKind{WebClient, SPAClient, NativeClient} {
			if err := CheckRedirect(kind, uri); (err == nil) != strings.Contains(good, string(kind)) {
				t.Errorf("%q of a %s client: %v", uri, kind, err)
			}
		}
	}
}
