package upload_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"sluice/internal/upload"
)

// exchange is one request to SQS as it was recorded, and its answer (Amazon SQS API Reference, AWS JSON 1.0 protocol).
type exchange struct {
	target string // X-Amz-Target
	body   string // the request's, as JSON
	status int
	answer string
}

// tape answers requests in the order in which they were recorded, then with silence.
type tape struct {
	mu    sync.Mutex
	t     *testing.T
	left  []exchange
	ended chan struct{} // closed when the last exchange is over
}

func (p *tape) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.left) == 0 {
		p.mu.Unlock()
		<-r.Context().Done() // an empty queue polls long
		p.mu.Lock()
		return
	}
	next := p.left[0]
	p.left = p.left[1:]
	if got := r.Header.Get("X-Amz-Target"); got != "AmazonSQS."+next.target {
		p.t.Errorf("asked %s, recorded is %s", got, next.target)
	}
	if !sameJSON(p.t, body, []byte(next.body)) {
		p.t.Errorf("asked %s with %s, recorded is %s", next.target, body, next.body)
	}
	if auth := r.Header.Get("Authorization"); !strings.Contains(auth, "Credential=AKIDEXAMPLE/") || !strings.Contains(auth, "/eu-central-1/sqs/aws4_request") {
		p.t.Errorf("signed %q", auth)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(next.status)
	_, _ = io.WriteString(w, next.answer)
	if len(p.left) == 0 {
		close(p.ended)
	}
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	if err := errors.Join(json.Unmarshal(a, &x), json.Unmarshal(b, &y)); err != nil {
		t.Error(err)
	}
	return fmt.Sprint(x) == fmt.Sprint(y)
}

const queuePath = "/123456789012/uploads"

// receive is the exchange in which messages are handed out, each a body with how often it came.
func receive(url string, comings int, bodies ...string) exchange {
	type message struct {
		MessageId, ReceiptHandle, Body, MD5OfBody string
		Attributes                                map[string]string
	}
	var all []message
	for i, b := range bodies {
		sum := md5.Sum([]byte(b))
		all = append(all, message{MessageId: fmt.Sprint("id-", i), ReceiptHandle: fmt.Sprint("handle-", i), Body: b, MD5OfBody: hex.EncodeToString(sum[:]),
			Attributes: map[string]string{"ApproximateReceiveCount": fmt.Sprint(comings)}})
	}
	answer, _ := json.Marshal(map[string]any{"Messages": all})
	return exchange{"ReceiveMessage", `{"QueueUrl":"` + url + `","MaxNumberOfMessages":10,"WaitTimeSeconds":20,"VisibilityTimeout":60,
		"MessageSystemAttributeNames":["ApproximateReceiveCount"]}`, 200, string(answer)}
}

// remove is the exchange in which messages are deleted.
func remove(url string, numbers ...int) exchange {
	var entries, done []map[string]string
	for _, n := range numbers {
		entries = append(entries, map[string]string{"Id": fmt.Sprint(n), "ReceiptHandle": fmt.Sprint("handle-", n)})
		done = append(done, map[string]string{"Id": fmt.Sprint(n)})
	}
	body, _ := json.Marshal(map[string]any{"QueueUrl": url, "Entries": entries})
	answer, _ := json.Marshal(map[string]any{"Successful": done, "Failed": []any{}})
	return exchange{"DeleteMessageBatch", string(body), 200, string(answer)}
}

// play runs a queue against a tape until that is over, and returns the keys that were told and the log.
func play(t *testing.T, record func(url string) []exchange, tell func(times int) error) (keys []string, log string) {
	t.Helper()
	p := &tape{t: t, ended: make(chan struct{})}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	p.left = record(server.URL + queuePath)
	var text bytes.Buffer
	times := 0
	q := upload.NewQueue(upload.QueueConfig{
		URL: server.URL + queuePath, Region: "eu-central-1", Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "not-a-secret", ""),
		Logger: slog.New(slog.NewTextHandler(&text, nil)),
		Tell: func(_ context.Context, notices []upload.StorageEvent) (int, error) {
			times++
			if err := tell(times); err != nil {
				return 0, err
			}
			for _, n := range notices {
				keys = append(keys, n.Bucket+"/"+n.Keys[0])
			}
			return len(notices), nil
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() { q.Run(ctx); close(ran) }()
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		t.Error("the tape is not over")
	}
	time.Sleep(50 * time.Millisecond) // what would be asked beyond the tape
	cancel()
	<-ran
	return keys, text.String()
}

func well(int) error { return nil }

func TestAQueueIsReadAndMessagesAreDeletedOnceTaken(t *testing.T) {
	t.Parallel()
	keys, log := play(t, func(url string) []exchange {
		return []exchange{
			receive(url, 1, string(sample(t, "amazon-many")), string(sample(t, "eventbridge")), string(sample(t, "amazon-test")), string(sample(t, "eventbridge-other"))),
			remove(url, 0, 1, 2, 3),
			receive(url, 1),
			receive(url, 2, string(sample(t, "amazon-put"))),
			remove(url, 0),
		}
	}, well)
	want := []string{"vids/a.mp4", "vids/c+d.mp4", "vids/e.mp4", "vids/raw/a b+c%20.mp4", "vids/dir/Ein Film [s] ü 100%.mp4"}
	if !slices.Equal(keys, want) || log != "" {
		t.Errorf("told %q, log %s", keys, log)
	}
}

func TestMessagesThatCouldNotBeTakenComeAgain(t *testing.T) {
	t.Parallel()
	keys, log := play(t, func(url string) []exchange {
		body := string(sample(t, "amazon-put"))
		return []exchange{receive(url, 1, body), receive(url, 2, body), remove(url, 0)} // nothing is deleted in between
	}, func(times int) error {
		if times == 1 {
			return errors.New("the database is away")
		}
		return nil
	})
	if len(keys) != 1 || strings.Count(log, "can't be read") != 1 || !strings.Contains(log, "read again") {
		t.Errorf("told %q, log %s", keys, log)
	}
}

func TestAMessageThatNobodyUnderstandsIsLeftAndDeletedAtItsTenthComing(t *testing.T) {
	t.Parallel()
	keys, log := play(t, func(url string) []exchange {
		good := string(sample(t, "amazon-put"))
		return []exchange{
			receive(url, 9, "hello", good, `{"a":1}`),
			remove(url, 1),
			receive(url, 10, "hello"),
			remove(url, 0),
		}
	}, well)
	if len(keys) != 1 || strings.Count(log, "deleted=false") != 2 || strings.Count(log, "deleted=true") != 1 || !strings.Contains(log, "message=id-0") {
		t.Errorf("told %q, log %s", keys, log)
	}
}

func TestAQueueThatRefusesIsTriedAgainAndToldOfOnce(t *testing.T) {
	t.Parallel()
	keys, log := play(t, func(url string) []exchange {
		no := receive(url, 1)
		no.status, no.answer = 400, `{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The specified queue does not exist."}`
		denied := receive(url, 1)
		denied.status, denied.answer = 403, `{"__type":"com.amazon.coral.service#AccessDeniedException","message":"Access to the resource is denied."}`
		return []exchange{no, denied, receive(url, 1, string(sample(t, "amazon-put"))), remove(url, 0)}
	}, well)
	if len(keys) != 1 || strings.Count(log, "level=ERROR") != 1 || !strings.Contains(log, "QueueDoesNotExist") {
		t.Errorf("told %q, log %s", keys, log)
	}
}

func TestTheRegionOfAQueueIsInItsURL(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://sqs.eu-central-1.amazonaws.com/123456789012/uploads":  "eu-central-1",
		"https://sqs.cn-north-1.amazonaws.com.cn/123456789012/uploads": "cn-north-1",
		"https://queue.amazonaws.com/123456789012/uploads":             "",
		"http://localhost:9324/queue/uploads":                          "",
		"://":                                                          "",
	} {
		if got := upload.QueueRegion(url); got != want {
			t.Errorf("%s: %q, want %q", url, got, want)
		}
	}
}
