package drill

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"sluice/internal/notify/notifytest"
	"sluice/test/rig"
)

// post is a mail server that says "later" to the first messages, and the flags and environment by which a server sends by it.
func post(t *testing.T, o *rig.Options, later int) *notifytest.Office {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	authority, err := notifytest.NewAuthority(ca)
	if err != nil {
		t.Fatal(err)
	}
	office := notifytest.Start(t, authority, notifytest.Options{Data: func(try int) error {
		if try <= later {
			return &smtp.SMTPError{Code: 451, Message: "come back later"}
		}
		return nil
	}})
	o.Args = append(o.Args, "--smtp-host", "localhost", "--smtp-port", strconv.Itoa(office.Port), "--smtp-from", "sluice@example.com",
		"--smtp-user", notifytest.User, "--notify-every", "1s")
	o.Env = append(o.Env, "SLUICE_SMTP_PASSWORD="+notifytest.Password, "SSL_CERT_FILE="+ca)
	return office
}

// copies are what a CDN was told to drop.
type copies struct {
	mu    sync.Mutex
	calls int
	told  map[string]bool
}

func (c *copies) knows(mark string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.told[mark]
}

// cdn is an address that refuses once, named in the server's options.
func cdn(t *testing.T, o *rig.Options) *copies {
	t.Helper()
	c := &copies{told: map[string]bool{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.calls++; c.calls == 1 {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		for mark := range strings.FieldsSeq(r.Header.Get("Surrogate-Key")) {
			c.told[mark] = true
		}
	}))
	t.Cleanup(server.Close)
	o.Args = append(o.Args, "--cdn-purge-url", server.URL, "--cdn-purge-headers", "Surrogate-Key: {keys}")
	return c
}

// toDrop has a CDN told of a video, and waits until it knows of that, of its first generation, which was replaced, and of what was deleted.
func toDrop(t *testing.T, k *rig.Keeper, c *copies, again, deleted string) {
	t.Helper()
	if status := k.Ask(http.MethodPost, "/v1/videos/"+again+"/purge", nil, nil); status != http.StatusNoContent {
		t.Errorf("purge: %d", status)
	}
	for _, mark := range []string{"video-" + again, "generation-" + again + "-1", "video-" + deleted} {
		for deadline := time.Now().Add(2 * time.Minute); !c.knows(mark); time.Sleep(100 * time.Millisecond) {
			k.Revive(time.Minute)
			if time.Now().After(deadline) {
				t.Errorf("the CDN was not told of %s", mark)
				break
			}
		}
	}
}

// subscribe has an address told of everything, and returns the subscription.
func subscribe(t *testing.T, k *rig.Keeper) string {
	t.Helper()
	var made struct{ ID string }
	if status := k.Ask(http.MethodPost, "/v1/subscriptions", map[string]any{"address": "ops@example.com"}, &made); status >= 300 {
		t.Errorf("subscribe: %d", status)
	}
	return made.ID
}

// told waits until the address was told of everything, and of the failure of that video; what was sent again has the identity it had. Then it
// ends the subscription.
func told(t *testing.T, k *rig.Keeper, office *notifytest.Office, subscription, failed string) {
	t.Helper()
	var outbox struct {
		Items []struct {
			Video, Event, State string
			Mail                int
		}
	}
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if status := k.Ask(http.MethodGet, "/v1/outbox?limit=200", nil, &outbox); status != http.StatusOK {
			t.Fatalf("the outbox: %d", status)
		}
		open := 0
		for _, n := range outbox.Items {
			if n.State != "sent" {
				open++
			}
		}
		if open == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("not all is told: %+v", outbox.Items)
			break
		}
	}
	known, sent := false, map[int]bool{}
	for _, n := range outbox.Items {
		known, sent[n.Mail] = known || n.Video == failed, true
	}
	if !known {
		t.Errorf("nobody was told of %s: %+v", failed, outbox.Items)
	}
	letters := map[string]bool{}
	for _, l := range office.Letters() {
		letters[l.Message.Header.Get("Message-ID")] = true
	}
	if len(letters) != len(sent) {
		t.Errorf("%d messages by their identity, and %d by the records: %v", len(letters), len(sent), letters)
	}
	if status := k.Ask(http.MethodDelete, "/v1/subscriptions/"+subscription, nil, nil); status >= 300 && status != http.StatusNotFound {
		t.Errorf("unsubscribe: %d", status)
	}
}

// operate does what operators do: it holds a queue, cancels an encode, goes on with it, and has a job done before its time. It returns the video that it
// canceled, which is ready then, and the one that it had removed.
func operate(t *testing.T, k *rig.Keeper, clip string, patience time.Duration) (canceled, removed string) {
	t.Helper()
	hold := func(paused bool) {
		if status := k.Ask(http.MethodPatch, "/v1/queues/encode", map[string]any{"paused": paused}, nil); status != http.StatusOK {
			t.Errorf("pausing %v: %d", paused, status)
		}
	}
	hold(true)
	time.Sleep(2 * time.Second) // it takes hold; where that takes longer, what is canceled runs already
	canceled = k.Send(clip, "canceled.mp4", patience)
	job := await(t, k, "video="+canceled+"&queue=encode", func(j held) bool { return j.State == "available" || j.State == "running" })
	if status := k.Ask(http.MethodPost, fmt.Sprintf("/v1/jobs/%d/cancel", job), nil, nil); status >= 300 && status != http.StatusConflict {
		t.Errorf("cancel: %d", status)
	}
	if v := k.Until(canceled, time.Minute, ended); v.Error == nil || v.Error.Code != "encode_canceled" {
		t.Errorf("%s", v.Raw)
	}
	hold(false)
	// Where no answer came, it goes on all the same, and may even be ready by now.
	if status := k.Ask(http.MethodPost, "/v1/videos/"+canceled+"/redrive", nil, nil); status >= 300 && status != http.StatusConflict {
		t.Errorf("redrive: %d", status)
	}
	if v := k.Until(canceled, 3*time.Minute, func(v rig.Video) bool { return v.Status == "ready" }); v.Status != "ready" {
		t.Errorf("%s", v.Raw)
	}
	removed = dropped(t, k, true)
	job = await(t, k, "state=scheduled&queue=control", func(j held) bool { return j.Kind == "delete" && strings.Contains(string(j.Args), removed) })
	if status := k.Ask(http.MethodPost, fmt.Sprintf("/v1/jobs/%d/redrive", job), nil, nil); status >= 300 && status != http.StatusConflict {
		t.Errorf("redrive a job: %d", status)
	}
	await(t, k, "state=completed&queue=control", func(j held) bool { return j.ID == job })
	return canceled, removed
}

// dropped is a video whose source never comes, deleted where that is told.
func dropped(t *testing.T, k *rig.Keeper, deleted bool) string {
	t.Helper()
	var grant rig.Grant
	if status := k.Ask(http.MethodPost, "/v1/uploads", map[string]any{"filename": "dropped.mp4"}, &grant); status != http.StatusCreated {
		t.Fatalf("POST /v1/uploads: %d", status)
	}
	if !deleted {
		return grant.ID
	}
	if status := k.Ask(http.MethodDelete, "/v1/videos/"+grant.ID, nil, nil); status >= 300 && status != http.StatusNotFound {
		t.Errorf("DELETE: %d", status)
	}
	return grant.ID
}

// held is a job as the API tells it.
type held struct {
	ID          int64
	Kind, State string
	Args        json.RawMessage
}

// await waits for a job, the oldest of those that are meant.
func await(t *testing.T, k *rig.Keeper, query string, meant func(held) bool) (id int64) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		var list struct{ Items []held }
		if status := k.Ask(http.MethodGet, "/v1/jobs?limit=200&"+query, nil, &list); status != http.StatusOK {
			t.Fatalf("the jobs: %d", status)
		}
		for _, j := range list.Items {
			if meant(j) {
				id = j.ID
			}
		}
		if id > 0 {
			return id
		}
		if time.Now().After(deadline) {
			t.Fatalf("there is no such job (%s): %+v", query, list.Items)
		}
	}
}
