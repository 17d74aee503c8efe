package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/account"
)

// Event is one thing that happened to a video.
type Event struct {
	ID    int64           `json:"id" example:"42" doc:"Grows with time"`
	Video string          `json:"video" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"The video it happened to"`
	Type  string          `json:"type" example:"video.ready" doc:"What happened"`
	Time  Time            `json:"time" doc:"When it happened"`
	Data  json.RawMessage `json:"data,omitempty" doc:"More about it; its fields depend on the type"`
}

// EventPage is one page of the events of a video, oldest first.
type EventPage struct {
	Items []Event `json:"items" doc:"Oldest first"`
	Next  int64   `json:"next,omitempty" example:"42" doc:"Pass as after for the next page; absent on the last one"`
}

type eventsInput struct {
	ID    string `path:"id" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"The video's id"`
	After int64  `query:"after" minimum:"0" default:"0" doc:"Only events with ids above this one"`
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Largest number of events to answer with"`
}

type eventsOutput struct {
	Body EventPage
}

func (s *service) routeEvents() {
	route(s, needs(account.VideosRead), huma.Operation{OperationID: "listEvents", Method: http.MethodGet, Path: "/v1/videos/{id}/events", Tags: []string{"events"},
		Summary:     "List what happened to a video",
		Description: "Events are written in the transaction that made them true and never change. They outlive their video; those of a deleted one are for administrators. What failed and why is in the data for editors and administrators alone."},
		problems{http.StatusNotFound: {codeNoVideo}}, s.events)
}

func (s *service) events(ctx context.Context, in *eventsInput) (*eventsOutput, error) {
	v, err := s.remembered(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	found, err := s.History.Events(ctx, v.ID, in.After, in.Limit+1)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		// A video has events from its first moment on, so none at all means that there was never such a video.
		first, err := s.History.Events(ctx, v.ID, 0, 1)
		if err != nil {
			return nil, err
		}
		if len(first) == 0 {
			return nil, noVideo()
		}
	}
	work := who(ctx).MaySeeWork(subject(v))
	page := EventPage{Items: make([]Event, 0, len(found))}
	for i, e := range found {
		if i == in.Limit {
			page.Next = page.Items[i-1].ID
			break
		}
		if !work && e.Type.Failure() {
			e.Data = nil
		}
		page.Items = append(page.Items, Event{ID: e.ID, Video: e.Video, Type: string(e.Type), Time: Time(e.Time), Data: e.Data})
	}
	return &eventsOutput{Body: page}, nil
}
