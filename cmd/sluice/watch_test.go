package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"sluice/internal/account"
	"sluice/internal/bucket"
	"sluice/internal/signing"
)

// streams: whoever knows the address of what is public and published may watch it; all else asks for a proof, and tells nobody else what there is.
func (c cast) streams() []knock {
	public, absent := c.manifest(c.played), c.manifest(c.witness)
	all := c.everybody(200, "GET", public)
	all = append(all, c.everybody(404, "GET", absent, "/stream/", "/stream/x", "/stream/verify")...)
	all = append(all, c.everybody(405, "DELETE", public)...)
	return append(all, c.watching()...)
}

// manifest is where a video plays.
func (c cast) manifest(id string) string {
	return "/stream/" + strings.TrimPrefix(c.prefix(id), "streams/") + "/1/index.m3u8"
}

// watching: each way to prove that one may watch, of each policy that asks for a proof, as everybody.
func (c cast) watching() (all []knock) {
	ours := c.brought()
	for _, policy := range []string{"signed", "members"} {
		id := string(c.ready())
		c.done(c.root(), "PATCH", "/v1/videos/"+id, fmt.Sprintf(`{"playback_policy":%q}`, policy))
		at := c.manifest(id)
		granted, err := url.Parse(c.done(c.viewer, "POST", "/v1/keys", fmt.Sprintf(`{"video":%q,"way":"manifest"}`, id)).str("hls"))
		if err != nil || granted.RawQuery == "" {
			c.t.Fatal(granted, err)
		}
		signed, other, late := c.signed(ours, at, time.Hour), c.signed(ours, c.manifest(c.played), time.Hour), c.signed(ours, at, -time.Minute)
		opens := "200"
		if policy == "members" {
			opens = "403 members_only"
		}
		for _, who := range c.all {
			row := func(by, address, cookies, want string) {
				as := who
				as.name += ", by " + by
				as.cookie = strings.Trim(as.cookie+"; "+cookies, "; ")
				all = append(all, judged(as, "GET", address, want))
			}
			row("nothing", at, "", sees(who, "403 signature_missing"))
			row("a grant of the server", at+"?"+granted.RawQuery, "", "200")
			row("a signature", at+"?"+asQuery(signed), "", opens)
			row("a signature of something else", at+"?"+asQuery(other), "", "403 policy_wrong_resource")
			row("a signature that has ended", at+"?"+asQuery(late), "", "403 policy_expired")
			row("a signature that was changed", at+"?"+asQuery(changed(signed)), "", "403 signature_")
			row("half a signature", at+"?Key-Pair-Id="+ours.ID, "", "403 signature_incomplete")
			cookies := opens
			if who.token != "" || policy == "members" && who.who.Kind != "" { // a header decides alone; of cookies a session does where the others are no good
				cookies = sees(who, opens)
			}
			row("signed cookies", at, asCookies(signed), cookies)
			row("signed cookies of something else", at, asCookies(other), sees(who, "403 policy_wrong_resource"))
		}
	}
	return all
}

// sees is what somebody is answered who shows nothing but who they are, about a ready video in main; otherwise, where they say nobody.
func sees(who caller, otherwise string) string {
	switch {
	case who.refusal != "":
		return "401 " + who.refusal
	case who.who.Kind == "":
		return otherwise
	case who.who.Settled() != nil, !who.who.Scopes.Has(account.VideosRead), who.who.Role != account.Admin && who.who.Workspaces[0] != "main":
		return "404 not_found"
	}
	return "200"
}

// judged is a knock that is answered with a status and a code.
func judged(as caller, method, at, want string) knock {
	k := knock{as: as, method: method, at: at}
	if _, err := fmt.Sscanf(want, "%d %s", &k.status, &k.says); err != nil && k.status != 200 {
		panic(want)
	}
	return k
}

// brought is a key pair of ours whose public key the server has.
func (c cast) brought() signing.KeyPair {
	c.t.Helper()
	k, err := signing.Make(signing.ECDSAP256, signing.SHA256, time.Now().Add(-time.Hour))
	if err != nil {
		c.t.Fatal(err)
	}
	text, err := k.PublicPEM()
	if err != nil {
		c.t.Fatal(err)
	}
	body, err := json.Marshal(map[string]string{"pem": string(text), "id": k.ID})
	if err != nil {
		c.t.Fatal(err)
	}
	c.done(c.root(), "POST", "/v1/key-pairs", string(body))
	probe := c.manifest(c.witness) + "?" + asQuery(c.signed(k, c.manifest(c.witness), time.Hour))
	for until := time.Now().Add(time.Minute); strings.Contains(c.send(caller{}, "GET", probe, "").text, "key_unknown"); time.Sleep(100 * time.Millisecond) { // docs: within 30 s
		if time.Now().After(until) {
			c.t.Fatal("the edge does not know a key pair that was brought")
		}
	}
	return k
}

// signed signs a policy for an address.
func (c cast) signed(k signing.KeyPair, at string, last time.Duration) signing.Credential {
	c.t.Helper()
	s, err := k.Sign(signing.Policy{Resource: c.settings.EdgeURL + at, Expires: time.Now().Add(last).Truncate(time.Second)})
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

func asQuery(s signing.Credential) string { return string(s.AppendQuery(nil)) }

func asCookies(s signing.Credential) string {
	var all []string
	for _, one := range s.Cookies() {
		all = append(all, one.Name+"="+one.Value)
	}
	return strings.Join(all, "; ")
}

// changed is a signature with one of its characters another.
func changed(s signing.Credential) signing.Credential {
	b := []byte(s.Signature)
	if at := len(b) / 2; b[at] == 'A' { // stays base64: what isn't may not fit into a URL
		b[at] = 'B'
	} else {
		b[at] = 'A'
	}
	s.Signature = string(b)
	return s
}

// clients of S3: the one pair of keys opens every bucket, each request by its own signature; there are no keys of people or workspaces.
func (c cast) s3Clients() []knock {
	now := time.Now()
	wrong, unknown := c.keys, c.keys
	wrong.Secret += "x"
	unknown.Access += "x"
	of := func(name string, sign func(*http.Request)) caller { return caller{name: name, signs: sign} }
	good := of("an S3 client", c.sigV4(c.keys, now))
	forged := []caller{
		of("an S3 client with another secret", c.sigV4(wrong, now)),
		of("an S3 client with keys that there are not", c.sigV4(unknown, now)),
		of("an S3 client of an hour ago", c.sigV4(c.keys, now.Add(-time.Hour))),
		of("an S3 client of tomorrow", c.sigV4(c.keys, now.Add(24*time.Hour))),
		of("an S3 client that signed another address", func(r *http.Request) {
			path := r.URL.Path
			r.URL.Path = "/elsewhere"
			c.sigV4(c.keys, now)(r)
			r.URL.Path = path
		}),
		of("an S3 client that signed another method", func(r *http.Request) {
			method := r.Method
			r.Method = "HEAD"
			c.sigV4(c.keys, now)(r)
			r.Method = method
		}),
		of("an S3 client that signed for another host", func(r *http.Request) {
			r.Host = "elsewhere.example.com"
			c.sigV4(c.keys, now)(r)
			r.Host = ""
		}),
		of("an S3 client with a good signature cut off", func(r *http.Request) {
			c.sigV4(c.keys, now)(r)
			header := r.Header.Get("Authorization")
			r.Header.Set("Authorization", header[:len(header)-1])
		}),
	}
	for _, who := range []caller{c.admin, c.viewer} { // a session beside it helps nobody
		who.name, who.signs = who.name+" with another secret for S3", c.sigV4(wrong, now)
		forged = append(forged, who)
	}
	var all []knock
	for _, at := range []string{"/media?list-type=2", "/uploads?list-type=2", "/uploads/a.mp4", "/?x-id=ListBuckets"} {
		for _, who := range forged {
			all = append(all, knock{as: who, method: "GET", at: at, status: 403})
		}
	}
	for _, who := range forged {
		all = append(all, knock{as: who, method: "PUT", at: "/uploads/forged.mp4", body: "x", status: 403}, knock{as: who, method: "DELETE", at: "/media/x", status: 403})
	}
	for what, at := range map[string]string{"an address that was presigned an hour ago": c.presigned(c.keys, now.Add(-time.Hour)), "an address that another secret presigned": c.presigned(wrong, now)} {
		all = append(all, knock{as: caller{name: what}, method: "GET", at: at, status: 403})
	}
	return append(all,
		knock{as: good, method: "GET", at: "/media?list-type=2", status: 200, says: "index.m3u8"},
		knock{as: good, method: "GET", at: "/uploads?list-type=2", status: 200},
		knock{as: good, method: "PUT", at: "/media/elsewhere/x.bin", body: "x", status: 200},
		knock{as: good, method: "GET", at: "/media/elsewhere/x.bin", status: 200, says: "x"},
		knock{as: caller{name: "an address that was presigned"}, method: "GET", at: c.presigned(c.keys, now), status: 200, says: "index.m3u8"},
		knock{as: good, method: "GET", at: "/v1/videos", status: 400, says: "InvalidBucketName"}, // whoever signs for S3 speaks S3
	)
}

const unsignedPayload = "UNSIGNED-PAYLOAD"

func (c cast) signer() *v4.Signer {
	return v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
}

// sigV4 signs a request in its header, as an S3 client does.
func (c cast) sigV4(keys bucket.Credentials, at time.Time) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("X-Amz-Content-Sha256", unsignedPayload)
		told := r.Header.Get("X-Forwarded-For") // a proxy's, and not the client's to sign
		r.Header.Del("X-Forwarded-For")
		defer r.Header.Set("X-Forwarded-For", told)
		if err := c.signer().SignHTTP(c.t.Context(), aws.Credentials{AccessKeyID: keys.Access, SecretAccessKey: keys.Secret}, r, unsignedPayload, "s3", "us-east-1", at); err != nil {
			c.t.Error(err)
		}
	}
}

// presigned is an address that lists what may be watched, for a quarter of an hour.
func (c cast) presigned(keys bucket.Credentials, at time.Time) string {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.local+"/media?list-type=2&X-Amz-Expires=900", bytes.NewReader(nil))
	if err != nil {
		c.t.Fatal(err)
	}
	address, _, err := c.signer().PresignHTTP(c.t.Context(), aws.Credentials{AccessKeyID: keys.Access, SecretAccessKey: keys.Secret}, r, unsignedPayload, "s3", "us-east-1", at)
	if err != nil {
		c.t.Fatal(err)
	}
	return address
}
