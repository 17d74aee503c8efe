package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/account"
)

// AuditEntry is something that was done and that matters for security.
type AuditEntry struct {
	ID      int64             `json:"id" example:"7" doc:"Grows with time"`
	Time    Time              `json:"time" doc:"When it was done"`
	What    string            `json:"what" example:"user.invited" doc:"What was done: sign_in, sign_in.failed, sign_out, session.ended, password.changed, user.edited and so on"`
	By      *Actor            `json:"by,omitempty" doc:"Who did it; absent where nobody is known"`
	User    *Actor            `json:"user,omitempty" doc:"To whose account; absent where there is none, as with a sign-in under an unknown address"`
	Address string            `json:"address" example:"192.0.2.7" doc:"From where; empty where it isn't known"`
	Detail  map[string]string `json:"detail" example:"{\"role\":\"editor\"}" doc:"What changed"`
}

// Actor is somebody as they were called then.
type Actor struct {
	ID   string `json:"id" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"Id of a user or client; admin for the admin token"`
	Name string `json:"name" example:"ada@example.com" doc:"What they were called"`
}

// ActPage is one page of acts.
type ActPage struct {
	Items []AuditEntry `json:"items" doc:"Newest first"`
	Next  string       `json:"next,omitempty" example:"djE6Nw" doc:"Pass as cursor for the next page; absent on the last one"`
}

// Message is a message to the holder of an account.
type Message struct {
	ID       int64  `json:"id" example:"7" doc:"Grows with time"`
	Kind     string `json:"kind" enum:"invitation,reset,forgot,changed,factor_set,factor_end,recovery" example:"invitation" doc:"invitation; reset: a temporary password that an administrator asked for; forgot: a link for a new password; changed: that it was; factor_set: that there is a second factor; factor_end: that there is none any more; recovery: that a recovery code was used"`
	User     string `json:"user" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"The user's id"`
	Address  string `json:"address" example:"ada@example.com" doc:"To whom"`
	State    string `json:"state" enum:"waiting,sent,refused,dead,void" example:"sent" doc:"waiting for the mail server; sent; refused for good; dead after a day of trying; void: what it tells was replaced, used, or expired before it was sent"`
	Tries    int    `json:"tries" example:"1" doc:"How often it was tried"`
	Trouble  *Error `json:"trouble,omitempty" doc:"Why the last try failed; absent unless it did"`
	Created  Time   `json:"created" doc:"When it was written"`
	Expires  Time   `json:"expires,omitzero" doc:"When what it tells expires; absent where it tells no secret"`
	Finished Time   `json:"finished,omitzero" doc:"When it was sent or given up; absent before"`
}

// OpenLetter is a letter with its text.
type OpenLetter struct {
	Message
	Subject string `json:"subject,omitempty" example:"You are invited to Sluice" doc:"Its subject; absent with the text"`
	Text    string `json:"text,omitempty" example:"There is an account for you." doc:"What it says, secret included, to be passed on by other means; absent unless it waits and the server has no mail server"`
	Secret  string `json:"secret,omitempty" example:"n3mP…" doc:"The temporary password, or code, in it; absent with the text"`
}

// LetterPage is one page of letters.
type LetterPage struct {
	Items []Message `json:"items" doc:"Newest first"`
	Next  string    `json:"next,omitempty" example:"djE6Nw" doc:"Pass as cursor for the next page; absent on the last one"`
}

type actsInput struct {
	User   string `query:"user" maxLength:"40" doc:"Only what this user did, or was done to their account"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Largest number of acts to answer with"`
	Cursor string `query:"cursor" maxLength:"200" doc:"Where to go on: next of the page before"`
}

type actsOutput struct{ Body ActPage }

type lettersInput struct {
	State  string `query:"state" enum:"waiting,sent,refused,dead,void" doc:"Only letters in this state"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Largest number of letters to answer with"`
	Cursor string `query:"cursor" maxLength:"200" doc:"Where to go on: next of the page before"`
}

type lettersOutput struct{ Body LetterPage }

type letterInput struct {
	ID int64 `path:"id" minimum:"1" example:"7" doc:"The letter's id"`
}

type letterOutput struct{ Body OpenLetter }

func (s *service) routeAudit() {
	route(s, needs(account.UsersAdmin), huma.Operation{OperationID: "listAudit", Method: http.MethodGet, Path: "/v1/audit", Tags: []string{"users"},
		Summary:     "List what was done to accounts, newest first",
		Description: "Sign-ins, changes of users, passwords, tokens and workspaces: who did what, when and from where. Kept for 400 days, failed sign-ins for 30."},
		problems{http.StatusUnprocessableEntity: {codeCursor}}, s.acts)
	route(s, needs(account.UsersAdmin), huma.Operation{OperationID: "listLetters", Method: http.MethodGet, Path: "/v1/outbox/letters", Tags: []string{"users"},
		Summary: "List letters to users, newest first, and what became of them"},
		problems{http.StatusUnprocessableEntity: {codeCursor}}, s.letters)
	route(s, needs(account.UsersAdmin), huma.Operation{OperationID: "readLetter", Method: http.MethodGet, Path: "/v1/outbox/letters/{id}", Tags: []string{"users"},
		Summary:     "Read a letter",
		Description: "With its text while it waits and the server has no mail server, so that an administrator can pass it on; who read it is recorded. A secret is forgotten once it was sent, replaced, used, or has expired."},
		problems{http.StatusNotFound: {"no_letter"}}, s.letter)
}

func party(id, name string) *Actor {
	if id == "" && name == "" {
		return nil
	}
	return &Actor{ID: id, Name: name}
}

func (s *service) acts(ctx context.Context, in *actsInput) (*actsOutput, error) {
	before, ok := readNumber(in.Cursor)
	if !ok {
		return nil, invalid(codeCursor, "query.cursor", "expected the next of a page before")
	}
	found, err := s.Identity.Acts(ctx, in.User, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	page := ActPage{Items: make([]AuditEntry, 0, len(found))}
	for i, a := range found {
		if i == in.Limit {
			page.Next = numberCursor(found[i-1].ID)
			break
		}
		detail := a.Detail
		if detail == nil {
			detail = map[string]string{}
		}
		page.Items = append(page.Items, AuditEntry{ID: a.ID, Time: Time(a.Time), What: a.What, By: party(a.By, a.ByName), User: party(a.User, a.UserName), Address: a.Address, Detail: detail})
	}
	return &actsOutput{Body: page}, nil
}

func viewLetter(l account.Message) Message {
	out := Message{ID: l.ID, Kind: string(l.Kind), User: l.User, Address: l.Address, State: string(l.State), Tries: l.Tries, Created: Time(l.Created), Expires: Time(l.Expires),
		Finished: Time(l.Finished)}
	if l.Code != "" {
		out.Trouble = &Error{Code: l.Code, Message: l.Message}
	}
	return out
}

func (s *service) letters(ctx context.Context, in *lettersInput) (*lettersOutput, error) {
	before, ok := readNumber(in.Cursor)
	if !ok {
		return nil, invalid(codeCursor, "query.cursor", "expected the next of a page before")
	}
	found, err := s.Identity.Letters(ctx, account.MessageState(in.State), before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	page := LetterPage{Items: make([]Message, 0, len(found))}
	for i, l := range found {
		if i == in.Limit {
			page.Next = numberCursor(found[i-1].ID)
			break
		}
		page.Items = append(page.Items, viewLetter(l))
	}
	return &lettersOutput{Body: page}, nil
}

func (s *service) letter(ctx context.Context, in *letterInput) (*letterOutput, error) {
	by := who(ctx)
	l, err := s.Identity.Letter(ctx, by, in.ID)
	if err != nil {
		return nil, err
	}
	out := OpenLetter{Message: viewLetter(l), Secret: l.Secret}
	if l.Secret != "" {
		out.Subject, out.Text = s.LetterText(l)
	}
	return &letterOutput{Body: out}, nil
}
