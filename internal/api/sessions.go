package api

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/account"
	"sluice/internal/fault"
	"sluice/internal/text"
)

// SignIn proves who somebody is.
type SignIn struct {
	Email    string `json:"email" minLength:"1" maxLength:"254" example:"ada@example.com" doc:"E-mail address of the user"`
	Password string `json:"password" minLength:"1" maxLength:"256" example:"correct horse battery staple" doc:"The password, or the temporary one of an invitation"`
}

// SignedIn is who has just signed in.
type SignedIn struct {
	User       User `json:"user" doc:"Who it is"`
	MustProve  bool `json:"must_prove" example:"false" doc:"Whether a second factor is to be shown: until POST /v1/session/factor, everything else answers 403 second_factor_required"`
	MustChange bool `json:"must_change" example:"false" doc:"Whether the password was a temporary one: until POST /v1/session/password, everything else answers 403 password_change_required"`
	MustEnrol  bool `json:"must_enrol" example:"false" doc:"Whether a second factor is to be set up: until POST /v1/factor/confirm, everything else answers 403 second_factor_enrolment_required"`
}

// Me is who asks.
type Me struct {
	Kind       string   `json:"kind" enum:"root,person,service" example:"person" doc:"root: the admin token; person: a user; service: a program with credentials of its own"`
	ID         string   `json:"id" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"What owns the videos that they put"`
	Name       string   `json:"name" example:"ada@example.com" doc:"To show"`
	Role       string   `json:"role" enum:"admin,editor,viewer" example:"editor" doc:"What they may do at most"`
	Workspaces []string `json:"workspaces" example:"[\"main\"]" doc:"Ids of the workspaces they belong to"`
	Scopes     []string `json:"scopes" example:"[\"videos/read\"]" doc:"What the credentials allow"`
	MustProve  bool     `json:"must_prove" example:"false" doc:"Whether only the second factor may be shown"`
	MustChange bool     `json:"must_change" example:"false" doc:"Whether only the password may be changed, once the second factor was shown"`
	MustEnrol  bool     `json:"must_enrol" example:"false" doc:"Whether only a second factor may be set up, once the password was changed"`
	User       *User    `json:"user,omitempty" doc:"The user; absent where it is none"`
	Session    *Session `json:"session,omitempty" doc:"The browser's session; absent for tokens"`
	Setup      Setup    `json:"setup" doc:"How this server is set up, for pages"`
}

// Setup is how a server is set up.
type Setup struct {
	Mail         bool   `json:"mail" example:"true" doc:"Whether letters are sent; else they wait in the outbox"`
	SecondFactor string `json:"second_factor" enum:"optional,admins,everyone" example:"optional" doc:"Who must have a second factor"`
	Passwords    bool   `json:"passwords" example:"true" doc:"Whether people sign in by passwords of this server; else by another issuer alone"`
	Programs     bool   `json:"programs" example:"true" doc:"Whether this server gives programs tokens; else another issuer does"`
}

// Session is a browser that is signed in.
type Session struct {
	ID      string `json:"id" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"Names the session; it opens nothing"`
	Current bool   `json:"current" example:"true" doc:"Whether it is the one that asks"`
	Created Time   `json:"created" doc:"When it was opened"`
	Seen    Time   `json:"seen" doc:"When it was last used, to the minute"`
	Expires Time   `json:"expires" doc:"When it ends at the latest; after 7 days without use it ends sooner"`
	Address string `json:"address" example:"192.0.2.7" doc:"From where it was opened"`
	Agent   string `json:"agent" example:"Mozilla/5.0 (X11; Linux x86_64)" doc:"What the browser calls itself"`
}

// SessionList is all sessions of a user.
type SessionList struct {
	Items []Session `json:"items" doc:"Newest first"`
}

// PasswordChange replaces a password.
type PasswordChange struct {
	Current  string `json:"current" minLength:"1" maxLength:"256" example:"the temporary one" doc:"The password, or the temporary one, that is good now"`
	Password string `json:"password" minLength:"1" maxLength:"256" example:"correct horse battery staple" doc:"The new one: 12 to 128 characters that are not easy to guess"`
}

// Forgotten asks for a new password.
type Forgotten struct {
	Email string `json:"email" minLength:"1" maxLength:"254" example:"ada@example.com" doc:"E-mail address of the user"`
}

// PasswordReset replaces a password that was forgotten.
type PasswordReset struct {
	Code     string `json:"code" minLength:"1" maxLength:"200" example:"n3mP…" doc:"What follows code= in the link of the letter"`
	Password string `json:"password" minLength:"1" maxLength:"256" example:"correct horse battery staple" doc:"The new one: 12 to 128 characters that are not easy to guess"`
}

// Accepted says what will happen.
type Accepted struct {
	Message string `json:"message" example:"If there is a user with this address, a letter is on its way." doc:"The same for every address"`
}

type signInInput struct{ Body SignIn }

type signedInOutput struct {
	SetCookie []string `header:"Set-Cookie" doc:"The session, and by what the browser is known at its next sign-in: cookies that scripts can't read"`
	Body      SignedIn
}

// SignedOut is where a browser goes on that has signed out.
type SignedOut struct {
	Redirect string `json:"redirect" example:"https://login.example.com/logout?id_token_hint=eyJ…" doc:"The issuer that signed the person in, to sign out there too, from where the browser comes back to this server's page; or the program that asked for it"`
}

// Links are what the start of the server printed for its operator.
type Links interface {
	// Take exchanges the code of a link for a token, valid until then.
	Take(ctx context.Context, code string) (token string, until time.Time, err error)
	// End revokes the token of a header Authorization, if a link was exchanged for it, and reports whether it was valid.
	End(ctx context.Context, authorization string) (bool, error)
}

type signOutInput struct {
	authorization string

	Request string `query:"request" maxLength:"8000" doc:"What the address of the page has that asks whether to sign out, where a program sent somebody there"`
}

// Resolve keeps the credential, which is revoked where it came from a one-time link.
func (in *signOutInput) Resolve(ctx huma.Context) []error {
	in.authorization = ctx.Header("Authorization")
	return nil
}

type signedOutOutput struct {
	Status    int
	SetCookie string `header:"Set-Cookie" doc:"Forgets the session"`
	Body      SignedOut
}

type meOutput struct {
	Status int
	Body   Me
}

type passwordInput struct{ Body PasswordChange }

type forgottenInput struct{ Body Forgotten }

type resetInput struct{ Body PasswordReset }

// Link is what the server printed for its operator.
type Link struct {
	Code string `json:"code" minLength:"1" maxLength:"200" example:"n3mP…" doc:"What follows #admin= in the link"`
}

// Linked is what a link was exchanged for.
type Linked struct {
	Token   string `json:"token" example:"sluice_adm_n3mP…" doc:"Send it as Authorization: Bearer …"`
	Expires Time   `json:"expires" doc:"When it ends; a restart of the server ends it sooner"`
}

type linkInput struct{ Body Link }

type linkedOutput struct{ Body Linked }

type acceptedOutput struct{ Body Accepted }

type ownerInput struct {
	User string `query:"user" maxLength:"40" doc:"Id of another user, for administrators; absent for oneself"`
}

type ownedInput struct {
	User string `query:"user" maxLength:"40" doc:"Id of another user, for administrators; absent for oneself"`
	ID   string `path:"id" maxLength:"40" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"Its id"`
}

type sessionsOutput struct{ Body SessionList }

func (s *service) routeSessions() {
	tags := []string{"sessions"}
	mine := known("Asks for no scope: it is about who asks, and who has not shown a second factor yet, or has a temporary password, needs it too.")
	passing := authenticated("Asks for no scope: it is about who asks, and whose password is temporary needs it too.")
	own := settled("Asks for no scope: one's own are for who is signed in with a browser, those of another user for who has `users/admin`.")
	route(s, open("For anybody: failures make the next try wait, by user and by address."), huma.Operation{OperationID: "signIn", Method: http.MethodPost, Path: "/v1/session", Tags: tags,
		Summary:       "Sign in",
		Description:   "Opens a session for a browser. Every failure has one answer, whatever its reason. Who has a second factor gets a session that is good for showing it alone (POST /v1/session/factor). A session that the browser had ends. After five failures in a row each try waits longer, up to 15 minutes.",
		DefaultStatus: http.StatusCreated, MaxBodyBytes: smallBody},
		problems{http.StatusUnauthorized: {"sign_in_failed"}, http.StatusForbidden: {codePasswordsOff}, http.StatusTooManyRequests: {"try_later"}}, byPassword(s, s.signIn))
	route(s, open("For anybody who has the code, which has 256 random bits and works once, for an hour."), huma.Operation{OperationID: "takeLink", Method: http.MethodPost, Path: "/v1/session/link", Tags: tags,
		Summary:       "Exchange the one-time link that the server printed",
		Description:   "On a terminal the start of the server prints a link to the page. Its code is exchanged once for a token that does what the admin token does, for 12 hours or until the server restarts.",
		DefaultStatus: http.StatusCreated, MaxBodyBytes: smallBody},
		problems{http.StatusGone: {"link_gone"}}, s.takeLink)
	route(s, asked("For anybody: a page asks before it knows whether somebody is signed in. An Authorization header that is no good is refused."),
		huma.Operation{OperationID: "whoAmI", Method: http.MethodGet, Path: "/v1/session", Tags: tags, Summary: "Tell who asks, and what they may do",
			Responses: map[string]*huma.Response{strconv.Itoa(http.StatusNoContent): {Description: "Nobody is known: there are no credentials, or the cookie of a session that is over."}}},
		nil, s.whoAmI)
	route(s, mine, huma.Operation{OperationID: "signOut", Method: http.MethodDelete, Path: "/v1/session", Tags: tags, Summary: "Sign out",
		Description: "Ends the session, or revokes the token that a one-time link was exchanged for. 200 if the browser goes on elsewhere.",
		Responses:   map[string]*huma.Response{strconv.Itoa(http.StatusNoContent): {Description: "Signed out, and nothing is left to do."}}}, problems{http.StatusForbidden: {"session_required"}}, s.signOut)
	route(s, passing, huma.Operation{OperationID: "changePassword", Method: http.MethodPost, Path: "/v1/session/password", Tags: tags,
		Summary: "Change one's password", Description: "Ends every session of the user, and opens a new one for the browser that asks.", MaxBodyBytes: smallBody},
		problems{http.StatusForbidden: {"session_required", codePasswordsOff}, http.StatusConflict: {"password_changed", "external_user"}, http.StatusTooManyRequests: {"try_later"},
			http.StatusUnprocessableEntity: {"wrong_password", "weak_password"}}, byPassword(s, s.changePassword))
	route(s, open("For anybody: what is asked too often is dropped, by mailbox and by address."), huma.Operation{OperationID: "forgotPassword", Method: http.MethodPost, Path: "/v1/password/forgot", Tags: tags,
		Summary:     "Have a link for a new password mailed",
		Description: "Answers 202 whether there is such a user or not. The link works once, for an hour; the newest alone.", DefaultStatus: http.StatusAccepted, MaxBodyBytes: smallBody},
		problems{http.StatusForbidden: {codePasswordsOff}, http.StatusTooManyRequests: {"try_later"}}, byPassword(s, s.forgotPassword))
	route(s, open("For anybody who has the code, which has 256 random bits and is good for an hour."), huma.Operation{OperationID: "resetPassword", Method: http.MethodPost, Path: "/v1/password/reset", Tags: tags,
		Summary: "Choose a new password by the link that was mailed", Description: "Ends every session of the user.", DefaultStatus: http.StatusNoContent, MaxBodyBytes: smallBody},
		problems{http.StatusGone: {"code_gone"}, http.StatusForbidden: {codePasswordsOff}, http.StatusTooManyRequests: {"try_later"}, http.StatusUnprocessableEntity: {"weak_password"}}, byPassword(s, s.resetPassword))
	route(s, own, huma.Operation{OperationID: "listSessions", Method: http.MethodGet, Path: "/v1/sessions", Tags: tags, Summary: "List where one is signed in"},
		problems{http.StatusForbidden: {"session_required", codeMissingScope}, http.StatusNotFound: {"no_user"}}, s.sessions)
	route(s, own, huma.Operation{OperationID: "endSession", Method: http.MethodDelete, Path: "/v1/sessions/{id}", Tags: tags, Summary: "End a session",
		DefaultStatus: http.StatusNoContent}, problems{http.StatusForbidden: {"session_required", codeMissingScope}, http.StatusNotFound: {"no_session", "no_user"}}, s.endSession)
	route(s, own, huma.Operation{OperationID: "endSessions", Method: http.MethodDelete, Path: "/v1/sessions", Tags: tags, Summary: "End all sessions but the one that asks",
		DefaultStatus: http.StatusNoContent}, problems{http.StatusForbidden: {"session_required", codeMissingScope}, http.StatusNotFound: {"no_user"}}, s.endSessions)
}

// byPassword has an operation that is about passwords refused where they are good for nothing.
func byPassword[I, O any](s *service, handle func(context.Context, *I) (*O, error)) func(context.Context, *I) (*O, error) {
	if !s.IssuerOnly {
		return handle
	}
	return func(context.Context, *I) (*O, error) {
		return nil, fault.New(fault.Forbidden, "api.password", codePasswordsOff, "People sign in here by another issuer alone (oidc.only); passwords of this server are good for nothing.", nil)
	}
}

// plainText refuses what is not one line of text (text.Hidden), and what was not UTF-8.
func plainText(field, line string) error {
	if strings.ContainsFunc(line, func(r rune) bool { return text.Hidden(r) || r == unicode.ReplacementChar }) {
		return invalid(codeInvalid, field, "expected one line of text, without control characters and without characters that change the direction of writing")
	}
	return nil
}

func (s *service) signIn(ctx context.Context, in *signInInput) (*signedInOutput, error) {
	done, err := s.Identity.SignIn(ctx, in.Body.Email, in.Body.Password)
	if err != nil {
		return nil, err
	}
	return signedIn(done), nil
}

// cookies are the headers Set-Cookie of a new session.
func cookies(done account.Admission) []string {
	if done.Device == "" {
		return []string{done.Cookie}
	}
	return []string{done.Cookie, done.Device}
}

func signedIn(done account.Admission) *signedInOutput {
	return &signedInOutput{SetCookie: cookies(done), Body: SignedIn{User: viewUser(done.User), MustProve: done.MustProve, MustChange: done.User.MustChange, MustEnrol: done.MustEnrol}}
}

func (s *service) takeLink(ctx context.Context, in *linkInput) (*linkedOutput, error) {
	token, until, err := s.Links.Take(ctx, in.Body.Code)
	if err != nil {
		return nil, err
	}
	return &linkedOutput{Body: Linked{Token: token, Expires: Time(until)}}, nil
}

func (s *service) whoAmI(ctx context.Context, _ *struct{}) (*meOutput, error) {
	p := who(ctx)
	if p.Kind == "" {
		return &meOutput{Status: http.StatusNoContent}, nil
	}
	me := Me{Kind: string(p.Kind), ID: p.ID, Name: p.Name, Role: string(p.Role), Workspaces: list(p.Workspaces), Scopes: names(p.Scopes), MustProve: p.MustProve, MustChange: p.MustChange,
		MustEnrol: p.MustEnrol, Setup: Setup{Mail: s.Mail, SecondFactor: string(cmp.Or(s.Demand, account.Optional)), Passwords: !s.IssuerOnly, Programs: s.SignIns != nil}}
	if p.Kind == account.Person {
		u, err := s.Identity.User(ctx, p.ID)
		if err != nil && !fault.Is(err, fault.NotFound) { // another issuer's people are no users of ours
			return nil, err
		} else if err == nil {
			view := viewUser(u)
			me.User = &view
		}
	}
	if p.Session != "" {
		current, err := s.Identity.CurrentSession(ctx, p)
		if err != nil {
			return nil, err
		}
		view := viewSession(current, p)
		me.Session = &view
	}
	return &meOutput{Status: http.StatusOK, Body: me}, nil
}

// list is a list that is empty and not null.
func list(all []string) []string { return append([]string{}, all...) }

func names(scopes account.Scopes) []string {
	all := make([]string, len(scopes))
	for i, one := range scopes {
		all[i] = string(one)
	}
	return all
}

func viewSession(one account.Session, by account.Principal) Session {
	return Session{ID: one.ID, Current: one.ID == by.Session, Created: Time(one.Created), Seen: Time(one.Seen), Expires: Time(one.Expires), Address: one.Address, Agent: one.Agent}
}

func (s *service) signOut(ctx context.Context, in *signOutInput) (*signedOutOutput, error) {
	by := who(ctx)
	if by.Session == "" {
		if ended, err := s.Links.End(ctx, in.authorization); ended || err != nil {
			return &signedOutOutput{Status: http.StatusNoContent}, err
		}
	}
	left, err := s.Identity.SignOut(ctx, by)
	if err != nil {
		return nil, err
	}
	out := &signedOutOutput{Status: http.StatusNoContent, SetCookie: left.Cookie}
	switch {
	case left.Hint != "" && s.Leave != nil:
		out.Body.Redirect = s.Leave(ctx, left.Hint)
	case in.Request != "" && s.SignIns != nil:
		out.Body.Redirect = s.SignIns.Parted(ctx, in.Request)
	}
	if out.Body.Redirect != "" {
		out.Status = http.StatusOK
	}
	return out, nil
}

func (s *service) changePassword(ctx context.Context, in *passwordInput) (*signedInOutput, error) {
	done, err := s.Identity.ChangePassword(ctx, who(ctx), in.Body.Current, in.Body.Password)
	if err != nil {
		return nil, err
	}
	return signedIn(done), nil
}

func (s *service) forgotPassword(ctx context.Context, in *forgottenInput) (*acceptedOutput, error) {
	if err := s.Identity.Forgot(ctx, in.Body.Email); err != nil {
		return nil, err
	}
	return &acceptedOutput{Body: Accepted{Message: "If there is a user with this address, a letter is on its way."}}, nil
}

func (s *service) resetPassword(ctx context.Context, in *resetInput) (*struct{}, error) {
	return nil, s.Identity.Reset(ctx, in.Body.Code, in.Body.Password)
}

func (s *service) sessions(ctx context.Context, in *ownerInput) (*sessionsOutput, error) {
	by := who(ctx)
	all, err := s.Identity.Sessions(ctx, by, in.User)
	if err != nil {
		return nil, err
	}
	out := &sessionsOutput{Body: SessionList{Items: make([]Session, 0, len(all))}}
	for _, one := range all {
		out.Body.Items = append(out.Body.Items, viewSession(one, by))
	}
	return out, nil
}

func (s *service) endSession(ctx context.Context, in *ownedInput) (*struct{}, error) {
	return nil, s.Identity.EndSession(ctx, who(ctx), in.User, in.ID)
}

func (s *service) endSessions(ctx context.Context, in *ownerInput) (*struct{}, error) {
	return nil, s.Identity.EndSessions(ctx, who(ctx), in.User)
}
