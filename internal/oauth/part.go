package oauth

import (
	"context"
	"net/url"
	"slices"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/zitadel/oidc/v3/pkg/oidc"

	"sluice/internal/account"
	"sluice/internal/fault"
)

// parting is where a program wants somebody to come back to who is asked on the page whether to sign out. Like a request it isn't kept: it goes through the browser, signed.
type parting struct {
	Issuer   string           `json:"iss"`
	Expires  *jwt.NumericDate `json:"exp"`
	ClientID string           `json:"client_id"`
	To       string           `json:"to"` // registered for the client, then and when it is used
	State    string           `json:"state,omitempty"`
}

// at is the address itself.
func (q parting) at() string {
	if q.State == "" {
		return q.To
	}
	return answer(q.To, url.Values{"state": {q.State}})
}

// known reports whether a client may have people sent there who have signed out: exactly to what is registered (OpenID Connect RP-Initiated Logout §3).
func (q parting) known(c account.Client) bool { return slices.Contains(c.Logouts, q.To) }

// farewell is where somebody goes who has signed out: to an address of the client's, if it is registered, else to the page.
func (s server) farewell(ctx context.Context, d *oidc.EndSessionRequest) (string, error) {
	if d.PostLogoutRedirectURI == "" {
		return s.p.page("signin"), nil
	}
	q := parting{To: d.PostLogoutRedirectURI, State: d.State}
	c, err := s.p.clients.get(ctx, d.ClientID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return "", s.failed(err)
	}
	if err != nil || !q.known(c) || len(d.State) > mostState {
		return "", oidc.ErrInvalidRequest().WithDescription("post_logout_redirect_uri is not one that is registered for this client")
	}
	return q.at(), nil
}

// asksToPart is the page that asks somebody whether to sign out; it has with it where to go then, which farewell has found to be good.
func (p *Provider) asksToPart(ctx context.Context, d *oidc.EndSessionRequest) (string, error) {
	if d.PostLogoutRedirectURI == "" {
		return p.page("signout"), nil
	}
	key, err := p.ring.signer(ctx)
	if err != nil {
		return "", err
	}
	q := parting{Issuer: p.Issuer, Expires: jwt.NewNumericDate(p.Now().Add(requestLife)), ClientID: d.ClientID, To: d.PostLogoutRedirectURI, State: d.State}
	id, err := key.sign(typeParting, q)
	return p.page("signout?request=" + id), err
}

// Parted returns where somebody goes on who has signed out as the page asked them to; empty where the request is not one of ours, or too old, or its client gone.
func (p *Provider) Parted(ctx context.Context, id string) string {
	var q parting
	if err := p.open(ctx, id, typeParting, &q); err != nil || q.Issuer != p.Issuer || q.Expires == nil || !p.Now().Before(until(q.Expires)) {
		return ""
	}
	c, err := p.clients.get(ctx, q.ClientID)
	if err != nil || !q.known(c) {
		return ""
	}
	return q.at()
}
