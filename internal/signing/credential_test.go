package signing

import (
	"strings"
	"testing"
)

func TestTheParametersOfTheSignatureLeaveTheQuery(t *testing.T) {
	t.Parallel()
	custom := Credential{Policy: "eyJ9", Signature: "c2ln", KeyPairID: "K2JCJMDEHXQW5F"}
	canned := Credential{Expires: "1767290400", Signature: "c2ln", KeyPairID: "K2JCJMDEHXQW5F"}
	longest := Credential{
		Policy: "eyJ9", Signature: strings.Repeat("a", longestSignature), KeyPairID: strings.Repeat("K", longestKeyID),
	}
	sha256 := custom
	sha256.Hash = SHA256
	for _, c := range []struct {
		raw  string
		want Credential
		rest string
		code string
	}{
		{"", Credential{}, "", ""},
		{"a=1&b=%2F&&c", Credential{}, "a=1&b=%2F&&c", ""},
		{"Policy=eyJ9&Signature=c2ln&Key-Pair-Id=K2JCJMDEHXQW5F", custom, "", ""},
		{"Key-Pair-Id=K2JCJMDEHXQW5F&Signature=c2ln&Policy=eyJ9&Hash-Algorithm=SHA256", sha256, "", ""},
		{"Policy=eyJ9&Signature=c2ln&Key-Pair-Id=K2JCJMDEHXQW5F&Hash-Algorithm=SHA1", custom, "", ""},
		{"color=red&size=medium&Expires=1767290400&Signature=c2ln&Key-Pair-Id=K2JCJMDEHXQW5F", canned, "color=red&size=medium", ""},
		{"Expires=1767290400&Signature=c2ln&Key-Pair-Id=K2JCJMDEHXQW5F&color=red&size=medium", canned, "color=red&size=medium", ""},
		{"b=2&Expires=1767290400&a=1&Signature=c2ln&&Key-Pair-Id=K2JCJMDEHXQW5F&b=3", canned, "b=2&a=1&&b=3", ""},
		{"a=1&&Expires=1767290400&Signature=c2ln&Key-Pair-Id=K2JCJMDEHXQW5F", canned, "a=1&", ""},
		{"Policy=ey%4A9&Signature=c2ln&Key-Pair-Id=K2JCJMDEHXQW5F", custom, "", ""},
		{"policy=x&EXPIRES=y", Credential{}, "policy=x&EXPIRES=y", ""},
		{"a=Policy=x", Credential{}, "a=Policy=x", ""},
		{"Policy=%65yJ9&Signature=c2ln&Key-Pair-Id=K2JCJMDEHXQW5F", custom, "", ""},
		{"Policy=eyJ9&Signature=" + longest.Signature + "&Key-Pair-Id=" + longest.KeyPairID, longest, "", ""},
		{"%zz=1", Credential{}, "%zz=1", ""},
		{strings.Repeat("a", longestQuery), Credential{}, strings.Repeat("a", longestQuery), ""},
		{"Policy=eyJ9", Credential{}, "", "signature_incomplete"},
		{"Hash-Algorithm=SHA256", Credential{}, "", "signature_incomplete"},
		{"Policy=eyJ9&Expires=1767290400&Signature=c2ln&Key-Pair-Id=K", Credential{}, "", "signature_incomplete"},
		{"Policy=&Expires=1767290400&Signature=c2ln&Key-Pair-Id=K", Credential{}, "", "signature_incomplete"},
		{"Policy=eyJ9&Signature=&Key-Pair-Id=K", Credential{}, "", "signature_incomplete"},
		{"Policy=eyJ9&Policy=eyJ9&Signature=c2ln&Key-Pair-Id=K", Credential{}, "", "signature_duplicate"},
		{"Policy=eyJ9&Signature=c2ln&Key-Pair-Id=K&Key-Pair-Id=L", Credential{}, "", "signature_duplicate"},
		{"Polic%79=eyJ9&Signature=c2ln&Key-Pair-Id=K", Credential{}, "", "signature_malformed"},
		{"%50olicy=eyJ9&Signature=c2ln&Key-Pair-Id=K", Credential{}, "", "signature_malformed"},
		{"Key%2DPair-Id=K", Credential{}, "", "signature_malformed"},
		{"Policy=ey%&Signature=c2ln&Key-Pair-Id=K", Credential{}, "", "signature_malformed"},
		{"Policy=ey+9&Signature=c2ln&Key-Pair-Id=K", Credential{}, "", "signature_malformed"},
		{"Policy=ey/9&Signature=c2ln&Key-Pair-Id=K", Credential{}, "", "signature_malformed"},
		{"Policy=eyJ9%0A&Signature=c2ln&Key-Pair-Id=K", Credential{}, "", "signature_malformed"},
		{"Policy=eyJ9&Signature=c2ln&Key-Pair-Id=K&Hash-Algorithm=MD5", Credential{}, "", "signature_malformed"},
		{"Policy=eyJ9&Signature=c2ln&Key-Pair-Id=K&Hash-Algorithm=sha256", Credential{}, "", "signature_malformed"},
		{"Policy=eyJ9&Signature=c2ln&Key-Pair-Id=K&Hash-Algorithm=", Credential{}, "", "signature_malformed"},
		{"Policy=eyJ9&Signature=" + strings.Repeat("a", longestSignature+1) + "&Key-Pair-Id=K", Credential{}, "", "signature_malformed"},
		{"Policy=eyJ9&Signature=c2ln&Key-Pair-Id=" + strings.Repeat("K", longestKeyID+1), Credential{}, "", "signature_malformed"},
		{"Policy=" + strings.Repeat("a", 6000) + "&Signature=c2ln&Key-Pair-Id=K", Credential{}, "", "policy_too_large"},
		{strings.Repeat("a", longestQuery+1), Credential{}, "", "signature_malformed"},
		{"Expires=01767290400&Signature=c2ln&Key-Pair-Id=K", Credential{}, "", "policy_bad_date"},
		{"Expires=1767290400.5&Signature=c2ln&Key-Pair-Id=K", Credential{}, "", "policy_bad_date"},
		{"Expires=-1&Signature=c2ln&Key-Pair-Id=K", Credential{}, "", "policy_bad_date"},
		{"Expires=0&Signature=c2ln&Key-Pair-Id=K", Credential{}, "", "policy_bad_date"},
		{"Expires=1}}}]}&Signature=c2ln&Key-Pair-Id=K", Credential{}, "", "policy_bad_date"},
	} {
		got, rest, err := FromQuery(c.raw)
		if code(err) != c.code || err == nil && (got != c.want || rest != c.rest) {
			t.Errorf("%s: %+v, %q, %v", c.raw, got, rest, err)
		}
	}
}

func TestSignedCookiesAreFoundAmongOthers(t *testing.T) {
	t.Parallel()
	custom := Credential{Policy: "eyJ9", Signature: "c2ln", KeyPairID: "K2JCJMDEHXQW5F"}
	canned := Credential{Expires: "1426500000", Signature: "yXrSIgyQoeE4FBI4eMKF6ho~CA8_", KeyPairID: "K2JCJMDEHXQW5F", Hash: SHA256}
	for _, c := range []struct {
		headers []string
		want    Credential
		code    string
	}{
		{nil, Credential{}, ""},
		{[]string{"session=1; CloudFront-Other=x; cloudfront-policy=x"}, Credential{}, ""},
		{[]string{"a=b; CloudFront-Policy=eyJ9; CloudFront-Signature=c2ln; CloudFront-Key-Pair-Id=K2JCJMDEHXQW5F; c=d"}, custom, ""},
		{[]string{"CloudFront-Policy=eyJ9;CloudFront-Signature=c2ln", "CloudFront-Key-Pair-Id=K2JCJMDEHXQW5F"}, custom, ""}, // HTTP/2 may split the header
		{[]string{"CloudFront-Expires=1426500000; CloudFront-Signature=yXrSIgyQoeE4FBI4eMKF6ho~CA8_; CloudFront-Key-Pair-Id=K2JCJMDEHXQW5F; CloudFront-Hash-Algorithm=SHA256"}, canned, ""},
		{[]string{"CloudFront-Policy=eyJ9; CloudFront-Signature=c2ln"}, Credential{}, "signature_incomplete"},
		{[]string{"CloudFront-Policy"}, Credential{}, "signature_incomplete"},
		{[]string{"CloudFront-Policy=eyJ9; CloudFront-Expires=1; CloudFront-Signature=c2ln; CloudFront-Key-Pair-Id=K"}, Credential{}, "signature_incomplete"},
		{[]string{"CloudFront-Policy=eyJ9; CloudFront-Policy=eyJ8; CloudFront-Signature=c2ln; CloudFront-Key-Pair-Id=K"}, Credential{}, "signature_duplicate"},
		{[]string{"CloudFront-Policy=eyJ9; CloudFront-Signature=c2ln; CloudFront-Key-Pair-Id=K", "CloudFront-Signature=c2ln"}, Credential{}, "signature_duplicate"},
		{[]string{`CloudFront-Policy="eyJ9"; CloudFront-Signature=c2ln; CloudFront-Key-Pair-Id=K`}, Credential{}, "signature_malformed"},
		{[]string{`CloudFront-Policy=ey%4A9; CloudFront-Signature=c2ln; CloudFront-Key-Pair-Id=K`}, Credential{}, "signature_malformed"},
		{[]string{`CloudFront-Policy=eyJ9; CloudFront-Signature=c2ln; CloudFront-Key-Pair-Id=K; CloudFront-Hash-Algorithm=SHA512`}, Credential{}, "signature_malformed"},
	} {
		got, err := FromCookies(c.headers)
		if got != c.want || code(err) != c.code {
			t.Errorf("%q: %+v, %v", c.headers, got, err)
		}
	}
}

func TestAQueryWithoutASignatureIsNotCopied(t *testing.T) {
	c := sign(t, key(RSA2048, SHA1), Policy{Resource: "https://h/*", Expires: noon})
	signed := "order=desc&codecs=avc1&" + string(c.AppendQuery(nil))
	for _, raw := range []string{"a=1&b=2", signed} {
		if n := testing.AllocsPerRun(100, func() {
			if _, _, err := FromQuery(raw); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", raw, n)
		}
	}
}

func FuzzACredentialIsReadAsItIsWritten(f *testing.F) {
	for _, s := range []string{
		"", "a=1&b", "Policy=eyJ9&Signature=c2ln&Key-Pair-Id=K", "x=1&Expires=5&y=2&Signature=a~-_&Key-Pair-Id=K&Hash-Algorithm=SHA256",
		"Policy=a&Policy=b", "Polic%79=1", "CloudFront-Policy=eyJ9; CloudFront-Signature=c2ln; CloudFront-Key-Pair-Id=K", "&&&", "=;=",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if c, rest, err := FromQuery(raw); err == nil && c != (Credential{}) {
			for _, n := range names {
				if strings.HasPrefix(rest, n+"=") || strings.Contains(rest, "&"+n+"=") {
					t.Fatalf("%q left %q", raw, rest)
				}
			}
			if again, left, err := FromQuery(string(c.AppendQuery(nil))); err != nil || again != c || left != "" {
				t.Fatalf("%q: %+v became %+v, %q, %v", raw, c, again, left, err)
			}
		} else if err == nil && rest != raw {
			t.Fatalf("%q left %q", raw, rest)
		}
		if c, err := FromCookies([]string{raw}); err == nil && c != (Credential{}) {
			var header []string
			for _, k := range c.Cookies() {
				header = append(header, k.Name+"="+k.Value)
			}
			if again, err := FromCookies([]string{strings.Join(header, "; ")}); err != nil || again != c {
				t.Fatalf("%q: %+v became %+v, %v", raw, c, again, err)
			}
		}
	})
}
