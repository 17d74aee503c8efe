package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/account"
	"sluice/internal/video"
)

// StepError is a failed attempt at a step.
type StepError struct {
	ID         int64  `json:"id" example:"7" doc:"Grows with time"`
	Video      string `json:"video" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"The video it happened to, which may be deleted since"`
	Name       string `json:"name" example:"holiday.mp4" doc:"The video's name"`
	Generation int    `json:"generation" example:"1" doc:"The generation it happened to"`
	Step       string `json:"step" enum:"ingest,encode,audio,stills,publish" example:"encode" doc:"The step that failed"`
	N          int    `json:"n" example:"3" doc:"Number of the chunk, for encode; else 0"`
	Attempt    int    `json:"attempt" example:"1" doc:"Which attempt it was, from 1"`
	Code       string `json:"code" example:"not_media" doc:"Stable name of the failure, for programs"`
	Message    string `json:"message" example:"The file is not video or audio that can be read; upload the original file." doc:"A sentence that says what to do"`
	Final      bool   `json:"final" example:"true" doc:"Whether the generation failed with it; else the step was tried again"`
	Time       Time   `json:"time" doc:"When it failed"`
	Worker     string `json:"worker,omitempty" example:"media-1" doc:"Which worker tried; absent once the video is deleted"`
	Detail     string `json:"detail,omitempty" example:"[h264 @ 0x5581] error while decoding MB 12 30" doc:"The end of the tool's output, for operators; absent once the video is deleted"`
}

// ErrorPage is one page of errors, newest first.
type ErrorPage struct {
	Items []StepError `json:"items" doc:"Newest first"`
	Next  string      `json:"next,omitempty" example:"djE6Nw" doc:"Pass as cursor for the next page; absent on the last one"`
}

// ErrorGroup is the errors of one code at one step.
type ErrorGroup struct {
	Code    string `json:"code" example:"not_media" doc:"Stable name of the failure"`
	Step    string `json:"step" enum:"ingest,encode,audio,stills,publish" example:"ingest" doc:"The step that failed"`
	Message string `json:"message" example:"The file is not video or audio that can be read; upload the original file." doc:"The sentence of the newest one"`
	Count   int    `json:"count" example:"12" doc:"How many attempts failed so"`
	Videos  int    `json:"videos" example:"9" doc:"How many videos they belong to"`
	Final   int    `json:"final" example:"9" doc:"How many of them ended a generation"`
	First   Time   `json:"first" doc:"When the oldest of them failed"`
	Last    Time   `json:"last" doc:"When the newest of them failed"`
}

// ErrorSummary counts errors.
type ErrorSummary struct {
	Groups []ErrorGroup `json:"groups" doc:"By code and step, the most frequent first; up to 1000"`
}

type errorsInput struct {
	Video  string    `query:"video" pattern:"^[0-9a-hjkmnp-tv-z]{26}$" patternDescription:"a video's id" doc:"Only errors of this video, which may be deleted"`
	Step   string    `query:"step" enum:"ingest,encode,audio,stills,publish" doc:"Only errors at this step"`
	Code   string    `query:"code" maxLength:"100" doc:"Only errors with this code"`
	Since  time.Time `query:"since" doc:"Only errors from this moment on, RFC 3339"`
	Limit  int       `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Largest number of errors to answer with"`
	Cursor string    `query:"cursor" maxLength:"200" doc:"Where to go on: next of the page before"`
}

type errorsOutput struct {
	Body ErrorPage
}

type summaryInput struct {
	Since time.Time `query:"since" doc:"Only errors from this moment on, RFC 3339; absent: all"`
}

type summaryOutput struct {
	Body ErrorSummary
}

func (s *service) routeErrors() {
	tags := []string{"errors"}
	route(s, needs(account.VideosRead), huma.Operation{OperationID: "listErrors", Method: http.MethodGet, Path: "/v1/errors", Tags: tags,
		Summary: "List failed attempts of all videos, newest first",
		Description: "Of the videos in workspaces that may be seen; none to those who see only what is ready. Every failed attempt at a step is here, also one whose next attempt went well, and also after its video's deletion. " +
			"An attempt whose worker was lost shows when the step is given up."},
		problems{http.StatusUnprocessableEntity: {codeCursor}}, s.listErrors)
	route(s, needs(account.VideosRead), huma.Operation{OperationID: "summarizeErrors", Method: http.MethodGet, Path: "/v1/errors/summary", Tags: tags,
		Summary: "Count failed attempts by code and step", Description: "Of the same as the list."}, nil, s.summarizeErrors)
}

func (s *service) listErrors(ctx context.Context, in *errorsInput) (*errorsOutput, error) {
	before, ok := readNumber(in.Cursor)
	if !ok {
		return nil, invalid(codeCursor, "query.cursor", "expected the next of a page before")
	}
	found, err := s.Errors.Errors(ctx, video.ErrorQuery{
		Within: within(who(ctx).Reach().Making()),
		Video:  video.ID(in.Video), Step: video.StepName(in.Step), Code: in.Code, Since: in.Since, Before: before, Limit: in.Limit + 1,
	})
	if err != nil {
		return nil, err
	}
	page := ErrorPage{Items: make([]StepError, 0, len(found))}
	for i, e := range found {
		if i == in.Limit {
			page.Next = numberCursor(found[i-1].ID)
			break
		}
		page.Items = append(page.Items, StepError{
			ID: e.ID, Video: string(e.Video), Name: e.Source, Generation: e.Generation, Step: string(e.Name), N: e.N, Attempt: e.Attempt,
			Code: e.Code, Message: e.Message, Final: e.Final, Time: Time(e.Time), Worker: e.Worker, Detail: e.Detail,
		})
	}
	return &errorsOutput{Body: page}, nil
}

func (s *service) summarizeErrors(ctx context.Context, in *summaryInput) (*summaryOutput, error) {
	found, err := s.Errors.ErrorGroups(ctx, video.ErrorQuery{Within: within(who(ctx).Reach().Making()), Since: in.Since})
	if err != nil {
		return nil, err
	}
	groups := make([]ErrorGroup, 0, len(found))
	for _, g := range found {
		groups = append(groups, ErrorGroup{Code: g.Code, Step: string(g.Step), Message: g.Message, Count: g.Count, Videos: g.Videos,
			Final: g.Final, First: Time(g.First), Last: Time(g.Last)})
	}
	return &summaryOutput{Body: ErrorSummary{Groups: groups}}, nil
}

// numberCursor goes on below a number that grows with time.
func numberCursor(id int64) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursorVersion + strconv.FormatInt(id, 10)))
}

// readNumber returns the number to go on below, 0 for the first page, and whether s is a cursor.
func readNumber(s string) (int64, bool) {
	if s == "" {
		return 0, true
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	text, ok := strings.CutPrefix(string(b), cursorVersion)
	if err != nil || !ok {
		return 0, false
	}
	id, err := strconv.ParseInt(text, 10, 64)
	return id, err == nil && id > 0
}
