package drill

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/notify/notifytest"
	"sluice/internal/signing"
	"sluice/test/rig"
)

// accountMoves are the durable steps of accounts, letters, programs and what is signed. Each has a point before and one after it.
var accountMoves = []string{
	"FirstAdmin", "Invite", "EditUser", "RemoveUser",
	"Open", "SeeSession", "EndSession", "EndSessions", "Leave",
	"Strike", "SetPassword", "Reissue", "Enqueue.account", "OfferCode",
	"OfferFactor", "SetFactor", "Prove", "SetCodes", "EndFactor", "ResetFactor",
	"AddToken", "SeeToken", "RevokeToken", "EndProgram",
	"AddWorkspace", "RenameWorkspace", "RemoveWorkspace", "Letter", "Prune",
	"ClaimLetter", "SettleLetter", "DelayLetter", "WakeLetters",
	"AddClient", "EditClient", "RemoveClient",
	"PutCode", "Redeem", "Rotate", "EndFamily", "EndGrant", "Deny", "PutSigningKey", "RenewSigningKey",
	"AddKeyPair", "FirstKeyPair", "RetireKeyPair", "RemoveKeyPair",
	"AddPlayback", "AddPlayback.grant", "EditPlayback", "RevokePlayback",
}

// externalMoves are those of people whom another issuer signs in. A server has either its own tokens or another issuer's, so theirs is a story of its own.
var externalMoves = []string{"Enter", "Expel"}

// accountChosen are the points of the short form: where a secret is spent, a letter is on its way, or something is revoked. A kill after SetFactor is left to the full form: it costs the
// recovery codes, and then each code of an app takes half a minute to come.
var accountChosen = []string{"SetPassword.after", "Prove.after", "SettleLetter.before", "Rotate.after", "AddKeyPair.before", "RetireKeyPair.after"}

// accountRounds is how many stories the points are spread over.
const accountRounds = 6

func pointsOf(moves []string) (all []string) {
	for _, move := range moves {
		all = append(all, move+".before", move+".after")
	}
	return all
}

// TestAKillAroundAnythingThatIsDoneToAccountsLeavesItWholeOrUndone tells the story of a company's accounts, programs and keys to a server that is killed and started again: what
// was acknowledged is there after each kill, what was not is there wholly or not at all, and what was revoked or used stays so. Without -full few points kill, and all are met.
func TestAKillAroundAnythingThatIsDoneToAccountsLeavesItWholeOrUndone(t *testing.T) {
	beside(t)
	all := pointsOf(accountMoves)
	switch {
	case *only != "":
		for name, ground := range bothGrounds {
			t.Run(name, func(t *testing.T) { governed(t, strings.Fields(*only), ground) })
		}
	case !*full:
		governed(t, accountChosen, embedded)
	default:
		for name, ground := range bothGrounds {
			for round := range accountRounds {
				var points []string
				for i := round; i < len(all); i += accountRounds {
					points = append(points, all[i])
				}
				t.Run(fmt.Sprintf("%s %d", name, round), func(t *testing.T) { governed(t, points, ground) })
			}
		}
	}
}

// company is the story's stage.
type company struct {
	*testing.T
	k        *rig.Keeper
	office   *notifytest.Office
	ledger   *ledger
	operator *person // by the admin token
	bare     *person // nobody
}

// governed tells the story with a kill at each of the points, and checks what is left.
func governed(t *testing.T, points []string, g ground) {
	met := filepath.Join(t.TempDir(), "met")
	all := pointsOf(accountMoves)
	o := rig.Options{Tags: "drill", Args: []string{"--reconcile-every", "2s"}, Env: []string{
		"SLUICE_FAILPOINT=" + strings.Join(points, " "), "SLUICE_FAILED=" + met, "SLUICE_STALL=" + strings.Join(all, " "), "SLUICE_STALL_FOR=1ms"}}
	office, world := post(t, &o, 2), g(t, &o)
	k := rig.Keep(t, o)
	k.Revive(time.Minute)
	began := time.Now()
	c := &company{T: t, k: k, office: office, ledger: openLedger(t, k, world(k).Database), operator: bearing(t, k, k.Token), bare: newPerson(t, k, "")}
	c.story()
	c.ledger.end()
	c.letters(points)
	noted, err := os.ReadFile(met)
	if err != nil {
		t.Fatal(err)
	}
	seen, kills := strings.Fields(string(noted)), 0
	for _, point := range points {
		if kills++; !slices.Contains(seen, point) {
			t.Errorf("the point %s was never met", point)
		}
	}
	for _, point := range all {
		if !slices.Contains(seen, "stall:"+point) {
			t.Errorf("the story doesn't come to %s", point)
		}
	}
	injected(t, kills)
	t.Logf("%d kills at %q in %s", kills, points, time.Since(began).Round(time.Second))
	if err := k.Stop(); err != nil {
		t.Errorf("an orderly stop: %v", err)
	}
}

func (c *company) story() {
	root := c.first()
	c.workspaces(root)
	ada := c.invited(root, "ada@example.com", "editor")
	bob := c.invited(root, "bob@example.com", "viewer")
	eve := c.invited(root, "eve@example.com", "editor")
	ada.forgot(c.office, "a marmalade for the orbit 12")
	c.wrong(ada, "marmalade turnip orbit ada@example.com")
	c.in(ada)
	c.tokens(ada)
	c.factors(root)
	c.sessions(ada)
	web, spare := c.clients(root)
	c.programs(ada, web, spare)
	video := c.video()
	c.playbacks(video)
	c.shutOut(root, bob, eve, ada)
	c.keyPairs(video)
}

// in has somebody sign in with their password, and notes that they are.
func (c *company) in(p *person) {
	c.Helper()
	if a := p.signIn(p.password); a.status != http.StatusCreated {
		c.Fatalf("%s signs in: %d %s", p.email, a.status, a.raw)
	}
	c.known(p)
}

// wrong notes that a password is good no more.
func (c *company) wrong(p *person, password string) {
	c.Helper()
	look := func() {
		if a := newPerson(c.T, c.k, p.email).signIn(password); a.status != http.StatusUnauthorized {
			c.Errorf("a password of %s that is good no more: %d %s", p.email, a.status, a.raw)
		}
	}
	look()
	c.ledger.last = append(c.ledger.last, look)
}

// known notes that somebody is signed in.
func (c *company) known(p *person) {
	c.ledger.note(p.email+": session", func() string {
		if a := p.ask(http.MethodGet, "/v1/session", nil); a.status != http.StatusOK {
			return a.raw
		}
		return ""
	})
}

// first is the administrator whom the first start made. Its password may have gone with the kill; whoever runs the machine has another letter written.
func (c *company) first() *person {
	root := newPerson(c.T, c.k, "admin@localhost")
	if root.id = c.operator.found("/v1/users", "email", root.email); root.id == "" {
		c.Fatal("nobody is administrator")
	}
	c.operator.must(http.MethodPost, "/v1/users/"+root.id+"/reset", nil, http.StatusOK)
	root.accept(c.operator, c.office, "marmalade turnip orbit root")
	c.known(root)
	return root
}

func (c *company) workspaces(root *person) {
	for _, id := range []string{"films", "gone"} {
		root.must(http.MethodPost, "/v1/workspaces", map[string]any{"id": id, "name": "New"}, http.StatusCreated, http.StatusConflict)
	}
	root.must(http.MethodPatch, "/v1/workspaces/films", map[string]any{"name": "Films"}, http.StatusOK)
	root.must(http.MethodDelete, "/v1/workspaces/gone", nil, http.StatusNoContent, http.StatusNotFound)
	c.ledger.note("the workspaces", func() string {
		if films, gone := root.found("/v1/workspaces", "name", "Films"), root.found("/v1/workspaces", "id", "gone"); films != "films" || gone != "" {
			return fmt.Sprintf("%q and %q", films, gone)
		}
		return ""
	})
}

// invited invites somebody, who accepts.
func (c *company) invited(root *person, email, role string) *person {
	p := newPerson(c.T, c.k, email)
	a := root.must(http.MethodPost, "/v1/users", map[string]any{"email": email, "role": role, "workspaces": []string{"main", "films"}}, http.StatusCreated, http.StatusConflict)
	if p.id = a.text("id"); p.id == "" {
		p.id = root.found("/v1/users", "email", email)
	}
	p.accept(root, c.office, "marmalade turnip orbit "+email)
	c.known(p)
	c.ledger.note(email+": account", func() string {
		if a := root.ask(http.MethodGet, "/v1/users/"+p.id, nil); a.text("role") != role || a.text("state") != "active" {
			return a.raw
		}
		return ""
	})
	return p
}

// token makes a personal token of somebody.
func (c *company) token(p *person) (id string, bearer *person) {
	a := p.must(http.MethodPost, "/v1/tokens", map[string]any{"name": "x", "scopes": []string{"videos/read"}}, http.StatusCreated)
	id, bearer = a.text("id"), bearing(c.T, c.k, a.text("token"))
	c.ledger.note(p.email+": token "+id, func() string {
		if a := bearer.ask(http.MethodGet, "/v1/videos", nil); a.status != http.StatusOK {
			return a.raw
		}
		return ""
	})
	return id, bearer
}

func (c *company) tokens(ada *person) {
	c.token(ada)
	id, bearer := c.token(ada)
	ada.must(http.MethodDelete, "/v1/tokens/"+id, nil, http.StatusNoContent, http.StatusNotFound)
	c.ledger.drop(ada.email + ": token " + id)
	c.ledger.dead("a token that was revoked", func() answer { return bearer.ask(http.MethodGet, "/v1/videos", nil) })
}

func (c *company) sessions(ada *person) {
	var elsewhere []*person
	for range 3 {
		p := newPerson(c.T, c.k, ada.email)
		p.password = ada.password
		if a := p.signIn(p.password); a.status != http.StatusCreated {
			c.Fatalf("%s signs in: %d %s", p.email, a.status, a.raw)
		}
		elsewhere = append(elsewhere, p)
	}
	session := elsewhere[0].must(http.MethodGet, "/v1/session", nil, http.StatusOK).said["session"].(map[string]any)["id"].(string)
	ada.must(http.MethodDelete, "/v1/sessions/"+session, nil, http.StatusNoContent, http.StatusNotFound)
	c.ledger.dead("a session that was ended", func() answer { return elsewhere[0].ask(http.MethodGet, "/v1/sessions", nil) })
	elsewhere[1].must(http.MethodDelete, "/v1/session", nil, http.StatusNoContent, http.StatusUnauthorized)
	c.ledger.dead("a session that was signed out", func() answer { return elsewhere[1].ask(http.MethodGet, "/v1/sessions", nil) })
	ada.must(http.MethodDelete, "/v1/sessions", nil, http.StatusNoContent)
	c.ledger.dead("all other sessions", func() answer { return elsewhere[2].ask(http.MethodGet, "/v1/sessions", nil) })
}

// program is a client of OAuth 2.0.
type program struct{ id, secret string }

const back = "http://127.0.0.1/back"

func (c *company) clients(root *person) (web, spare program) {
	add := func(name string) program {
		a := root.must(http.MethodPost, "/v1/clients", map[string]any{"name": name, "kind": "web", "redirects": []string{back}, "logouts": []string{back}, "scopes": []string{"videos/read"}}, http.StatusCreated)
		return program{a.text("id"), a.text("secret")}
	}
	web, spare = add("Web"), add("Spare")
	root.must(http.MethodPatch, "/v1/clients/"+web.id, map[string]any{"name": "Editorial"}, http.StatusOK)
	web.secret = root.must(http.MethodPost, "/v1/clients/"+web.id+"/secret", nil, http.StatusOK).text("secret")
	c.ledger.note("the program", func() string {
		if id := root.found("/v1/clients", "name", "Editorial"); id != web.id {
			return "its name is another"
		}
		return ""
	})
	return web, spare
}

// tokens are what a program has of somebody.
type tokens struct{ access, refresh, id string }

func (c *company) redeem(p program, form url.Values) (tokens, answer) {
	form.Set("client_id", p.id)
	form.Set("client_secret", p.secret)
	a := c.bare.ask(http.MethodPost, "/oauth/token", form)
	return tokens{a.text("access_token"), a.text("refresh_token"), a.text("id_token")}, a
}

// authorize takes somebody through a program's sign-in. An answer that was lost is a code that was spent: the program begins again.
func (c *company) authorize(who *person, p program) tokens {
	c.Helper()
	const verifier = "a-verifier-of-forty-three-characters-at-least-0"
	sum := sha256.Sum256([]byte(verifier))
	query := url.Values{"response_type": {"code"}, "client_id": {p.id}, "redirect_uri": {back}, "scope": {"openid offline_access videos/read"}, "state": {"s"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
	for range 6 {
		a := who.ask(http.MethodGet, "/oauth/authorize?"+query.Encode(), nil)
		to, err := url.Parse(a.header.Get("Location"))
		if err != nil || to.Query().Get("code") == "" {
			c.Fatalf("authorize: %d %s %s", a.status, a.header.Get("Location"), a.raw)
		}
		form := url.Values{"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "redirect_uri": {back}, "code_verifier": {verifier}}
		all, a := c.redeem(p, form)
		if a.status == http.StatusOK {
			return all
		}
		if !a.lost || a.text("error") != "invalid_grant" {
			c.Fatalf("redeem: %d %s", a.status, a.raw)
		}
	}
	c.Fatal("no code is taken")
	return tokens{}
}

// refresh has a program get new tokens; where the answer was lost it signs in again.
func (c *company) refresh(who *person, p program, have tokens) tokens {
	c.Helper()
	next, a := c.redeem(p, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {have.refresh}})
	switch {
	case a.status == http.StatusOK:
		return next
	case a.lost && a.text("error") == "invalid_grant":
		c.ends("what was refreshed into nothing "+have.refresh[:6], p, have)
		return c.refresh(who, p, c.authorize(who, p))
	}
	c.Fatalf("refresh: %d %s", a.status, a.raw)
	return next
}

// ends notes that a family of tokens is over.
func (c *company) ends(what string, p program, have tokens) {
	c.Helper()
	c.ledger.dead(what+": access", func() answer { return bearing(c.T, c.k, have.access).ask(http.MethodGet, "/v1/videos", nil) })
	c.ledger.dead(what+": refresh", func() answer {
		_, a := c.redeem(p, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {have.refresh}})
		return a
	})
}

// good notes that an access token is.
func (c *company) good(whose *person, what string, have tokens) {
	c.ledger.note(whose.email+": "+what, func() string {
		if a := bearing(c.T, c.k, have.access).ask(http.MethodGet, "/v1/videos", nil); a.status != http.StatusOK {
			return a.raw
		}
		return ""
	})
}

func (c *company) programs(ada *person, web, spare program) {
	kept := c.refresh(ada, web, c.authorize(ada, web))
	c.good(ada, "an access token", kept)

	first := c.authorize(ada, web)
	second := c.refresh(ada, web, first)
	if _, a := c.redeem(web, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.refresh}}); a.status != http.StatusBadRequest {
		c.Fatalf("a refresh token that was used: %d %s", a.status, a.raw)
	}
	if third := c.authorize(ada, web); third.refresh != "" { // what was used twice is of another family than this
		c.good(ada, "another access token", third)
		revoke := func(token string) {
			c.bare.must(http.MethodPost, "/oauth/revoke", url.Values{"client_id": {web.id}, "client_secret": {web.secret}, "token": {token}}, http.StatusOK)
		}
		c.ledger.drop(ada.email + ": another")
		revoke(third.access)
		c.ledger.dead("an access token that was revoked", func() answer { return bearing(c.T, c.k, third.access).ask(http.MethodGet, "/v1/videos", nil) })
		revoke(third.refresh)
		c.ends("a family that was revoked", web, third)
	}
	if !c.retold(first, second) {
		c.ends("a family of which a token was used twice", web, second)
	}

	leaving := newPerson(c.T, c.k, ada.email)
	if a := leaving.signIn(ada.password); a.status != http.StatusCreated {
		c.Fatalf("%d %s", a.status, a.raw)
	}
	have := c.authorize(leaving, web)
	out := leaving.ask(http.MethodGet, "/oauth/logout?"+url.Values{"id_token_hint": {have.id}, "post_logout_redirect_uri": {back}}.Encode(), nil)
	if out.header.Get("Location") != back {
		c.Fatalf("logout: %d %s %s", out.status, out.header.Get("Location"), out.raw)
	}
	c.ends("what was signed out of", web, have)

	given := c.authorize(ada, spare)
	ada.must(http.MethodDelete, "/v1/programs/"+spare.id, nil, http.StatusNoContent, http.StatusNotFound)
	c.ends("what was taken back from a program", spare, given)
	given = c.authorize(ada, spare)
	c.operator.must(http.MethodDelete, "/v1/clients/"+spare.id, nil, http.StatusNoContent, http.StatusNotFound)
	c.ends("a program that was removed", spare, given)

	c.operator.must(http.MethodPost, "/v1/token-keys", map[string]any{}, http.StatusCreated)
	c.good(ada, "an access token of the key before", kept)
}

// retold reports whether the second tokens came of another sign-in than the first: the answer to a refresh was lost, and the first family over by that.
func (c *company) retold(first, second tokens) bool {
	return family(first.access) != family(second.access)
}

// family is the grant that an access token names.
func family(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(body), `"sid":"`)
	sid, _, _ := strings.Cut(rest, `"`)
	return sid
}

// video is one for signed viewers.
func (c *company) video() rig.Video {
	id := c.k.Send(rig.Clip(c.T, "clip.mp4", "320x180", 2), "clip.mp4", patience)
	v := c.k.Until(id, 3*time.Minute, ended)
	if v.Status != "ready" {
		c.Fatalf("%s", v.Raw)
	}
	c.operator.must(http.MethodPatch, "/v1/videos/"+id, map[string]any{"playback_policy": "signed"}, http.StatusOK)
	c.ledger.dead("a signed video, to nobody", func() answer { return c.bare.ask(http.MethodGet, v.Playback.HLS, nil) })
	return v
}

// grants is the right to watch, as the manifest's address.
func (c *company) grants(in map[string]any) string {
	c.Helper()
	return c.operator.must(http.MethodPost, "/v1/keys", in, http.StatusOK).text("hls")
}

// opens notes that an address does.
func (c *company) opens(what, address string) {
	c.ledger.note(what, func() string {
		if a := c.bare.ask(http.MethodGet, address, nil); a.status != http.StatusOK {
			return fmt.Sprintf("%d %.200s", a.status, a.raw)
		}
		return ""
	})
}

func (c *company) playbacks(v rig.Video) {
	c.opens("a grant", c.grants(map[string]any{"video": v.ID}))
	c.opens("a grant with a cap", c.grants(map[string]any{"video": v.ID, "max_resolution": 240}))
	all := "/v1/videos/" + v.ID + "/playbacks"
	add := func() string {
		return c.operator.must(http.MethodPost, all, map[string]any{"name": "Partner"}, http.StatusCreated).text("id")
	}
	kept, ended := add(), add()
	c.operator.must(http.MethodPatch, all+"/"+kept, map[string]any{"policy": "public"}, http.StatusOK)
	at := func(id string) string {
		stem := v.Playback.HLS[:strings.Index(v.Playback.HLS, "/stream/")+len("/stream/")]
		return stem + id + v.Playback.HLS[strings.LastIndex(strings.TrimSuffix(v.Playback.HLS, "/index.m3u8"), "/"):]
	}
	for deadline := time.Now().Add(time.Minute); c.bare.ask(http.MethodGet, at(kept), nil).status != http.StatusOK && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond) // what the edge may still believe
	}
	c.opens("a playback that is public", at(kept))
	signed := c.grants(map[string]any{"playback": ended})
	c.operator.must(http.MethodDelete, all+"/"+ended, nil, http.StatusNoContent, http.StatusNotFound)
	c.ledger.dead("a playback that was revoked", func() answer { return c.bare.ask(http.MethodGet, signed, nil) })
}

// shutOut disables one user, removes another, and has a third choose another password.
func (c *company) shutOut(root, bob, eve, ada *person) {
	_, bearer := c.token(bob)
	root.must(http.MethodPatch, "/v1/users/"+bob.id, map[string]any{"state": "disabled", "role": "editor"}, http.StatusOK)
	c.ledger.drop(bob.email)
	c.ledger.dead("a token of somebody who was disabled", func() answer { return bearer.ask(http.MethodGet, "/v1/videos", nil) })
	c.wrong(bob, bob.password)

	c.ledger.drop(eve.email)
	root.must(http.MethodDelete, "/v1/users/"+eve.id, nil, http.StatusNoContent, http.StatusNotFound)
	c.ledger.dead("a session of somebody who was removed", func() answer { return eve.ask(http.MethodGet, "/v1/sessions", nil) })

	c.ledger.drop(ada.email)
	old := ada.password
	root.must(http.MethodPost, "/v1/users/"+ada.id+"/reset", nil, http.StatusOK)
	c.ledger.dead("a session before a forced reset", func() answer { return ada.ask(http.MethodGet, "/v1/videos", nil) })
	fresh := newPerson(c.T, c.k, ada.email)
	fresh.id, fresh.spent = ada.id, ada.spent
	fresh.accept(root, c.office, "turnips for the orbit again")
	c.wrong(ada, old)
	c.known(fresh)
	root.must(http.MethodGet, "/v1/outbox/letters/1", nil, http.StatusOK)
}

// keyPairs brings, replaces, retires and removes key pairs.
func (c *company) keyPairs(v rig.Video) {
	before := c.operator.found("/v1/key-pairs", "state", "active")
	c.operator.must(http.MethodPost, "/v1/key-pairs", map[string]any{"replaces": before, "after": 3600}, http.StatusCreated, http.StatusConflict)
	bring := func() (signing.KeyPair, string) {
		pair, err := signing.Make(signing.ECDSAP256, signing.SHA256, time.Now())
		if err != nil {
			c.Fatal(err)
		}
		public, err := pair.PublicPEM()
		if err != nil {
			c.Fatal(err)
		}
		c.operator.must(http.MethodPost, "/v1/key-pairs", map[string]any{"pem": string(public)}, http.StatusCreated, http.StatusConflict)
		signed, err := pair.SignCanned(v.Playback.HLS, time.Now().Add(time.Hour))
		if err != nil {
			c.Fatal(err)
		}
		return pair, signed.SignedURL(v.Playback.HLS)
	}
	kept, at := bring()
	ended, dead := bring()
	for _, address := range []string{at, dead} {
		for deadline := time.Now().Add(time.Minute); c.bare.ask(http.MethodGet, address, nil).status != http.StatusOK; time.Sleep(200 * time.Millisecond) {
			if time.Now().After(deadline) {
				c.Fatal("a key pair that was brought opens nothing")
			}
		}
	}
	c.opens("what key pair "+kept.ID+" signed", at)
	c.operator.must(http.MethodPost, "/v1/key-pairs/"+ended.ID+"/retire", map[string]any{"after": 0}, http.StatusOK, http.StatusConflict)
	c.operator.must(http.MethodDelete, "/v1/key-pairs/"+ended.ID, nil, http.StatusNoContent, http.StatusNotFound)
	c.k.With("SLUICE_CLOCK=2m") // which forgets what the edge believed of key pairs, and has the uses of sessions noted
	c.ledger.dead("what a key pair signed that was retired", func() answer { return c.bare.ask(http.MethodGet, dead, nil) })
	c.ledger.note("a key pair that was removed", func() string { return c.operator.found("/v1/key-pairs", "id", ended.ID) })
}

// letters checks that each letter that was written went out, and no more often than there were kills round its sending.
func (c *company) letters(points []string) {
	c.Helper()
	for deadline := time.Now().Add(2 * time.Minute); len(c.ledger.rows(`SELECT CAST(id AS TEXT) FROM letter WHERE state = 'waiting'`)) > 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.Fatal("letters still wait")
		}
	}
	most := 1
	for _, point := range points {
		if strings.HasPrefix(point, "SettleLetter.") {
			most++
		}
	}
	came := map[string]int{}
	for _, l := range c.office.Letters() {
		came[strings.Trim(l.Message.Header.Get("Message-ID"), "<>")]++
	}
	for _, id := range c.ledger.rows(`SELECT 'sluice.letter.' || id || '.' || created FROM letter WHERE state = 'sent'`) {
		n := 0
		for message, times := range came {
			if message == id || strings.HasPrefix(message, id+"@") {
				n = times
			}
		}
		if n < 1 || n > most {
			c.Errorf("letter %s came %d times; %d at most were to: %v", id, n, most, came)
		}
	}
}
