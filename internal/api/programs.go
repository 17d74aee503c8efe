package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/account"
)

// ConnectedApp is a program that somebody has let in, by signing in there with their account here.
type ConnectedApp struct {
	ID      string   `json:"id" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"Its client_id"`
	Name    string   `json:"name" example:"Editorial tool" doc:"What it is called"`
	Kind    string   `json:"kind" enum:"web,spa,native" example:"web" doc:"web: runs on a server; spa: in a browser; native: on a person's machine"`
	Scopes  []string `json:"scopes" example:"[\"openid\",\"videos/read\"]" doc:"What it was given; what the user's role does not allow any more is good for nothing"`
	SignIns int      `json:"sign_ins" example:"1" doc:"How many sign-ins there hold what is good still: one a browser or machine"`
	Since   Time     `json:"since" doc:"When the oldest of them was made"`
	Used    Time     `json:"used" doc:"When it last got tokens, which it does each time that its access token has expired"`
	Expires Time     `json:"expires" doc:"When it is let in no more, unless it gets tokens before"`
}

// ProgramList is all programs that a user has let in.
type ProgramList struct {
	Items []ConnectedApp `json:"items" doc:"By name"`
}

type programsOutput struct{ Body ProgramList }

func (s *service) routePrograms() {
	tags := []string{"programs"}
	own := settled("Asks for no scope: one's own are for who is signed in with a browser, those of another user for who has `users/admin`.")
	route(s, own, huma.Operation{OperationID: "listPrograms", Method: http.MethodGet, Path: "/v1/programs", Tags: tags, Summary: "List the programs that one has let in",
		Description: "Those that hold tokens that are good. Which programs there are, administrators see at `GET /v1/clients`."},
		problems{http.StatusForbidden: {codeSessionRequired, codeMissingScope}, http.StatusNotFound: {"no_user"}}, s.programs)
	route(s, own, huma.Operation{OperationID: "endProgram", Method: http.MethodDelete, Path: "/v1/programs/{id}", Tags: tags, Summary: "Take back what one gave a program",
		Description:   "Its refresh tokens are good no more, and introspection says so of all of its tokens, from this moment; access tokens that are out are refused within 5 seconds. It has to have one sign in again.",
		DefaultStatus: http.StatusNoContent}, problems{http.StatusForbidden: {codeSessionRequired, codeMissingScope}, http.StatusNotFound: {"no_program", "no_user"}}, s.endProgram)
}

func viewProgram(p account.ConnectedApp) ConnectedApp {
	return ConnectedApp{ID: p.ID, Name: p.Name, Kind: string(p.Kind), Scopes: list(p.Scopes), SignIns: p.Grants, Since: Time(p.Since), Used: Time(p.Used), Expires: Time(p.Expires)}
}

func (s *service) programs(ctx context.Context, in *ownerInput) (*programsOutput, error) {
	all, err := s.Identity.Programs(ctx, who(ctx), in.User)
	if err != nil {
		return nil, err
	}
	out := &programsOutput{Body: ProgramList{Items: make([]ConnectedApp, 0, len(all))}}
	for _, one := range all {
		out.Body.Items = append(out.Body.Items, viewProgram(one))
	}
	return out, nil
}

func (s *service) endProgram(ctx context.Context, in *ownedInput) (*struct{}, error) {
	return nil, s.Identity.EndProgram(ctx, who(ctx), in.User, in.ID)
}
