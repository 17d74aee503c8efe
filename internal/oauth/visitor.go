package oauth

import (
	"context"
	"errors"
	"slices"

	"sluice/internal/account"
	"sluice/internal/fault"
)

const (
	mostSubject = 255 // characters (OpenID Connect Core §2)
	mostEmail   = 254
)

// visitor verifies the ID token of a sign-in (OpenID Connect Core §3.1.3.7) and says who it is. access is the access token that came with it: where the ID token lacks the claims
// of roles or workspaces, as Keycloak's does unless told otherwise, those of the access token count, if it is one that is taken here and of the same person.
func (e *External) visitor(ctx context.Context, id, access, client, nonce string) (account.ExternalUser, error) {
	c, err := e.identify(ctx, id, client, nonce)
	if err != nil {
		return account.ExternalUser{}, err
	}
	if more, err := e.verify(ctx, access); err == nil && more.text("sub") == c.text("sub") {
		for _, name := range []string{e.RoleClaim, e.WorkspaceClaim} {
			if name != "" && c.at(name) == nil {
				c[name] = more.at(name)
			}
		}
	}
	who := account.ExternalUser{ID: e.id(c.text("sub")), Email: clean(c.text("email"), mostEmail), Name: clean(c.text("name"), mostName), Role: e.role(c), Workspaces: e.Workspaces, Issuer: e.Issuer,
		Party: e.party(c.text("sid"))}
	if who.Email == "" {
		who.Email = c.name()
	}
	if who.Role == "" {
		return who, noRole()
	}
	if own := c.list(e.WorkspaceClaim); e.WorkspaceClaim != "" && len(own) > 0 {
		who.Workspaces = own
	}
	return who, nil
}

func noRole() error {
	return fault.New(fault.Forbidden, "oauth.role", "no_role", "You have signed in, and have no role here; ask an administrator of the issuer for one.", nil)
}

// identify reads an ID token and refuses it unless it was made for this client and this sign-in.
func (e *External) identify(ctx context.Context, token, client, nonce string) (claims, error) {
	bad := func(cause error) (claims, error) {
		return nil, fault.New(fault.Unauthorized, "oauth.external", "bad_id_token", "What the issuer says of you can't be trusted, or is for another server; sign in again, and tell an administrator if it goes on.", cause)
	}
	o, err := open(token, e.algs)
	if err != nil {
		return bad(err)
	}
	if !slices.Contains([]string{"jwt", ""}, o.typ) {
		return bad(errors.New("its type is " + clean(o.typ, mostName)))
	}
	key, err := e.keys.find(ctx, o.kid, o.jws.Signatures[0].Protected.Algorithm)
	if err != nil {
		return nil, err
	}
	if key == nil {
		return bad(errors.New("no such key"))
	}
	c := claims{}
	if err := o.verify(key, &c); err != nil {
		return bad(err)
	}
	if err := e.checkID(c, client, nonce); err != nil {
		return bad(err)
	}
	return c, nil
}

func (e *External) checkID(c claims, client, nonce string) error {
	if c.text("iss") != e.Issuer {
		return errors.New("its iss is another")
	}
	for name, want := range e.Require {
		if !slices.Contains(c.list(name), want) {
			return errors.New("its " + name + " is not " + want)
		}
	}
	audience, party := c.list("aud"), c.text("azp")
	if !slices.Contains(audience, client) || party != "" && party != client || len(audience) > 1 && party == "" {
		return errors.New("it is for another client")
	}
	if c.text("nonce") != nonce {
		return errors.New("its nonce is that of another sign-in")
	}
	if use, kind := c.text("token_use"), c.text("typ"); use != "" && use != "id" || kind != "" && kind != "ID" { // Cognito's and Keycloak's
		return errors.New("it is no ID token")
	}
	if sub := c.text("sub"); sub == "" || len(sub) > mostSubject {
		return errors.New("its sub is missing or too long")
	}
	if c["iat"] == nil {
		return errors.New("it has no iat")
	}
	return e.inTime(c)
}
