package oauth

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"sluice/internal/account"
	"sluice/internal/fault"
)

// request is an authorization request that waits for its person. It isn't kept: it goes through the browser, signed, so that whoever asks without signing in
// fills no table.
type request struct {
	Issuer    string           `json:"iss"`
	Expires   *jwt.NumericDate `json:"exp"`
	Made      int64            `json:"made"` // epoch ms
	ClientID  string           `json:"client_id"`
	Redirect  string           `json:"redirect_uri"`
	Scope     string           `json:"scope"`
	Challenge string           `json:"code_challenge"`
	State     string           `json:"state,omitempty"`
	Nonce     string           `json:"nonce,omitempty"`
	Newer     int64            `json:"newer"`          // the sign-in must be no older than this: epoch ms
	Subject   string           `json:"hint,omitempty"` // user id that id_token_hint names; empty where the client sent none
}

// bounds of what a client may have carried through, in bytes.
const (
	mostState = 1000
	mostNonce = 256
	mostScope = 500
)

var challenge = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`) // S256 (RFC 7636 §4.2)

// asked is an authorization request whose client and redirect URI are good. What is wrong with the rest is told to the client there (RFC 6749 §4.1.2.1), which
// the library does only for what comes out of Authorize: so wrong is carried that far.
type asked struct {
	client
	request
	prompt []string
	wrong  *oidc.Error
}

// VerifyAuthRequest finds the client and whether it may be answered at its redirect URI. Errors of these are shown to the person and go nowhere (RFC 6749 §4.1.2.1).
func (s server) VerifyAuthRequest(ctx context.Context, r *op.Request[oidc.AuthRequest]) (*op.ClientRequest[oidc.AuthRequest], error) {
	d := r.Data
	c, err := s.p.clients.get(ctx, d.ClientID)
	if fault.Is(err, fault.NotFound) || err == nil && c.Kind == account.ServiceClient {
		return nil, oidc.ErrInvalidRequest().WithDescription("client_id names no client that signs people in")
	}
	if err != nil {
		return nil, s.failed(err)
	}
	if !c.Returns(d.RedirectURI) {
		return nil, oidc.ErrInvalidRequest().WithDescription("redirect_uri is not one that is registered for this client, character for character")
	}
	a := asked{client: client{c, d.RedirectURI}, prompt: d.Prompt}
	if a.request, a.wrong = s.p.request(c, r); a.wrong == nil {
		if a.wrong, err = s.p.hinted(ctx, &a.request, d.IDTokenHint); err != nil {
			return nil, s.failed(err)
		}
	}
	easy := &oidc.AuthRequest{Scopes: []string{scopeOpenID}, ResponseType: oidc.ResponseTypeCode, ClientID: c.ID, RedirectURI: d.RedirectURI}
	r.Data = easy
	return &op.ClientRequest[oidc.AuthRequest]{Request: r, Client: a}, nil
}

// request reads what else a client asks for.
func (p *Provider) request(c account.Client, r *op.Request[oidc.AuthRequest]) (request, *oidc.Error) {
	d, now := r.Data, p.Now()
	q := request{Issuer: p.Issuer, Expires: jwt.NewNumericDate(now.Add(requestLife)), Made: now.UnixMilli(), ClientID: c.ID, Redirect: d.RedirectURI, Challenge: d.CodeChallenge}
	if len(d.State) > mostState || len(d.Nonce) > mostNonce || len(d.Scopes.String()) > mostScope {
		return q, oidc.ErrInvalidRequest().WithDescription("state, nonce or scope is too long")
	}
	q.State, q.Nonce = d.State, d.Nonce
	mode := string(d.ResponseMode)
	switch {
	case d.RequestParam != "":
		return q, oidc.ErrRequestNotSupported()
	case r.Form.Has("request_uri"):
		return q, &oidc.Error{ErrorType: "request_uri_not_supported"}
	case d.ResponseType != oidc.ResponseTypeCode:
		return q, &oidc.Error{ErrorType: "unsupported_response_type", Description: "response_type must be code"}
	case mode != "" && mode != "query":
		return q, oidc.ErrInvalidRequest().WithDescription("response_mode must be query")
	case d.CodeChallengeMethod != oidc.CodeChallengeMethodS256 || !challenge.MatchString(d.CodeChallenge):
		return q, oidc.ErrInvalidRequest().WithDescription("PKCE is required: send code_challenge, and code_challenge_method=S256")
	case r.Form.Has("resource") && r.Form.Get("resource") != p.Issuer:
		return q, oidc.ErrInvalidTarget() // RFC 8707 §2
	case slices.Contains(d.Prompt, oidc.PromptNone) && len(d.Prompt) > 1:
		return q, oidc.ErrInvalidRequest().WithDescription("prompt=none goes with no other")
	}
	if q.Scope = within(d.Scopes.String(), c, account.Admin); q.Scope == "" {
		return q, oidc.ErrInvalidScope().WithDescription("none of the scopes is one that this client may ask for")
	}
	if d.MaxAge != nil {
		q.Newer = now.Add(-time.Duration(min(*d.MaxAge, 1<<31)) * time.Second).UnixMilli()
	}
	if slices.Contains(d.Prompt, oidc.PromptLogin) || slices.Contains(d.Prompt, oidc.PromptSelectAccount) {
		q.Newer = now.UnixMilli()
	}
	return q, nil
}

// hinted restricts a request to the person of its id_token_hint (OpenID Connect Core §3.1.2.1). An expired ID token is a valid hint, as is one of an ended grant. A text that is
// no ID token of this server for this client is invalid_request. A key of ours is published for a day after its last signature, so an older ID token can not be verified: such
// a request needs a new sign-in, and with prompt=none the client receives login_required.
func (p *Provider) hinted(ctx context.Context, q *request, hint string) (*oidc.Error, error) {
	if hint == "" {
		return nil, nil
	}
	var c idClaims
	err := p.open(ctx, hint, typeID, &c)
	switch {
	case errors.Is(err, errNoKey):
		q.Newer = p.Now().UnixMilli()
		return nil, nil
	case err != nil && !fault.Is(err, fault.Unauthorized):
		return nil, err
	case err != nil, c.Issuer != p.Issuer, c.Party != q.ClientID, c.Subject == "":
		return oidc.ErrInvalidRequest().WithDescription("id_token_hint is not an ID token that this server issued to this client; leave it out"), nil
	}
	q.Subject = c.Subject
	return nil, nil
}

// Authorize answers the client, where the browser is signed in and nothing need be asked, or sends the person to the page.
func (s server) Authorize(ctx context.Context, r *op.ClientRequest[oidc.AuthRequest]) (*op.Redirect, error) {
	a, ok := r.Client.(asked)
	if !ok {
		return nil, s.failed(errors.New("the client of an authorization request is not ours"))
	}
	if a.wrong != nil {
		return op.NewRedirect(s.p.refusal(a.request, a.wrong)), nil
	}
	who, _ := account.From(ctx)
	silent := slices.Contains(a.prompt, oidc.PromptNone)
	switch {
	case !a.good(who):
		if silent {
			return op.NewRedirect(s.p.refusal(a.request, oidc.ErrLoginRequired())), nil
		}
	case a.Kind == account.NativeClient || len(a.prompt) > 0 && !silent:
		// Any program of the machine can pose as a native client, so a person is asked each time (RFC 8252 §8.6).
		if silent {
			return op.NewRedirect(s.p.refusal(a.request, oidc.ErrInteractionRequired())), nil
		}
	default:
		to, err := s.p.grant(ctx, a.request, a.client.Client, who)
		if err != nil {
			return nil, s.failed(err)
		}
		return op.NewRedirect(to), nil
	}
	key, err := s.p.ring.signer(ctx)
	if err != nil {
		return nil, s.failed(err)
	}
	id, err := key.sign(typeRequest, a.request)
	if err != nil {
		return nil, s.failed(err)
	}
	return op.NewRedirect(s.p.page("signin?request=" + id)), nil
}

// good reports whether a browser is signed in, newly enough, and as the person of id_token_hint.
func (q request) good(who account.Principal) bool {
	return (q.Subject == "" || q.Subject == who.ID) && who.Kind == account.Person && who.Session != "" && who.Settled() == nil && (q.Newer == 0 || who.SignedIn.UnixMilli() >= q.Newer)
}

// refusal is the address that tells a client why it gets nothing.
func (p *Provider) refusal(q request, e *oidc.Error) string {
	params := url.Values{"error": {string(e.ErrorType)}, "iss": {p.Issuer}}
	if e.Description != "" {
		params.Set("error_description", e.Description)
	}
	if q.State != "" {
		params.Set("state", q.State)
	}
	return answer(q.Redirect, params)
}

// grant makes a code for somebody and returns the address that carries it to the client.
func (p *Provider) grant(ctx context.Context, q request, c account.Client, who account.Principal) (string, error) {
	scope := within(q.Scope, c, who.Role)
	if scope == "" {
		return p.refusal(q, oidc.ErrInvalidScope().WithDescription("this user may have none of the scopes")), nil
	}
	code := secret()
	err := p.Store.PutCode(ctx, account.Code{
		Hash: hashOf(code), Client: c.ID, User: who.ID, Redirect: q.Redirect, Challenge: q.Challenge, Nonce: q.Nonce, Scope: scope,
		SignedIn: who.SignedIn, Proven: who.Proven, Expires: p.Now().Add(codeLife),
	})
	if err != nil {
		return "", err
	}
	params := url.Values{"code": {code}, "iss": {p.Issuer}}
	if q.State != "" {
		params.Set("state", q.State)
	}
	return answer(q.Redirect, params), nil
}

// read opens an authorization request. fault.Gone, code "request_gone", where it is not one of ours or too old.
func (p *Provider) read(ctx context.Context, id string) (q request, c account.Client, err error) {
	gone := func(cause error) error {
		if cause != nil && !fault.Is(cause, fault.Unauthorized) && !fault.Is(cause, fault.NotFound) {
			return cause
		}
		return fault.New(fault.Gone, "oauth.request", "request_gone", "This sign-in has expired; go back to the program that asked for it, and begin again.", cause)
	}
	if err := p.open(ctx, id, typeRequest, &q); err != nil {
		return q, c, gone(err)
	}
	if q.Issuer != p.Issuer || q.Expires == nil || !p.Now().Before(until(q.Expires)) {
		return q, c, gone(nil)
	}
	c, err = p.clients.get(ctx, q.ClientID)
	if err != nil {
		return q, c, gone(err)
	}
	if !c.Returns(q.Redirect) {
		return q, c, gone(nil) // it was registered when the request was made
	}
	return q, c, nil
}

// Asked tells who asks, and for which scope at most. fault.Gone, code "request_gone", where the request is not one of ours or too old.
func (p *Provider) Asked(ctx context.Context, id string) (account.Client, string, error) {
	q, c, err := p.read(ctx, id)
	return c, within(q.Scope, c, account.Admin), err
}

// Complete ends an authorization request for the person of a browser's session, who allows it or does not. It returns where the browser goes on. fault.Gone,
// code "request_gone", where the request is not one of ours or too old; fault.Forbidden, codes "session_required" for who came by a token,
// what the policy says of whom more is asked (account.Settled), and "sign_in_again" where the client asked for a newer sign-in.
func (p *Provider) Complete(ctx context.Context, id string, who account.Principal, allow bool) (string, error) {
	const op = "oauth.complete"
	q, c, err := p.read(ctx, id)
	switch {
	case err != nil:
		return "", err
	case who.Kind != account.Person || who.Session == "":
		return "", fault.New(fault.Forbidden, op, "session_required", "Only somebody who has signed in with a browser can do this.", nil)
	case !allow:
		return p.refusal(q, oidc.ErrAccessDenied()), nil
	case who.Settled() != nil:
		return "", who.Settled()
	case q.Subject != "" && q.Subject != who.ID:
		return "", fault.New(fault.Forbidden, op, "sign_in_again", "The program asks for another person than you; sign in with the account that you use there.", nil)
	case !q.good(who):
		return "", fault.New(fault.Forbidden, op, "sign_in_again", "The program asks that you sign in once more.", nil)
	}
	return p.grant(ctx, q, c, who)
}
