package signing

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// order is a call of AWS's signer for Node, and what is asked of it.
type order struct {
	How     string         `json:"how"` // "url" or "cookies"
	Options map[string]any `json:"options"`
	url     string         // for cookies: what is then asked for
	ours    func(KeyPair) (Credential, error)
}

// nodeSigns has @aws-sdk/cloudfront-signer sign; the test fails if npm ci has not been run in test/browser.
func nodeSigns(t *testing.T, orders []order) []json.RawMessage {
	t.Helper()
	dir := filepath.Join("..", "..", "test", "browser")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "@aws-sdk", "cloudfront-signer")); err != nil {
		t.Fatal("@aws-sdk/cloudfront-signer is missing: run npm ci in test/browser, or make test")
	}
	input, err := json.Marshal(orders)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("node", "sign.mjs")
	command.Dir, command.Stdin = dir, bytes.NewReader(input)
	var out, complaint bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaint
	if err := command.Run(); err != nil {
		t.Fatalf("%v\n%s", err, complaint.String())
	}
	var answers []json.RawMessage
	if err := json.Unmarshal(out.Bytes(), &answers); err != nil || len(answers) != len(orders) {
		t.Fatalf("%v: %s", err, out.String())
	}
	return answers
}

// nodeOrders are all the forms that the signer knows, for one key pair.
func nodeOrders(t *testing.T, k KeyPair) []order {
	t.Helper()
	private, err := k.PrivatePEM()
	if err != nil {
		t.Fatal(err)
	}
	end, begin := noon.Add(time.Hour), noon.Add(-time.Hour)
	with := func(more map[string]any) map[string]any {
		more["keyPairId"], more["privateKey"] = k.ID, string(private)
		if k.Hash == SHA256 {
			more["algorithm"] = "SHA256"
		}
		return more
	}
	canned := func(u string) func(KeyPair) (Credential, error) {
		return func(k KeyPair) (Credential, error) { return k.SignCanned(u, end) }
	}
	custom := Policy{Resource: "https://cdn.example/A/*", Expires: end, NotBefore: begin, Client: netip.MustParsePrefix("192.0.2.0/24")}
	text, err := custom.JSON()
	if err != nil {
		t.Fatal(err)
	}
	ours := func(k KeyPair) (Credential, error) { return k.Sign(custom) }
	orders := []order{
		{How: "url", Options: with(map[string]any{"url": "https://cdn.example/A/x.m4s?v=1", "policy": string(text)}), ours: ours},
		{How: "cookies", Options: with(map[string]any{"policy": string(text)}), url: "https://cdn.example/A/x.m4s", ours: ours},
		{How: "url", Options: with(map[string]any{"url": "https://cdn.example/A/x y.m4s", "dateLessThan": end, "dateGreaterThan": begin, "ipAddress": "192.0.2.10"})},
		{How: "cookies", Options: with(map[string]any{"url": "https://cdn.example/A/*", "dateLessThan": end, "ipAddress": "192.0.2.77/24"}), url: "https://cdn.example/A/b/c?d=e"},
		{How: "url", Options: with(map[string]any{"url": "https://cdn.example/café/a,b@c$d.m4s?q=é&r=a+b", "dateLessThan": end})},
		{How: "url", Options: with(map[string]any{"policy": "{\n  \"Statement\": [ {\n \"Resource\": \"*://cdn.example/one.mp4\",\n \"Condition\": { \"DateLessThan\": { \"AWS:EpochTime\": 1800000000 } } } ]\n}\n"})},
	}
	for _, u := range foreignURLs {
		orders = append(orders,
			order{How: "cookies", Options: with(map[string]any{"url": u, "dateLessThan": end}), url: u, ours: canned(u)},
			order{How: "url", Options: with(map[string]any{"url": u, "dateLessThan": end})})
	}
	return orders
}

func TestWhatTheSDKForNodeSignsIsVerified(t *testing.T) {
	t.Parallel()
	for _, a := range []Algorithm{RSA2048, ECDSAP256} {
		for _, h := range []Hash{SHA1, SHA256} {
			k := key(a, h)
			orders := nodeOrders(t, k)
			for i, answer := range nodeSigns(t, orders) {
				o, url := orders[i], orders[i].url
				var c Credential
				if o.How == "url" {
					if err := json.Unmarshal(answer, &url); err != nil {
						t.Fatal(err)
					}
				}
				inQuery, q := ask(t, url)
				c = inQuery
				if o.How == "cookies" {
					c = fromNodeCookies(t, answer)
				}
				if _, err := ring(t, k).Verify(c, q); err != nil {
					t.Errorf("%s with %s: %s: %v", a, h, url, err)
				}
				if o.ours == nil || a != RSA2048 { // PKCS #1 v1.5 has no randomness
					continue
				}
				if ours, err := o.ours(k); err != nil || ours != c {
					t.Errorf("%s with %s: ours %+v (%v), theirs %+v", a, h, ours, err, c)
				}
			}
		}
	}
}

// fromNodeCookies reads getSignedCookies' answer, {"CloudFront-Policy": …}.
func fromNodeCookies(t *testing.T, answer json.RawMessage) Credential {
	t.Helper()
	var cookies map[string]any
	d := json.NewDecoder(bytes.NewReader(answer))
	d.UseNumber()
	if err := d.Decode(&cookies); err != nil {
		t.Fatal(err)
	}
	var header []string
	for name, value := range cookies {
		switch v := value.(type) {
		case string:
			header = append(header, name+"="+v)
		case json.Number:
			header = append(header, name+"="+v.String())
		}
	}
	slices.Sort(header)
	c, err := FromCookies([]string{strings.Join(header, "; ")})
	if err != nil {
		t.Fatalf("%s: %v", answer, err)
	}
	return c
}
