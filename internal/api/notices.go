package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/upload"
)

// Listener takes notices of objects.
type Listener interface {
	// Tell takes notices for good, and returns how many may start a video.
	Tell(ctx context.Context, notices []upload.StorageEvent) (int, error)
}

// noticeBody is the largest message: what SQS and EventBridge carry at most.
const noticeBody = 1 << 20

// noticePatience bounds how long taking a message may go on for a sender that has hung up.
const noticePatience = 30 * time.Second

// Taken says what became of a message about objects.
type Taken struct {
	Taken int `json:"taken" example:"1" doc:"How many of the objects it names may start a video; they are looked at in the background"`
}

type noticeInput struct {
	RawBody []byte `contentType:"application/json"`
}

type noticeOutput struct {
	Body Taken
}

func (s *service) routeNotices() {
	route(s, elsewhere("Needs the token of the setting events.token, and no other."), huma.Operation{OperationID: "tellObjects", Method: http.MethodPost, Path: "/v1/events/s3", Tags: []string{"storage"},
		Summary: "Tell of objects that were written",
		Description: "Takes bucket notifications as Amazon S3 (also by EventBridge), MinIO, versitygw and SeaweedFS's filer write them. " +
			"A message says only where to look: what is there, the storage is asked. It may come late, twice or in any order. " +
			"Events of other kinds and test events are answered with 200 and ignored.",
		MaxBodyBytes: noticeBody, SkipValidateBody: true,
		RequestBody: &huma.RequestBody{Required: true, Description: "The message as the storage writes it", Content: map[string]*huma.MediaType{
			"application/json": {Schema: &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true, Description: "One of the known forms"},
				Example: map[string]any{"Records": []any{map[string]any{"eventName": "s3:ObjectCreated:Put",
					"s3": map[string]any{"bucket": map[string]any{"name": "uploads"}, "object": map[string]any{"key": "holiday.mp4"}}}}}}}}},
		problems{http.StatusNotFound: {"events_off"}, http.StatusUnprocessableEntity: {"bad_event"}}, s.tell)
}

func (s *service) tell(ctx context.Context, in *noticeInput) (*noticeOutput, error) {
	notices, err := upload.ParseStorageEvents(in.RawBody)
	if err != nil {
		return nil, err
	}
	// Some senders wait for a second or three, and tell once: what came is taken all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noticePatience)
	defer cancel()
	taken, err := s.Notices.Tell(ctx, notices)
	if err != nil {
		return nil, err
	}
	return &noticeOutput{Body: Taken{Taken: taken}}, nil
}
