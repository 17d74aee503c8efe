package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/account"
)

// TokenRequest asks for a personal token.
type TokenRequest struct {
	Name    string    `json:"name" minLength:"1" maxLength:"100" example:"laptop" doc:"What it is for"`
	Scopes  []string  `json:"scopes" enum:"videos/read,videos/write,uploads/write,images/read,users/admin,jobs/admin" minItems:"1" maxItems:"6" uniqueItems:"true" example:"[\"videos/read\",\"uploads/write\"]" doc:"What it allows: at most what one's role does, now and at each use"`
	Expires time.Time `json:"expires,omitzero" example:"2027-03-09T14:05:06Z" doc:"When it ends, 366 days away at most. Absent: in 90 days"`
}

// Token is a personal token, without the token itself.
type Token struct {
	ID      string   `json:"id" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"Names the token; it opens nothing"`
	Name    string   `json:"name" example:"laptop" doc:"What it is for"`
	Scopes  []string `json:"scopes" example:"[\"videos/read\"]" doc:"What it allows"`
	Created Time     `json:"created" doc:"When it was made"`
	Expires Time     `json:"expires" doc:"When it ends"`
	Used    Time     `json:"used,omitzero" doc:"When it was last used, to the minute; absent where it never was"`
}

// NewToken is a personal token that was just made.
type NewToken struct {
	Token
	Secret string `json:"token" example:"sluice_pat_…" doc:"The token, to be sent as 'Authorization: Bearer …'. It is shown this once"`
}

// TokenList is all personal tokens of a user.
type TokenList struct {
	Items []Token `json:"items" doc:"Newest first"`
}

type makeTokenInput struct{ Body TokenRequest }

type newTokenOutput struct{ Body NewToken }

type tokensOutput struct{ Body TokenList }

func (s *service) routeTokens() {
	tags := []string{"tokens"}
	own := settled("Asks for no scope: one's own are for who is signed in with a browser, those of another user for who has `users/admin`.")
	route(s, own, huma.Operation{OperationID: "makeToken", Method: http.MethodPost, Path: "/v1/tokens", Tags: tags, Summary: "Make a personal token",
		Description: "For programs that work on one's behalf. Only who is signed in with a browser may.", DefaultStatus: http.StatusCreated, MaxBodyBytes: smallBody},
		problems{http.StatusForbidden: {"session_required", codeMissingScope}, http.StatusConflict: {"too_many_tokens"}, http.StatusUnprocessableEntity: {"bad_expiry"}}, s.makeToken)
	route(s, own, huma.Operation{OperationID: "listTokens", Method: http.MethodGet, Path: "/v1/tokens", Tags: tags, Summary: "List one's personal tokens"},
		problems{http.StatusForbidden: {"session_required", codeMissingScope}, http.StatusNotFound: {"no_user"}}, s.tokens)
	route(s, own, huma.Operation{OperationID: "revokeToken", Method: http.MethodDelete, Path: "/v1/tokens/{id}", Tags: tags, Summary: "Revoke a personal token",
		DefaultStatus: http.StatusNoContent}, problems{http.StatusForbidden: {"session_required", codeMissingScope}, http.StatusNotFound: {"no_token", "no_user"}}, s.revokeToken)
}

func (s *service) makeToken(ctx context.Context, in *makeTokenInput) (*newTokenOutput, error) {
	if err := plainText("body.name", in.Body.Name); err != nil {
		return nil, err
	}
	want := account.Token{Name: in.Body.Name, Expires: in.Body.Expires}
	for _, name := range in.Body.Scopes {
		want.Scopes = append(want.Scopes, account.Scope(name))
	}
	made, token, err := s.Identity.MakeToken(ctx, who(ctx), want)
	if err != nil {
		return nil, err
	}
	return &newTokenOutput{Body: NewToken{Token: viewToken(made), Secret: token}}, nil
}

func viewToken(k account.Token) Token {
	return Token{ID: k.ID, Name: k.Name, Scopes: names(k.Scopes), Created: Time(k.Created), Expires: Time(k.Expires), Used: Time(k.Used)}
}

func (s *service) tokens(ctx context.Context, in *ownerInput) (*tokensOutput, error) {
	all, err := s.Identity.Tokens(ctx, who(ctx), in.User)
	if err != nil {
		return nil, err
	}
	out := &tokensOutput{Body: TokenList{Items: make([]Token, 0, len(all))}}
	for _, one := range all {
		out.Body.Items = append(out.Body.Items, viewToken(one))
	}
	return out, nil
}

func (s *service) revokeToken(ctx context.Context, in *ownedInput) (*struct{}, error) {
	return nil, s.Identity.RevokeToken(ctx, who(ctx), in.User, in.ID)
}
