package api

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/account"
	"sluice/internal/fault"
	"sluice/internal/upload"
	"sluice/internal/video"
)

// UploadRequest asks for the right to put one source.
type UploadRequest struct {
	Filename    string    `json:"filename" minLength:"1" maxLength:"255" pattern:"^[^\\x00-\\x1f\\x7f]+$" patternDescription:"free of control characters" example:"holiday.mp4" doc:"Name of the file, with its suffix; becomes the video's name"`
	ContentType string    `json:"content_type,omitempty" maxLength:"255" pattern:"^([!-~]+/[!-~][ -~]*)?$" patternDescription:"a media type such as video/mp4" example:"video/mp4" doc:"Media type of the file. It is signed, so the PUT must carry it. Absent: any"`
	Size        int64     `json:"size,omitempty" minimum:"1" maximum:"9007199254740991" example:"73400320" doc:"Bytes of the file. It is signed, so the PUT must carry exactly as many. Absent: any"`
	Settings    *Settings `json:"settings,omitempty" doc:"How to encode it"`
	Workspace   string    `json:"workspace,omitempty" maxLength:"60" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"free of control characters" example:"main" doc:"Id of the workspace where the video will lie. Absent: main, or the first of the uploader's own"`
	Policy      string    `json:"playback_policy,omitempty" enum:"public,signed,members" example:"signed" doc:"Who may watch it. Absent: the server's default"`
}

// Settings are what may be chosen for one encode.
type Settings struct {
	MaxResolution int `json:"max_resolution,omitempty" enum:"240,360,480,720,1080,1440,2160" example:"1080" doc:"Largest short side of a rendition, in pixels. A source is never made larger. Absent: the server's default"`
}

// Upload is the right to put one source.
type Upload struct {
	ID      string            `json:"id" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"The id of the video that the source will become"`
	URL     string            `json:"url,omitempty" format:"uri" example:"http://localhost:8080/uploads/holiday.mp4?X-Amz-Signature=…" doc:"Where to PUT the file; the signature is in it. Absent where parts is given"`
	Parts   *Parts            `json:"parts,omitempty" doc:"Says that the file is larger than the storage takes in one PUT: send it in these parts, to the URLs of POST /v1/uploads/{id}/parts. Only a request with size can get it"`
	Method  string            `json:"method" enum:"PUT" example:"PUT" doc:"The HTTP method to use"`
	Headers map[string]string `json:"headers" example:"{\"Content-Type\":\"video/mp4\"}" doc:"Headers that the request must carry, because they are signed"`
	Expires Time              `json:"expires" doc:"When the URL stops working; a PUT that has begun by then may end. An upload in parts goes on after it: ask for URLs again"`
	Video   string            `json:"video" format:"uri" example:"http://localhost:8080/v1/videos/01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"Where to follow the video"`
}

// Parts says how a file is divided.
type Parts struct {
	Size  int64 `json:"size" example:"67108864" doc:"Bytes of each part but the last, which has the rest"`
	Count int   `json:"count" maximum:"10000" example:"96" doc:"How many parts there are; they are numbered from 1"`
}

// PartsRequest asks for the URLs of some parts.
type PartsRequest struct {
	First int `json:"first" minimum:"1" maximum:"10000" example:"1" doc:"Number of the first part"`
	Count int `json:"count" minimum:"1" maximum:"100" example:"20" doc:"How many parts"`
}

// Part is the right to put one part of a file.
type Part struct {
	Number int    `json:"number" example:"1" doc:"Number of the part, from 1"`
	Size   int64  `json:"size" example:"67108864" doc:"Bytes of the part. They are signed, so the PUT must carry exactly as many"`
	URL    string `json:"url" format:"uri" example:"https://s3.example.com/uploads/holiday.mp4?partNumber=1&X-Amz-Signature=…" doc:"Where to PUT the part; the signature is in it"`
}

// PartPage is the right to put some parts of a file.
type PartPage struct {
	Parts   []Part `json:"parts" doc:"In the order of their numbers; fewer than were asked for at the end of the file"`
	Expires Time   `json:"expires" doc:"When the URLs stop working; a PUT that has begun by then may end. Ask again then"`
}

type partsInput struct {
	ID   string `path:"id" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"The upload's id"`
	Body PartsRequest
}

type partsOutput struct {
	Body PartPage
}

// Completed is an upload whose file the server has looked for.
type Completed struct {
	ID       string `json:"id" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"The id of the upload and of its video"`
	Status   string `json:"status" enum:"waiting,processing,ready,failed" example:"waiting" doc:"Status of the video"`
	Received Time   `json:"received,omitzero" doc:"When the file was recorded as the video's source; absent while the server still copies it"`
	Bytes    int64  `json:"bytes,omitempty" example:"73400320" doc:"Bytes of the file; absent while the server still copies it"`
	Video    string `json:"video" format:"uri" example:"http://localhost:8080/v1/videos/01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"Where to follow the video"`
}

type completeInput struct {
	ID string `path:"id" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"The upload's id"`
}

type completeOutput struct {
	Status   int
	Location string `header:"Location" doc:"Where to follow the video"`
	Body     Completed
}

type grantInput struct {
	Body UploadRequest
}

type grantOutput struct {
	Location string `header:"Location" doc:"Where to follow the video"`
	Body     Upload
}

func (s *service) routeUploads() {
	route(s, needs(account.UploadsWrite), huma.Operation{OperationID: "createUpload", Method: http.MethodPost, Path: "/v1/uploads", Tags: []string{"uploads"},
		Summary: "Ask for the right to put one source",
		Description: "Answers with an address to PUT the file to, which needs no token, and with the id of the video that it will become. " +
			"A file whose size is over what the server's storage takes in one PUT (Amazon S3: 5 GiB) gets parts instead of url. " +
			"The video waits until the file is there; after the PUT, POST /v1/uploads/{id}/complete has the server look at once. An upload that has expired without a file is of no use: ask for another.",
		DefaultStatus: http.StatusCreated, MaxBodyBytes: smallBody},
		problems{http.StatusRequestEntityTooLarge: {"too_large"}, http.StatusUnsupportedMediaType: {"unsupported_type"},
			http.StatusForbidden:           {codeForbidden},
			http.StatusUnprocessableEntity: {"bad_filename", "bad_content_type", codeNoWorkspace}, http.StatusServiceUnavailable: {"disk_full", "storage_unavailable"}}, s.grant)
	route(s, needs(account.UploadsWrite), huma.Operation{OperationID: "createUploadParts", Method: http.MethodPost, Path: "/v1/uploads/{id}/parts", Tags: []string{"uploads"},
		Summary: "Ask for the right to put parts of a source",
		Description: "Answers with addresses to PUT parts of the file to, of an upload that was answered with parts. Ask for the parts that are sent next, and again once their URLs have expired; " +
			"a part may be sent again, and the last PUT counts. ETags need not be kept: POST /v1/uploads/{id}/complete, once all parts were answered with 2xx, uses the parts that the storage lists. " +
			"An upload to which no part comes for sweep.after (a day) is removed. It takes the same credentials as POST /v1/uploads/{id}/complete.",
		DefaultStatus: http.StatusOK, MaxBodyBytes: smallBody},
		problems{http.StatusNotFound: {codeNoUpload}, http.StatusConflict: {"no_parts"}}, s.parts)
	route(s, needs(account.UploadsWrite), huma.Operation{OperationID: "completeUpload", Method: http.MethodPost, Path: "/v1/uploads/{id}/complete", Tags: []string{"uploads"},
		Summary: "Say that the file of an upload was PUT",
		Description: "The server looks for the file at once and records it as the source of its video. Call it after the PUT, or the PUT of each part, was answered with 2xx, as often as needed: " +
			"once the file is recorded, each call answers 200. 202 says that the server has found the file and has not copied it completely: it continues, and the copy can still fail, so only 200 proves that the file is kept. " +
			"On the embedded storage the PUT itself records the file. On another S3 storage the server also looks for the file by itself; see waiting of the video. " +
			"It takes the same credentials as POST /v1/uploads: an upload into a workspace that the caller may not put videos into is answered as one that does not exist.",
		Responses: map[string]*huma.Response{"202": {Description: "The server has found the file and continues to copy it", Content: map[string]*huma.MediaType{
			"application/json": {Schema: s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Completed](), true, "Completed")}}}}},
		problems{http.StatusNotFound: {codeNoUpload}, http.StatusConflict: {"not_uploaded", "parts_missing", "wrong_size"}, http.StatusGone: {"upload_expired"},
			http.StatusServiceUnavailable: {"storage_unavailable", "storage_refused", "storage_slow"}}, s.complete)
}

// uploadOf is the id of an upload into a workspace that the caller may put videos into.
func (s *service) uploadOf(ctx context.Context, text string) (video.ID, error) {
	id, ok := video.ParseID(text)
	if !ok {
		return "", noUpload()
	}
	v, err := s.Videos.Video(ctx, id)
	if fault.Is(err, fault.NotFound) || err == nil && !who(ctx).MayPut(v.Workspace) {
		return "", noUpload()
	}
	return id, err
}

func (s *service) parts(ctx context.Context, in *partsInput) (*partsOutput, error) {
	id, err := s.uploadOf(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	parts, expires, err := s.Uploads.Parts(ctx, id, in.Body.First, in.Body.Count)
	if fault.Is(err, fault.NotFound) {
		return nil, noUpload()
	}
	if err != nil {
		return nil, err
	}
	out := &partsOutput{Body: PartPage{Parts: []Part{}, Expires: Time(expires)}}
	for _, p := range parts {
		out.Body.Parts = append(out.Body.Parts, Part(p))
	}
	return out, nil
}

func (s *service) complete(ctx context.Context, in *completeInput) (*completeOutput, error) {
	id, err := s.uploadOf(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	received, err := s.Uploads.Complete(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return nil, noUpload()
	}
	if err != nil {
		return nil, err
	}
	v, err := s.Videos.Video(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return nil, noUpload() // deleted meanwhile
	} else if err != nil {
		return nil, err
	}
	out := &completeOutput{Status: http.StatusAccepted, Location: s.follow(id)}
	out.Body = Completed{ID: string(id), Status: string(v.Status), Received: Time(v.Received), Video: out.Location}
	if v.Source != nil {
		out.Body.Bytes = v.Source.Size
	}
	if received {
		out.Status = http.StatusOK
	}
	return out, nil
}

// follow is where a video is followed.
func (s *service) follow(id video.ID) string { return s.PublicURL + "/v1/videos/" + string(id) }

func (s *service) grant(ctx context.Context, in *grantInput) (*grantOutput, error) {
	r := upload.Request{Filename: in.Body.Filename, ContentType: in.Body.ContentType, Size: in.Body.Size}
	if in.Body.Settings != nil {
		r.Settings = video.Settings{MaxResolution: in.Body.Settings.MaxResolution}
	}
	p := who(ctx)
	workspace, err := home(p, in.Body.Workspace)
	if err != nil {
		return nil, err
	}
	r.Owner, r.Workspace, r.Policy = p.ID, workspace, video.Policy(in.Body.Policy)
	up, err := s.Uploads.Grant(ctx, r)
	if err != nil {
		return nil, err
	}
	follow := s.follow(up.Video)
	headers := up.Header
	if headers == nil {
		headers = map[string]string{}
	}
	out := &grantOutput{Location: follow, Body: Upload{ID: string(up.Video), URL: up.URL, Method: http.MethodPut, Headers: headers,
		Expires: Time(up.Expires), Video: follow}}
	if up.Multipart != "" {
		out.Body.Parts = &Parts{Size: up.Part, Count: up.Parts()}
	}
	return out, nil
}
