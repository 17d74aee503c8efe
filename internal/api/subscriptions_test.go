package api

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/internal/catalog"
	"sluice/internal/engine"
	"sluice/internal/video"
)

// failed makes a video that fails in a store.
func failed(t *testing.T, store *catalog.Store, name string) video.ID {
	t.Helper()
	id := video.NewID(time.Now())
	src := video.Source{Bucket: "uploads", Key: string(id), ETag: "e", Size: 5, Modified: time.Now()}
	_, _, err := store.Received(t.Context(), video.Video{ID: id, Name: name, Prefix: "p"}, src, func(video.ID) []engine.Job { return nil })
	ref := video.StepRef{Video: id, Generation: 1, Name: video.Ingest}
	if err == nil {
		_, err = store.Begin(t.Context(), ref, "w", engine.Handle{})
	}
	if err == nil {
		err = store.Fail(t.Context(), ref, video.StepFailure{Failure: video.Failure{Code: "not_media", Message: "Send a video."}, Final: true}, nil, engine.Handle{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestAnAddressIsSubscribedChangedAndUnsubscribed(t *testing.T) {
	t.Parallel()
	s, _ := startCatalog(t)
	first := s.do(t, "POST", "/v1/subscriptions", `{"address":"Ops@EXAMPLE.com"}`)
	m := first.object(t)
	if first.status != 200 || m["address"] != "Ops@example.com" || fmt.Sprint(m["events"]) != "[video.failed video.recovered]" || m["waiting"] != 0.0 || m["suspended"] != false {
		t.Errorf("%d %s", first.status, first.body)
	}
	again := s.do(t, "POST", "/v1/subscriptions", `{"address":"Ops@example.com","events":["video.failed"]}`).object(t)
	if again["id"] != m["id"] || fmt.Sprint(again["events"]) != "[video.failed]" {
		t.Errorf("%v", again)
	}
	s.do(t, "POST", "/v1/subscriptions", `{"address":"a@example.com","events":["video.recovered"]}`)
	list := s.do(t, "GET", "/v1/subscriptions", "").object(t)["items"].([]any)
	if len(list) != 2 || list[0].(map[string]any)["address"] != "Ops@example.com" || list[1].(map[string]any)["address"] != "a@example.com" {
		t.Errorf("%v", list)
	}
	path := "/v1/subscriptions/" + m["id"].(string)
	if a := s.do(t, "DELETE", path, ""); a.status != 204 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := s.do(t, "DELETE", path, ""); a.status != 404 || a.object(t)["code"] != "no_subscription" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestWhatIsNoAddressIsRefused(t *testing.T) {
	t.Parallel()
	s, _ := startCatalog(t)
	for _, address := range []string{
		"ops", "@example.com", "ops@", "Ops <ops@example.com>", "a@example.com, b@example.com", `\"a b\"@example.com`, "ops@example.com\\r\\nBcc: x@example.com",
		"öps@example.com", "ops@[127.0.0.1]", "ops@exam ple.com", " ops@example.com", "ops@example.com\\u0000", "(c)ops@example.com",
	} {
		if a := s.do(t, "POST", "/v1/subscriptions", `{"address":"`+address+`"}`); a.status != 422 || a.object(t)["code"] != codeAddress {
			t.Errorf("%s: %d %s", address, a.status, a.body)
		}
	}
	for _, body := range []string{`{}`, `{"address":""}`, `{"address":"a@b.c","events":[]}`, `{"address":"a@b.c","events":["video.deleted"]}`, `{"address":"` + strings.Repeat("a", 251) + `@b.c"}`} {
		if a := s.do(t, "POST", "/v1/subscriptions", body); a.status != 422 || a.object(t)["code"] != codeInvalid {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
}

func TestThereIsAnEndToSubscriptions(t *testing.T) {
	t.Parallel()
	s, _ := startCatalog(t)
	for i := range 101 {
		a := s.do(t, "POST", "/v1/subscriptions", fmt.Sprintf(`{"address":"%d@example.com"}`, i))
		if want := 200 + i/100*209; a.status != want {
			t.Fatalf("number %d: %d %s", i+1, a.status, a.body)
		}
	}
	if a := s.do(t, "POST", "/v1/subscriptions", `{"address":"7@example.com"}`); a.status != 200 {
		t.Errorf("one that is there already: %d %s", a.status, a.body)
	}
}

func TestTheOutboxHoldsWhatIsToldPageByPage(t *testing.T) {
	t.Parallel()
	s, store := startCatalog(t)
	s.do(t, "POST", "/v1/subscriptions", `{"address":"ops@example.com"}`)
	for i := range 3 {
		failed(t, store, fmt.Sprint(i, ".mp4"))
	}
	first := s.do(t, "GET", "/v1/outbox?limit=2", "")
	m := first.object(t)
	items := m["items"].([]any)
	if len(items) != 2 || items[0].(map[string]any)["name"] != "2.mp4" {
		t.Fatalf("%s", first.body)
	}
	for _, part := range []string{`"address":"ops@example.com","event":"video.failed"`, `"generation":1,"step":"ingest","error":{"code":"not_media","message":"Send a video."}`, `"state":"waiting","tries":0}`} {
		if !strings.Contains(string(first.body), part) {
			t.Errorf("no %s in %s", part, first.body)
		}
	}
	rest := s.do(t, "GET", "/v1/outbox?limit=2&cursor="+m["next"].(string), "").object(t)
	if items := rest["items"].([]any); len(items) != 1 || items[0].(map[string]any)["name"] != "0.mp4" || rest["next"] != nil {
		t.Errorf("%v", rest)
	}
	for query, want := range map[string]int{"state=waiting": 3, "state=sent": 0} {
		if n := len(s.do(t, "GET", "/v1/outbox?"+query, "").object(t)["items"].([]any)); n != want {
			t.Errorf("%s: %d", query, n)
		}
	}
	for query, code := range map[string]string{"state=lost": codeInvalid, "cursor=x": codeCursor} {
		if a := s.do(t, "GET", "/v1/outbox?"+query, ""); a.status != 422 || a.object(t)["code"] != code {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
	if w := s.do(t, "GET", "/v1/subscriptions", "").object(t)["items"].([]any)[0].(map[string]any)["waiting"]; w != 3.0 {
		t.Errorf("waiting: %v", w)
	}
}
