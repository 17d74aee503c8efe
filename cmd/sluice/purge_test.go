package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"

	"sluice/internal/engine"
	"sluice/internal/purge"
	"sluice/internal/video"
)

// vendor is a server that takes what a vendor of CDNs documents, and nothing else.
type vendor struct {
	*httptest.Server
	mu   sync.Mutex
	told []string // the keys or paths of each call, with spaces between
}

// takes answers by what a vendor's check says: the keys or paths that it was told of, or why it refuses.
func takes(t *testing.T, check func(r *http.Request, body []byte) (told []string, refused string)) *vendor {
	t.Helper()
	v := &vendor{}
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		told, refused := check(r, body)
		if refused != "" {
			http.Error(w, refused, http.StatusBadRequest)
			return
		}
		v.mu.Lock()
		v.told = append(v.told, strings.Join(told, " "))
		v.mu.Unlock()
		w.WriteHeader(http.StatusCreated)
	}))
	t.Cleanup(v.Close)
	return v
}

// examples are the configurations of a part of a page of the docs, by the address that is purged at.
func examples(t *testing.T) map[string]Purge {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "CDN.md"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]Purge{}
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		if strings.Contains(block[1], "purge_url") {
			p := configured(t, block[1]).CDN.Purge
			u, err := url.Parse(p.URL)
			if err != nil {
				t.Fatal(err)
			}
			all[u.Host] = p
		}
	}
	return all
}

// configured is a file as the server reads it.
func configured(t *testing.T, text string) Settings {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var cmd commands
	files := &fileResolver{}
	parser, err := kong.New(&cmd, kong.Resolvers(files), kong.Bind(files))
	if err != nil {
		t.Fatal(err)
	}
	if err := files.open(nil, file); err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"config"}); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return cmd.Config.Settings
}

// fixed is a store in which these copies are due.
type fixed []video.Copies

func (f fixed) DueCopies(context.Context, int, engine.Handle) ([]video.Copies, error) { return f, nil }
func (fixed) CopiesDropped(context.Context, []video.Copies, engine.Handle) error      { return nil }
func (fixed) WakePurge(context.Context) (bool, error)                                 { return false, nil }

// header says what is wrong with a header, or nothing.
func header(r *http.Request, name, value string) string {
	if got := r.Header.Values(name); len(got) != 1 || got[0] != value {
		return name + ": " + strings.Join(got, " and ")
	}
	return ""
}

func TestTheExamplesOfTheDocsPurgeAsTheVendorsDocument(t *testing.T) {
	t.Parallel()
	keys := []string{"video-V1", "generation-V2-3", "playback-p-3"}
	paths := []string{"/stream/a%20b-V1/*", "/stream/p-1/*", "/stream/c-V2/3/*", "/stream/p-3/*"}
	due := fixed{
		{Video: "V1", Folders: []string{"a b-V1", "p-1"}}, {Video: "V2", Generation: 3, Folders: []string{"c-V2"}}, {Video: "V3", Playbacks: true, Folders: []string{"p-3"}},
	}
	all := examples(t)
	for host, c := range map[string]struct {
		check func(r *http.Request, body []byte) ([]string, string)
		most  int
		want  []string // of each call
	}{
		// https://developers.cloudflare.com/api/resources/cache/methods/purge/
		"api.cloudflare.com": {func(r *http.Request, body []byte) ([]string, string) {
			var asked struct {
				Tags []string `json:"tags"`
			}
			if err := json.Unmarshal(body, &asked); err != nil || r.Method != "POST" || r.URL.Path != "/client/v4/zones/023e105f4ecef8ad9ca31a8372d0c353/purge_cache" {
				return nil, r.Method + r.URL.Path + string(body)
			}
			return asked.Tags, header(r, "Authorization", "Bearer Sn3lZJTBX6kkg7OdcBUAxOO963GEIyGQqnFTOFYY") + header(r, "Content-Type", "application/json")
		}, 100, []string{strings.Join(keys, " ")}},
		// https://www.fastly.com/documentation/reference/api/purging/#bulk-purge-tag
		"api.fastly.com": {func(r *http.Request, body []byte) ([]string, string) {
			if r.Method != "POST" || r.URL.Path != "/service/SU1Z0isxPaozGVKXdv0eY/purge" || len(body) > 0 {
				return nil, r.Method + r.URL.Path + string(body)
			}
			return strings.Split(r.Header.Get("Surrogate-Key"), " "), header(r, "Fastly-Key", "dYv0eYSU1Z0isxPaozGVKX-token") + header(r, "Accept", "application/json")
		}, 256, []string{strings.Join(keys, " ")}},
		"cloudfront.amazonaws.com": {invalidation, 15, []string{strings.Join(paths, " ")}},
		// The VCL beside it: one key, for a regular expression on what the edge's answers have.
		"127.0.0.1:6081": {func(r *http.Request, _ []byte) ([]string, string) {
			key := r.Header.Get("X-Purge-Key")
			if fits, err := regexp.MatchString(`(^|\s)`+key+`(\s|$)`, "video-V0 "+key+" playback-p-9"); err != nil || !fits || r.Method != "BAN" || r.URL.Path != "/" || strings.ContainsAny(key, " ,") {
				return nil, r.Method + key
			}
			return []string{key}, ""
		}, 30, keys},
		"127.0.0.1:9000": {func(r *http.Request, body []byte) ([]string, string) {
			var asked struct {
				ID    string
				Paths []string
			}
			if err := json.Unmarshal(body, &asked); err != nil || len(asked.ID) < 20 || r.Method != "POST" || r.URL.Path != "/purge" {
				return nil, r.Method + r.URL.Path + string(body)
			}
			return asked.Paths, header(r, "Authorization", "Bearer 0123456789abcdef0123456789abcdef")
		}, 30, []string{strings.Join(paths, " ")}},
	} {
		p, ok := all[host]
		if !ok {
			t.Errorf("docs/CDN.md has no example for %s", host)
			continue
		}
		delete(all, host)
		v := takes(t, c.check)
		u, err := url.Parse(p.URL)
		if err != nil {
			t.Fatal(err)
		}
		p.URL = v.URL + u.Path
		if err := p.check(); err != nil || p.Most != c.most {
			t.Errorf("%s: %v, %d in a call", host, err, p.Most)
		}
		told, err := purge.New(purge.Config{Store: due, Call: p.call(), Path: streamPattern, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if err := told.Handlers()["purge"](t.Context(), engine.Attempt{}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
		if !slices.Equal(v.told, c.want) {
			t.Errorf("%s was told %q, want %q", host, v.told, c.want)
		}
	}
	for host := range all {
		t.Errorf("the example for %s is run by nothing", host)
	}
}

// invalidation takes what CloudFront's CreateInvalidation does: AWS's own client is asked beside ours by TestCloudFrontTakesOursAsAWSsOwn.
func invalidation(r *http.Request, body []byte) ([]string, string) {
	var asked struct {
		XMLName         xml.Name `xml:"http://cloudfront.amazonaws.com/doc/2020-05-31/ InvalidationBatch"`
		CallerReference string
		Paths           struct {
			Quantity int
			Items    struct{ Path []string }
		}
	}
	if err := xml.Unmarshal(body, &asked); err != nil || asked.CallerReference == "" || asked.Paths.Quantity != len(asked.Paths.Items.Path) ||
		r.Method != "POST" || r.URL.Path != "/2020-05-31/distribution/EDFDVBD632BHDS5/invalidation" {
		return nil, r.Method + r.URL.Path + string(body)
	}
	return asked.Paths.Items.Path, header(r, "Content-Type", "application/xml") + badlySigned(r, body)
}

// badlySigned says what is wrong with a signature, or nothing: it is made again over the headers that were signed.
func badlySigned(r *http.Request, body []byte) string {
	given := r.Header.Get("Authorization")
	parts := regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/\d{8}/us-east-1/cloudfront/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=[0-9a-f]{64}$`).FindStringSubmatch(given)
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if parts == nil || err != nil || time.Since(at).Abs() > 5*time.Minute {
		return "not signed: " + given
	}
	again, err := http.NewRequest(r.Method, "http://"+r.Host+r.URL.RequestURI(), strings.NewReader(string(body)))
	if err != nil {
		return err.Error()
	}
	for name := range strings.SplitSeq(parts[1], ";") {
		if values := r.Header.Values(name); len(values) > 0 {
			again.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	by := aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(context.Background(), by, again, hex.EncodeToString(sum[:]), "cloudfront", "us-east-1", at); err != nil {
		return err.Error()
	}
	if again.Header.Get("Authorization") != given {
		return "the signature is another: " + again.Header.Get("Authorization")
	}
	return ""
}

// TestCloudFrontTakesOursAsAWSsOwn has AWS's own client pass the check that the example of the docs passes.
func TestCloudFrontTakesOursAsAWSsOwn(t *testing.T) {
	t.Parallel()
	v := takes(t, invalidation)
	c := cloudfront.New(cloudfront.Options{BaseEndpoint: aws.String(v.URL), Region: "us-east-1", RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "")})
	_, err := c.CreateInvalidation(t.Context(), &cloudfront.CreateInvalidationInput{DistributionId: aws.String("EDFDVBD632BHDS5"), InvalidationBatch: &types.InvalidationBatch{
		CallerReference: aws.String("R"), Paths: &types.Paths{Quantity: aws.Int32(1), Items: []string{"/stream/a-V1/*"}}}})
	if !slices.Equal(v.told, []string{"/stream/a-V1/*"}) {
		t.Errorf("%q: %v", v.told, err)
	}
}
