package api

import (
	"context"
	"net/http"
	"net/mail"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/account"
	"sluice/internal/event"
	"sluice/internal/video"
)

// SubscriptionRequest asks that an address be told of events.
type SubscriptionRequest struct {
	Address string   `json:"address" minLength:"3" maxLength:"254" example:"ops@example.com" doc:"Mail address, in ASCII and without a name"`
	Events  []string `json:"events,omitempty" enum:"video.failed,video.recovered" minItems:"1" maxItems:"2" example:"[\"video.failed\",\"video.recovered\"]" doc:"What it is told of: video.failed (an encode failed for good), video.recovered (the video is ready after that). Absent: both"`
}

// Subscription is an address that is told of events by mail.
type Subscription struct {
	ID        string   `json:"id" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"Names the subscription"`
	Address   string   `json:"address" example:"ops@example.com" doc:"Mail address"`
	Events    []string `json:"events" enum:"video.failed,video.recovered" example:"[\"video.failed\"]" doc:"What it is told of"`
	Created   Time     `json:"created" doc:"When it was first subscribed"`
	Waiting   int      `json:"waiting" example:"0" doc:"Notices that no message has taken yet"`
	Suspended bool     `json:"suspended" example:"false" doc:"Whether the mail server refused the address three times in a row, so that nothing is sent until it is subscribed again"`
}

// SubscriptionList is all subscriptions.
type SubscriptionList struct {
	Items []Subscription `json:"items" doc:"By address"`
}

// Notification is one event for one address.
type Notification struct {
	ID         int64  `json:"id" example:"7" doc:"Grows with time"`
	Address    string `json:"address" example:"ops@example.com" doc:"Who is told"`
	Event      string `json:"event" enum:"video.failed,video.recovered" example:"video.failed" doc:"What happened"`
	Video      string `json:"video" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"The video it happened to, which may be deleted since"`
	Name       string `json:"name" example:"holiday.mp4" doc:"The video's name"`
	Generation int    `json:"generation" example:"1" doc:"The generation it happened to"`
	Step       string `json:"step,omitempty" example:"ingest" doc:"The step that failed; absent for a recovery"`
	Error      *Error `json:"error,omitempty" doc:"Why it failed; absent for a recovery"`
	Time       Time   `json:"time" doc:"When it happened"`
	State      string `json:"state" enum:"waiting,sending,sent,refused,dead" example:"sent" doc:"waiting for its message; sending, tried until the mail server takes it; sent; refused for good; dead after a day of trying"`
	Mail       int64  `json:"mail,omitempty" example:"3" doc:"Number of the message that tells it, together with others; absent while it waits"`
	Tries      int    `json:"tries" example:"1" doc:"How often that message was tried"`
	Trouble    *Error `json:"trouble,omitempty" doc:"Why the last try failed; absent unless it did"`
	Finished   Time   `json:"finished,omitzero" doc:"When the message was sent or given up; absent before"`
}

// Outbox is one page of notices, newest first.
type Outbox struct {
	Items []Notification `json:"items" doc:"Newest first"`
	Next  string         `json:"next,omitempty" example:"djE6Nw" doc:"Pass as cursor for the next page; absent on the last one"`
}

type subscribeInput struct {
	Body SubscriptionRequest
}

type subscriptionOutput struct {
	Body Subscription
}

type subscriptionsOutput struct {
	Body SubscriptionList
}

type unsubscribeInput struct {
	ID string `path:"id" maxLength:"40" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"The subscription's id"`
}

type outboxInput struct {
	State  string `query:"state" enum:"waiting,sending,sent,refused,dead" doc:"Only notices in this state"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Largest number of notices to answer with"`
	Cursor string `query:"cursor" maxLength:"200" doc:"Where to go on: next of the page before"`
}

type outboxOutput struct {
	Body Outbox
}

func (s *service) routeSubscriptions() {
	tags := []string{"notifications"}
	route(s, needs(account.UsersAdmin), huma.Operation{OperationID: "subscribe", Method: http.MethodPost, Path: "/v1/subscriptions", Tags: tags,
		Summary: "Have an address told of events by mail",
		Description: "The first event is told at once; what happens within the setting notify.every after a message goes together in the next one. " +
			"An address that is subscribed already gets these events instead.", MaxBodyBytes: smallBody},
		problems{http.StatusConflict: {"too_many_subscriptions"}, http.StatusUnprocessableEntity: {codeAddress}}, s.subscribe)
	route(s, needs(account.UsersAdmin), huma.Operation{OperationID: "listSubscriptions", Method: http.MethodGet, Path: "/v1/subscriptions", Tags: tags,
		Summary: "List who is told by mail"}, nil, s.subscriptions)
	route(s, needs(account.UsersAdmin), huma.Operation{OperationID: "unsubscribe", Method: http.MethodDelete, Path: "/v1/subscriptions/{id}", Tags: tags,
		Summary: "Tell an address no more", Description: "What waits for it is dropped.", DefaultStatus: http.StatusNoContent},
		problems{http.StatusNotFound: {"no_subscription"}}, s.unsubscribe)
	route(s, needs(account.UsersAdmin), huma.Operation{OperationID: "listOutbox", Method: http.MethodGet, Path: "/v1/outbox", Tags: tags,
		Summary: "List what is told to whom, newest first, and what became of it",
		Description: "Without a mail server in the settings, notices wait here; with one, they are sent at the next start. " +
			"What was sent or given up is kept for 30 days."},
		problems{http.StatusUnprocessableEntity: {codeCursor}}, s.outbox)
}

func (s *service) subscribe(ctx context.Context, in *subscribeInput) (*subscriptionOutput, error) {
	address, ok := readAddress(in.Body.Address)
	if !ok {
		return nil, invalid(codeAddress, "body.address", "expected one mail address such as ops@example.com")
	}
	sub := event.Subscription{ID: string(video.NewID(s.Now())), Address: address}
	for _, e := range event.Notable() {
		if len(in.Body.Events) == 0 || slices.Contains(in.Body.Events, string(e)) {
			sub.Events = append(sub.Events, e)
		}
	}
	made, err := s.Subscriptions.Subscribe(ctx, sub)
	if err != nil {
		return nil, err
	}
	return &subscriptionOutput{Body: subscription(made)}, nil
}

// readAddress takes one address as RFC 5321 §4.1.2 has it, without name, comment or quotes: what goes on into headers and commands.
func readAddress(text string) (string, bool) {
	a, err := mail.ParseAddress(text)
	if err != nil || a.Address != text || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"<>(),;:\[]`, r) }) {
		return "", false
	}
	at := strings.LastIndexByte(text, '@')
	return text[:at] + strings.ToLower(text[at:]), true // the part before it may mean its case (RFC 5321 §2.4)
}

func subscription(s event.Subscription) Subscription {
	events := make([]string, 0, len(s.Events))
	for _, e := range s.Events {
		events = append(events, string(e))
	}
	return Subscription{ID: s.ID, Address: s.Address, Events: events, Created: Time(s.Created), Waiting: s.Waiting, Suspended: s.Suspended}
}

func (s *service) subscriptions(ctx context.Context, _ *struct{}) (*subscriptionsOutput, error) {
	all, err := s.Subscriptions.Subscriptions(ctx)
	if err != nil {
		return nil, err
	}
	list := SubscriptionList{Items: make([]Subscription, 0, len(all))}
	for _, one := range all {
		list.Items = append(list.Items, subscription(one))
	}
	return &subscriptionsOutput{Body: list}, nil
}

func (s *service) unsubscribe(ctx context.Context, in *unsubscribeInput) (*struct{}, error) {
	return nil, s.Subscriptions.Unsubscribe(ctx, in.ID)
}

func (s *service) outbox(ctx context.Context, in *outboxInput) (*outboxOutput, error) {
	before, ok := readNumber(in.Cursor)
	if !ok {
		return nil, invalid(codeCursor, "query.cursor", "expected the next of a page before")
	}
	found, err := s.Subscriptions.Outbox(ctx, event.State(in.State), before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	page := Outbox{Items: make([]Notification, 0, len(found))}
	for i, n := range found {
		if i == in.Limit {
			page.Next = numberCursor(found[i-1].ID)
			break
		}
		page.Items = append(page.Items, notice(n))
	}
	return &outboxOutput{Body: page}, nil
}

func notice(n event.Notification) Notification {
	out := Notification{ID: n.ID, Address: n.Address, Event: string(n.Event), Video: n.Video, Name: n.Name, Generation: n.Generation, Step: n.Step,
		Time: Time(n.Time), State: string(n.State), Mail: n.Mail, Tries: n.Tries, Finished: Time(n.Finished)}
	if n.Code != "" {
		out.Error = &Error{Code: n.Code, Message: n.Message}
	}
	if n.Trouble.Code != "" {
		out.Trouble = &Error{Code: n.Trouble.Code, Message: n.Trouble.Message}
	}
	return out
}
