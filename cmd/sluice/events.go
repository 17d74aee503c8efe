package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/upload"
)

// Events says who may tell of objects that were written to the storage.
type Events struct {
	Token        Secret `help:"Token that a storage must show to post its events to /v1/events/s3, at least 16 characters. Without one none are taken." env:"TOKEN"`
	SQSURL       string `name:"sqs-url" help:"Amazon SQS queue to read S3 events from, such as https://sqs.eu-central-1.amazonaws.com/123456789012/uploads." env:"SQS_URL"`
	SQSRegion    string `name:"sqs-region" help:"Region of the queue. Default: the one in its URL." env:"SQS_REGION"`
	SQSAccessKey string `name:"sqs-access-key" help:"Access key for the queue. Default: what the machine offers, such as AWS_ACCESS_KEY_ID, a profile or its role." env:"SQS_ACCESS_KEY"`
	SQSSecretKey Secret `name:"sqs-secret-key" help:"Secret key for the queue." env:"SQS_SECRET_KEY"`
}

// Secret is a text that is never printed.
type Secret string

func (s Secret) String() string {
	if s == "" {
		return `""`
	}
	return "(hidden)"
}

const leastToken = 16 // characters, of a secret that can be tried from afar

func (e Events) validate() error {
	if n := len(e.Token); n > 0 && n < leastToken {
		return fmt.Errorf("events.token has %d characters; use at least %d", n, leastToken)
	}
	if (e.SQSAccessKey == "") != (e.SQSSecretKey == "") {
		return fmt.Errorf("events.sqs_access_key and events.sqs_secret_key belong together; set both or none")
	}
	if e.SQSURL == "" {
		return nil
	}
	u, err := url.Parse(e.SQSURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.Path == "" {
		return fmt.Errorf("events.sqs_url is %q; use the queue's URL, such as https://sqs.eu-central-1.amazonaws.com/123456789012/uploads", e.SQSURL)
	}
	if e.SQSRegion == "" && upload.QueueRegion(e.SQSURL) == "" {
		return fmt.Errorf("events.sqs_region is not set and events.sqs_url names no region; set it, such as eu-central-1")
	}
	return nil
}

// handlers joins what the features do with jobs; no two know the same kind.
func handlers(all ...map[string]engine.Worker) map[string]engine.Worker {
	joined := map[string]engine.Worker{}
	for _, m := range all {
		maps.Copy(joined, m)
	}
	return joined
}

// requireEventsToken lets storage through that shows the token of its own. versitygw sends no header of its own making, but the user and password that are
// in an address; so the token may also come as such a password.
func (a *App) requireEventsToken(next http.Handler) http.Handler {
	want := string(a.settings.Events.Token)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if want == "" {
			fault.Write(w, fault.New(fault.NotFound, "api.events", "events_off", "This server takes no events; set events.token in its configuration.", nil))
			return
		}
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			_, token, ok = r.BasicAuth()
		}
		if !ok || !sameSecret(want, strings.TrimSpace(token)) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="sluice events"`)
			a.refuse(w, r, fault.New(fault.Unauthorized, "api.events", "unauthorized",
				"Send the token of the setting events.token as 'Authorization: Bearer …', or as the password of the address.", nil))
			return
		}
		if r.Method == http.MethodHead { // MinIO sees so whether its target is there
			return
		}
		next.ServeHTTP(w, r)
	})
}

// openQueue makes the reader of the queue that tells of objects, or none where none is set.
func openQueue(e Events, door *upload.Service, log *slog.Logger) (*upload.Queue, error) {
	if e.SQSURL == "" {
		return nil, nil
	}
	region := e.SQSRegion
	if region == "" {
		region = upload.QueueRegion(e.SQSURL)
	}
	var keys aws.CredentialsProvider = credentials.NewStaticCredentialsProvider(e.SQSAccessKey, string(e.SQSSecretKey), "")
	if e.SQSAccessKey == "" {
		c, err := config.LoadDefaultConfig(context.Background(), config.WithRegion(region)) // reads files and the environment, asks nobody yet
		if err != nil {
			return nil, err
		}
		keys = c.Credentials
	}
	return upload.NewQueue(upload.QueueConfig{URL: e.SQSURL, Region: region, Credentials: keys, Tell: door.Tell, Logger: log}), nil
}
