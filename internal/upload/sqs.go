package upload

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// QueueConfig says which Amazon SQS queue tells of objects.
type QueueConfig struct {
	URL         string // of the queue, as Amazon gives it
	Region      string
	Credentials aws.CredentialsProvider
	Tell        func(context.Context, []StorageEvent) (int, error) // takes notices for good
	Logger      *slog.Logger
}

// Queue reads messages of Amazon S3, or of EventBridge, from an SQS queue. A message is deleted once its notices are taken for good; one that could not be
// taken comes again after its visibility timeout. A message that is no event of a storage is left, so that the queue's redrive policy moves it to where people look, and is
// deleted at its tenth coming, for a queue that has no such policy. Several processes may read one queue.
type Queue struct {
	QueueConfig
	client *sqs.Client
}

const (
	longPoll   = 20 * time.Second // the longest that SQS allows: an idle queue costs 3 requests a minute and process
	visibility = time.Minute      // what taking ten messages may cost, with room
	maxComings = 10               // of a message that nobody understands
	maxPause   = 30 * time.Second // between tries of a queue that is away
	queueBatch = 10               // the most messages that SQS hands out at once
)

// NewQueue makes a Queue. It makes no request yet.
func NewQueue(c QueueConfig) *Queue {
	options := sqs.Options{Region: c.Region, Credentials: c.Credentials}
	if u, err := url.Parse(c.URL); err == nil {
		options.BaseEndpoint = aws.String(u.Scheme + "://" + u.Host)
	}
	return &Queue{QueueConfig: c, client: sqs.New(options)}
}

// QueueRegion is the region that a queue's URL names ("https://sqs.eu-central-1.amazonaws.com/…"), empty where it names none.
func QueueRegion(queue string) string {
	u, err := url.Parse(queue)
	if err != nil {
		return ""
	}
	parts := strings.Split(u.Hostname(), ".")
	if len(parts) < 4 || parts[0] != "sqs" || parts[2] != "amazonaws" {
		return ""
	}
	return parts[1]
}

// Run reads the queue until ctx is done. A queue that is away, and records that are, are tried again, at most 30 s later.
func (q *Queue) Run(ctx context.Context) {
	pause, away := time.Duration(0), false
	for ctx.Err() == nil {
		err := q.poll(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			if away {
				q.Logger.Info("the event queue is read again")
			}
			pause, away = 0, false
			continue
		case !away: // once, until it goes again
			q.Logger.Error("the event queue can't be read; the reconciler finds what comes meanwhile", "error", err)
			away = true
		}
		pause = min(max(2*pause, time.Second), maxPause)
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause/2)):
		}
	}
}

// poll waits for messages, takes them, and deletes what is done with.
func (q *Queue) poll(ctx context.Context) error {
	got, err := q.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &q.URL, MaxNumberOfMessages: queueBatch, WaitTimeSeconds: int32(longPoll.Seconds()), VisibilityTimeout: int32(visibility.Seconds()),
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameApproximateReceiveCount},
	})
	if err != nil {
		return err
	}
	var notices []StorageEvent
	var done []types.DeleteMessageBatchRequestEntry
	for i, m := range got.Messages {
		found, err := ParseStorageEvents([]byte(aws.ToString(m.Body)))
		if err != nil && !q.hopeless(m, err) {
			continue
		}
		notices = append(notices, found...)
		done = append(done, types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle})
	}
	if _, err := q.Tell(ctx, notices); err != nil || len(done) == 0 {
		return err
	}
	out, err := q.client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &q.URL, Entries: done})
	if err != nil {
		return err
	}
	for _, f := range out.Failed { // it comes again, which does no harm
		q.Logger.Warn("a message of the event queue was not deleted", "code", aws.ToString(f.Code), "reason", aws.ToString(f.Message))
	}
	return nil
}

// hopeless reports whether a message that nobody understands has come often enough to be deleted.
func (q *Queue) hopeless(m types.Message, why error) bool {
	comings, _ := strconv.Atoi(m.Attributes[string(types.MessageSystemAttributeNameApproximateReceiveCount)]) // none counts as the first
	last := comings >= maxComings
	q.Logger.Warn("a message of the event queue is no event of a storage", "message", aws.ToString(m.MessageId), "comings", comings, "deleted", last, "error", why)
	return last
}
