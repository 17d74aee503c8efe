package bucket_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"sluice/internal/bucket"
	"sluice/internal/fault"
)

// written puts an object in another second than the one before.
func (p place) written(t *testing.T, key, content string, after time.Time) bucket.Object {
	t.Helper()
	for {
		o, err := p.store.Put(t.Context(), "uploads", key, strings.NewReader(content), int64(len(content)), "")
		if err != nil {
			t.Fatal(err)
		}
		if o.Modified.After(after) {
			return o
		}
	}
}

func TestDeleteWrite_AnotherWriteOfTheKey_Stays(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		const key = "films/a b.mp4"
		first := p.written(t, key, "the same bytes", time.Time{})
		if other, err := p.store.DeleteWrite(t.Context(), first); other || err != nil {
			t.Fatalf("the write itself: %v, %v", other, err)
		}
		if other, err := p.store.DeleteWrite(t.Context(), first); other || err != nil {
			t.Errorf("once more: %v, %v", other, err)
		}
		second := p.written(t, key, "the same bytes", first.Modified)
		third := second
		for _, content := range []string{"the same bytes", "other bytes"} {
			third = p.written(t, key, content, third.Modified)
			if other, err := p.store.DeleteWrite(t.Context(), second); !other || err != nil {
				t.Errorf("%q in the place of it: %v, %v", content, other, err)
			}
			if now, err := p.store.Head(t.Context(), "uploads", key); err != nil || !now.SameWrite(third) {
				t.Errorf("%q became %+v, %v", content, now, err)
			}
		}
		if other, err := p.store.DeleteWrite(t.Context(), third); other || err != nil {
			t.Errorf("the last write: %v, %v", other, err)
		}
		if _, err := p.store.Head(t.Context(), "uploads", key); !fault.Is(err, fault.NotFound) {
			t.Errorf("the last write is there: %v", err)
		}
	})
}

// between is a line to an S3 server on which do runs once, before the first DELETE goes on.
func between(t *testing.T, server string, do func()) string {
	t.Helper()
	target, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	var done atomic.Bool
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { // the host stays the one that was signed
		r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
	}}
	line := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete && done.CompareAndSwap(false, true) {
			do()
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(line.Close)
	return line.URL
}

// What lands between the look and the removal is kept by servers that honor the conditions: docs/S3.md says which do.
func TestDeleteWrite_AWriteThatLandsAfterTheLook_StaysWhereConditionsAreHonored(t *testing.T) {
	t.Parallel()
	elsewhere(t, func(t *testing.T, p place) {
		if p.name == "ceph" {
			t.Skip("it ignores both conditions")
		}
		for _, content := range []string{"first", "other"} {
			first := p.written(t, content, "first", time.Time{})
			var late bucket.Object
			line := remotely(t, between(t, p.url, func() { late = p.written(t, content, content, first.Modified) }), p.keys)
			if other, err := line.store.DeleteWrite(t.Context(), first); !other || err != nil {
				t.Errorf("%q: %v, %v", content, other, err)
			}
			if now, err := p.store.Head(t.Context(), "uploads", content); err != nil || !now.SameWrite(late) {
				t.Errorf("%q: %+v, %v; want %+v", content, now, err, late)
			}
		}
	})
}

// In a bucket with versioning a write that a removal hides comes back, whatever conditions the server honors.
func TestDeleteWrite_VersionedBucket_HidesNoOtherWrite(t *testing.T) {
	t.Parallel()
	elsewhere(t, func(t *testing.T, p place) {
		_, err := p.aws().PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
			Bucket: aws.String("uploads"), VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
		})
		if err != nil {
			t.Skipf("it keeps no versions: %v", err)
		}
		first := p.written(t, "a", "first", time.Time{})
		var late bucket.Object
		line := remotely(t, between(t, p.url, func() { late = p.written(t, "a", "first", first.Modified) }), p.keys)
		if other, err := line.store.DeleteWrite(t.Context(), first); !other || err != nil {
			t.Errorf("a write that lands after the look: %v, %v", other, err)
		}
		if now, err := p.store.Head(t.Context(), "uploads", "a"); err != nil || !now.SameWrite(late) {
			t.Errorf("%+v, %v; want %+v", now, err, late)
		}
		if other, err := p.store.DeleteWrite(t.Context(), late); other || err != nil {
			t.Errorf("the write itself: %v, %v", other, err)
		}
	})
}

// A server that refuses a condition that it does not know is asked without it.
func TestDeleteWrite_ServerRefusesConditions_IsAskedWithoutThem(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	target, err := url.Parse(h.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host }}
	refused := 0
	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete && (r.Header.Get("If-Match") != "" || r.Header.Get("X-Amz-If-Match-Last-Modified-Time") != "") {
			refused++
			w.WriteHeader(http.StatusNotImplemented)
			_, _ = w.Write([]byte(`<Error><Code>NotImplemented</Code><Message>A header you provided implies functionality that is not implemented.</Message></Error>`))
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(old.Close)
	p := remotely(t, old.URL, keys)
	for n := range 2 {
		o := p.written(t, "a", "bytes", time.Time{})
		if other, err := p.store.DeleteWrite(t.Context(), o); other || err != nil {
			t.Fatalf("%v, %v", other, err)
		}
		if n == 0 && refused == 0 {
			t.Fatal("no condition was sent")
		}
		if n == 0 {
			refused = 0
		}
	}
	if refused > 0 {
		t.Errorf("conditions that were refused were sent again, %d times", refused)
	}
}
