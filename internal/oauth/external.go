package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"sluice/internal/account"
	"sluice/internal/fault"
	"sluice/internal/text"
)

// Algorithms are those that an external issuer may sign with, unless fewer are named: public keys alone.
func Algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// ExternalConfig says whose access tokens are taken, and what they mean here. Claims are named by their key or by a path of keys with dots.
type ExternalConfig struct {
	Issuer     string   // as its tokens have it in iss, character for character
	Keys       string   // address of its JWK set; empty to ask its discovery document
	Audiences  []string // one of them must be in aud; none only where Clients are named and its tokens have token_use, as Amazon Cognito's
	Clients    []string // one of them must be in client_id, azp or cid; none for any
	Algorithms []string // none for Algorithms()
	Require    map[string]string
	// RoleClaim holds names that Roles turn into roles (without Roles: the names of roles), of which the strongest counts. DefaultRole is of who has none; empty refuses them.
	RoleClaim   string
	Roles       map[string]account.Role
	DefaultRole account.Role
	// WorkspaceClaim holds ids of workspaces; Workspaces are of who has none.
	WorkspaceClaim string
	Workspaces     []string
	// ScopeClaim holds scopes, which Scopes turn into ours; those that it doesn't name count as they are. Empty: everybody may what the role may.
	ScopeClaim string
	Scopes     map[string]account.Scope

	Users     Users             // who has an account here; nil for nobody
	Transport http.RoundTripper // nil for http.DefaultTransport
	Now       func() time.Time
	Logger    *slog.Logger
}

// External verifies access tokens of an external issuer. It may be used by many goroutines.
//
// It keeps no accounts: who shows a token is a person of the id "oidc:" and a hash of iss and sub, for as long as the token is good. What the issuer takes away
// is heeded when the token has expired; an account of that id that is disabled here, within Fresh.
type External struct {
	ExternalConfig
	algs  []jose.SignatureAlgorithm
	keys  *keySet
	users memo[account.User]
}

// NewExternal makes one; it asks nobody yet.
func NewExternal(c ExternalConfig) *External {
	if len(c.Algorithms) == 0 {
		c.Algorithms = Algorithms()
	}
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	e := &External{ExternalConfig: c, keys: newKeySet(c.Issuer, c.Keys, c.Transport, c.Now, c.Logger)}
	if c.Users != nil {
		e.users = memo[account.User]{read: c.Users.User, now: c.Now}
	}
	for _, alg := range c.Algorithms {
		e.algs = append(e.algs, jose.SignatureAlgorithm(alg))
	}
	return e
}

// Authenticate turns an access token of the issuer into who asks. ok is false where the request carries no JWT. The error is Unauthorized, code "invalid_token", for one
// that is not good; Forbidden, code "no_role", for one of somebody who has no role here.
func (e *External) Authenticate(r *http.Request) (who account.Principal, ok bool, err error) {
	token, ok := bearer(r.Header.Get("Authorization"))
	if !ok || !looksLikeJWT(token) {
		return account.Principal{}, false, nil
	}
	c, err := e.verify(r.Context(), token)
	if err != nil {
		return account.Principal{}, true, err
	}
	if who, err = e.principal(c); err == nil {
		err = e.enabled(r.Context(), who.ID)
	}
	return who, true, err
}

// enabled refuses who has an account here that is disabled.
func (e *External) enabled(ctx context.Context, id string) error {
	if e.Users == nil {
		return nil
	}
	u, err := e.users.get(ctx, id)
	switch {
	case fault.Is(err, fault.NotFound):
		return nil
	case err == nil && u.State == account.Disabled:
		return refused("This account is disabled here; ask an administrator.", nil)
	}
	return err
}

// claims are those of a token, by name.
type claims map[string]any

// verify reads a token and refuses it unless all of it is as configured.
func (e *External) verify(ctx context.Context, token string) (claims, error) {
	o, err := open(token, e.algs)
	if err != nil {
		return nil, refused("The access token can't be read, or is signed in a way that is not taken here.", err)
	}
	if !slices.Contains([]string{typeAccess, "jwt", ""}, o.typ) {
		return nil, refused("This is no access token.", errors.New("its type is "+o.typ))
	}
	key, err := e.keys.find(ctx, o.kid, o.jws.Signatures[0].Protected.Algorithm)
	if err != nil {
		return nil, err
	}
	if key == nil {
		return nil, refused("The access token is not from the issuer that is trusted here, or too old.", errors.New("no such key"))
	}
	c := claims{}
	if err := o.verify(key, &c); err != nil {
		return nil, refused("The access token's signature is not good.", err)
	}
	if err := e.check(c, o.typ); err != nil {
		return nil, refused("The access token is not for this server, has expired, or is no access token; sign in again.", err)
	}
	return c, nil
}

func (e *External) check(c claims, typ string) error {
	if c.text("iss") != e.Issuer {
		return errors.New("its iss is another")
	}
	for name, want := range e.Require {
		if !slices.Contains(c.list(name), want) {
			return errors.New("its " + name + " is not " + want)
		}
	}
	if err := c.isAccess(typ); err != nil {
		return err
	}
	audience := slices.ContainsFunc(c.list("aud"), func(a string) bool { return slices.Contains(e.Audiences, a) })
	if len(e.Audiences) > 0 && !audience {
		return errors.New("its aud is another")
	}
	if len(e.Audiences) == 0 && c.text("token_use") != "access" {
		return errors.New("it has no token_use, and no audience is configured")
	}
	if len(e.Clients) > 0 && !slices.Contains(e.Clients, c.client()) {
		return errors.New("its client is another")
	}
	return e.inTime(c)
}

// inTime refuses a token that is not good now.
func (e *External) inTime(c claims) error {
	expires, err1 := c.date("exp")
	notBefore, err2 := c.date("nbf")
	issued, err3 := c.date("iat")
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	return window(e.Now(), expires, notBefore, issued)
}

// isAccess refuses ID tokens. Issuers that don't give access tokens a type of their own (RFC 9068) tell them by token_use (Cognito) or a claim typ (Keycloak);
// all say what the token may, which ID tokens don't, and none binds it to another token.
func (c claims) isAccess(typ string) error {
	if use := c.text("token_use"); use != "" && use != "access" {
		return errors.New("its token_use is " + use)
	}
	if kind := c.text("typ"); kind != "" && kind != "Bearer" && kind != "DPoP" {
		return errors.New("its claim typ is " + kind)
	}
	for _, name := range []string{"at_hash", "c_hash", "s_hash"} {
		if c[name] != nil {
			return errors.New("it has " + name + ", as ID tokens do")
		}
	}
	if c["cnf"] != nil {
		return errors.New("it is bound to a key, which nobody has shown") // RFC 9449 §6, RFC 8705 §3
	}
	if typ == typeAccess {
		return nil
	}
	for _, name := range []string{"scope", "scp", "permissions", "client_id"} {
		if c[name] != nil {
			return nil
		}
	}
	return errors.New("it says neither scope nor client, as access tokens do")
}

// at returns a claim by its key or by a path of keys.
func (c claims) at(name string) any {
	if v, ok := c[name]; ok {
		return v
	}
	var at any = map[string]any(c)
	for part := range strings.SplitSeq(name, ".") {
		m, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = m[part]
	}
	return at
}

func (c claims) text(name string) string {
	s, _ := c.at(name).(string)
	return s
}

// list is a claim that is a list of texts, or one text.
func (c claims) list(name string) []string {
	switch v := c.at(name).(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, one := range v {
			if s, ok := one.(string); ok {
				all = append(all, s)
			}
		}
		return all
	}
	return nil
}

func (c claims) date(name string) (*jwt.NumericDate, error) {
	v, ok := c[name]
	if !ok {
		return nil, nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	d := new(jwt.NumericDate)
	return d, d.UnmarshalJSON(text)
}

func (c claims) client() string {
	for _, name := range []string{"client_id", "azp", "cid"} {
		if s := c.text(name); s != "" {
			return s
		}
	}
	return ""
}

// principal says who shows a token.
func (e *External) principal(c claims) (account.Principal, error) {
	subject := c.text("sub")
	if subject == "" {
		subject = c.client()
	}
	if subject == "" {
		return account.Principal{}, refused("The access token does not say whose it is.", nil)
	}
	role := e.role(c)
	if role == "" {
		return account.Principal{}, noRole()
	}
	who := account.Principal{
		Kind: account.Person, ID: e.id(subject), Name: c.name(), Role: role, Workspaces: e.Workspaces, Scopes: role.Scopes(),
	}
	if subject == c.client() || c.text("gty") == "client-credentials" || strings.HasPrefix(c.text("preferred_username"), "service-account-") {
		who.Kind = account.Service
	}
	if e.WorkspaceClaim != "" {
		if own := c.list(e.WorkspaceClaim); len(own) > 0 {
			who.Workspaces = own
		}
	}
	if e.ScopeClaim != "" {
		who.Scopes = e.scopes(c).Within(role.Scopes())
	}
	return who, nil
}

// id is who somebody of the issuer is here, for ever and whatever their e-mail address is.
func (e *External) id(subject string) string {
	sum := sha256.Sum256([]byte(e.Issuer + "\n" + subject))
	return account.ExternalPrefix + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:]))[:26]
}

// role is the strongest that the token names.
func (e *External) role(c claims) account.Role {
	best := e.DefaultRole
	if e.RoleClaim == "" {
		return best
	}
	for _, name := range c.list(e.RoleClaim) {
		role := account.Role(name)
		if len(e.Roles) > 0 {
			role = e.Roles[name]
		}
		if role.Valid() && (best == "" || slices.Index(account.Roles(), role) < slices.Index(account.Roles(), best)) {
			best = role
		}
	}
	return best
}

func (e *External) scopes(c claims) account.Scopes {
	var all account.Scopes
	for _, text := range c.list(e.ScopeClaim) {
		for name := range strings.FieldsSeq(text) {
			scope, renamed := e.Scopes[name]
			if !renamed {
				scope = account.Scope(name)
			}
			all = append(all, scope)
		}
	}
	return all.Within(account.AllScopes())
}

// mostName bounds what is shown of a person, in characters.
const mostName = 100

func (c claims) name() string {
	for _, claim := range []string{"email", "preferred_username", "username", "name", "client_id", "sub"} {
		if text := clean(c.text(claim), mostName); text != "" {
			return text
		}
	}
	return ""
}

// clean is text on one line, of at most so many characters.
func clean(line string, most int) string {
	kept := []rune(text.Without(line))
	return string(kept[:min(len(kept), most)])
}
