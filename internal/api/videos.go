package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/account"
	"sluice/internal/engine"
	"sluice/internal/text"
	"sluice/internal/video"
)

// VideoPage is one page of videos, newest first.
type VideoPage struct {
	Items []Video `json:"items" doc:"Newest first"`
	Next  string  `json:"next,omitempty" example:"djE6MDFqcTN2OGsybTRuNXA2cjdzOHQ5djB3MXg" doc:"Pass as cursor for the next page; absent on the last one"`
}

// VideoEdit is a JSON merge patch (RFC 7396) of what a person may change.
type VideoEdit struct {
	Title       change[string]            `json:"title,omitempty" maxLength:"200" example:"Our holiday" doc:"null empties it"`
	Description change[string]            `json:"description,omitempty" maxLength:"5000" example:"Two weeks by the sea." doc:"null empties it"`
	Tags        change[[]string]          `json:"tags,omitempty" maxItems:"50" minLength:"1" maxLength:"100" example:"[\"sea\",\"summer\"]" doc:"Takes the place of all tags; one that is repeated counts once; null removes all"`
	Metadata    change[map[string]string] `json:"metadata,omitempty" maxProperties:"50" example:"{\"project\":\"7\"}" doc:"Takes the place of all metadata: keys of 1 to 100 characters, values of up to 1000; null removes all"`
	Workspace   change[string]            `json:"workspace,omitempty" maxLength:"60" example:"main" doc:"Id of the workspace that it goes to; null for the one where uploads go that name none"`
	Policy      change[string]            `json:"playback_policy,omitempty" enum:"public,signed,members" example:"signed" doc:"Who may watch; null for the server's default"`
}

// EncodeRequest asks for a new generation.
type EncodeRequest struct {
	Settings
}

type listInput struct {
	Status string `query:"status" enum:"waiting,processing,ready,failed" doc:"Only videos with this status"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Largest number of videos to answer with"`
	Cursor string `query:"cursor" maxLength:"200" doc:"Where to go on: next of the page before"`
}

type listOutput struct {
	Body VideoPage
}

type videoInput struct {
	ID string `path:"id" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"The video's id"`
}

type editInput struct {
	ID   string `path:"id" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"The video's id"`
	Body VideoEdit
}

type encodeInput struct {
	ID   string `path:"id" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"The video's id"`
	Body *EncodeRequest
}

type videoOutput struct {
	Body Video
}

type detailOutput struct {
	Body VideoDetail
}

func (s *service) routeVideos() {
	missing := problems{http.StatusNotFound: {codeNoVideo}}
	tags := []string{"videos"}
	route(s, needs(account.VideosRead), huma.Operation{OperationID: "listVideos", Method: http.MethodGet, Path: "/v1/videos", Tags: tags,
		Summary:     "List videos, newest first",
		Description: "Those that may be seen: all to administrators, those of their workspaces to editors, what is ready of these to viewers. Pages stay whole while videos come and go: none is told twice, and none that was there from the first page on is missed."},
		problems{http.StatusUnprocessableEntity: {codeCursor}}, s.list)
	route(s, needs(account.VideosRead), huma.Operation{OperationID: "getVideo", Method: http.MethodGet, Path: "/v1/videos/{id}", Tags: tags,
		Summary:     "Get one video, with the steps of its newest generation",
		Description: "The tries at each step, what failed and what the tools said are for editors and administrators alone."}, missing, s.get)
	route(s, needs(account.VideosWrite), huma.Operation{OperationID: "editVideo", Method: http.MethodPatch, Path: "/v1/videos/{id}", Tags: tags,
		Summary:     "Change title, description, tags or metadata, who may watch, or the workspace",
		Description: "What is absent stays as it is. A video goes only to a workspace that its editor may put videos into.", MaxBodyBytes: editBody},
		problems{http.StatusNotFound: {codeNoVideo}, http.StatusForbidden: {codeForbidden}, http.StatusUnprocessableEntity: {codeNoWorkspace}}, s.edit)
	route(s, needs(account.VideosWrite), huma.Operation{OperationID: "deleteVideo", Method: http.MethodDelete, Path: "/v1/videos/{id}", Tags: tags,
		Summary: "Delete a video with its source and all that was made of it",
		Description: "It is gone for readers at once; running work is canceled and files are removed within seconds. Its events stay. " +
			"The answer waits, 1.1 s at most, for the second in which the source was written to end: a file that is put under the same key after the answer is a write of its own.",
		// DELETE is idempotent (RFC 9110 §9.2.2), but the second one finds nothing and says so.
		DefaultStatus: http.StatusNoContent}, problems{http.StatusNotFound: {codeNoVideo}, http.StatusForbidden: {codeForbidden}}, s.remove)
	route(s, needs(account.VideosWrite), huma.Operation{OperationID: "encodeVideo", Method: http.MethodPost, Path: "/v1/videos/{id}/encode", Tags: tags,
		Summary:       "Encode the source again, with other settings if wanted",
		Description:   "Makes a new generation. Viewers keep the one that plays until the new one is ready. The body may be left out.",
		DefaultStatus: http.StatusAccepted, MaxBodyBytes: smallBody},
		problems{http.StatusNotFound: {codeNoVideo}, http.StatusForbidden: {codeForbidden}, http.StatusConflict: {"no_source", "busy"}}, s.encode)
	route(s, needs(account.JobsAdmin), huma.Operation{OperationID: "purgeVideo", Method: http.MethodPost, Path: "/v1/videos/{id}/purge", Tags: tags,
		Summary: "Have the CDN in front drop its copies of a video",
		Description: "It is told of all copies, whatever their generation and playback id, within seconds and once more after a minute and a half, by a job that tries until the CDN takes it. " +
			"What a deletion, another policy or a withdrawn playback id makes wrong, it is told without this.",
		DefaultStatus: http.StatusNoContent},
		problems{http.StatusNotFound: {codeNoVideo}, http.StatusForbidden: {codeForbidden}, http.StatusConflict: {"no_purge"}}, s.purge)
}

func (s *service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	before, ok := readCursor(in.Cursor)
	if !ok {
		return nil, invalid(codeCursor, "query.cursor", "expected the next of a page before")
	}
	// One more than asked for tells whether there is a next page.
	found, err := s.Videos.Videos(ctx, video.Query{Within: within(who(ctx).Reach()), Status: video.Status(in.Status), Before: before, Limit: in.Limit + 1})
	if err != nil {
		return nil, err
	}
	page, waiting := VideoPage{Items: make([]Video, 0, len(found))}, s.waiting(ctx, found...)
	for i, v := range found {
		if i == in.Limit {
			page.Next = cursor(found[i-1].ID)
			break
		}
		item := s.shown(ctx, v)
		item.Waiting = waiting[v.ID]
		page.Items = append(page.Items, item)
	}
	return &listOutput{Body: page}, nil
}

func (s *service) get(ctx context.Context, in *videoInput) (*detailOutput, error) {
	id, ok := video.ParseID(in.ID)
	if !ok {
		return nil, noVideo()
	}
	v, all, err := s.History.Detail(ctx, id)
	if err = seeable(ctx, v, err); err != nil {
		return nil, err
	}
	shown := steps(all)
	if !who(ctx).MaySeeWork(subject(v)) {
		for i := range shown {
			shown[i].Attempts = []Attempt{}
		}
	}
	out := s.shown(ctx, v)
	out.Waiting = s.waiting(ctx, v)[v.ID]
	return &detailOutput{Body: VideoDetail{Video: out, Steps: shown}}, nil
}

// shown tells v as JSON to who asks, without what failed where that is not for them.
func (s *service) shown(ctx context.Context, v video.Video) Video {
	out := s.view(v)
	if !who(ctx).MaySeeWork(subject(v)) {
		out.Error = nil
	}
	return out
}

// whole tells v as JSON to who may change it.
func (s *service) whole(ctx context.Context, v video.Video) Video {
	out := s.view(v)
	out.Waiting = s.waiting(ctx, v)[v.ID]
	return out
}

func (s *service) edit(ctx context.Context, in *editInput) (*videoOutput, error) {
	v, err := s.changeable(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	edit, err := in.Body.edit()
	if err != nil {
		return nil, err
	}
	if err := s.place(ctx, in.Body, &edit); err != nil {
		return nil, err
	}
	if v, err = s.Videos.Edit(ctx, v.ID, edit); err != nil {
		return nil, err
	}
	return &videoOutput{Body: s.whole(ctx, v)}, nil
}

func (s *service) remove(ctx context.Context, in *videoInput) (*struct{}, error) {
	v, err := s.changeable(ctx, in.ID) // its prefix says where its outputs are
	if err != nil {
		return nil, err
	}
	return nil, s.Videos.Delete(ctx, v.ID, s.Delete(v))
}

func (s *service) purge(ctx context.Context, in *videoInput) (*struct{}, error) {
	v, err := s.changeable(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.Copies.DropCopies(ctx, v.ID)
}

func (s *service) encode(ctx context.Context, in *encodeInput) (*videoOutput, error) {
	v, err := s.changeable(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	var settings video.Settings
	if in.Body != nil {
		settings.MaxResolution = in.Body.MaxResolution
	}
	if v, err = s.Videos.Encode(ctx, v.ID, settings, func(generation int) []engine.Job { return s.Encode(v.ID, generation) }); err != nil {
		return nil, err
	}
	return &videoOutput{Body: s.whole(ctx, v)}, nil
}

// limits of one entry of metadata, in characters.
const (
	maxKey   = 100
	maxValue = 1000
)

// edit is the change that the body asks for, and a Problem where it has what no store takes.
func (e VideoEdit) edit() (video.Edit, error) {
	if err := e.check(); err != nil {
		return video.Edit{}, err
	}
	tags := make([]string, 0, len(e.Tags.value))
	seen := map[string]bool{}
	for _, t := range e.Tags.value {
		if !seen[t] {
			tags = append(tags, t)
		}
		seen[t] = true
	}
	e.Tags.value = tags
	if e.Metadata.value == nil {
		e.Metadata.value = map[string]string{}
	}
	return video.Edit{Title: e.Title.pointer(), Description: e.Description.pointer(), Tags: e.Tags.pointer(), Metadata: e.Metadata.pointer()}, nil
}

// lines are what a text of several lines may hold beside showable ones.
var lines = strings.NewReplacer("\r\n", "", "\n", "", "\t", "")

// check refuses what the schema cannot describe: the length of metadata, and characters that people can't see but that change what they do.
func (e VideoEdit) check() error {
	texts := map[string]string{
		"body.title": e.Title.value, "body.description": lines.Replace(e.Description.value), "body.workspace": e.Workspace.value, "body.tags": strings.Join(e.Tags.value, ""),
	}
	for k, v := range e.Metadata.value {
		field := "body.metadata." + k
		switch {
		case k == "" || len([]rune(k)) > maxKey:
			return invalid(codeInvalid, "body.metadata", "expected keys of 1 to 100 characters")
		case len([]rune(v)) > maxValue:
			return invalid(codeInvalid, field, "expected length <= 1000")
		}
		texts[field] = k + lines.Replace(v)
	}
	for field, s := range texts {
		if strings.ContainsFunc(s, text.Hidden) {
			return invalid(codeInvalid, field, "expected text without control characters")
		}
	}
	return nil
}

// cursorVersion lets a later server tell cursors of another form apart.
const cursorVersion = "v1:"

// cursor goes on below id.
func cursor(id video.ID) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursorVersion + string(id)))
}

// readCursor returns the id to go on below, empty for the first page, and whether s is a cursor.
func readCursor(s string) (video.ID, bool) {
	if s == "" {
		return "", true
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	id, ok := strings.CutPrefix(string(b), cursorVersion)
	if err != nil || !ok {
		return "", false
	}
	return video.ParseID(id)
}
