package api

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/account"
	"sluice/internal/video"
)

// Playbacks is what the playback routes need of the store. Each method is one transaction.
type Playbacks interface {
	// Playbacks returns all playbacks of a video, the oldest first, with those that were revoked.
	Playbacks(ctx context.Context, id video.ID) ([]video.PlaybackForm, error)
	// PlaybackForm returns one that is not revoked; fault.NotFound for none.
	PlaybackForm(ctx context.Context, id video.ID, p video.PlaybackID) (video.PlaybackForm, error)
	// AddPlayback makes one. fault.Conflict where there are too many.
	AddPlayback(ctx context.Context, p video.PlaybackForm) (video.PlaybackForm, error)
	// EditPlayback changes one that is not revoked.
	EditPlayback(ctx context.Context, id video.ID, p video.PlaybackID, edit video.PlaybackEdit) (video.PlaybackForm, error)
	// RevokePlayback ends one for ever.
	RevokePlayback(ctx context.Context, id video.ID, p video.PlaybackID) error
}

// PlaybackRequest asks for one more way to watch a video.
type PlaybackRequest struct {
	Name          string   `json:"name,omitempty" maxLength:"100" example:"Partner site" doc:"For people, to tell it from others"`
	Policy        string   `json:"policy,omitempty" enum:"public,signed,members" example:"signed" doc:"Who may watch by it. Absent: as the video says"`
	Origins       []string `json:"origins,omitempty" maxItems:"20" maxLength:"200" example:"[\"https://www.example.com\"]" doc:"Origins of the pages that may play it. Absent: any page"`
	MaxResolution int      `json:"max_resolution,omitempty" enum:"240,360,480,720,1080,1440,2160" example:"720" doc:"Largest short side in pixels that is given out. Absent: all there is"`
}

// PlaybackEdit is a JSON merge patch (RFC 7396) of a playback.
type PlaybackEdit struct {
	Name          change[string]   `json:"name,omitempty" maxLength:"100" example:"Partner site" doc:"null empties it"`
	Policy        change[string]   `json:"policy,omitempty" enum:"public,signed,members" example:"members" doc:"null for as the video says"`
	Origins       change[[]string] `json:"origins,omitempty" maxItems:"20" maxLength:"200" example:"[\"https://www.example.com\"]" doc:"null for any page"`
	MaxResolution change[int]      `json:"max_resolution,omitempty" enum:"240,360,480,720,1080,1440,2160" example:"720" doc:"null for all there is"`
}

// PlaybackID is one way to watch a video, apart from its own address.
type PlaybackID struct {
	ID            string   `json:"id" example:"p-01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"Stands in addresses in the place of the video"`
	Name          string   `json:"name" example:"Partner site" doc:"For people; empty for none"`
	Policy        string   `json:"policy,omitempty" enum:"public,signed,members" example:"signed" doc:"Who may watch by it; absent where that is as the video says"`
	Origins       []string `json:"origins" example:"[\"https://www.example.com\"]" doc:"Origins of the pages that may play it; empty for any"`
	MaxResolution int      `json:"max_resolution,omitempty" example:"720" doc:"Largest short side in pixels that is given out; absent for all there is"`
	Of            string   `json:"of,omitempty" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"Of one that a grant with a cap made: the video or the playback id that the grant was for, which it follows"`
	HLS           string   `json:"hls,omitempty" format:"uri" example:"http://localhost:8080/stream/p-01jq3v8k2m4n5p6r7s8t9v0w1x/1/index.m3u8" doc:"Its HLS multivariant playlist; absent until playable"`
	DASH          string   `json:"dash,omitempty" format:"uri" example:"http://localhost:8080/stream/p-01jq3v8k2m4n5p6r7s8t9v0w1x/1/index.mpd" doc:"Its DASH MPD; absent until playable"`
	Created       Time     `json:"created" doc:"When it was made"`
	Revoked       Time     `json:"revoked,omitzero" doc:"When it was ended; absent while it is good"`
}

// PlaybackList is all playbacks of a video.
type PlaybackList struct {
	Items []PlaybackID `json:"items" doc:"The oldest first"`
}

type addPlaybackInput struct {
	ID   string `path:"id" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"The video's id"`
	Body PlaybackRequest
}

type playbackInput struct {
	ID       string `path:"id" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"The video's id"`
	Playback string `path:"playback" example:"p-01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"The playback id"`
}

type editPlaybackInput struct {
	ID       string `path:"id" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"The video's id"`
	Playback string `path:"playback" example:"p-01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"The playback id"`
	Body     PlaybackEdit
}

type playbackOutput struct {
	Body PlaybackID
}

type playbacksOutput struct {
	Body PlaybackList
}

func (s *service) routePlaybacks() {
	tags := []string{"playback"}
	const all, one = "/v1/videos/{id}/playbacks", "/v1/videos/{id}/playbacks/{playback}"
	absent := problems{http.StatusNotFound: {codeNoVideo, codeNoPlayback}, http.StatusForbidden: {codeForbidden}}
	route(s, needs(account.VideosWrite), huma.Operation{OperationID: "listPlaybacks", Method: http.MethodGet, Path: all, Tags: tags,
		Summary: "List the playback ids of a video, with those that were revoked"},
		problems{http.StatusNotFound: {codeNoVideo}, http.StatusForbidden: {codeForbidden}}, s.playbacks)
	route(s, needs(account.VideosWrite), huma.Operation{OperationID: "addPlayback", Method: http.MethodPost, Path: all, Tags: tags,
		Summary:       "Make a playback id: one more address of a video, with its own policy, origins and cap",
		Description:   "The media is the same. Each can be revoked without touching the others.",
		DefaultStatus: http.StatusCreated, MaxBodyBytes: smallBody},
		problems{http.StatusNotFound: {codeNoVideo}, http.StatusForbidden: {codeForbidden}, http.StatusConflict: {"too_many_playbacks"}}, s.addPlayback)
	route(s, needs(account.VideosWrite), huma.Operation{OperationID: "getPlayback", Method: http.MethodGet, Path: one, Tags: tags,
		Summary: "Get one playback id"}, absent, s.playback)
	route(s, needs(account.VideosWrite), huma.Operation{OperationID: "editPlayback", Method: http.MethodPatch, Path: one, Tags: tags,
		Summary: "Change a playback id", Description: "What is absent stays as it is. Edges heed it within two seconds.", MaxBodyBytes: smallBody},
		problems{http.StatusNotFound: {codeNoVideo, codeNoPlayback}, http.StatusForbidden: {codeForbidden}, http.StatusConflict: {"playback_follows"}}, s.editPlayback)
	route(s, needs(account.VideosWrite), huma.Operation{OperationID: "revokePlayback", Method: http.MethodDelete, Path: one, Tags: tags,
		Summary: "Revoke a playback id for ever", Description: "Whoever watches by it gets no further segment, within two seconds. The video and its other playback ids stay.",
		DefaultStatus: http.StatusNoContent}, absent, s.revokePlayback)
}

func (s *service) playbacks(ctx context.Context, in *videoInput) (*playbacksOutput, error) {
	v, err := s.changeable(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	all, err := s.Playbacks.Playbacks(ctx, v.ID)
	if err != nil {
		return nil, err
	}
	list := PlaybackList{Items: make([]PlaybackID, 0, len(all))}
	for _, p := range all {
		list.Items = append(list.Items, s.playbackID(v, p))
	}
	return &playbacksOutput{Body: list}, nil
}

func (s *service) addPlayback(ctx context.Context, in *addPlaybackInput) (*playbackOutput, error) {
	v, err := s.changeable(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	origins, err := readOrigins(in.Body.Origins)
	if err == nil {
		err = checkName(in.Body.Name)
	}
	if err != nil {
		return nil, err
	}
	p, err := s.Playbacks.AddPlayback(ctx, video.PlaybackForm{ID: video.NewPlaybackID(s.Now()), Video: v.ID, Name: in.Body.Name,
		Policy: video.Policy(in.Body.Policy), Origins: origins, MaxResolution: in.Body.MaxResolution})
	if err != nil {
		return nil, err
	}
	return &playbackOutput{Body: s.playbackID(v, p)}, nil
}

func (s *service) playback(ctx context.Context, in *playbackInput) (*playbackOutput, error) {
	v, err := s.changeable(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	p, err := s.Playbacks.PlaybackForm(ctx, v.ID, video.PlaybackID(in.Playback))
	if err != nil {
		return nil, err
	}
	return &playbackOutput{Body: s.playbackID(v, p)}, nil
}

func (s *service) editPlayback(ctx context.Context, in *editPlaybackInput) (*playbackOutput, error) {
	v, err := s.changeable(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	b := in.Body
	if b.Origins.value, err = readOrigins(b.Origins.value); err == nil {
		err = checkName(b.Name.value)
	}
	if err != nil {
		return nil, err
	}
	edit := video.PlaybackEdit{Name: b.Name.pointer(), Origins: b.Origins.pointer(), MaxResolution: b.MaxResolution.pointer()}
	if b.Policy.set {
		edit.Policy = new(video.Policy(b.Policy.value))
	}
	p, err := s.Playbacks.EditPlayback(ctx, v.ID, video.PlaybackID(in.Playback), edit)
	if err != nil {
		return nil, err
	}
	return &playbackOutput{Body: s.playbackID(v, p)}, nil
}

func (s *service) revokePlayback(ctx context.Context, in *playbackInput) (*struct{}, error) {
	v, err := s.changeable(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.Playbacks.RevokePlayback(ctx, v.ID, video.PlaybackID(in.Playback))
}

// readOrigins returns origins as browsers send them (RFC 6454 §6.2), each once.
func readOrigins(texts []string) ([]string, error) {
	var all []string
	for _, text := range texts {
		u, err := url.Parse(strings.ToLower(text))
		plain := !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"'<>\\*,;", r) })
		if err != nil || !plain || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Scheme+"://"+u.Host != strings.ToLower(text) {
			return nil, invalid(codeInvalid, "body.origins", "expected origins such as https://www.example.com: a scheme, a host and perhaps a port, in ASCII")
		}
		host := u.Host
		if port := u.Port(); port == map[string]string{"http": "80", "https": "443"}[u.Scheme] {
			host = strings.TrimSuffix(host, ":"+port)
		}
		all = append(all, u.Scheme+"://"+host)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// checkName refuses what is no line of text.
func checkName(name string) error {
	return plainText("body.name", name)
}

func (s *service) playbackID(v video.Video, p video.PlaybackForm) PlaybackID {
	out := PlaybackID{ID: string(p.ID), Name: p.Name, Policy: string(p.Policy), Origins: p.Origins, MaxResolution: p.MaxResolution, Of: p.Base,
		Created: Time(p.Created), Revoked: Time(p.Revoked)}
	if out.Origins == nil {
		out.Origins = []string{}
	}
	if v.Output != nil && p.Revoked.IsZero() {
		out.HLS, out.DASH = s.address(through(v, p.ID, v.Output.HLS)), s.address(through(v, p.ID, v.Output.DASH))
	}
	return out
}

// through is the key of an object of a video as it is addressed by a playback id.
func through(v video.Video, p video.PlaybackID, key string) string {
	below, ok := strings.CutPrefix(key, v.Prefix+"/")
	if !ok {
		return ""
	}
	return path.Dir(v.Prefix) + "/" + string(p) + "/" + below
}
