// Package api is the JSON API: one file per noun, its OpenAPI 3.1 description made from the same Go types that it
// reads and writes.
//
// It promises that every answer is JSON (but one image): what was asked for, or a problem document (RFC 9457) with a stable code. A
// request is read strictly: an unknown field or query parameter is refused by name, and no body is read past its
// limit. A request costs one or two transactions of the store. Nothing is kept between requests, so any number of
// servers answer alike. Who asks is decided before a request comes here, and is in its context (account.With); whether they may is decided here, by the
// scope that each route declares and by account's policy on each video.
package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"sluice/internal/account"
	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/upload"
	"sluice/internal/video"
)

// Config is what the API works on.
type Config struct {
	Videos        Videos
	History       History
	Errors        Errors
	Subscriptions Subscriptions
	Uploads       UploadCreator
	Notices       Listener
	Sweeper       Sweeper
	Reconciler    Reconciler
	// ReconcileEvery is the time between two comparisons.
	ReconcileEvery time.Duration
	// Looks says that the server has to look for sources: the storage does not report each object before its client has
	// an answer.
	Looks    bool
	Identity Identity
	// Mail says whether letters to users are sent; LetterText is what one says.
	Mail       bool
	LetterText func(l account.Message) (subject, text string)
	Demand     account.SecondFactorPolicy // who must have a second factor; empty for nobody
	Clients    ClientStore
	SignIns    SignIns  // nil where an external issuer signs people in
	KeyRing    KeyRing  // nil where an external issuer gives the tokens
	Issuers    []Issuer // whom people may sign in by, beside passwords
	IssuerOnly bool     // passwords are good for nothing
	Links      Links    // that the start of the server printed
	// Leave returns where a browser signs out at the issuer too, from what its session kept for that; empty for nowhere. nil where none does.
	Leave        func(ctx context.Context, hint string) string
	ClientSecret func() (text, hash string) // makes a client's secret, and what the store keeps of it
	KeyPairs     KeyPairs
	Playbacks    Playbacks
	Giver        PlaybackGranter
	CookieRules  CookieRules   // of the cookies that grants travel in
	LongestGrant time.Duration // that may be asked for
	// Delete makes the work that follows the deletion of a video, and Encode the work that begins a generation.
	Delete func(v video.Video) []engine.Job
	Encode func(id video.ID, generation int) []engine.Job
	// Jobs and Queues are the engine, Redriver the store. StepOf tells which step a job tries to advance, StepJobs makes the work of a step that is due again, and
	// Abandon the work that follows a cancel.
	Jobs   Jobs
	Queues Queues
	// Standings is the engine. Nil, as in tests, leaves out where videos stand in their queues.
	Standings QueuePositions
	Redriver  Redriver
	Copies    CDNCopies
	StepOf    func(j engine.Job) (ref video.StepRef, ok bool)
	StepJobs  func(ref video.StepRef) []engine.Job
	Abandon   func(ref video.StepRef) []engine.Job
	// PublicURL is where this API is reached, EdgeURL where viewers fetch playlists; URL makes the address of an object there from its key, empty
	// for one that has none.
	PublicURL, EdgeURL string
	URL                func(edge, key string) string
	MaxResolution      int          // what settings without one mean, a short side in pixels; 0 for 1080
	Policy             video.Policy // who may watch what names no policy; empty for video.Signed
	Version            string       // of the server, for the OpenAPI document; empty for "1"
	Now                func() time.Time
	Logger             *slog.Logger // told of failures of the server
	// Refused is told of each request that its principal may not make, by the operation's id; nil for nobody.
	Refused func(ctx context.Context, operation string, err error)
}

// UploadCreator gives the right to put a source.
type UploadCreator interface {
	Grant(ctx context.Context, r upload.Request) (video.Upload, error)
	// Complete looks for the source of an upload at once. received is false where the file is there and its copy
	// continues. fault.NotFound for no upload; fault.Conflict,
	// codes "not_uploaded", "parts_missing" and "wrong_size"; fault.Gone, code "upload_expired"; fault.Unavailable, code "storage_slow".
	Complete(ctx context.Context, id video.ID) (received bool, err error)
	// Parts returns the right to put up to count parts of an upload, from the part first on, and when it expires.
	// fault.NotFound for no upload; fault.Conflict, code "no_parts", where it takes no parts.
	Parts(ctx context.Context, id video.ID, first, count int) ([]upload.Part, time.Time, error)
}

// Reconciler compares the storage with the records every so often, in one process of all.
type Reconciler interface {
	// Reconciliation says when that is due next, and whether it runs.
	Reconciliation(ctx context.Context) (engine.DutyState, error)
	// Reconcile makes it due now.
	Reconcile(ctx context.Context) error
}

// limits of request bodies, in bytes: a PATCH may carry every field at its largest, in escaped characters.
const (
	smallBody = 16 << 10
	editBody  = 2 << 20
)

type service struct {
	Config
	api huma.API
}

// New returns the handler of /v1/…, /openapi.json and /openapi.yaml.
func New(c Config) http.Handler {
	c.MaxResolution = cmp.Or(c.MaxResolution, 1080)
	c.Policy = cmp.Or(c.Policy, video.Signed)
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	mux := http.NewServeMux()
	s := &service{Config: c, api: humago.New(mux, document(cmp.Or(c.Version, "1")))}
	s.routeUploads()
	s.routeVideos()
	s.routeEvents()
	s.routeErrors()
	s.routeNotices()
	s.routeSweep()
	s.routeReconcile()
	s.routeSubscriptions()
	s.routeJobs()
	s.routeQueues()
	s.routeSessions()
	s.routeFactors()
	s.routeTokens()
	s.routePrograms()
	s.routeUsers()
	s.routeWorkspaces()
	s.routeAudit()
	s.routeClients()
	s.routeAuthorize()
	s.routeKeyPairs()
	s.routePlaybacks()
	s.routeKeys()
	serveDocument(mux, s.api.OpenAPI())
	mux.HandleFunc("/", fallback(mux))
	return headers(mux)
}

// document is the OpenAPI document before any operation is added. Huma's own pages stay off: its reference page loads a script from elsewhere.
func document(version string) huma.Config {
	c := huma.DefaultConfig("Sluice", version)
	c.OpenAPIPath, c.DocsPath, c.SchemasPath, c.CreateHooks = "", "", "", nil
	c.RejectUnknownQueryParameters = true
	c.Info.Description = "Upload videos, follow them until they can be watched, and change or remove them. " +
		"Every error is a problem document (RFC 9457) whose code is stable. Times are RFC 3339 in UTC with milliseconds, durations are milliseconds, sizes are bytes."
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer":  {Type: "http", Scheme: "bearer", Description: "A personal API token (POST /v1/tokens), an access token (of this server, from /oauth/token, or of the issuer that it trusts instead), or the admin token, which the first start of the server writes to admin.token in its data directory. It goes before a cookie."},
		"session": {Type: "apiKey", In: "cookie", Name: "__Host-sluice", Description: "A browser's session (POST /v1/session); the cookie is called sluice where public_url is http. What changes something must come from the server's own pages."},
		"events":  {Type: "http", Scheme: "bearer", Description: "The token of the setting events.token. Senders that know no header may give it as the password of HTTP basic authentication, under any name."},
	}
	c.Security = []map[string][]string{{"bearer": {}}}
	c.Tags = []*huma.Tag{
		{Name: "uploads", Description: "The right to put one source."},
		{Name: "videos", Description: "What is watched: its state, its renditions and where it plays."},
		{Name: "playback", Description: "Who may watch, and by what: key pairs, playback ids, and grants."},
		{Name: "events", Description: "What happened to a video."},
		{Name: "errors", Description: "What went wrong, over all videos."},
		{Name: "storage", Description: "Storage that tells of its objects, and what is left over there."},
		{Name: "notifications", Description: "Who is told by mail, and of what."},
		{Name: "jobs", Description: "The work on videos, for operators: what waits, runs and failed, and how to try it again."},
		{Name: "sessions", Description: "Signing in and out with a browser, and one's password."},
		{Name: "second factor", Description: "Codes of an app that are asked for after the password."},
		{Name: "tokens", Description: "Personal tokens, for programs that work on one's behalf."},
		{Name: "programs", Description: "Programs that one has let in, by signing in there."},
		{Name: "users", Description: "Who may sign in, for administrators, and what was done to accounts."},
		{Name: "workspaces", Description: "Groups of users and videos."},
		{Name: "clients", Description: "Programs that ask for tokens by OAuth 2.0, and people who sign in there."},
		{Name: "queues", Description: "The kinds of work, for operators: how much runs where, and whether it is held up."},
	}
	return c
}

// serveDocument serves the OpenAPI document as JSON and YAML, rendered once. It follows from the Go types alone, so one that can't be rendered is a
// defect that every test meets.
func serveDocument(mux *http.ServeMux, doc *huma.OpenAPI) {
	asJSON, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		panic(fmt.Errorf("api: render the OpenAPI document: %w", err))
	}
	asYAML, err := doc.YAML()
	if err != nil {
		panic(fmt.Errorf("api: render the OpenAPI document: %w", err))
	}
	serve := func(path, contentType string, body []byte) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", contentType)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
		})
	}
	serve("/openapi.json", "application/openapi+json", asJSON)
	serve("/openapi.yaml", "application/openapi+yaml", asYAML)
}

// headers puts on every answer what keeps it out of caches and from being read as anything but JSON.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// fallback answers what no route does: 401 to nobody, 405 with Allow where the path has other methods, else 404.
func fallback(mux *http.ServeMux) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := who(r.Context()).Known(); err != nil {
			w.Header().Set("WWW-Authenticate", challenge(err, ""))
			fault.Write(w, err)
			return
		}
		var allow []string
		for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			probe := &http.Request{Method: m, URL: r.URL, Host: r.Host}
			if _, pattern := mux.Handler(probe); pattern != "/" {
				allow = append(allow, m)
			}
		}
		p := problemOf(fault.New(fault.NotFound, "api", codeNotFound, "There is nothing at this address; see /openapi.json for what there is.", nil))
		if len(allow) > 0 {
			w.Header().Set("Allow", strings.Join(allow, ", "))
			p = &Problem{Type: p.Type, Title: http.StatusText(http.StatusMethodNotAllowed), Status: http.StatusMethodNotAllowed,
				Code: codeMethod, Detail: "This address takes " + strings.Join(allow, ", ") + "."}
		}
		w.Header().Set("Content-Type", p.ContentType(""))
		w.WriteHeader(p.Status)
		_ = json.NewEncoder(w).Encode(p) // the client is gone if this fails
	}
}

// problems lists the codes an operation may answer with, by status.
type problems map[int][]string

// route registers one operation: it lets in whom a says, documents its problems, and turns the errors of handle into problem documents.
func route[I, O any](s *service, a access, op huma.Operation, codes problems, handle func(context.Context, *I) (*O, error)) {
	if a.level == 0 || a.sentence() == "" {
		panic("api: " + op.OperationID + " does not say who may use it")
	}
	op.Security = a.security()
	op.Middlewares = huma.Middlewares{s.guard(a, op.OperationID), textual}
	op.Description = strings.TrimSpace(op.Description + "\n\n" + a.sentence())
	all := a.problems(op.Method)
	all[http.StatusInternalServerError] = []string{"internal"}
	all[http.StatusServiceUnavailable] = []string{"timeout", "database_unavailable"}
	if op.MaxBodyBytes > 0 {
		all[http.StatusBadRequest] = []string{codeBadJSON, codeNoBody}
		all[http.StatusRequestTimeout] = []string{codeTimeout}
		all[http.StatusRequestEntityTooLarge] = []string{codeTooLarge}
		all[http.StatusUnsupportedMediaType] = []string{codeContentType}
	}
	all[http.StatusUnprocessableEntity] = []string{codeInvalid}
	for status, more := range codes {
		all[status] = append(all[status], more...)
	}
	for status := range all {
		op.Errors = append(op.Errors, status)
	}
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, s.problem(ctx, op.OperationID, err)
		}
		return out, nil
	})
	for status, list := range all {
		op.Responses[strconv.Itoa(status)].Description = describe(status, list)
	}
}

// describe says what the codes of one status mean, in Markdown.
func describe(status int, codes []string) string {
	lines := []string{http.StatusText(status) + ":"}
	for _, c := range codes {
		lines = append(lines, "- `"+c+"`: "+meaning[c])
	}
	return strings.Join(lines, "\n")
}

// problem turns err into its problem document, and logs it where the server failed.
func (s *service) problem(ctx context.Context, op string, err error) error {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	p = problemOf(err)
	var wait interface{ RetryAfter() int }
	if errors.As(err, &wait) {
		p.wait = wait.RetryAfter()
	}
	if p.Status >= http.StatusInternalServerError && ctx.Err() == nil {
		s.Logger.ErrorContext(ctx, "an API request failed", "operation", op, "code", p.Code, "error", err)
	}
	return p
}
