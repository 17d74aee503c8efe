package signing

import (
	"bytes"
	"crypto/rsa"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cfsign "github.com/aws/aws-sdk-go-v2/feature/cloudfront/sign"
)

// foreignURLs are URLs that AWS's own signers get to sign.
var foreignURLs = []string{
	"https://d111111abcdef8.cloudfront.net/image.jpg",
	"https://d111111abcdef8.cloudfront.net/image.jpg?color=red&size=medium",
	"http://www.example.com/images/image.jpg?color=red",
	"https://cdn.example:8443/stream/clip-0123456789abcdef/1/index.m3u8",
	"https://cdn.example/stream/caf%C3%A9%20(1)-x/1/720p/00001.m4s?a=%2F&b",
	"https://cdn.example/",
}

// foreignPolicies are policies of theirs, and for each a URL that it covers.
func foreignPolicies() map[string]*cfsign.Policy {
	policy := func(resource, ip string, from time.Time) *cfsign.Policy {
		c := cfsign.Condition{DateLessThan: cfsign.NewAWSEpochTime(noon.Add(time.Hour))}
		if ip != "" {
			c.IPAddress = &cfsign.IPAddress{SourceIP: ip}
		}
		if !from.IsZero() {
			c.DateGreaterThan = cfsign.NewAWSEpochTime(from)
		}
		return &cfsign.Policy{Statements: []cfsign.Statement{{Resource: resource, Condition: c}}}
	}
	return map[string]*cfsign.Policy{
		"https://cdn.example/A/x.m4s":                  policy("https://cdn.example/A/*", "", time.Time{}),
		"https://cdn.example/A/y.m4s?v=1":              policy("https://cdn.example/A/*", "192.0.2.0/24", time.Time{}),
		"https://cdn.example/A/z.m4s":                  policy("http*://cdn.example/A/?.m4s", "192.0.2.10/32", noon.Add(-time.Hour)),
		"http://any.example/x?size=large&license=yes":  policy("http://any.example/x?size=large&license=yes", "", noon.Add(-time.Minute)),
		"https://cdn.example/everything/that/there/is": policy("*", "192.0.2.10", time.Time{}),
	}
}

func TestWhatTheSDKForGoSignsIsVerified(t *testing.T) {
	t.Parallel()
	for _, a := range []Algorithm{RSA2048, ECDSAP256} {
		k := key(a, SHA1) // the SDK signs with SHA-1 alone
		r, signer := ring(t, k), cfsign.NewURLSigner(k.ID, k.private)
		for _, u := range foreignURLs {
			signed, err := signer.Sign(u, noon.Add(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			c, q := ask(t, signed)
			if _, err := r.Verify(c, q); err != nil {
				t.Errorf("%s: %v", signed, err)
			}
			ours, err := k.SignCanned(u, noon.Add(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			if a == RSA2048 && ours.SignedURL(u) != signed { // PKCS #1 v1.5 has no randomness
				t.Errorf("ours   %s\ntheirs %s", ours.SignedURL(u), signed)
			}
		}
		for u, p := range foreignPolicies() {
			signed, err := signer.SignWithPolicy(u, p)
			if err != nil {
				t.Fatal(err)
			}
			c, q := ask(t, signed)
			g, err := r.Verify(c, q)
			if err != nil {
				t.Errorf("%s: %v", signed, err)
				continue
			}
			ours, err := k.Sign(g.Policy())
			if err != nil {
				t.Fatal(err)
			}
			// We write a lone address as a network of one, as the documentation does.
			lone := strings.HasSuffix(u, "/is")
			if a == RSA2048 && !lone && ours.SignedURL(u) != signed {
				t.Errorf("ours   %s\ntheirs %s", ours.SignedURL(u), signed)
			}
		}
	}
}

func TestTheCookiesOfTheSDKForGoAreVerified(t *testing.T) {
	t.Parallel()
	k := key(RSA2048, SHA1)
	signer := cfsign.NewCookieSigner(k.ID, k.private.(*rsa.PrivateKey))
	for u, p := range foreignPolicies() {
		cookies, err := signer.SignWithPolicy(p)
		if err != nil {
			t.Fatal(err)
		}
		var header []string
		for _, c := range cookies {
			header = append(header, c.Name+"="+c.Value)
		}
		c, err := FromCookies([]string{strings.Join(header, "; ")})
		if err != nil {
			t.Fatal(err)
		}
		_, q := ask(t, u)
		g, err := ring(t, k).Verify(c, q)
		if err != nil {
			t.Errorf("%s: %v", u, err)
		}
		for _, ours := range c.Cookies() {
			if !strings.Contains(strings.Join(header, "; ")+"; ", ours.Name+"="+ours.Value+"; ") {
				t.Errorf("%s=%s isn't one of %q", ours.Name, ours.Value, header)
			}
		}
		q.Client, q.Now = netip.MustParseAddr("203.0.113.9"), noon.Add(-30*time.Second)
		if err := g.Check(ring(t, k), q); (err == nil) != (p.Statements[0].Condition.IPAddress == nil) {
			t.Errorf("%s from elsewhere: %v", u, err)
		}
	}
}

// The commands are those of "Linux commands and OpenSSL for base64 encoding and encryption"; the documented policies go through
// them, white space removed as told there.
func TestWhatTheDocumentedCommandsSignIsVerified(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	for _, a := range []Algorithm{RSA2048, ECDSAP256} {
		for _, h := range []Hash{SHA1, SHA256} {
			k := key(a, h)
			text, err := k.PrivatePEM()
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "key.pem")
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			for name, d := range documented {
				stripped := strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "").Replace(d.text)
				command := exec.Command("openssl", "dgst", "-"+strings.ToLower(string(h)), "-sign", file)
				command.Stdin = strings.NewReader(stripped)
				var signature bytes.Buffer
				command.Stdout = &signature
				if err := command.Run(); err != nil {
					t.Fatal(err)
				}
				c := Credential{Policy: alphabet.EncodeToString([]byte(stripped)), Signature: alphabet.EncodeToString(signature.Bytes()), KeyPairID: k.ID, Hash: h.written()}
				u := strings.NewReplacer("*", "d111111abcdef8.cloudfront.net/training/orientation.pdf").Replace(strings.TrimSuffix(d.want.Resource, "training/*"))
				if strings.HasSuffix(d.want.Resource, "/training/*") {
					u += "training/orientation.pdf"
				}
				if d.want.Resource == "" {
					u = "https://any.example/x"
				}
				_, q := ask(t, u)
				q.Now = d.want.Expires.Add(-time.Second)
				if _, err := ring(t, k).Verify(c, q); err != nil {
					t.Errorf("%s, %s with %s: %s: %v", name, a, h, u, err)
				}
			}
		}
	}
}
