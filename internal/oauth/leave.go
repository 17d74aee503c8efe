package oauth

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"sluice/internal/account"
	"sluice/internal/fault"
)

const (
	// mostHint bounds an ID token that is shown to sign out: it goes into an address.
	mostHint = 4 << 10
	// farewellFresh is how long a logout token is good that does not say, as those of older issuers don't: the end is required since OpenID Connect Back-Channel Logout 1.0 was final.
	farewellFresh = 2 * time.Minute
	// farewellEvent is what a logout token says that happened (OpenID Connect Back-Channel Logout §2.4).
	farewellEvent = "http://schemas.openid.net/event/backchannel-logout"
	// cognito begins the names of Amazon Cognito's issuers, whose address to sign out knows client_id and logout_uri alone (Amazon Cognito Developer Guide, Logout endpoint).
	cognito = "https://cognito-idp."
	// hintName is what the seal binds a hint to.
	hintName = "hint"
)

// hint is what a session keeps of an ID token, to show it to the issuer when somebody signs out there too.
func (p *RelyingParty) hint(idToken string) string {
	if len(idToken) > mostHint {
		idToken = "" // the issuer asks the person then
	}
	return p.seal.Close(hintName, []byte(idToken))
}

// Leave returns where a browser goes that has just signed out here, to sign out at the issuer too (OpenID Connect RP-Initiated Logout §2); empty where the issuer has no such
// address, or can't be asked for it: then the sign-out here has to do. Afterwards the issuer sends the browser back to the page.
func (p *RelyingParty) Leave(ctx context.Context, hint string) string {
	text, ok := p.seal.Open(hintName, hint)
	if !ok {
		return ""
	}
	at, err := p.discover(ctx)
	if err == nil && at.Leave != "" {
		err = secureAs(p.External.Issuer, at.Leave)
	}
	if err != nil {
		p.External.Logger.Warn("somebody signs out here, and not at the issuer", "issuer", p.External.Issuer, "error", err)
		return ""
	}
	if at.Leave == "" {
		return ""
	}
	query := url.Values{"client_id": {p.Client}}
	switch back := p.Public + "/"; {
	case strings.HasPrefix(p.External.Issuer, cognito):
		query.Set("logout_uri", back)
	case len(text) > 0:
		query.Set("id_token_hint", string(text))
		fallthrough
	default:
		query.Set("post_logout_redirect_uri", back)
	}
	return answer(at.Leave, query)
}

// farewell takes what the issuer tells of somebody who has signed out there, or was signed out (OpenID Connect Back-Channel Logout §2.5 to §2.8).
func (p *RelyingParty) farewell(w http.ResponseWriter, r *http.Request) {
	token, err := logoutToken(w, r)
	if err != nil {
		refuse(w, http.StatusBadRequest, "invalid_request", "send one logout_token as application/x-www-form-urlencoded")
		return
	}
	e, err := p.External.farewell(r.Context(), token, p.Client)
	ended := 0
	if err == nil {
		ended, err = p.Expel(r.Context(), p.External.Issuer, e)
	}
	log := p.External.Logger.With("issuer", p.External.Issuer, "address", account.CallerOf(r.Context()).Address)
	switch f := fault.Of(err); {
	case err == nil:
		log.Info("the issuer has told of a sign-out", "user", e.User, "sessions", ended)
		w.WriteHeader(http.StatusOK)
	case fault.Is(err, fault.Unauthorized):
		log.Warn("a logout token was refused", "code", f.Code, "error", err)
		refuse(w, http.StatusBadRequest, "invalid_request", "the logout token is not good here")
	default:
		log.Error("what the issuer tells of a sign-out could not be heeded", "code", f.Code, "error", err)
		refuse(w, f.Kind.Status(), "temporarily_unavailable", "try again later")
	}
}

// logoutToken reads the one parameter that counts.
func logoutToken(w http.ResponseWriter, r *http.Request) (string, error) {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostForm))
	if err != nil {
		return "", err
	}
	values, err := url.ParseQuery(string(body))
	if err == nil && (media != "application/x-www-form-urlencoded" || r.URL.RawQuery != "" || len(values["logout_token"]) != 1) {
		err = errors.New("it is no form with one logout_token")
	}
	return values.Get("logout_token"), err
}

// farewell reads a logout token and refuses it unless all of it is as OpenID Connect Back-Channel Logout §2.6 has it.
func (e *External) farewell(ctx context.Context, token, client string) (account.BackchannelLogout, error) {
	bad := func(cause error) (account.BackchannelLogout, error) {
		return account.BackchannelLogout{}, fault.New(fault.Unauthorized, "oauth.logout", "bad_logout_token", "What the issuer tells of a sign-out can't be trusted, or is for another server; check oidc.client_id.", cause)
	}
	o, err := open(token, e.algs)
	if err != nil {
		return bad(err)
	}
	if !slices.Contains([]string{"logout+jwt", "jwt", ""}, o.typ) {
		return bad(errors.New("its type is " + clean(o.typ, mostName)))
	}
	key, err := e.keys.find(ctx, o.kid, o.jws.Signatures[0].Protected.Algorithm)
	if err != nil {
		return account.BackchannelLogout{}, err
	}
	if key == nil {
		return bad(errors.New("no such key"))
	}
	c := claims{}
	if err := o.verify(key, &c); err != nil {
		return bad(err)
	}
	expires, err := e.checkFarewell(c, client)
	if err != nil {
		return bad(err)
	}
	out := account.BackchannelLogout{Token: "logout:" + hashOf(c.text("jti"))[:32], Expires: expires.Add(leeway), Party: e.party(c.text("sid"))}
	if sub := c.text("sub"); sub != "" {
		out.User = e.id(sub)
	}
	return out, nil
}

// checkFarewell refuses what is no logout token for client, and returns when it ends.
func (e *External) checkFarewell(c claims, client string) (expires time.Time, err error) {
	event, _ := c["events"].(map[string]any)
	_, happened := event[farewellEvent].(map[string]any)
	switch {
	case c.text("iss") != e.Issuer:
		return expires, errors.New("its iss is another")
	case !slices.Contains(c.list("aud"), client):
		return expires, errors.New("it is for another client")
	case !happened:
		return expires, errors.New("it does not say that somebody has signed out")
	case c["nonce"] != nil:
		return expires, errors.New("it has a nonce, as ID tokens do")
	case c.text("sub") == "" && c.text("sid") == "" || len(c.text("sub")) > mostSubject || len(c.text("sid")) > mostSubject:
		return expires, errors.New("it names nobody, or too long")
	case c.text("jti") == "" || len(c.text("jti")) > mostSubject:
		return expires, errors.New("its jti is missing or too long")
	}
	issued, err := c.date("iat")
	if err == nil && issued == nil {
		err = errors.New("it has no iat")
	}
	if err != nil {
		return expires, err
	}
	if c["exp"] == nil {
		c["exp"] = jwt.NewNumericDate(issued.Time().Add(farewellFresh))
	}
	if err := e.inTime(c); err != nil {
		return expires, err
	}
	end, err := c.date("exp")
	return until(end), err
}

// party is what is kept of the name of an issuer's session; empty for none.
func (e *External) party(sid string) string {
	if sid == "" {
		return ""
	}
	return strings.TrimPrefix(e.id("session\n"+sid), account.ExternalPrefix)
}
