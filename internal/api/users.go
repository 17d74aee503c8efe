package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/account"
)

// Invitation asks for a new user.
type Invitation struct {
	Email      string   `json:"email" minLength:"3" maxLength:"254" example:"ada@example.com" doc:"Mail address, in ASCII and without a name; what they sign in with"`
	Name       string   `json:"name,omitempty" maxLength:"100" example:"Ada Lovelace" doc:"To show"`
	Role       string   `json:"role" enum:"admin,editor,viewer" example:"editor" doc:"admin: everything; editor: puts, changes and removes videos of their workspaces; viewer: watches what is ready there"`
	Workspaces []string `json:"workspaces,omitempty" maxItems:"100" maxLength:"40" uniqueItems:"true" example:"[\"main\"]" doc:"Ids of the workspaces they belong to. Absent: main"`
}

// User is a person with an account.
type User struct {
	ID         string   `json:"id" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"Names the user, for ever: what owns the videos that they put"`
	Email      string   `json:"email" example:"ada@example.com" doc:"What they sign in with, in any case"`
	Name       string   `json:"name" example:"Ada Lovelace" doc:"To show; may be empty"`
	Role       string   `json:"role" enum:"admin,editor,viewer" example:"editor" doc:"What they may do at most"`
	State      string   `json:"state" enum:"invited,active,disabled" example:"active" doc:"invited: has a temporary password and none of their own yet; active; disabled: may not sign in, and nothing of theirs is good"`
	Workspaces []string `json:"workspaces" example:"[\"main\"]" doc:"Ids of the workspaces they belong to; an administrator reaches the others too"`
	MustChange bool     `json:"must_change" example:"false" doc:"Whether their password is a temporary one"`
	Factored   Time     `json:"second_factor_since,omitzero" doc:"Since when they have a second factor; absent where they have none"`
	Created    Time     `json:"created" doc:"When they were invited"`
	SignedIn   Time     `json:"signed_in,omitzero" doc:"When they last signed in; absent where they never did"`
}

// UserEdit changes a user. What is absent stays as it is.
type UserEdit struct {
	Name       *string   `json:"name,omitempty" maxLength:"100" example:"Ada Lovelace" doc:"To show"`
	Role       *string   `json:"role,omitempty" enum:"admin,editor,viewer" example:"viewer" doc:"What they may do at most, from their next request on"`
	Workspaces *[]string `json:"workspaces,omitempty" maxItems:"100" maxLength:"40" uniqueItems:"true" example:"[\"main\"]" doc:"Ids of the workspaces they belong to, and no others"`
	State      *string   `json:"state,omitempty" enum:"active,disabled" example:"disabled" doc:"disabled ends sessions and personal tokens at once; active lets them sign in again"`
}

// UserPage is one page of users.
type UserPage struct {
	Items []User `json:"items" doc:"Oldest first"`
	Next  string `json:"next,omitempty" example:"djE6MDFqcQ" doc:"Pass as cursor for the next page; absent on the last one"`
}

type inviteInput struct{ Body Invitation }

type userOutput struct{ Body User }

type usersInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Largest number of users to answer with"`
	Cursor string `query:"cursor" maxLength:"200" doc:"Where to go on: next of the page before"`
}

type usersOutput struct{ Body UserPage }

type userInput struct {
	ID string `path:"id" maxLength:"40" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"The user's id"`
}

type editUserInput struct {
	ID   string `path:"id" maxLength:"40" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"The user's id"`
	Body UserEdit
}

func (s *service) routeUsers() {
	tags := []string{"users"}
	route(s, needs(account.UsersAdmin), huma.Operation{OperationID: "inviteUser", Method: http.MethodPost, Path: "/v1/users", Tags: tags, Summary: "Invite somebody",
		Description:   "Writes them a letter with a temporary password, which works once, for 7 days. Without a mail server in the settings the letter waits in the outbox (GET /v1/outbox/letters).",
		DefaultStatus: http.StatusCreated, MaxBodyBytes: smallBody},
		problems{http.StatusConflict: {"email_taken"}, http.StatusUnprocessableEntity: {codeAddress, "no_such_workspace"},
			http.StatusForbidden: {codePasswordsOff}, http.StatusTooManyRequests: {"try_later"}}, byPassword(s, s.invite))
	route(s, needs(account.UsersAdmin), huma.Operation{OperationID: "listUsers", Method: http.MethodGet, Path: "/v1/users", Tags: tags, Summary: "List users, oldest first"},
		problems{http.StatusUnprocessableEntity: {codeCursor}}, s.users)
	route(s, needs(account.UsersAdmin), huma.Operation{OperationID: "getUser", Method: http.MethodGet, Path: "/v1/users/{id}", Tags: tags, Summary: "Show one user"},
		problems{http.StatusNotFound: {"no_user"}}, s.user)
	route(s, needs(account.UsersAdmin), huma.Operation{OperationID: "editUser", Method: http.MethodPatch, Path: "/v1/users/{id}", Tags: tags, Summary: "Change, disable or enable a user",
		Description: "Counts from their next request on, for sessions and tokens alike.", MaxBodyBytes: smallBody},
		problems{http.StatusNotFound: {"no_user"}, http.StatusConflict: {"last_admin"}, http.StatusUnprocessableEntity: {"no_such_workspace"}}, s.editUser)
	route(s, needs(account.UsersAdmin), huma.Operation{OperationID: "removeUser", Method: http.MethodDelete, Path: "/v1/users/{id}", Tags: tags, Summary: "Remove a user",
		Description: "Their videos stay.", DefaultStatus: http.StatusNoContent},
		problems{http.StatusNotFound: {"no_user"}, http.StatusConflict: {"last_admin"}}, s.removeUser)
	again := problems{http.StatusForbidden: {codePasswordsOff}, http.StatusNotFound: {"no_user"}, http.StatusConflict: {"user_disabled", "external_user"}, http.StatusTooManyRequests: {"try_later"}}
	route(s, needs(account.UsersAdmin), huma.Operation{OperationID: "resetUser", Method: http.MethodPost, Path: "/v1/users/{id}/reset", Tags: tags, Summary: "Have a user choose another password",
		Description: "Ends their sessions and personal tokens, and writes them a letter with a temporary password."}, again, byPassword(s, s.resetUser))
	again[http.StatusConflict] = []string{"not_invited", "user_disabled", "external_user"}
	route(s, needs(account.UsersAdmin), huma.Operation{OperationID: "inviteUserAgain", Method: http.MethodPost, Path: "/v1/users/{id}/invite", Tags: tags, Summary: "Invite somebody again",
		Description: "Writes another letter; the temporary password of the one before is good no more."}, again, byPassword(s, s.inviteAgain))
}

func viewUser(u account.User) User {
	return User{ID: u.ID, Email: u.Email, Name: u.Name, Role: string(u.Role), State: string(u.State), Workspaces: list(u.Workspaces), MustChange: u.MustChange,
		Factored: Time(u.Factored), Created: Time(u.Created), SignedIn: Time(u.SignedIn)}
}

func (s *service) invite(ctx context.Context, in *inviteInput) (*userOutput, error) {
	by := who(ctx)
	address, ok := readAddress(in.Body.Email)
	if !ok {
		return nil, invalid(codeAddress, "body.email", "expected one mail address such as ada@example.com")
	}
	if err := plainText("body.name", in.Body.Name); err != nil {
		return nil, err
	}
	u := account.User{Email: address, Name: in.Body.Name, Role: account.Role(in.Body.Role), Workspaces: in.Body.Workspaces}
	if u.Workspaces == nil {
		u.Workspaces = []string{account.DefaultWorkspace}
	}
	u, err := s.Identity.Invite(ctx, by, u)
	if err != nil {
		return nil, err
	}
	return &userOutput{Body: viewUser(u)}, nil
}

func (s *service) users(ctx context.Context, in *usersInput) (*usersOutput, error) {
	after, ok := readName(in.Cursor)
	if !ok {
		return nil, invalid(codeCursor, "query.cursor", "expected the next of a page before")
	}
	found, err := s.Identity.Users(ctx, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	page := UserPage{Items: make([]User, 0, len(found))}
	for i, u := range found {
		if i == in.Limit {
			page.Next = nameCursor(found[i-1].ID)
			break
		}
		page.Items = append(page.Items, viewUser(u))
	}
	return &usersOutput{Body: page}, nil
}

// nameCursor goes on after a name.
func nameCursor(name string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursorVersion + name))
}

// readName returns the name to go on after, empty for the first page, and whether s is a cursor.
func readName(s string) (string, bool) {
	if s == "" {
		return "", true
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	name, ok := strings.CutPrefix(string(b), cursorVersion)
	return name, err == nil && ok && plainText("", name) == nil
}

func (s *service) user(ctx context.Context, in *userInput) (*userOutput, error) {
	return oneUser(s.Identity.User(ctx, in.ID))
}

func oneUser(u account.User, err error) (*userOutput, error) {
	if err != nil {
		return nil, err
	}
	return &userOutput{Body: viewUser(u)}, nil
}

func (s *service) editUser(ctx context.Context, in *editUserInput) (*userOutput, error) {
	by := who(ctx)
	edit := account.UserEdit{Name: in.Body.Name, Workspaces: in.Body.Workspaces}
	if edit.Name != nil {
		if err := plainText("body.name", *edit.Name); err != nil {
			return nil, err
		}
	}
	if in.Body.Role != nil {
		role := account.Role(*in.Body.Role)
		edit.Role = &role
	}
	if in.Body.State != nil {
		disabled := account.State(*in.Body.State) == account.Disabled
		edit.Disabled = &disabled
	}
	return oneUser(s.Identity.EditUser(ctx, by, in.ID, edit))
}

func (s *service) removeUser(ctx context.Context, in *userInput) (*struct{}, error) {
	by := who(ctx)
	return nil, s.Identity.RemoveUser(ctx, by, in.ID)
}

func (s *service) inviteAgain(ctx context.Context, in *userInput) (*userOutput, error) {
	by := who(ctx)
	return oneUser(s.Identity.InviteAgain(ctx, by, in.ID))
}

func (s *service) resetUser(ctx context.Context, in *userInput) (*userOutput, error) {
	by := who(ctx)
	return oneUser(s.Identity.ForceReset(ctx, by, in.ID))
}
