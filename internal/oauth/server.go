package oauth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"sluice/internal/account"
	"sluice/internal/fault"
)

// server answers what the library has read. Grants that it doesn't have (implicit, password, device, JWT, exchange) the library refuses.
type server struct {
	op.UnimplementedServer
	p *Provider
}

// failed is an error of the server as the library may show it: with nothing of its cause.
func (s server) failed(err error) error {
	f := fault.Of(err)
	return op.NewStatusError(oidc.ErrServerError().WithDescription("%s", f.Message).WithParent(err), f.Kind.Status())
}

func badClient() error {
	return op.NewStatusError(oidc.ErrInvalidClient().WithDescription("no such client, or not its secret"), http.StatusUnauthorized)
}

// VerifyClient tells by its secret that a client is who it says. One without a secret can't show that, and its tokens hang on PKCE and rotation instead.
func (s server) VerifyClient(ctx context.Context, r *op.Request[op.ClientCredentials]) (op.Client, error) {
	if r.Data.ClientAssertion != "" {
		return nil, op.NewStatusError(oidc.ErrInvalidClient().WithDescription("client_assertion is not supported"), http.StatusUnauthorized)
	}
	c, err := s.p.clients.get(ctx, r.Data.ClientID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return nil, s.failed(err)
	}
	same := subtle.ConstantTimeCompare([]byte(hashOf(r.Data.ClientSecret)), []byte(c.Secret)) == 1
	switch {
	case err != nil || c.Kind.Secret() && !same || !c.Kind.Secret() && r.Data.ClientSecret != "":
		return nil, badClient()
	}
	return client{Client: c}, nil
}

func clientOf(c op.Client) account.Client {
	ours, _ := c.(client)
	return ours.Client
}

var verifier = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`) // RFC 7636 §4.1

// CodeExchange makes tokens of a code (RFC 6749 §4.1.3).
func (s server) CodeExchange(ctx context.Context, r *op.ClientRequest[oidc.AccessTokenRequest]) (*op.Response, error) {
	p, c, d := s.p, clientOf(r.Client), r.Data
	if !verifier.MatchString(d.CodeVerifier) {
		return nil, oidc.ErrInvalidGrant().WithDescription("code_verifier is missing, or none of RFC 7636")
	}
	key, err := p.ring.signer(ctx) // before the code is spent
	if err != nil {
		return nil, s.failed(err)
	}
	sum := sha256.Sum256([]byte(d.CodeVerifier))
	refresh, now := secret(), p.Now()
	g, outcome, err := p.Store.Redeem(ctx, hashOf(d.Code), account.TokenExchange{
		Client: c.ID, Redirect: d.RedirectURI, Challenge: base64.RawURLEncoding.EncodeToString(sum[:]), Family: secret()[:22], Refresh: hashOf(refresh),
		Access: now.Add(p.Access), Idle: now.Add(p.Idle), Address: account.CallerOf(ctx).Address,
	})
	if err != nil {
		return nil, s.failed(err)
	}
	if outcome != account.Granted {
		return nil, s.ungranted("code", outcome, c, g)
	}
	if !account.Offline(g.Scope) {
		refresh = ""
	}
	return s.tokens(ctx, key, c, g, g.Scope, refresh)
}

// ungranted refuses a code or a refresh token. A client learns no more than that it is not good.
func (s server) ungranted(what string, outcome account.Outcome, c account.Client, g account.Consent) error {
	if outcome == account.Reused {
		s.p.denied.forget()
		s.p.Logger.Warn("a "+what+" was used a second time; whatever it gave has ended", "client", c.ID, "user", g.User, "grant", g.ID)
	}
	return oidc.ErrInvalidGrant().WithDescription("the %s is not good: unknown, expired, used or revoked", what)
}

// tokens answers with tokens of a grant, cut to what its user may do now.
func (s server) tokens(ctx context.Context, key ringKey, c account.Client, g account.Consent, scope, refresh string) (*op.Response, error) {
	p := s.p
	user, err := p.user(ctx, g.User)
	if fault.Is(err, fault.NotFound) {
		if err := p.Store.EndGrant(ctx, g.ID); err != nil {
			return nil, s.failed(err)
		}
		p.denied.forget()
		return nil, oidc.ErrInvalidGrant().WithDescription("the user can't sign in any more")
	}
	if err != nil {
		return nil, s.failed(err)
	}
	scope = within(scope, c, user.Role)
	access, _, err := p.access(key, c, g, scope)
	if err != nil {
		return nil, s.failed(err)
	}
	out := oidc.AccessTokenResponse{AccessToken: access, TokenType: oidc.BearerToken, RefreshToken: refresh,
		ExpiresIn: uint64(p.Access / time.Second), Scope: strings.Fields(scope)}
	if has(scope, scopeOpenID) {
		if out.IDToken, err = p.identity(key, g, user, scope, access); err != nil {
			return nil, s.failed(err)
		}
	}
	return op.NewResponse(out), nil
}

// RefreshToken makes new tokens of a refresh token (RFC 6749 §6), which is spent by that. There is no grace for a second use, not even at the same moment: it
// would be the thief's as well as the client's, and where the thief came first nobody would notice.
func (s server) RefreshToken(ctx context.Context, r *op.ClientRequest[oidc.RefreshTokenRequest]) (*op.Response, error) {
	p, c := s.p, clientOf(r.Client)
	old := hashOf(r.Data.RefreshToken)
	if len(r.Data.Scopes) > 0 {
		g, ok, err := p.Store.Refreshable(ctx, old)
		if err != nil {
			return nil, s.failed(err)
		}
		for _, name := range r.Data.Scopes {
			if ok && g.Client == c.ID && !has(g.Scope, name) {
				return nil, oidc.ErrInvalidScope().WithDescription("scope has more than was granted")
			}
		}
	}
	key, err := p.ring.signer(ctx)
	if err != nil {
		return nil, s.failed(err)
	}
	refresh, now := secret(), p.Now()
	g, outcome, err := p.Store.Rotate(ctx, old, account.Rotation{Client: c.ID, Refresh: hashOf(refresh), Access: now.Add(p.Access), Idle: now.Add(p.Idle), Most: p.Most, Address: account.CallerOf(ctx).Address})
	if err != nil {
		return nil, s.failed(err)
	}
	if outcome != account.Granted {
		return nil, s.ungranted("refresh token", outcome, c, g)
	}
	scope := g.Scope
	if len(r.Data.Scopes) > 0 {
		scope = r.Data.Scopes.String()
	}
	return s.tokens(ctx, key, c, g, scope, refresh)
}

// ClientCredentialsExchange makes an access token for a service (RFC 6749 §4.4).
func (s server) ClientCredentialsExchange(ctx context.Context, r *op.ClientRequest[oidc.ClientCredentialsRequest]) (*op.Response, error) {
	p, c := s.p, clientOf(r.Client)
	scope := c.Scopes.String()
	if len(r.Data.Scope) > 0 {
		scope = r.Data.Scope.String()
	}
	if scope = within(scope, c, c.Role); scope == "" {
		return nil, oidc.ErrInvalidScope().WithDescription("none of the scopes is one that this client may have")
	}
	key, err := p.ring.signer(ctx)
	if err != nil {
		return nil, s.failed(err)
	}
	access, _, err := p.access(key, c, account.Consent{}, scope)
	if err != nil {
		return nil, s.failed(err)
	}
	return op.NewResponse(oidc.AccessTokenResponse{AccessToken: access, TokenType: oidc.BearerToken,
		ExpiresIn: uint64(p.Access / time.Second), Scope: strings.Fields(scope)}), nil
}

// Introspect tells a client that has a secret about a token (RFC 7662): one of its own, or, where it is a service that may have users/admin, any.
func (s server) Introspect(ctx context.Context, r *op.Request[op.IntrospectionRequest]) (*op.Response, error) {
	p := s.p
	verified, err := s.VerifyClient(ctx, &op.Request[op.ClientCredentials]{Data: r.Data.ClientCredentials})
	if err != nil {
		return nil, err
	}
	c := clientOf(verified)
	if !c.Kind.Secret() {
		return nil, badClient()
	}
	all := c.Kind == account.ServiceClient && c.Principal().Scopes.Has(account.UsersAdmin)
	out := oidc.IntrospectionResponse{}
	p.denied.forget() // who asks here wants to know what is true now
	claims, who, err := p.shown(ctx, r.Data.Token)
	switch {
	case err == nil && (all || claims.ClientID == c.ID):
		out = oidc.IntrospectionResponse{Active: true, Scope: strings.Fields(claims.Scope), ClientID: claims.ClientID, TokenType: oidc.BearerToken,
			Expiration: oidc.FromTime(until(claims.Expires)), IssuedAt: oidc.FromTime(until(claims.Issued)), Subject: claims.Subject,
			Audience: oidc.Audience(claims.Audience), Issuer: p.Issuer, JWTID: claims.ID, Username: who.Name}
		return op.NewResponse(&out), nil
	case err != nil && !fault.Is(err, fault.Unauthorized):
		return nil, s.failed(err)
	}
	g, ok, err := p.Store.Refreshable(ctx, hashOf(r.Data.Token))
	if err != nil {
		return nil, s.failed(err)
	}
	if ok && (all || g.Client == c.ID) {
		out = oidc.IntrospectionResponse{Active: true, Scope: strings.Fields(g.Scope), ClientID: g.Client, Expiration: oidc.FromTime(g.Expires), Subject: g.User, Issuer: p.Issuer}
	}
	return op.NewResponse(&out), nil
}

// UserInfo tells who signed in, as far as the token's scope goes (OpenID Connect Core §5.3).
func (s server) UserInfo(ctx context.Context, r *op.Request[oidc.UserInfoRequest]) (*op.Response, error) {
	claims, who, err := s.p.shown(ctx, r.Data.AccessToken)
	if err != nil && !fault.Is(err, fault.Unauthorized) {
		return nil, s.failed(err)
	}
	if err != nil || who.Kind != account.Person || !has(claims.Scope, scopeOpenID) {
		return nil, op.NewStatusError(&oidc.Error{ErrorType: "invalid_token", Description: "send an access token with the scope openid"}, http.StatusUnauthorized)
	}
	user, err := s.p.user(ctx, who.ID)
	if err != nil {
		return nil, s.failed(err)
	}
	out := map[string]string{"sub": who.ID}
	if has(claims.Scope, scopeProfile) {
		out["name"] = user.Name
	}
	if has(claims.Scope, scopeEmail) {
		out["email"] = user.Email
	}
	return op.NewResponse(out), nil
}

// Revocation makes a token bad (RFC 7009): an access token by itself, a refresh token with all of its family. A token of another client stays as it is, and the client that
// shows it is refused (§2.1); one that is not known is as good as revoked (§2.2).
func (s server) Revocation(ctx context.Context, r *op.ClientRequest[oidc.RevocationRequest]) (*op.Response, error) {
	p, c := s.p, clientOf(r.Client)
	claims, _, err := p.shown(ctx, r.Data.Token)
	others := err == nil && claims.ClientID != c.ID
	switch {
	case others:
	case err == nil:
		err = p.Store.Deny(ctx, claims.ID, until(claims.Expires).Add(leeway))
	case fault.Is(err, fault.Unauthorized):
		others, err = p.Store.EndFamily(ctx, c.ID, hashOf(r.Data.Token))
	}
	switch {
	case err != nil:
		return nil, s.failed(err)
	case others:
		return nil, op.NewStatusError(oidc.ErrInvalidClient().WithDescription("the token was given to another client"), http.StatusBadRequest)
	}
	p.denied.forget()
	return op.NewResponse(struct{}{}), nil
}

// EndSession signs out (OpenID Connect RP-Initiated Logout). With an ID token of the person whose browser it is, the grant that it came of ends, and the browser's session; without
// one, anybody's link could do it: then the page asks.
func (s server) EndSession(ctx context.Context, r *op.Request[oidc.EndSessionRequest]) (*op.Redirect, error) {
	p, d := s.p, r.Data
	var hint idClaims
	if d.IdTokenHint != "" {
		if err := p.open(ctx, d.IdTokenHint, typeID, &hint); err != nil && !fault.Is(err, fault.Unauthorized) {
			return nil, s.failed(err)
		} else if err != nil || hint.Issuer != p.Issuer || d.ClientID != "" && d.ClientID != hint.Party {
			return nil, oidc.ErrInvalidRequest().WithDescription("id_token_hint is no ID token of this server and client")
		}
		d.ClientID = hint.Party
	}
	to, err := s.farewell(ctx, d)
	if err != nil {
		return nil, err
	}
	who, _ := account.From(ctx)
	if hint.Subject == "" || who.Session != "" && who.ID != hint.Subject {
		if who.Session == "" {
			return op.NewRedirect(to), nil // nobody is signed in here
		}
		page, err := s.p.asksToPart(ctx, d)
		if err != nil {
			return nil, s.failed(err)
		}
		return op.NewRedirect(page), nil
	}
	if err := p.Store.EndGrant(ctx, hint.Family); err != nil {
		return nil, s.failed(err)
	}
	p.denied.forget()
	out := op.NewRedirect(to)
	if who.Session != "" && p.SignOut != nil {
		cookie, err := p.SignOut(ctx, who)
		if err != nil {
			return nil, s.failed(err)
		}
		out.Header.Set("Set-Cookie", cookie)
	}
	return out, nil
}

// Keys serves the public keys (RFC 7517 §5).
func (s server) Keys(ctx context.Context, _ *op.Request[struct{}]) (*op.Response, error) {
	set, err := s.p.ring.set(ctx)
	if err != nil {
		return nil, s.failed(err)
	}
	out := op.NewResponse(set)
	out.Header.Set("Cache-Control", "public, max-age=300") // far less than a key is published ahead
	return out, nil
}
