package purge

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"golang.org/x/net/http/httpguts"

	"sluice/internal/fault"
	"sluice/internal/text"
)

// Call is the HTTP request by which a CDN is told. URL, Headers and Body may have placeholders:
//
//	{key} {keys} {keys_json}               a mark of copies ("video-01…"); all of a call, with spaces between; as a list in JSON
//	{path} {paths} {paths_json} {paths_xml}  the same with patterns of paths ("/stream/a-01…/*"); as <Path>…</Path> each
//	{count} {id}                           how many there are; an id of this call
//
// Marks or paths are what the CDN is told, whichever is named. With {key} or {path} each has a call of its own.
type Call struct {
	Method  string
	URL     string
	Headers []string // "Name: value"
	Body    string
	Most    int // marks or paths of one call
	// Signed by AWS's Signature Version 4, as CloudFront's own API asks for (service cloudfront, region us-east-1), where Access is not empty.
	Access, Secret string
	Timeout        time.Duration // of one call; 0 for 30 s
}

// placeholder is what is filled in. Braces of JSON are none.
var placeholder = regexp.MustCompile(`\{[a-z_]+\}`)

// known are the placeholders: whether each is of paths, of marks, or of neither.
var known = map[string]string{
	"{key}": "keys", "{keys}": "keys", "{keys_json}": "keys",
	"{path}": "paths", "{paths}": "paths", "{paths_json}": "paths", "{paths_xml}": "paths",
	"{count}": "", "{id}": "",
}

type header struct{ name, value string }

// caller makes calls.
type caller struct {
	Call
	most    int
	paths   bool // paths are told, not marks
	headers []header
	hide    []string // what no error may tell
	now     func() time.Time
	client  *http.Client
}

const (
	defaultTimeout = 30 * time.Second
	answerBytes    = 4 << 10 // of an answer that are read
	toldOf         = 300     // characters of an answer that an error tells
)

// Check says what is wrong with a call, or nil.
func (c Call) Check() error {
	_, err := newCaller(c, time.Now)
	return err
}

func newCaller(c Call, now func() time.Time) (*caller, error) {
	made := &caller{Call: c, most: c.Most, now: now}
	u, err := url.Parse(fill(c.URL, func(string) string { return "x" }))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, errors.New("the address is to be http:// or https:// with a host, without a password and without #")
	}
	if !httpguts.ValidHeaderFieldName(c.Method) { // a token, as names of headers are (RFC 9110 §9.1)
		return nil, fmt.Errorf("%q is no method; use POST, PURGE or BAN, say", c.Method)
	}
	if c.Most < 1 {
		return nil, errors.New("a call is to have 1 key or path at least")
	}
	texts := []string{c.URL, c.Body}
	for _, line := range c.Headers {
		name, value, ok := strings.Cut(line, ":")
		h := header{http.CanonicalHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(value)}
		if !ok || !httpguts.ValidHeaderFieldName(h.name) || !httpguts.ValidHeaderFieldValue(h.value) {
			return nil, errors.New("a header is to be 'Name: value'") // without it: it may be a secret
		}
		made.headers, texts = append(made.headers, h), append(texts, h.value)
	}
	if err := made.chooses(texts); err != nil {
		return nil, err
	}
	if (c.Access == "") != (c.Secret == "") {
		return nil, errors.New("AWS's access key and secret key go together")
	}
	made.hide = made.secrets(u)
	made.client = &http.Client{
		Timeout:       max(c.Timeout, 0),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // headers are for who was named
	}
	if c.Timeout == 0 {
		made.client.Timeout = defaultTimeout
	}
	return made, nil
}

// chooses reads from the placeholders whether marks or paths are told, and how many at once.
func (c *caller) chooses(texts []string) error {
	told := map[string]bool{}
	for _, text := range texts {
		for _, name := range placeholder.FindAllString(text, -1) {
			of, ok := known[name]
			if !ok {
				return fmt.Errorf("%s is no placeholder; use {key}, {keys}, {keys_json}, {path}, {paths}, {paths_json}, {paths_xml}, {count} and {id}", name)
			}
			if of != "" {
				told[of] = true
			}
			if name == "{key}" || name == "{path}" {
				c.most = 1
			}
		}
	}
	if len(told) != 1 {
		return errors.New("either keys or paths are to be in the address, a header or the body: {keys_json}, say")
	}
	c.paths = told["paths"]
	return nil
}

// secrets are what an answer may repeat and an error must not: values of headers and their parts, the keys, and what is behind the host.
func (c *caller) secrets(u *url.URL) (all []string) {
	const short = 6 // what is shorter is in many a text
	add := func(s string) {
		if len(s) >= short && !placeholder.MatchString(s) {
			all = append(all, s)
		}
	}
	for _, h := range c.headers {
		add(h.value)
		for _, part := range strings.Fields(h.value) {
			add(part)
		}
	}
	add(c.Secret)
	add(c.Access)
	for _, values := range u.Query() {
		for _, v := range values {
			add(v)
		}
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) }) // the longest first: it may hold others
	return all
}

// fill puts values in the place of placeholders.
func fill(text string, value func(name string) string) string {
	return placeholder.ReplaceAllStringFunc(text, value)
}

// request is the call for these marks or paths.
func (c *caller) request(ctx context.Context, names []string) (*http.Request, error) {
	list, err := json.Marshal(names)
	if err != nil {
		return nil, err
	}
	values := map[string]string{
		"{key}": names[0], "{keys}": strings.Join(names, " "), "{keys_json}": string(list),
		"{path}": names[0], "{paths}": strings.Join(names, " "), "{paths_json}": string(list), "{paths_xml}": inXML(names),
		"{count}": strconv.Itoa(len(names)), "{id}": rand.Text(), // a repetition too: CloudFront takes a call of an id that it knows for one that is done
	}
	value := func(name string) string { return values[name] }
	body := fill(c.Body, value)
	r, err := http.NewRequestWithContext(ctx, c.Method, fill(c.URL, value), strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "sluice")
	for _, h := range c.headers {
		if h.name == "Host" {
			r.Host = fill(h.value, value)
			continue
		}
		r.Header.Add(h.name, fill(h.value, value))
	}
	if c.Access == "" {
		return r, nil
	}
	hash := sha256.Sum256([]byte(body))
	by := aws.Credentials{AccessKeyID: c.Access, SecretAccessKey: c.Secret}
	return r, v4.NewSigner().SignHTTP(ctx, by, r, hex.EncodeToString(hash[:]), "cloudfront", "us-east-1", c.now())
}

func inXML(names []string) string {
	var b bytes.Buffer
	for _, n := range names {
		b.WriteString("<Path>")
		_ = xml.EscapeText(&b, []byte(n)) // a buffer takes everything
		b.WriteString("</Path>")
	}
	return b.String()
}

// call tells the CDN once. Its errors are fault.Unavailable where it is away or busy, and fault.Internal where it refuses, which the job's record keeps: whatever it is, it is tried again,
// because a wrong setting is put right by a person.
func (c *caller) call(ctx context.Context, names []string) error {
	const op = "purge.call"
	r, err := c.request(ctx, names)
	if err != nil {
		return fault.New(fault.Internal, op, "purge_refused", "The call to the CDN can't be made; check cdn.purge_url and cdn.purge_headers.", c.hidden(reason(err)))
	}
	resp, err := c.client.Do(r)
	if err != nil {
		return fault.New(fault.Unavailable, op, "purge_unavailable", "The CDN can't be reached to drop copies; check cdn.purge_url and this machine's network.", c.hidden(reason(err)))
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, answerBytes))
	if resp.StatusCode/100 == 2 {
		return nil
	}
	why := fmt.Sprintf("%s answers %s: %s", r.URL.Host, resp.Status, printable(c.hidden(string(said)).Error()))
	if err != nil {
		why = fmt.Sprintf("%s answers %s: %s", r.URL.Host, resp.Status, c.hidden(reason(err)))
	}
	if resp.StatusCode/100 == 5 || resp.StatusCode == http.StatusTooManyRequests {
		return fault.New(fault.Unavailable, op, "purge_unavailable", fmt.Sprintf("The CDN is too busy to drop copies (%d); nothing is to be done unless it goes on.", resp.StatusCode), errors.New(why))
	}
	return fault.New(fault.Internal, op, "purge_refused", fmt.Sprintf("The CDN refuses to drop copies (%d); check cdn.purge_url, cdn.purge_headers and the rights of that token.", resp.StatusCode), errors.New(why))
}

// reason is an error of the network without the address, which may hold a secret.
func reason(err error) string {
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	var dial *net.OpError
	if errors.As(err, &dial) {
		err = dial
	}
	return err.Error()
}

// hidden is a text without the secrets of the call.
func (c *caller) hidden(text string) error {
	for _, secret := range c.hide {
		text = strings.ReplaceAll(text, secret, "(hidden)")
	}
	return errors.New(text)
}

// printable is what of an answer an error tells, on one line.
func printable(s string) string {
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if text.Hidden(r) {
			return ' '
		}
		return r
	}, s)), " ")
	if text := []rune(s); len(text) > toldOf {
		return string(text[:toldOf]) + "…"
	}
	return s
}
