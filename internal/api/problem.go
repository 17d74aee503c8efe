package api

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/fault"
)

// Problem is the body of every error: a problem document (RFC 9457) with a stable code.
type Problem struct {
	Type   string       `json:"type" example:"about:blank" doc:"Always about:blank: the code tells problems apart"`
	Title  string       `json:"title" example:"Not Found" doc:"The HTTP status in words"`
	Status int          `json:"status" example:"404" doc:"The HTTP status"`
	Detail string       `json:"detail" example:"There is no video with this id." doc:"A sentence that says what to do; its wording may change"`
	Code   string       `json:"code" example:"no_video" doc:"Stable name of the problem, for programs"`
	Errors []FieldError `json:"errors,omitempty" doc:"What is wrong with which field; only with code invalid_request and bad_json"`

	wait int // seconds until trying again may help; 0 for a few
}

// FieldError names one field that was refused.
type FieldError struct {
	Field   string `json:"field" example:"body.title" doc:"Where: body, path or query, then the way to the field"`
	Message string `json:"message" example:"expected length <= 200" doc:"What was expected"`
}

// The codes that this room itself gives. Those of the media and of storage come from the rooms that find them.
const (
	codeBadJSON     = "bad_json"
	codeNoBody      = "body_required"
	codeNotFound    = "not_found"
	codeNoVideo     = "no_video"
	codeNoUpload    = "no_upload"
	codeMethod      = "method_not_allowed"
	codeTimeout     = "request_timeout"
	codeTooLarge    = "body_too_large"
	codeContentType = "unsupported_content_type"
	codeInvalid     = "invalid_request"
	codeCursor      = "bad_cursor"
	codeAddress     = "bad_address"

	codeUncancelable = "job_not_cancelable"

	codeRedirect        = "bad_redirect"
	codeNoSecret        = "no_secret"
	codeNoProvider      = "no_provider"
	codeRequestGone     = "request_gone"
	codeSessionRequired = "session_required"
	codeSignInAgain     = "sign_in_again"
	codePasswordsOff    = "passwords_off"

	codeUnauthorized = "unauthorized"
	codeMissingScope = "missing_scope"
	codeMustProve    = "second_factor_required"
	codeMustChange   = "password_change_required"
	codeMustEnrol    = "second_factor_enrolment_required"
	codeCrossSite    = "cross_site"
	codeForbidden    = "forbidden"
	codeNoWorkspace  = "no_workspace"
	codeNoKeyPair    = "no_key_pair"
	codeNoPlayback   = "no_playback"
)

// meaning of the codes that operations list in the reference.
var meaning = map[string]string{
	codeBadJSON:              "the body is not JSON",
	codeNoBody:               "the request needs a JSON body",
	codeNoVideo:              "there is no video with this id",
	codeNoUpload:             "there is no upload with this id",
	"not_uploaded":           "no file was PUT to the upload's URL yet",
	"parts_missing":          "the storage does not have all parts of the upload; the detail names the first that is missing",
	"no_parts":               "the upload takes no parts: its file goes to its URL in one PUT, or was received",
	"wrong_size":             "the file, or a part of it, has another size than the upload was granted for",
	"upload_expired":         "the upload has expired, and no file is there",
	"storage_slow":           "the storage did not say in time whether the file is there; try again after Retry-After seconds",
	"storage_refused":        "the storage refuses the server's keys",
	codeTimeout:              "the body came too slowly",
	codeTooLarge:             "the body is over the limit",
	codeContentType:          "the body is not application/json",
	codeInvalid:              "a field is unknown or has a wrong value; errors names it",
	codeCursor:               "the cursor was not made by this server",
	codeAddress:              "the address is not one mail address, or not in ASCII",
	"bad_filename":           "the filename is empty, too long or not UTF-8",
	"bad_content_type":       "the content type is not a media type",
	codeUnauthorized:         "nobody is signed in: no credentials, or some that are not valid",
	codeMissingScope:         "the credentials have not the scope that this asks for",
	codeMustProve:            "the second factor was not shown yet; show it first",
	codeMustChange:           "the password is a temporary one; change it first",
	codeMustEnrol:            "the server asks for a second factor, and there is none yet; set one up first",
	codeCrossSite:            "a page of another origin sent this, and browsers do so without asking the person",
	codeNoWorkspace:          "there is no such workspace",
	codeForbidden:            "it can be seen with these credentials, and not changed; or nothing may be put there",
	"no_source":              "the source has not been uploaded yet",
	"busy":                   "an encode of this video is under way; wait for it",
	"unsupported_type":       "the filename's suffix is not one that makes a video here",
	"too_large":              "the size is over the server's limit",
	"bad_event":              "the body is no event of a storage that is known",
	"events_off":             "the server takes no events: events.token is not set",
	"no_subscription":        "there is no subscription with this id",
	"no_purge":               "this server tells no CDN what to drop (setting cdn.purge_url)",
	"too_many_subscriptions": "there are as many subscriptions as may be (100)",
	"internal":               "a failure of the server; try again",
	"disk_full":              "the server's disk is low; try again after Retry-After seconds",
	"storage_unavailable":    "the server's storage is away; try again after Retry-After seconds",
	"database_unavailable":   "the server's database is away; try again after Retry-After seconds",
	"timeout":                "the server took too long; try again after Retry-After seconds",
	"no_job":                 "there is no job with this id, or it ended well and was forgotten",
	"no_queue":               "there is no queue of this name",
	"bad_limit":              "a limit is 0 to 128",
	"job_running":            "the job is running",
	"job_done":               "the job, or the encode that it belongs to, is over",
	"not_failed":             "nothing has failed that could be redriven",
	codeUncancelable:         "the job is a removal",
	"sign_in_failed":         "e-mail address and password don't go together, or the account can't be used",
	"try_later":              "there were too many tries; try again after Retry-After seconds",
	"session_required":       "only who is signed in with a browser may do this",
	"wrong_password":         "the current password is another one",
	"weak_password":          "the password has less than 12 or more than 128 characters, or is easy to guess",
	"wrong_code":             "the code is wrong, was used, or is too old",
	"factor_not_asked":       "the session needs no second factor, or has shown it",
	"factor_lost":            "the server can't read what the app's codes are checked by; a recovery code is good",
	"offer_gone":             "no second factor waits for its first code, or for over 15 minutes",
	"password_required":      "the password is to be sent too",
	"code_required":          "a code of the second factor is to be sent too",
	"no_factor":              "there is no second factor",
	"factor_demanded":        "the server asks for a second factor, so it can be replaced and not removed",
	"own_factor":             "one's own second factor is changed by password and code alone",
	"password_changed":       "the password was changed meanwhile",
	"code_gone":              "the link is wrong, used, replaced by a newer one or over an hour old",
	"link_gone":              "the one-time link of the server's start was used, is over an hour old, or is of an earlier start",
	"no_user":                "there is no user with this id",
	"no_session":             "there is no session with this id",
	"no_token":               "there is no token with this id",
	"no_program":             "the program holds nothing of the user",
	"no_letter":              "there is no letter with this id",
	"no_such_workspace":      "one of the workspaces does not exist",
	"email_taken":            "there is a user with this e-mail address",
	"last_admin":             "this is the last administrator who can sign in",
	"not_invited":            "the user has accepted the invitation",
	"user_disabled":          "the user is disabled",
	"external_user":          "the user signs in by another issuer",
	"too_many_tokens":        "the user has as many tokens as they may (50)",
	"bad_expiry":             "a token ends in the future, 366 days away at most",
	"workspace_taken":        "there is a workspace with this id",
	"workspace_in_use":       "users or videos belong to the workspace, or it is the default one",
	"no_client":              "there is no client with this id",
	"too_many_clients":       "there are as many clients as may be (1000)",
	codeRedirect:             "an address is none that people may be sent back to",
	codeNoSecret:             "a client of this kind has no secret",
	codeNoProvider:           "another issuer gives the tokens",
	codeRequestGone:          "the sign-in for a program has expired, or the program is no longer registered",
	codePasswordsOff:         "people sign in by another issuer alone",
	codeSignInAgain:          "the program asks for a newer sign-in",
	codeNoKeyPair:            "there is no key pair with this id",
	codeNoPlayback:           "the video has no such playback id, or it was revoked",
	"key_id_taken":           "another key pair has this id",
	"key_ends_earlier":       "the key pair ends earlier, and an end is not put off",
	"key_not_retired":        "the key pair is not retired yet",
	"key_malformed":          "the PEM is not one key",
	"key_unsupported":        "the key is neither RSA with 2048 bits nor ECDSA on P-256",
	"key_encrypted":          "the key is encrypted",
	"key_bad_id":             "the id has characters that don't fit into a URL",
	"too_many_key_pairs":     "there are as many key pairs as may be (1,000)",
	"too_many_playbacks":     "the video has had as many playback ids as may be (1,000)",
	"playback_follows":       "a grant with a cap made this playback id, and it follows another",
	"not_playable":           "the video can't be watched yet",
	"grant_bad_time":         "the grant would be too long, or end before it begins",
	"grant_bad_path":         "the path is not that of a file below a generation",
	"grant_not_whole":        "everything can't be granted with a path, a cap or a manifest",
}

func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus is the HTTP status, for huma.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is the media type of problem documents (RFC 9457 §3), for huma.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders says when to try again, for huma.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests {
		h.Set("Retry-After", strconv.Itoa(cmp.Or(p.wait, 5)))
	}
	return h
}

// huma keeps these settings for the whole process, so they are set once, before any API is made.
func init() {
	huma.NewError = newProblem
	// A list that is empty is [] and never null.
	huma.DefaultArrayNullable = false
	// encoding/json would take {"TITLE": …} for title after huma had looked for "title" alone, and so past its limits.
	huma.ValidateStrictCasing = true
}

// newProblem makes the problem document of an error that huma found in a request.
func newProblem(status int, msg string, errs ...error) huma.StatusError {
	p := &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: codeInvalid}
	for _, err := range errs {
		if d, ok := err.(huma.ErrorDetailer); ok && d.ErrorDetail() != nil {
			e := d.ErrorDetail()
			p.Errors = append(p.Errors, FieldError{Field: e.Location, Message: e.Message})
		}
	}
	slices.SortFunc(p.Errors, func(a, b FieldError) int { return strings.Compare(a.Field, b.Field) })
	switch status {
	case http.StatusBadRequest:
		p.Code, p.Detail = codeBadJSON, "The body is not JSON: "+sentence(p.Errors, msg)
		if len(p.Errors) == 0 {
			p.Code, p.Detail = codeNoBody, "Send a JSON object as the body of this request."
		}
	case http.StatusRequestTimeout:
		p.Code, p.Detail = codeTimeout, "The body came too slowly; send it again."
	case http.StatusRequestEntityTooLarge:
		p.Code, p.Detail = codeTooLarge, "The body is too large; leave something out."
	case http.StatusUnsupportedMediaType:
		p.Code, p.Detail = codeContentType, "Send the body as Content-Type: application/json."
	case http.StatusUnprocessableEntity:
		p.Detail = "The request is not valid: " + sentence(p.Errors, msg)
	default:
		return problemOf(errors.New(msg)) // internal: msg stays here
	}
	return p
}

// sentence names the first field that was refused, and how many more there are.
func sentence(errs []FieldError, otherwise string) string {
	if len(errs) == 0 {
		return otherwise + "."
	}
	s := errs[0].Field + ": " + errs[0].Message + "."
	if n := len(errs) - 1; n > 0 {
		s += fmt.Sprintf(" And %d more.", n)
	}
	return s
}

// problemOf is the problem document of err.
func problemOf(err error) *Problem {
	p := fault.ProblemOf(err)
	return &Problem{Type: p.Type, Title: p.Title, Status: p.Status, Detail: p.Detail, Code: p.Code}
}

// invalid is the problem of one field that the schema cannot describe.
func invalid(code, field, message string) *Problem {
	p := problemOf(fault.New(fault.Invalid, "api", code, "The request is not valid: "+field+": "+message+".", nil))
	p.Errors = []FieldError{{Field: field, Message: message}}
	return p
}

// noPlayback is the problem of a playback id that is none.
func noPlayback() *Problem {
	return problemOf(fault.New(fault.NotFound, "api", codeNoPlayback, "There is no such playback id, or it was revoked.", nil))
}

// noUpload is the problem of an id that names no upload, or one that isn't the caller's.
func noUpload() *Problem {
	return problemOf(fault.New(fault.NotFound, "api", codeNoUpload, "There is no upload with this id.", nil))
}

// noVideo is the problem of an id that names no video, well formed or not.
func noVideo() *Problem {
	return problemOf(fault.New(fault.NotFound, "api", codeNoVideo, "There is no video with this id.", nil))
}
