package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/account"
	"sluice/internal/fault"
)

// SignIns ends authorization requests of OAuth clients.
type SignIns interface {
	// Asked tells who asks, and for which scope at most. fault.Gone where the request is not one of ours or too old.
	Asked(ctx context.Context, id string) (account.Client, string, error)
	// Complete ends a request for the person of a browser's session, who allows it or does not, and returns where the browser goes on.
	Complete(ctx context.Context, id string, who account.Principal, allow bool) (string, error)
	// Parted returns where somebody goes on who has signed out as a program asked; empty where the request is not one of ours or too old.
	Parted(ctx context.Context, id string) string
}

// AuthorizationAsked is what a program asks a person for.
type AuthorizationAsked struct {
	Client string   `json:"client" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"The program's client_id"`
	Name   string   `json:"name" example:"Editorial tool" doc:"Its name"`
	Scopes []string `json:"scopes" example:"[\"openid\",\"videos/read\"]" doc:"What it asks for; what the user's role does not allow is left out of what it gets"`
}

// AuthorizationRequest ends a sign-in for a program.
type AuthorizationRequest struct {
	Request string `json:"request" minLength:"1" maxLength:"8000" example:"eyJ…" doc:"The request that the address of the sign-in page has"`
	Deny    bool   `json:"deny,omitempty" example:"false" doc:"Tell the program that it gets nothing"`
}

// AuthorizationDone is where the browser goes on.
type AuthorizationDone struct {
	Redirect string `json:"redirect" example:"https://tool.example.com/callback?code=…" doc:"Where the browser goes on: to the program"`
}

// Issuer is who else signs people in.
type Issuer struct {
	Name  string `json:"name" example:"login.example.com" doc:"To show"`
	Login string `json:"login" example:"/oauth/external/login" doc:"Where a browser goes to sign in there: an address of this server, which takes where to go afterwards as to=/…, a route of the page"`
}

// IssuerList is all who else sign people in.
type IssuerList struct {
	Items     []Issuer `json:"items" doc:"Empty where people sign in by password alone"`
	Passwords bool     `json:"passwords" example:"true" doc:"Whether people may sign in by passwords of this server too"`
}

type issuersOutput struct{ Body IssuerList }

type askedInput struct {
	Request string `query:"request" required:"true" minLength:"1" maxLength:"8000" doc:"The request that the address of the sign-in page has"`
}

type askedOutput struct {
	Body AuthorizationAsked
}

type authorizeInput struct {
	Body AuthorizationRequest
}

type authorizeOutput struct {
	Body AuthorizationDone
}

func (s *service) routeAuthorize() {
	tags := []string{"clients"}
	gone := []string{codeRequestGone}
	route(s, open("For anybody: a page asks before it knows anybody."),
		huma.Operation{OperationID: "listIssuers", Method: http.MethodGet, Path: "/v1/session/issuers", Tags: []string{"sessions"},
			Summary: "List who else signs people in, beside passwords"}, nil, s.issuers)
	route(s, open("Anybody may ask: it tells the name of a program, and what it asks for, to who has its signed request."),
		huma.Operation{OperationID: "getAuthorization", Method: http.MethodGet, Path: "/v1/session/authorize", Tags: tags,
			Summary: "Show which program asks somebody to sign in, and for what"}, problems{http.StatusGone: gone}, s.asked)
	route(s, settled("Needs a browser's session, and no scope: it gives a program what the user may do."),
		huma.Operation{OperationID: "authorize", Method: http.MethodPost, Path: "/v1/session/authorize", Tags: tags,
			Summary: "End the sign-in for a program, for who is signed in", MaxBodyBytes: smallBody},
		problems{http.StatusGone: gone, http.StatusForbidden: {codeSessionRequired, codeSignInAgain}}, s.authorize)
}

func (s *service) issuers(context.Context, *struct{}) (*issuersOutput, error) {
	return &issuersOutput{Body: IssuerList{Items: append([]Issuer{}, s.Issuers...), Passwords: !s.IssuerOnly}}, nil
}

func (s *service) asked(ctx context.Context, in *askedInput) (*askedOutput, error) {
	if s.SignIns == nil {
		return nil, noProvider()
	}
	c, scope, err := s.SignIns.Asked(ctx, in.Request)
	if err != nil {
		return nil, err
	}
	return &askedOutput{Body: AuthorizationAsked{Client: c.ID, Name: c.Name, Scopes: list(strings.Fields(scope))}}, nil
}

func (s *service) authorize(ctx context.Context, in *authorizeInput) (*authorizeOutput, error) {
	if s.SignIns == nil {
		return nil, noProvider()
	}
	to, err := s.SignIns.Complete(ctx, in.Body.Request, who(ctx), !in.Body.Deny)
	if err != nil {
		return nil, err
	}
	return &authorizeOutput{Body: AuthorizationDone{Redirect: to}}, nil
}

// noProvider is the answer where an external issuer signs people in.
func noProvider() error {
	return fault.New(fault.Gone, "api.authorize", codeRequestGone, "This server gives no tokens: another issuer does.", nil)
}
