package oauth

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"sluice/internal/account"
	"sluice/internal/fault"
	"sluice/internal/seal"
)

// Where a browser goes to sign in by an external issuer, and comes back to.
const (
	PathExternalLogin    = "/oauth/external/login"
	PathExternalCallback = "/oauth/external/callback"
	PathExternalLogout   = "/oauth/external/logout" // where the issuer itself tells of sign-outs
)

const (
	visitLife    = 10 * time.Minute // of a sign-in at the issuer: with a second factor, and a cup of tea
	entriesFresh = time.Hour        // how old what the issuer says of itself may be
	mostAnswer   = 8 << 10          // bytes of what comes back in the address
)

// RelyingPartyConfig is what a Party works on.
type RelyingPartyConfig struct {
	External *External // whose ID tokens count, and what they mean here
	Client   string    // what the issuer knows this server as
	Secret   string    // empty for a client without one
	Scopes   []string  // what is asked for; openid is among them
	Public   string    // public_url, without a slash at its end
	Seal     []byte    // seals the cookie of a sign-in that is under way; the same in all processes
	// Admit opens a session for somebody whom the issuer has signed in. Its errors are shown.
	Admit func(ctx context.Context, who account.ExternalUser) (account.Admission, error)
	// Refused writes down that a sign-in failed, by the code of its refusal; of who no more is known than the issuer, unless it has said more. It reports whether it did: not
	// where one address fails again and again.
	Refused func(ctx context.Context, who account.ExternalUser, code string) (bool, error)
	// Expel ends sessions of somebody who has signed out at the issuer, and returns how many.
	Expel func(ctx context.Context, issuer string, e account.BackchannelLogout) (int, error)
}

// RelyingParty signs people in with a browser by an external issuer (OpenID Connect Core §3.1, authorization code with PKCE). It may be used by many goroutines.
//
// What it must remember of a sign-in goes through the browser in a sealed cookie, so that who begins many fills no table. The cookie binds state, nonce and verifier to that
// browser: an answer that another began is refused there (RFC 9700 §4.7), as is one that names another issuer (RFC 9207).
type RelyingParty struct {
	RelyingPartyConfig
	seal   *seal.Box
	cookie string
	secure bool

	mu      sync.Mutex
	entries entries
	got     time.Time
}

// entries is what the issuer says of itself (OpenID Connect Discovery §3).
type entries struct {
	Issuer        string   `json:"issuer"`
	Authorize     string   `json:"authorization_endpoint"`
	Leave         string   `json:"end_session_endpoint"` // OpenID Connect RP-Initiated Logout §2.1; empty where it has none
	Token         string   `json:"token_endpoint"`
	TokenAuth     []string `json:"token_endpoint_auth_methods_supported"`
	AnswersIssuer bool     `json:"authorization_response_iss_parameter_supported"`
}

// visit is a sign-in that is under way.
type visit struct {
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"`
	To       string    `json:"to"`
	Ends     time.Time `json:"ends"`
}

// NewRelyingParty makes one; it asks nobody yet.
func NewRelyingParty(c RelyingPartyConfig) (*RelyingParty, error) {
	sealed, err := seal.New(c.Seal, "sluice external sign-in")
	p := &RelyingParty{RelyingPartyConfig: c, seal: sealed, cookie: "sluice-external", secure: strings.HasPrefix(c.Public, "https://")}
	if p.secure {
		p.cookie = "__Host-sluice-external"
	}
	return p, err
}

// ServeHTTP serves the two addresses of browsers, and that of the issuer.
func (p *RelyingParty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	guarded(w.Header())
	if r.URL.Path == PathExternalLogout {
		if only(w, r, http.MethodPost) {
			p.farewell(w, r)
		}
		return
	}
	if !only(w, r, http.MethodGet) {
		return
	}
	var err error
	who := account.ExternalUser{Issuer: p.External.Issuer}
	switch r.URL.Path {
	case PathExternalLogin:
		err = p.begin(w, r)
	case PathExternalCallback:
		err = p.end(w, r, &who)
	default:
		f := fault.New(fault.NotFound, "oauth.external", "not_found", "There is nothing at this address.", nil)
		say(w, r, f.Kind.Status(), f.Code, f.Message, p.Public+"/#/signin")
		return
	}
	if err != nil {
		p.refuse(w, r, who, err)
	}
}

// refuse tells a person why they are not signed in, and writes that down.
func (p *RelyingParty) refuse(w http.ResponseWriter, r *http.Request, who account.ExternalUser, err error) {
	f, log := fault.Of(err), p.External.Logger
	written, failed := p.Refused(r.Context(), who, f.Code)
	if failed != nil {
		log.Error("a sign-in by the issuer that failed could not be written down", "error", failed)
	}
	if written || failed != nil {
		log.Warn("a sign-in by the issuer failed", "code", f.Code, "error", err, "user", who.ID, "address", account.CallerOf(r.Context()).Address)
	}
	say(w, r, f.Kind.Status(), f.Code, f.Message, p.Public+"/#/signin")
}

// fragment is a route of the page: nothing that could be read as another address, whoever reads it.
var fragment = regexp.MustCompile(`^/([A-Za-z0-9_.~-]+/?)*$`)

const mostFragment = 200

// begin sends the browser to the issuer.
func (p *RelyingParty) begin(w http.ResponseWriter, r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	to := query.Get("to")
	if to == "" {
		to = "/"
	}
	if err != nil || repeated(query) || len(to) > mostFragment || !fragment.MatchString(to) {
		return fault.New(fault.Invalid, "oauth.external", "bad_return", "After signing in, a browser goes to a page of this server and nowhere else; begin at the sign-in page.", err)
	}
	at, err := p.discover(r.Context())
	if err != nil {
		return err
	}
	v := visit{State: secret(), Nonce: secret(), Verifier: oauth2.GenerateVerifier(), To: to, Ends: p.External.Now().Add(visitLife)}
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	p.set(w, p.seal.Close(p.cookie, text))
	there := p.config(at).AuthCodeURL(v.State, oauth2.SetAuthURLParam("nonce", v.Nonce), oauth2.S256ChallengeOption(v.Verifier))
	http.Redirect(w, r, there, http.StatusSeeOther)
	return nil
}

// end takes what the issuer answered, and opens a session for who.
func (p *RelyingParty) end(w http.ResponseWriter, r *http.Request, who *account.ExternalUser) error {
	v, err := p.under(r)
	p.set(w, "") // whatever comes of it, the sign-in is over
	if err != nil {
		return err
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || repeated(query) || len(r.URL.RawQuery) > mostAnswer {
		return unsuitable(errors.New("its parameters can't be read, or are there twice"))
	}
	if subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(v.State)) != 1 {
		return unsuitable(errors.New("its state is not that of this browser"))
	}
	at, err := p.discover(r.Context())
	if err != nil {
		return err
	}
	if iss := query.Get("iss"); iss != p.External.Issuer && (iss != "" || at.AnswersIssuer) { // RFC 9207 §2.4
		return unsuitable(errors.New("its iss is another"))
	}
	if code := query.Get("error"); code != "" {
		return fault.New(fault.Unauthorized, "oauth.external", "sign_in_refused", "The issuer did not sign you in; try again, or ask an administrator there.", errors.New(clean(code, mostName)))
	}
	came, err := p.redeem(r.Context(), at, v, query.Get("code"))
	if came.ID != "" {
		*who = came // known, and perhaps not let in
	}
	if err != nil {
		return err
	}
	done, err := p.Admit(r.Context(), came)
	if err != nil {
		return err
	}
	w.Header().Add("Set-Cookie", done.Cookie)
	http.Redirect(w, r, p.Public+"/#"+v.To, http.StatusSeeOther)
	return nil
}

func unsuitable(cause error) error {
	return fault.New(fault.Invalid, "oauth.external", "sign_in_unknown", "This answer belongs to no sign-in that this browser has begun, or to one of long ago; sign in again.", cause)
}

// under is the sign-in that a browser has begun.
func (p *RelyingParty) under(r *http.Request) (v visit, err error) {
	c, err := r.Cookie(p.cookie)
	if err != nil {
		return v, unsuitable(err)
	}
	text, ok := p.seal.Open(p.cookie, c.Value)
	if !ok {
		return v, unsuitable(errors.New("its cookie is not one of ours"))
	}
	if err := json.Unmarshal(text, &v); err != nil {
		return v, unsuitable(err)
	}
	if !p.External.Now().Before(v.Ends) {
		return v, unsuitable(errExpired)
	}
	return v, nil
}

// set gives the browser the cookie, or takes it; SameSite=Lax, because the issuer's page brings the browser back (RFC 6265bis §5.2).
func (p *RelyingParty) set(w http.ResponseWriter, value string) {
	c := http.Cookie{Name: p.cookie, Value: value, Path: "/", MaxAge: int(visitLife / time.Second), Secure: p.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, &c)
}

// config is how the issuer is asked. A secret goes into the header, unless the issuer takes it in the body alone.
func (p *RelyingParty) config(at entries) *oauth2.Config {
	c := &oauth2.Config{ClientID: p.Client, ClientSecret: p.Secret, Scopes: p.Scopes, RedirectURL: p.Public + PathExternalCallback,
		Endpoint: oauth2.Endpoint{AuthURL: at.Authorize, TokenURL: at.Token, AuthStyle: oauth2.AuthStyleInHeader}}
	if p.Secret == "" || len(at.TokenAuth) > 0 && !slices.Contains(at.TokenAuth, "client_secret_basic") {
		c.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return c
}

// redeem asks the issuer for the ID token that a code stands for, and says who it is.
func (p *RelyingParty) redeem(ctx context.Context, at entries, v visit, code string) (account.ExternalUser, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, p.External.keys.client) // which follows no redirect, and is patient for a while
	tokens, err := p.config(at).Exchange(ctx, code, oauth2.VerifierOption(v.Verifier))
	var refusal *oauth2.RetrieveError
	switch {
	case errors.As(err, &refusal):
		return account.ExternalUser{}, fault.New(fault.Unauthorized, "oauth.external", "sign_in_refused",
			"The issuer takes back that it signed you in: what it gave this browser is used, or too old; sign in again.", errors.New(clean(refusal.ErrorCode, mostName)))
	case err != nil:
		return account.ExternalUser{}, fault.New(fault.Unavailable, "oauth.external", "issuer_unavailable", "The issuer can't be reached; try again later.", err)
	}
	id, _ := tokens.Extra("id_token").(string)
	who, err := p.External.visitor(ctx, id, tokens.AccessToken, p.Client, v.Nonce)
	who.Hint = p.hint(id)
	return who, err
}

// discover reads what the issuer says of itself, once in a while.
func (p *RelyingParty) discover(ctx context.Context) (entries, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.External.Now()
	if p.entries.Issuer != "" && now.Sub(p.got) < entriesFresh {
		return p.entries, nil
	}
	var at entries
	err := p.External.keys.discover(context.WithoutCancel(ctx), &at)
	if err == nil && at.Issuer != p.External.Issuer {
		err = errors.New("it says that it is " + clean(at.Issuer, mostName))
	}
	for _, one := range []string{at.Authorize, at.Token} {
		if err == nil {
			err = secureAs(p.External.Issuer, one)
		}
	}
	switch {
	case err == nil:
		p.entries, p.got = at, now
	case p.entries.Issuer == "":
		return at, fault.New(fault.Unavailable, "oauth.external", "issuer_unavailable", "The issuer can't be reached; try again later.", err)
	default:
		p.External.Logger.Warn("what the issuer says of itself could not be read", "issuer", p.External.Issuer, "error", err)
		p.got = now.Add(keysAgain - entriesFresh) // not for each sign-in meanwhile
	}
	return p.entries, nil
}
