package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"sluice/internal/account"
	"sluice/internal/api"
	"sluice/internal/oauth"
)

// OIDC says who gives access tokens: this server, or the issuer that is named.
type OIDC struct {
	Access     time.Duration `help:"How long an access token of this server is good." default:"15m" env:"ACCESS"`
	Refresh    time.Duration `help:"How long a refresh token is good that is not used." default:"720h" env:"REFRESH"`
	RefreshMax time.Duration `help:"How long a program gets new tokens without its user signing in again." default:"2160h" env:"REFRESH_MAX"`
	Rotate     time.Duration `help:"How long a key signs tokens before the next one does." default:"720h" env:"ROTATE"`

	Issuer         string   `help:"External issuer whose access tokens are taken instead of this server's, exactly as its tokens name it in iss." env:"ISSUER" placeholder:"URL"`
	JWKS           string   `name:"jwks" help:"Address of the issuer's keys. Default: what its discovery document names." env:"JWKS" placeholder:"URL"`
	Audience       []string `help:"What a token's aud must have one of." env:"AUDIENCE"`
	Clients        []string `help:"Clients of the issuer whose tokens are taken, by client_id, azp or cid. Default: any. Needed where no audience is set (Amazon Cognito)." env:"CLIENTS"`
	Algorithms     []string `help:"Algorithms that the issuer may sign with. Default: all with public keys." env:"ALGORITHMS"`
	Require        []string `help:"Claims that a token must have, such as tid=… for one tenant." env:"REQUIRE" placeholder:"CLAIM=VALUE"`
	RoleClaim      string   `help:"Claim that holds the user's roles: a key, or a path with dots, such as cognito:groups or realm_access.roles." env:"ROLE_CLAIM"`
	Roles          []string `help:"What its values mean: video-admins=admin. Default: admin, editor and viewer mean themselves." env:"ROLES" placeholder:"VALUE=ROLE"`
	DefaultRole    string   `help:"Role of who has none of these. Default: none, and they are refused." env:"DEFAULT_ROLE"`
	WorkspaceClaim string   `help:"Claim that holds ids of workspaces." env:"WORKSPACE_CLAIM"`
	Workspaces     []string `help:"Workspaces of who has none of these." default:"main" env:"WORKSPACES"`
	ScopeClaim     string   `help:"Claim that holds scopes; empty allows whatever the role does." default:"scope" env:"SCOPE_CLAIM"`
	Scopes         []string `help:"What its values mean, where they are not our own names: read:videos=videos/read." env:"SCOPES" placeholder:"VALUE=SCOPE"`

	Logout       string   `help:"Where signing out on the page ends a sign-in by the issuer: there too (issuer), where it says how, or here alone (here)." default:"issuer" enum:"issuer,here" env:"LOGOUT"`
	Only         bool     `help:"Sign people in by the issuer alone: passwords of this server are good for nothing." env:"ONLY"`
	ClientID     string   `name:"client-id" help:"What the issuer knows this server as, so that people sign in there on the page too. Default: they sign in by password alone." env:"CLIENT_ID"`
	ClientSecret Secret   `name:"client-secret" help:"Its secret there; none for a public client." env:"CLIENT_SECRET" placeholder:"TEXT"`
	Ask          []string `help:"Scopes that a sign-in on the page asks the issuer for; openid is one." default:"openid,profile,email" env:"ASK"`
	Name         string   `help:"What the page calls the issuer. Default: its host." env:"NAME"`
}

// external reports whether another issuer gives the tokens.
func (o OIDC) external() bool { return o.Issuer != "" }

func (o OIDC) check() error {
	switch {
	case o.Access < time.Minute || o.Access > time.Hour:
		return fmt.Errorf("oidc.access is %s; use 1m to 1h", o.Access)
	case o.Refresh < time.Hour || o.RefreshMax < o.Refresh:
		return fmt.Errorf("oidc.refresh is %s and oidc.refresh_max %s; use 1h or more, and no less for the second", o.Refresh, o.RefreshMax)
	case o.Rotate < 48*time.Hour:
		return fmt.Errorf("oidc.rotate is %s; use 48h or more: the next key is published a day before it signs", o.Rotate)
	}
	return o.checkExternal()
}

func (o OIDC) checkExternal() error {
	for key, value := range map[string]string{"oidc.issuer": o.Issuer, "oidc.jwks": o.JWKS} {
		if err := checkIssuer(value); err != nil {
			return fmt.Errorf("%s is %q; %w", key, value, err)
		}
	}
	if o.external() && len(o.Audience) == 0 && len(o.Clients) == 0 {
		return fmt.Errorf("oidc.issuer is set, and oidc.audience and oidc.clients are not: any token of that issuer would be taken; set one")
	}
	for _, alg := range o.Algorithms {
		if !slices.Contains(oauth.Algorithms(), alg) {
			return fmt.Errorf("oidc.algorithms has %q; use some of %s", alg, strings.Join(oauth.Algorithms(), ", "))
		}
	}
	if o.DefaultRole != "" && !account.Role(o.DefaultRole).Valid() {
		return fmt.Errorf("oidc.default_role is %q; use admin, editor or viewer, or nothing", o.DefaultRole)
	}
	if o.external() && o.DefaultRole == "" && o.RoleClaim == "" {
		return fmt.Errorf("oidc.issuer is set, and neither oidc.role_claim nor oidc.default_role is: nobody would have a role; set one")
	}
	for _, pair := range o.Roles {
		if _, role := lastPair(pair); !account.Role(role).Valid() {
			return fmt.Errorf("oidc.roles has %q; write a value, = and one of the roles admin, editor and viewer", pair)
		}
	}
	for _, pair := range o.Scopes {
		if _, scope := lastPair(pair); !account.AllScopes().Has(account.Scope(scope)) {
			return fmt.Errorf("oidc.scopes has %q; write a value, = and one of the scopes %s", pair, account.AllScopes())
		}
	}
	if err := o.checkParty(); err != nil {
		return err
	}
	for _, pair := range o.Require {
		if name, _, ok := strings.Cut(pair, "="); !ok || name == "" {
			return fmt.Errorf("oidc.require has %q; write a claim, = and its value", pair)
		}
	}
	return nil
}

// checkParty refuses what nobody could sign in by.
func (o OIDC) checkParty() error {
	switch {
	case o.ClientID == "":
		if o.ClientSecret != "" {
			return errors.New("oidc.client_secret is set, and oidc.client_id is not; set both")
		}
		if o.Only {
			return errors.New("oidc.only is set, and oidc.client_id is not: nobody could sign in; set both")
		}
		return nil
	case !o.external():
		return errors.New("oidc.client_id is set, and oidc.issuer is not; set both")
	case !slices.Contains(o.Ask, "openid"):
		return errors.New("oidc.ask lacks openid, without which the issuer tells nobody's name")
	case printable(o.Name, mostIssuerName) != o.Name:
		return fmt.Errorf("oidc.name is %q; use one line of at most %d characters", o.Name, mostIssuerName)
	}
	return nil
}

const mostIssuerName = 60 // characters

// checkIssuer refuses an address that can't be an issuer's. http is for one on this machine, to try things out.
func checkIssuer(value string) error {
	if value == "" {
		return nil
	}
	u, err := url.Parse(value)
	local := err == nil && u.Scheme == "http" && slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && !local {
		return errors.New("use https:// with a host and perhaps a path, such as https://login.example.com/realms/media")
	}
	return nil
}

// openTokens wires what gives access tokens, or the issuer whose tokens are taken instead, and returns who knows them.
func (a *App) openTokens() (_ Authenticator, err error) {
	o := a.settings.OIDC
	if o.external() {
		external := oauth.NewExternal(o.config(a))
		return external, a.openParty(external)
	}
	a.provider, err = oauth.New(oauth.Config{
		Store: stageOAuth(a.store), Users: a.identity, Issuer: a.settings.PublicURL, Secret: a.seal, Access: o.Access, Idle: o.Refresh, Most: o.RefreshMax, Rotate: o.Rotate,
		SignOut: func(ctx context.Context, who account.Principal) (string, error) {
			left, err := a.identity.SignOut(ctx, who)
			return left.Cookie, err
		},
		Now: now, Logger: a.log,
	})
	return a.provider, err
}

// openParty wires the page's sign-in by the external issuer, where the issuer knows this server.
func (a *App) openParty(external *oauth.External) (err error) {
	o := a.settings.OIDC
	if o.ClientID == "" {
		return nil
	}
	a.party, err = oauth.NewRelyingParty(oauth.RelyingPartyConfig{
		External: external, Client: o.ClientID, Secret: string(o.ClientSecret), Scopes: o.Ask, Public: a.settings.PublicURL, Seal: a.seal, Admit: a.identity.Admit, Refused: a.identity.Refused,
		Expel: a.identity.Expel,
	})
	return err
}

// issuers are what the page offers to sign in by, beside passwords.
func (a *App) issuers() []api.Issuer {
	if a.party == nil {
		return nil
	}
	name := a.settings.OIDC.Name
	if u, err := url.Parse(a.settings.OIDC.Issuer); name == "" && err == nil {
		name = u.Hostname()
	}
	return []api.Issuer{{Name: name, Login: oauth.PathExternalLogin}}
}

func (o OIDC) config(a *App) oauth.ExternalConfig {
	c := oauth.ExternalConfig{
		Issuer: o.Issuer, Keys: o.JWKS, Audiences: o.Audience, Clients: o.Clients, Algorithms: o.Algorithms, Require: map[string]string{},
		RoleClaim: o.RoleClaim, Roles: map[string]account.Role{}, DefaultRole: account.Role(o.DefaultRole),
		WorkspaceClaim: o.WorkspaceClaim, Workspaces: o.Workspaces, ScopeClaim: o.ScopeClaim, Scopes: map[string]account.Scope{}, Users: a.identity, Now: now, Logger: a.log,
	}
	for _, pair := range o.Roles {
		value, role := lastPair(pair)
		c.Roles[value] = account.Role(role)
	}
	for _, pair := range o.Scopes {
		value, scope := lastPair(pair)
		c.Scopes[value] = account.Scope(scope)
	}
	for _, pair := range o.Require {
		name, value, _ := strings.Cut(pair, "=")
		c.Require[name] = value
	}
	return c
}

// lastPair cuts VALUE=MEANING where the meaning begins: an issuer's values may be addresses.
func lastPair(text string) (value, meaning string) {
	i := strings.LastIndexByte(text, '=')
	if i < 1 {
		return text, ""
	}
	return text[:i], text[i+1:]
}

// leave is where a browser signs out at the issuer too; nil where it doesn't.
func (a *App) leave() func(ctx context.Context, hint string) string {
	if a.party == nil || a.settings.OIDC.Logout == "here" {
		return nil
	}
	return a.party.Leave
}

// signIns is what ends authorization requests, where this server takes any.
func (a *App) signIns() api.SignIns {
	if a.provider == nil {
		return nil
	}
	return a.provider
}

// keyRing is the keys that sign tokens, where this server gives any.
func (a *App) keyRing() api.KeyRing {
	if a.provider == nil {
		return nil
	}
	return a.provider
}

// tokenEntrances is where this server gives tokens, or signs people in by who gives them instead.
func (a *App) tokenEntrances() []entrance {
	if a.party != nil {
		const guard = "who the external issuer says they are: its answer is taken from the browser alone that asked, once, and opens a session; the issuer, by a token that it signed, which ends some"
		return []entrance{{pattern: "/oauth/external/", serve: a.calling(a.party), guard: guard}}
	}
	if a.provider == nil {
		return nil
	}
	const public = "anybody: it tells where things are, and public keys"
	return []entrance{
		{pattern: "/.well-known/openid-configuration", serve: a.provider, guard: public},
		{pattern: "/.well-known/oauth-authorization-server", serve: a.provider, guard: public},
		{pattern: "GET /oauth/authorize", serve: a.identified(a.calling(a.provider)), guard: "who is signed in with a browser; others are sent to the page to sign in"},
		{pattern: "GET /oauth/logout", serve: a.identified(a.calling(a.provider)), guard: "who is signed in with a browser, and has the ID token of a program; others are sent to the page"},
		{pattern: "/oauth/", serve: a.calling(a.provider), guard: "clients by their secret, code and verifier, or token: internal/oauth checks them; a browser's cookie counts for nothing"},
	}
}
