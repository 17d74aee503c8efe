package main

import (
	"fmt"

	"sluice/internal/account"
	"sluice/internal/identity"
)

// sample is what a route is asked with. Which routes there are, and whom each lets in, the matrix reads from the server's own description: a route without a
// sample fails it. In query and body {id}, {n}, {email}, {password} and {code} stand for what id returns, a number that nothing else has, and what the caller signs in with.
type sample struct {
	id    func(cast, caller) string // what stands for {id} or {name} in the path, and behind a space for {playback}, made anew for each who may; nil for none
	query string
	body  string
	code  string                    // beside done, where that is a refusal
	done  int                       // the status of who may, where the description has several; 0 for that one
	as    func(cast, caller) caller // who asks instead of a caller whose session would not outlive it; nil for none
}

func aVideo(c cast, _ caller) string    { return string(c.uploaded()) }
func aCanceled(c cast, _ caller) string { return string(c.canceled()) }
func aJob(c cast, _ caller) string      { return c.job(c.uploaded()) }
func aDeadJob(c cast, _ caller) string  { return c.job(c.canceled()) }
func aUser(c cast, _ caller) string {
	return c.invited(account.Viewer, account.DefaultWorkspace).who.ID
}
func aRequest(c cast, _ caller) string   { return c.request(c.app) }
func aWorkspace(c cast, _ caller) string { return c.made("/v1/workspaces", `{"id":"w%d","name":"W"}`) }
func aSubscription(c cast, _ caller) string {
	return c.made("/v1/subscriptions", `{"address":"ops%d@example.com"}`)
}
func aClient(c cast, _ caller) string {
	return c.made("/v1/clients", `{"name":"x%d","kind":"service","role":"viewer","scopes":["videos/read"]}`)
}

func aKeyPair(c cast, _ caller) string {
	c.t.Helper()
	return c.done(c.root(), "POST", "/v1/key-pairs", `{}`).str("id")
}

func aRetiredKeyPair(c cast, who caller) string {
	id := aKeyPair(c, who)
	c.done(c.root(), "POST", "/v1/key-pairs/"+id+"/retire", `{"after":0}`)
	return id
}

// aPlayback is a video and one of its playback ids.
func aPlayback(c cast, who caller) string {
	id := aVideo(c, who)
	return id + " " + c.done(c.root(), "POST", "/v1/videos/"+id+"/playbacks", `{}`).str("id")
}

// made is the id of what an administrator makes.
func (c cast) made(path, body string) string {
	c.t.Helper()
	return c.done(c.root(), "POST", path, fmt.Sprintf(body, c.fresh())).str("id")
}

func aLetter(c cast, _ caller) string {
	c.t.Helper()
	return fmt.Sprintf("%.0f", c.done(c.root(), "GET", "/v1/outbox/letters?limit=1", "").body["items"].([]any)[0].(map[string]any)["id"])
}

// aCode is one by which somebody gets a new password.
func aCode(c cast, _ caller) string {
	c.t.Helper()
	who := c.person(account.Viewer, account.DefaultWorkspace)
	c.done(caller{}, "POST", "/v1/password/forgot", fmt.Sprintf(`{"email":%q}`, who.email))
	return c.letter(account.ForgottenLetter, who.who.ID)
}

// aLink is the code of one that the start of the server prints.
func aLink(c cast, _ caller) string { return c.links.Make() }

// owner is whose session or token a route about one's own is asked of: the caller's, or an admin's where the caller is not to get at it.
func (c cast) owner(who caller) caller {
	if who.cookie == "" || who.who.Settled() != nil {
		who = c.admin
	}
	who.origin = ""
	return who
}

func aSession(c cast, who caller) string {
	c.t.Helper()
	return c.done(c.signedIn(c.owner(who)), "GET", "/v1/session", "").body["session"].(map[string]any)["id"].(string)
}

func aToken(c cast, who caller) string {
	c.t.Helper()
	return c.done(c.owner(who), "POST", "/v1/tokens", `{"name":"x","scopes":["videos/read"]}`).str("id")
}

// aProgram is one that the caller has let in.
func aProgram(c cast, who caller) string {
	c.t.Helper()
	p := c.program()
	c.given(c.owner(who), p)
	return p.id
}

// again is a caller with another session.
func again(c cast, who caller) caller {
	if who.who.Settled() != nil {
		return other(c, who)
	}
	return c.signedIn(who)
}

// knowing is a caller with another session, who signs in as somebody who can.
func knowing(c cast, who caller) caller {
	who = again(c, who)
	who.email, who.password = c.viewer.email, c.viewer.password
	return who
}

// other is somebody else who may the same.
func other(c cast, who caller) caller {
	switch {
	case who.who.MustProve:
		return c.waiting()
	case who.who.MustChange:
		return c.bound()
	case who.who.MustEnrol:
		return c.unsecured()
	}
	return c.person(who.who.Role, who.who.Workspaces[0])
}

// proving is somebody who has a second factor to show.
func proving(c cast, _ caller) caller { return c.waiting() }

// offering is somebody else who may the same, with a second factor that waits for its first code.
func offering(c cast, who caller) caller {
	if who.who.MustEnrol {
		return c.offered(c.unsecured())
	}
	return c.offered(c.bare(account.Viewer, account.DefaultWorkspace))
}

// secured is somebody with a second factor, of whom none is asked.
func secured(c cast, _ caller) caller {
	who := c.enrolled(c.bare(account.Viewer, account.DefaultWorkspace))
	who.code = c.spare(who)
	return who
}

func aFactor(c cast, who caller) string { return secured(c, who).who.ID }

// showing is somebody else who may the same, with a code where they need one.
func showing(c cast, who caller) caller {
	who = other(c, who)
	if who.spare != nil {
		who.code = c.spare(who)
	}
	return who
}

var samples = map[string]sample{
	"createUpload":      {body: `{"filename":"a.mp4","workspace":"main"}`},
	"completeUpload":    {id: aVideo},
	"createUploadParts": {id: aVideo, body: `{"first":1,"count":1}`, done: 409, code: "no_parts"},
	"listVideos":        {},
	"getVideo":          {id: aVideo},
	"editVideo":         {id: aVideo, body: `{"title":"x"}`},
	"deleteVideo":       {id: aVideo},
	"purgeVideo":        {id: aVideo},
	"encodeVideo":       {id: aCanceled, body: `{}`},
	"redriveVideo":      {id: aCanceled, body: `{}`},
	"listEvents":        {id: aVideo},
	"listErrors":        {},
	"summarizeErrors":   {},

	"sweep":             {body: `{}`},
	"getReconciliation": {},
	"reconcile":         {},
	"subscribe":         {body: `{"address":"ops{n}@example.com"}`},
	"listSubscriptions": {},
	"unsubscribe":       {id: aSubscription},
	"listOutbox":        {},
	"listJobs":          {},
	"getJob":            {id: aJob},
	"redriveJob":        {id: aDeadJob},
	"cancelJob":         {id: aJob},
	"listQueues":        {},
	"editQueue":         {id: func(cast, caller) string { return identity.Queue }, body: `{"paused":false}`},
	"tellObjects":       {body: `{"Records":[]}`},

	"listKeyPairs":   {},
	"addKeyPair":     {body: `{}`},
	"retireKeyPair":  {id: aKeyPair, body: `{}`},
	"removeKeyPair":  {id: aRetiredKeyPair},
	"listPlaybacks":  {id: aVideo},
	"addPlayback":    {id: aVideo, body: `{}`},
	"getPlayback":    {id: aPlayback},
	"editPlayback":   {id: aPlayback, body: `{"name":"x"}`},
	"revokePlayback": {id: aPlayback},
	"createKey":      {body: `{"all":true}`},
	"getKeys":        {},

	"signIn":            {body: `{"email":"{email}","password":"{password}"}`, as: knowing},
	"whoAmI":            {},
	"signOut":           {as: again, done: 204},
	"changePassword":    {body: `{"current":"{password}","password":"correct horse staple {n}"}`, as: other},
	"proveFactor":       {body: `{"code":"{code}"}`, as: proving},
	"getFactor":         {},
	"offerFactor":       {body: `{"password":"{password}","code":"{code}"}`, as: showing},
	"showFactor":        {as: offering},
	"setFactor":         {body: `{"code":"{code}"}`, as: offering},
	"makeRecoveryCodes": {body: `{"password":"{password}","code":"{code}"}`, as: secured},
	"removeFactor":      {body: `{"password":"{password}","code":"{code}"}`, as: secured},
	"resetFactor":       {id: aFactor},

	"forgotPassword":   {body: `{"email":"nobody{n}@example.com"}`},
	"takeLink":         {id: aLink, body: `{"code":"{id}"}`},
	"resetPassword":    {id: aCode, body: `{"code":"{id}","password":"correct horse staple {n}"}`},
	"listSessions":     {},
	"endSession":       {id: aSession},
	"endSessions":      {as: other},
	"makeToken":        {body: `{"name":"x","scopes":["videos/read"]}`},
	"listTokens":       {},
	"revokeToken":      {id: aToken},
	"listPrograms":     {},
	"endProgram":       {id: aProgram},
	"listIssuers":      {},
	"getAuthorization": {id: aRequest, query: "?request={id}"},
	"authorize":        {id: aRequest, body: `{"request":"{id}"}`},

	"inviteUser":      {body: `{"email":"invited{n}@example.com","role":"viewer"}`},
	"listUsers":       {},
	"getUser":         {id: aUser},
	"editUser":        {id: aUser, body: `{"role":"viewer"}`},
	"removeUser":      {id: aUser},
	"inviteUserAgain": {id: aUser},
	"resetUser":       {id: aUser},
	"listWorkspaces":  {},
	"makeWorkspace":   {body: `{"id":"v{n}","name":"V"}`},
	"editWorkspace":   {id: aWorkspace, body: `{"name":"W"}`},
	"removeWorkspace": {id: aWorkspace},
	"listAudit":       {},
	"listLetters":     {},
	"readLetter":      {id: aLetter},

	"addClient":          {body: `{"name":"x","kind":"service","role":"viewer","scopes":["videos/read"]}`},
	"listClients":        {},
	"getClient":          {id: aClient},
	"editClient":         {id: aClient, body: `{"name":"y"}`},
	"removeClient":       {id: aClient},
	"rotateClientSecret": {id: aClient},
	"rotateTokenKeys":    {body: `{}`},
}
