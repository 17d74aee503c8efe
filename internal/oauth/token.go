package oauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"sluice/internal/account"
	"sluice/internal/fault"
)

// The scopes that are about the person who signs in (OpenID Connect Core §5.4, §11), beside account's.
const (
	scopeOpenID  = "openid"
	scopeProfile = "profile"
	scopeEmail   = "email"
	scopeOffline = "offline_access"
)

var personal = []string{scopeOpenID, scopeProfile, scopeEmail, scopeOffline}

// accessClaims are those of RFC 9068 §2.2. Family is the grant that the token came of; a service's has none.
type accessClaims struct {
	Issuer   string           `json:"iss"`
	Audience jwt.Audience     `json:"aud"`
	Subject  string           `json:"sub"`
	ClientID string           `json:"client_id"`
	Scope    string           `json:"scope"`
	ID       string           `json:"jti"`
	Family   string           `json:"sid,omitempty"`
	Issued   *jwt.NumericDate `json:"iat"`
	Expires  *jwt.NumericDate `json:"exp"`
	SignedIn *jwt.NumericDate `json:"auth_time,omitempty"`
}

// idClaims are those of OpenID Connect Core §2.
type idClaims struct {
	Issuer   string           `json:"iss"`
	Audience jwt.Audience     `json:"aud"`
	Subject  string           `json:"sub"`
	Party    string           `json:"azp"`
	Family   string           `json:"sid"`
	Nonce    string           `json:"nonce,omitempty"`
	Hash     string           `json:"at_hash"`
	Issued   *jwt.NumericDate `json:"iat"`
	Expires  *jwt.NumericDate `json:"exp"`
	SignedIn *jwt.NumericDate `json:"auth_time"`
	Methods  []string         `json:"amr"`
	Name     string           `json:"name,omitempty"`
	Email    string           `json:"email,omitempty"`
}

// secret is 32 random bytes in URL-safe text: a code, a refresh token, a client's secret.
func secret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// NewSecret makes a client's secret, and what the store keeps of it. Its prefix lets scanners of code find one that leaked.
func NewSecret() (text, hash string) {
	text = "sluice_cs_" + secret()
	return text, hashOf(text)
}

// hashOf is what the store knows of a secret. Secrets are random, so no salt and no slow hash is needed.
func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// within returns what of a scope a client, and the role of its user or its own, may have. Names that are not known are left out (RFC 6749 §3.3).
func within(scope string, c account.Client, role account.Role) string {
	ours := account.ParseScopes(scope).Within(c.Scopes).Within(role.Scopes())
	var granted []string
	for name := range strings.FieldsSeq(scope) {
		mine := slices.Contains(personal, name) && c.Kind != account.ServiceClient || ours.Has(account.Scope(name))
		if mine && !slices.Contains(granted, name) {
			granted = append(granted, name)
		}
	}
	return strings.Join(granted, " ")
}

func has(scope, name string) bool { return slices.Contains(strings.Fields(scope), name) }

// access makes an access token of a service (no grant) or of a person.
func (p *Provider) access(k ringKey, c account.Client, g account.Consent, scope string) (token string, claims accessClaims, err error) {
	now := p.Now()
	claims = accessClaims{
		Issuer: p.Issuer, Audience: jwt.Audience{p.Issuer}, Subject: c.ID, ClientID: c.ID, Scope: scope, ID: secret()[:22], Family: g.ID,
		Issued: jwt.NewNumericDate(now), Expires: jwt.NewNumericDate(now.Add(p.Access)),
	}
	if g.ID != "" {
		claims.Subject, claims.SignedIn = g.User, jwt.NewNumericDate(g.SignedIn)
	}
	token, err = k.sign(typeAccess, claims)
	return token, claims, err
}

// methods are how somebody proved who they are (RFC 8176 §2). A recovery code is a one-time password too.
func methods(g account.Consent) []string {
	if g.Proven.IsZero() {
		return []string{"pwd"}
	}
	return []string{"pwd", "otp", "mfa"}
}

// identity makes an ID token.
func (p *Provider) identity(k ringKey, g account.Consent, u account.User, scope, access string) (string, error) {
	now := p.Now()
	sum := sha256.Sum256([]byte(access))
	claims := idClaims{
		Issuer: p.Issuer, Audience: jwt.Audience{g.Client}, Subject: g.User, Party: g.Client, Family: g.ID, Nonce: g.Nonce,
		Hash:   base64.RawURLEncoding.EncodeToString(sum[:16]),
		Issued: jwt.NewNumericDate(now), Expires: jwt.NewNumericDate(now.Add(p.Access)), SignedIn: jwt.NewNumericDate(g.SignedIn), Methods: methods(g),
	}
	if has(scope, scopeProfile) {
		claims.Name = u.Name
	}
	if has(scope, scopeEmail) {
		claims.Email = u.Email
	}
	return k.sign(typeID, claims)
}

var ours = []jose.SignatureAlgorithm{jose.RS256}

// errNoKey is the cause where a token names a key that is not published: it was never ours, or is withdrawn or too old.
var errNoKey = errors.New("no such key")

// open reads a token of ours of a type and checks its signature.
func (p *Provider) open(ctx context.Context, token, typ string, into any) error {
	o, err := open(token, ours)
	if err != nil {
		return refused("The access token can't be read; ask for a new one.", err)
	}
	if o.typ != strings.ToLower(typ) {
		return refused("This is no access token; send the access_token, not the id_token.", errors.New("its type is "+o.typ))
	}
	key, err := p.ring.find(ctx, o.kid)
	if err != nil {
		return err
	}
	if key == nil {
		return refused("The access token is not from here, or too old; ask for a new one.", errNoKey)
	}
	if err := o.verify(key, into); err != nil {
		return refused("The access token's signature is not good; ask for a new one.", err)
	}
	return nil
}

// shown verifies an access token of ours and returns its claims and whom it speaks for.
func (p *Provider) shown(ctx context.Context, token string) (accessClaims, account.Principal, error) {
	var c accessClaims
	if err := p.open(ctx, token, typeAccess, &c); err != nil {
		return c, account.Principal{}, err
	}
	if c.Issuer != p.Issuer || !slices.Contains(c.Audience, p.Issuer) {
		return c, account.Principal{}, refused("The access token is for another server; ask for one here.", errors.New("iss or aud"))
	}
	if err := window(p.Now(), c.Expires, nil, c.Issued); err != nil {
		return c, account.Principal{}, refused("The access token has expired; refresh it, or sign in again.", err)
	}
	who, err := p.principal(ctx, c)
	return c, who, err
}

// principal looks at what is true now of a token's client, user and grant.
func (p *Provider) principal(ctx context.Context, c accessClaims) (account.Principal, error) {
	over := func(err error) (account.Principal, error) {
		if err != nil && !fault.Is(err, fault.NotFound) {
			return account.Principal{}, err
		}
		return account.Principal{}, refused("The access token was revoked; sign in again.", err)
	}
	if bad, err := p.denied.has(ctx, c.ID, c.Family); bad || err != nil {
		return over(err)
	}
	client, err := p.clients.get(ctx, c.ClientID)
	if err != nil {
		return over(err)
	}
	if c.Family == "" {
		if client.Kind != account.ServiceClient || c.Subject != client.ID {
			return over(nil)
		}
		who := client.Principal()
		who.Scopes = account.ParseScopes(c.Scope).Within(who.Scopes)
		return who, nil
	}
	user, err := p.user(ctx, c.Subject)
	if err != nil {
		return over(err)
	}
	return account.Principal{
		Kind: account.Person, ID: user.ID, Name: user.Email, Role: user.Role, Workspaces: user.Workspaces,
		Scopes: account.ParseScopes(c.Scope).Within(client.Scopes).Within(user.Role.Scopes()),
	}, nil
}

// user returns somebody whose sign-ins are good now; else fault.NotFound.
func (p *Provider) user(ctx context.Context, id string) (account.User, error) {
	u, err := p.users.get(ctx, id)
	if err == nil && (u.State != account.Active || u.MustChange) {
		err = fault.New(fault.NotFound, "oauth.user", "no_user", "This account can't be used now.", nil)
	}
	return u, err
}

func bearer(header string) (string, bool) {
	scheme, token, ok := strings.Cut(header, " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer")
}

// until is the end of a token as a time; zero where it has none.
func until(d *jwt.NumericDate) time.Time {
	if d == nil {
		return time.Time{}
	}
	return d.Time()
}
