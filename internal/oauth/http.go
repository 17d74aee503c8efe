package oauth

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/rs/cors"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"sluice/internal/account"
)

// Where things are, under the issuer.
const (
	pathAuthorize  = "/oauth/authorize"
	pathToken      = "/oauth/token"
	pathIntrospect = "/oauth/introspect"
	pathRevoke     = "/oauth/revoke"
	pathUserinfo   = "/oauth/userinfo"
	pathLogout     = "/oauth/logout"
	pathKeys       = "/oauth/jwks"
	pathMetadata   = "/.well-known/oauth-authorization-server" // RFC 8414 §3
)

// mostForm bounds a request in bytes.
const mostForm = 64 << 10

// metadata is what the provider says of itself (OpenID Connect Discovery §3, RFC 8414 §2).
type metadata struct {
	Issuer          string           `json:"issuer"`
	Authorize       string           `json:"authorization_endpoint"`
	Token           string           `json:"token_endpoint"`
	Keys            string           `json:"jwks_uri"`
	Userinfo        string           `json:"userinfo_endpoint"`
	Introspect      string           `json:"introspection_endpoint"`
	Revoke          string           `json:"revocation_endpoint"`
	Logout          string           `json:"end_session_endpoint"`
	Scopes          []string         `json:"scopes_supported"`
	ResponseTypes   []string         `json:"response_types_supported"`
	ResponseModes   []string         `json:"response_modes_supported"`
	GrantTypes      []oidc.GrantType `json:"grant_types_supported"`
	SubjectTypes    []string         `json:"subject_types_supported"`
	IDTokens        []string         `json:"id_token_signing_alg_values_supported"`
	TokenAuth       []string         `json:"token_endpoint_auth_methods_supported"`
	IntrospectAuth  []string         `json:"introspection_endpoint_auth_methods_supported"`
	RevokeAuth      []string         `json:"revocation_endpoint_auth_methods_supported"`
	Challenges      []string         `json:"code_challenge_methods_supported"`
	Prompts         []string         `json:"prompt_values_supported"`
	Claims          []string         `json:"claims_supported"`
	AnswersIssuer   bool             `json:"authorization_response_iss_parameter_supported"` // RFC 9207 §3
	Request         bool             `json:"request_parameter_supported"`
	RequestURI      bool             `json:"request_uri_parameter_supported"`
	ClaimsParameter bool             `json:"claims_parameter_supported"`
}

// Discovery serves the metadata.
func (s server) Discovery(context.Context, *op.Request[struct{}]) (*op.Response, error) {
	at := s.p.Issuer
	scopes := append([]string{}, personal...)
	for _, one := range account.AllScopes() {
		scopes = append(scopes, string(one))
	}
	secret := []string{"client_secret_basic", "client_secret_post"}
	out := op.NewResponse(metadata{
		Issuer: at, Authorize: at + pathAuthorize, Token: at + pathToken, Keys: at + pathKeys, Userinfo: at + pathUserinfo, Introspect: at + pathIntrospect,
		Revoke: at + pathRevoke, Logout: at + pathLogout, Scopes: scopes, ResponseTypes: []string{"code"}, ResponseModes: []string{"query"},
		GrantTypes:   []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken, oidc.GrantTypeClientCredentials},
		SubjectTypes: []string{"public"}, IDTokens: []string{"RS256"}, TokenAuth: append([]string{"none"}, secret...), IntrospectAuth: secret,
		RevokeAuth: append([]string{"none"}, secret...), Challenges: []string{"S256"}, Prompts: []string{"none", "login", "consent", "select_account"},
		Claims: []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "amr", "nonce", "azp", "sid", "at_hash", "name", "email"}, AnswersIssuer: true,
	})
	out.Header.Set("Cache-Control", "public, max-age=300")
	return out, nil
}

// routes puts the library's router behind what it leaves open.
func (p *Provider) routes() http.Handler {
	library := op.RegisterServer(server{p: p}, op.Endpoints{
		Authorization: op.NewEndpoint(pathAuthorize), Token: op.NewEndpoint(pathToken), Introspection: op.NewEndpoint(pathIntrospect),
		Userinfo: op.NewEndpoint(pathUserinfo), Revocation: op.NewEndpoint(pathRevoke), EndSession: op.NewEndpoint(pathLogout), JwksURI: op.NewEndpoint(pathKeys),
	}, op.WithServerCORSOptions(nil), op.WithFallbackLogger(slog.New(warnings{p.Logger.Handler()})))
	// Pages of anywhere may ask: what they get hangs on what they send in words, and never on a cookie.
	open := cors.New(cors.Options{AllowedOrigins: []string{"*"}, AllowedMethods: []string{http.MethodGet, http.MethodPost}, AllowedHeaders: []string{"Authorization", "Content-Type"},
		ExposedHeaders: []string{"WWW-Authenticate"}, MaxAge: 600}).Handler
	mux := http.NewServeMux()
	for _, path := range []string{pathToken, pathIntrospect, pathRevoke} {
		mux.Handle(path, open(form(library)))
	}
	mux.Handle(pathUserinfo, open(userinfo(library)))
	back := p.page("signin")
	mux.Handle(pathAuthorize, told(back, navigation(library)))
	mux.Handle(pathLogout, told(back, navigation(library)))
	mux.Handle(pathKeys, open(document(library)))
	mux.Handle(oidc.DiscoveryEndpoint, open(document(library)))
	mux.Handle(pathMetadata, open(document(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.URL.Path = oidc.DiscoveryEndpoint
		library.ServeHTTP(w, r)
	}))))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		guarded(w.Header())
		mux.ServeHTTP(w, r)
	})
}

// guarded keeps answers out of caches, and addresses with codes out of what browsers tell others.
func guarded(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
}

// warnings lets the library log what went wrong, and not what it has registered.
type warnings struct{ slog.Handler }

func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

func refuse(w http.ResponseWriter, status int, code, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"error":"`+code+`","error_description":"`+why+`"}`+"\n") // the client is gone if this fails
}

func only(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	for _, m := range methods {
		if r.Method == m {
			return true
		}
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	refuse(w, http.StatusMethodNotAllowed, "invalid_request", "this address takes "+strings.Join(methods, " and "))
	return false
}

// repeated reports whether a parameter is there twice, which leaves open which of them counts (RFC 6749 §3.1, §3.2).
func repeated(form url.Values) bool {
	for _, values := range form {
		if len(values) > 1 {
			return true
		}
	}
	return false
}

// form takes what RFC 6749 §3.2 allows at the token endpoint and its like: a POST with its parameters in the body, and there once, with one proof of who asks.
// The library would take them from the address too, where logs keep them.
func form(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !only(w, r, http.MethodPost) {
			return
		}
		media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostForm))
		values, bad := url.ParseQuery(string(body))
		name, _, basic := r.BasicAuth()
		switch {
		case err != nil:
			refuse(w, http.StatusRequestEntityTooLarge, "invalid_request", "the body is too long, or was cut off")
		case media != "application/x-www-form-urlencoded" || bad != nil || r.URL.RawQuery != "":
			refuse(w, http.StatusBadRequest, "invalid_request", "send the parameters as application/x-www-form-urlencoded in the body, and none in the address")
		case repeated(values):
			refuse(w, http.StatusBadRequest, "invalid_request", "a parameter is there more than once")
		case basic && (values.Has("client_secret") || values.Has("client_id") && url.QueryEscape(values.Get("client_id")) != name && values.Get("client_id") != name):
			refuse(w, http.StatusBadRequest, "invalid_request", "prove who you are in one way: by header or by body")
		default:
			r = r.Clone(r.Context())
			r.Body = io.NopCloser(bytes.NewReader(body))
			next.ServeHTTP(challenging{w, `Basic realm="sluice"`}, r)
		}
	})
}

// userinfo takes the token from the header alone: in an address it would be kept by logs (RFC 9700 §4.3.2).
func userinfo(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !only(w, r, http.MethodGet, http.MethodPost) {
			return
		}
		token, _ := bearer(r.Header.Get("Authorization"))
		clean := r.Clone(r.Context())
		clean.URL.RawQuery, clean.Body, clean.ContentLength = "", http.NoBody, 0
		clean.Header.Set("Authorization", "Bearer "+token)
		next.ServeHTTP(challenging{w, `Bearer realm="sluice", error="invalid_token"`}, clean)
	})
}

// mostAddress bounds what a form becomes as an address, in bytes.
const mostAddress = 16 << 10

// navigation takes what a browser is sent to. A form comes from another site, and so without the session's cookie: it is asked for once more by its address (OpenID Connect
// Core §3.1.2.1 wants both methods), and then by a browser that tells who is signed in.
func navigation(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !only(w, r, http.MethodGet, http.MethodPost) {
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, mostForm)
		if err := r.ParseForm(); err != nil {
			refuse(w, http.StatusBadRequest, "invalid_request", "the parameters can not be read")
			return
		}
		if repeated(r.Form) {
			refuse(w, http.StatusBadRequest, "invalid_request", "a parameter is there more than once")
			return
		}
		if r.Method == http.MethodPost {
			if query := r.Form.Encode(); len(query) <= mostAddress {
				http.Redirect(w, r, r.URL.Path+"?"+query, http.StatusSeeOther)
			} else {
				refuse(w, http.StatusRequestEntityTooLarge, "invalid_request", "the parameters are too long")
			}
			return
		}
		next.ServeHTTP(w, r)
	})
}

// document takes reads.
func document(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if only(w, r, http.MethodGet, http.MethodHead) {
			next.ServeHTTP(w, r)
		}
	})
}

// challenging says with a 401 what would be good (RFC 9110 §15.5.2).
type challenging struct {
	http.ResponseWriter
	with string
}

func (c challenging) WriteHeader(status int) {
	if status == http.StatusUnauthorized {
		c.Header().Set("WWW-Authenticate", c.with)
	}
	c.ResponseWriter.WriteHeader(status)
}
