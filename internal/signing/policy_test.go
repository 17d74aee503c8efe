package signing

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// The policies of the CloudFront Developer Guide, "Create a signed URL using a custom policy", "Example policy statements", as they
// stand there.
var documented = map[string]struct {
	text string
	want Policy
}{
	"one file from a range of IP addresses": {`{
    "Statement": [
        {
            "Resource": "https://d111111abcdef8.cloudfront.net/game_download.zip",
            "Condition": {
                "IpAddress": {
                    "AWS:SourceIp": "192.0.2.0/24"
                },
                "DateLessThan": {
                    "AWS:EpochTime": 1675159200
                }
            }
        }
    ]
}
`, Policy{Resource: "https://d111111abcdef8.cloudfront.net/game_download.zip", Expires: time.Date(2023, 1, 31, 10, 0, 0, 0, time.UTC), Client: netip.MustParsePrefix("192.0.2.0/24")}},
	"all files in a directory": {"{ \r\n   \"Statement\": [\r\n      { \r\n         \"Resource\":\"http://d111111abcdef8.cloudfront.net/training/*\", " +
		"\r\n\t\"Condition\":{ \"IpAddress\":{\"AWS:SourceIp\":\"192.0.2.0/24\"}, \"DateLessThan\":{\"AWS:EpochTime\":1357034400} } } ] }",
		Policy{Resource: "http://d111111abcdef8.cloudfront.net/training/*", Expires: time.Date(2013, 1, 1, 10, 0, 0, 0, time.UTC), Client: netip.MustParsePrefix("192.0.2.0/24")}},
	"all files of a key pair from one IP address": {`{"Statement":[{"Resource":"https://*","Condition":{"IpAddress":{"AWS:SourceIp":"192.0.2.10/32"},` +
		`"DateGreaterThan":{"AWS:EpochTime":1675159200},"DateLessThan":{"AWS:EpochTime":1675332000}}}]}`,
		Policy{Resource: "https://*", Expires: time.Date(2023, 2, 2, 10, 0, 0, 0, time.UTC), NotBefore: time.Date(2023, 1, 31, 10, 0, 0, 0, time.UTC), Client: netip.MustParsePrefix("192.0.2.10/32")}},
	"a resource that is left out": {`{"Statement":[{"Condition":{"DateLessThan":{"AWS:EpochTime":1675332000}}}]}`, Policy{Expires: time.Date(2023, 2, 2, 10, 0, 0, 0, time.UTC)}},
}

func TestThePoliciesOfTheDocumentationAreRead(t *testing.T) {
	t.Parallel()
	for name, c := range documented {
		got, err := ParsePolicy([]byte(c.text))
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestAPolicyIsReadExactlyOrRefused(t *testing.T) {
	t.Parallel()
	const (
		date  = `"DateLessThan":{"AWS:EpochTime":1800000000}`
		start = `{"Statement":[{"Resource":"https://h/a","Condition":{`
		end   = `}}]}`
		good  = start + date + end
	)
	for _, c := range []struct{ text, code string }{
		{good, ""},
		{good + "\n", ""},
		{`{"Statement":[{"Condition":{` + date + `},"Resource":"https://h/a"}]}`, ""},
		{"", "policy_malformed"},
		{"null", "policy_malformed"},
		{"[]", "policy_malformed"},
		{good + "x", "policy_malformed"},
		{good + "{}", "policy_malformed"},
		{good + "\x00", "policy_malformed"},
		{good[:len(good)-1], "policy_malformed"},
		{"\ufeff" + good, "policy_malformed"},
		{strings.Replace(good, "}}]}", "}}],}", 1), "policy_malformed"},
		{strings.Replace(good, "https://h/a", "https://h/\x00", 1), "policy_malformed"},
		{strings.Replace(good, "https://h/a", `https://h/\"a`, 1), "policy_malformed"},
		{strings.Replace(good, "https://h/a", `https://h/\u0061`, 1), "policy_malformed"},
		{strings.Replace(good, "https://h/a", `https:\/\/h/a`, 1), "policy_malformed"},
		{strings.Replace(good, "https://h/a", "https://h/\u00e9", 1), "policy_malformed"},
		{strings.Replace(good, "https://h/a", "https://h/a b", 1), "policy_malformed"},
		{strings.Replace(good, "https://h/a", `https://h/"a`, 1), "policy_malformed"},
		{`{"Version":"2012-10-17",` + good[1:], "policy_unknown_key"},
		{strings.Replace(good, `"Resource"`, `"resource"`, 1), "policy_unknown_key"},
		{strings.Replace(good, `"DateLessThan"`, `"datelessthan"`, 1), "policy_unknown_key"},
		{strings.Replace(good, `AWS:EpochTime`, `aws:EpochTime`, 1), "policy_unknown_key"},
		{start + date + `,"StringEquals":{}` + end, "policy_unknown_key"},
		{strings.Replace(good, `"Resource"`, `"Effect":"Allow","Resource"`, 1), "policy_unknown_key"},
		{`{` + good[1:len(good)-1] + `,` + good[1:], "policy_duplicate_key"},
		{strings.Replace(good, `"Resource"`, `"Resource":"https://h/*","Resource"`, 1), "policy_duplicate_key"},
		{start + date + `,` + date + end, "policy_duplicate_key"},
		{start + `"DateLessThan":{"AWS:EpochTime":1,"AWS:EpochTime":1800000000}` + end, "policy_duplicate_key"},
		{start + date + `},"Condition":{` + date + end, "policy_duplicate_key"},
		{`{}`, "policy_statements"},
		{`{"Statement":[]}`, "policy_statements"},
		{`{"Statement":[{"Condition":{` + date + `}},{"Condition":{` + date + `}}]}`, "policy_statements"},
		{`{"Statement":{"Condition":{` + date + `}}}`, "policy_malformed"},
		{`{"Statement":[{}]}`, "policy_no_expiry"},
		{`{"Statement":[{"Resource":"https://h/a"}]}`, "policy_no_expiry"},
		{start + end, "policy_no_expiry"},
		{start + `"DateGreaterThan":{"AWS:EpochTime":1800000000}` + end, "policy_no_expiry"},
		{start + `"DateLessThan":{}` + end, "policy_bad_date"},
		{start + `"DateLessThan":{"AWS:EpochTime":"1800000000"}` + end, "policy_bad_date"},
		{start + `"DateLessThan":{"AWS:EpochTime":1.8e9}` + end, "policy_bad_date"},
		{start + `"DateLessThan":{"AWS:EpochTime":-1}` + end, "policy_bad_date"},
		{start + `"DateLessThan":{"AWS:EpochTime":01800000000}` + end, "policy_bad_date"},
		{start + `"DateLessThan":{"AWS:EpochTime":0}` + end, "policy_bad_date"},
		{start + `"DateLessThan":{"AWS:EpochTime":99999999999999999999}` + end, "policy_bad_date"},
		{start + `"DateLessThan":{"AWS:EpochTime":253402300800}` + end, "policy_bad_date"},
		{start + `"DateLessThan":{"AWS:EpochTime":null}` + end, "policy_bad_date"},
		{start + `"DateLessThan":1800000000` + end, "policy_malformed"},
		{start + date + `,"IpAddress":{"AWS:SourceIp":"192.0.2.10"}` + end, ""},
		{start + date + `,"IpAddress":{"AWS:SourceIp":"2001:db8::/32"}` + end, ""},
		{start + date + `,"IpAddress":{}` + end, "policy_bad_ip"},
		{start + date + `,"IpAddress":{"AWS:SourceIp":""}` + end, "policy_bad_ip"},
		{start + date + `,"IpAddress":{"AWS:SourceIp":"192.0.2.0/33"}` + end, "policy_bad_ip"},
		{start + date + `,"IpAddress":{"AWS:SourceIp":"192.0.2.0/024"}` + end, "policy_bad_ip"},
		{start + date + `,"IpAddress":{"AWS:SourceIp":"192.0.2"}` + end, "policy_bad_ip"},
		{start + date + `,"IpAddress":{"AWS:SourceIp":"192.0.02.1"}` + end, "policy_bad_ip"},
		{start + date + `,"IpAddress":{"AWS:SourceIp":"::ffff:192.0.2.1"}` + end, "policy_bad_ip"},
		{start + date + `,"IpAddress":{"AWS:SourceIp":"fe80::1%eth0"}` + end, "policy_bad_ip"},
		{start + date + `,"IpAddress":{"AWS:SourceIp":["192.0.2.0/24"]}` + end, "policy_malformed"},
		{strings.Replace(good, "https://h/a", "", 1), "policy_bad_resource"},
		{strings.Replace(good, "https://h/a", "h/a", 1), "policy_bad_resource"},
		{strings.Replace(good, "https://h/a", "ftp://h/a", 1), "policy_bad_resource"},
		{strings.Replace(good, "https://h/a", "https:///a", 1), "policy_bad_resource"},
		{strings.Replace(good, "https://h/a", "https://h/a#b", 1), "policy_bad_resource"},
		{strings.Replace(good, "https://h/a", "https://h/"+strings.Repeat("*", mostWildcards+1), 1), "policy_bad_resource"},
		{strings.Replace(good, "https://h/a", "https://h/"+strings.Repeat("a", longestPolicy), 1), "policy_too_large"},
	} {
		if _, err := ParsePolicy([]byte(c.text)); code(err) != c.code {
			t.Errorf("%q: %v, want %q", c.text, err, c.code)
		}
	}
}

func TestWhatCanNotBeReadIsNotSigned(t *testing.T) {
	t.Parallel()
	k := key(ECDSAP256, SHA256)
	later := noon.Add(time.Hour)
	for _, c := range []struct {
		policy Policy
		code   string
	}{
		{Policy{Resource: "https://h/a"}, "policy_no_expiry"},
		{Policy{Resource: "https://h/a", Expires: time.Unix(-1, 0)}, "policy_bad_date"},
		{Policy{Resource: "https://h/a", Expires: noon, NotBefore: noon}, "policy_bad_date"},
		{Policy{Resource: `https://h/a"`, Expires: later}, "policy_bad_resource"},
		{Policy{Resource: `https://h/a\?b`, Expires: later}, "policy_bad_resource"},
		{Policy{Resource: "https://h/" + strings.Repeat("a", longestPolicy-20), Expires: later}, "policy_too_large"},
	} {
		if _, err := k.Sign(c.policy); code(err) != c.code {
			t.Errorf("%+v: %v, want %s", c.policy, err, c.code)
		}
	}
	for _, u := range []string{
		"", "h/a", "ftp://h/a", "https://h", "https://h/a/../b", "https://h/a%2fb", "https://h/%7Ea", "https://h/a*", "https://h/a?b=*", "https://h/a#b", "https://H/a", "https://h:443/a",
		`https://h/a?b="`, "https://h/a?b c", "https://h/a?Policy=x", "https://h/a?Expires=1", "https:///a",
	} {
		if _, err := k.SignCanned(u, later); code(err) != "policy_bad_resource" {
			t.Errorf("%s: %v", u, err)
		}
	}
	if _, err := k.SignCanned("https://h/a", time.Unix(lastCanned, 0)); err != nil {
		t.Errorf("the last time that CloudFront reads: %v", err)
	}
	for _, at := range []time.Time{{}, time.Unix(0, 0), time.Unix(lastCanned+1, 0)} {
		if _, err := k.SignCanned("https://h/a", at); code(err) != "policy_bad_date" {
			t.Errorf("%v: %v", at, err)
		}
	}
}

func FuzzAPolicyIsReadAsJSONReadsIt(f *testing.F) {
	for _, c := range documented {
		f.Add(c.text)
	}
	f.Add(`{"Statement":[{"Resource":"*","Condition":{"DateLessThan":{"AWS:EpochTime":1}}}]}`)
	f.Add(`{"Statement":[{"Resource":"https://h/\u0061"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePolicy([]byte(text))
		if err != nil {
			return
		}
		var theirs struct {
			Statement []struct {
				Resource  string
				Condition struct {
					DateLessThan struct {
						N int64 `json:"AWS:EpochTime"`
					}
				}
			}
		}
		if err := json.Unmarshal([]byte(text), &theirs); err != nil {
			t.Fatalf("%q was read, and is no JSON: %v", text, err)
		}
		if len(theirs.Statement) != 1 || theirs.Statement[0].Resource != p.Resource || theirs.Statement[0].Condition.DateLessThan.N != p.Expires.Unix() {
			t.Fatalf("%q: %+v and %+v", text, p, theirs)
		}
		if written, err := p.JSON(); err == nil {
			if again, err := ParsePolicy(written); err != nil || again != p {
				t.Fatalf("%q became %q (%v)", text, written, err)
			}
		}
	})
}
