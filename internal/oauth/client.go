package oauth

import (
	"net/url"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"sluice/internal/account"
)

// client shows a client to the library. What the library would decide by it is decided in this room already; it must only not decide otherwise.
type client struct {
	account.Client
	uri string // of an authorization request, whose redirect URI was found to be registered
}

func (c client) GetID() string { return c.ID }

// RedirectURIs is the one that was found to be good, as the library compares it: with its escapes undone.
func (c client) RedirectURIs() []string {
	plain, err := url.QueryUnescape(c.uri)
	if err != nil {
		return nil
	}
	return []string{plain}
}

func (c client) PostLogoutRedirectURIs() []string { return c.Logouts }
func (c client) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}
func (c client) LoginURL(string) string               { return "" }
func (c client) AccessTokenType() op.AccessTokenType  { return op.AccessTokenTypeJWT }
func (c client) IDTokenLifetime() time.Duration       { return 0 }
func (c client) DevMode() bool                        { return true } // http is looked at in CheckRedirect
func (c client) IsScopeAllowed(string) bool           { return true } // scopes are cut in within
func (c client) IDTokenUserinfoClaimsAssertion() bool { return false }
func (c client) ClockSkew() time.Duration             { return 0 }

func (c client) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}

func (c client) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}

// ApplicationType lets native clients have a scheme of their own.
func (c client) ApplicationType() op.ApplicationType {
	if c.Kind == account.NativeClient {
		return op.ApplicationTypeNative
	}
	return op.ApplicationTypeWeb
}

// AuthMethod is how the client proves who it is; a secret is taken by either way of RFC 6749 §2.3.1.
func (c client) AuthMethod() oidc.AuthMethod {
	if c.Kind.Secret() {
		return oidc.AuthMethodBasic
	}
	return oidc.AuthMethodNone
}

// GrantTypes are what the library lets the client ask for at the token endpoint.
func (c client) GrantTypes() []oidc.GrantType {
	if c.Kind == account.ServiceClient {
		return []oidc.GrantType{oidc.GrantTypeClientCredentials}
	}
	return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken}
}
