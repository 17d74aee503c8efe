package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/account"
)

// Workspace is a group of users and videos.
type Workspace struct {
	ID      string `json:"id" pattern:"^[a-z0-9][a-z0-9-]{0,39}$" example:"marketing" doc:"Names the workspace, for ever: small letters, digits and dashes"`
	Name    string `json:"name" minLength:"1" maxLength:"100" example:"Marketing" doc:"To show"`
	Created Time   `json:"created" doc:"When it was made"`
}

// WorkspaceRequest asks for a workspace.
type WorkspaceRequest struct {
	ID   string `json:"id" pattern:"^[a-z0-9][a-z0-9-]{0,39}$" example:"marketing" doc:"Names the workspace, for ever: small letters, digits and dashes, 40 at most"`
	Name string `json:"name" minLength:"1" maxLength:"100" example:"Marketing" doc:"To show"`
}

// WorkspaceEdit changes a workspace.
type WorkspaceEdit struct {
	Name string `json:"name" minLength:"1" maxLength:"100" example:"Marketing" doc:"To show"`
}

// WorkspaceList is all workspaces that one belongs to.
type WorkspaceList struct {
	Items []Workspace `json:"items" doc:"By id"`
}

type makeWorkspaceInput struct{ Body WorkspaceRequest }

type workspaceOutput struct{ Body Workspace }

type workspacesOutput struct{ Body WorkspaceList }

type workspaceInput struct {
	ID string `path:"id" maxLength:"40" example:"marketing" doc:"The workspace's id"`
}

type editWorkspaceInput struct {
	ID   string `path:"id" maxLength:"40" example:"marketing" doc:"The workspace's id"`
	Body WorkspaceEdit
}

func (s *service) routeWorkspaces() {
	tags := []string{"workspaces"}
	route(s, settled("Asks for no scope: it shows only workspaces that one belongs to."), huma.Operation{OperationID: "listWorkspaces", Method: http.MethodGet, Path: "/v1/workspaces", Tags: tags,
		Summary: "List the workspaces that one belongs to", Description: "Administrators see all."}, nil, s.workspaces)
	route(s, needs(account.UsersAdmin), huma.Operation{OperationID: "makeWorkspace", Method: http.MethodPost, Path: "/v1/workspaces", Tags: tags, Summary: "Make a workspace",
		DefaultStatus: http.StatusCreated, MaxBodyBytes: smallBody}, problems{http.StatusConflict: {"workspace_taken"}}, s.makeWorkspace)
	route(s, needs(account.UsersAdmin), huma.Operation{OperationID: "editWorkspace", Method: http.MethodPatch, Path: "/v1/workspaces/{id}", Tags: tags, Summary: "Rename a workspace",
		MaxBodyBytes: smallBody}, problems{http.StatusNotFound: {"no_workspace"}}, s.editWorkspace)
	route(s, needs(account.UsersAdmin), huma.Operation{OperationID: "removeWorkspace", Method: http.MethodDelete, Path: "/v1/workspaces/{id}", Tags: tags, Summary: "Remove an empty workspace",
		DefaultStatus: http.StatusNoContent},
		problems{http.StatusNotFound: {"no_workspace"}, http.StatusConflict: {"workspace_in_use"}}, s.removeWorkspace)
}

func viewWorkspace(w account.Workspace) Workspace {
	return Workspace{ID: w.ID, Name: w.Name, Created: Time(w.Created)}
}

func (s *service) workspaces(ctx context.Context, _ *struct{}) (*workspacesOutput, error) {
	all, err := s.Identity.Workspaces(ctx, who(ctx))
	if err != nil {
		return nil, err
	}
	out := &workspacesOutput{Body: WorkspaceList{Items: make([]Workspace, 0, len(all))}}
	for _, one := range all {
		out.Body.Items = append(out.Body.Items, viewWorkspace(one))
	}
	return out, nil
}

func (s *service) makeWorkspace(ctx context.Context, in *makeWorkspaceInput) (*workspaceOutput, error) {
	if err := plainText("body.name", in.Body.Name); err != nil {
		return nil, err
	}
	by := who(ctx)
	return oneWorkspace(s.Identity.AddWorkspace(ctx, by, account.Workspace{ID: in.Body.ID, Name: in.Body.Name}))
}

func oneWorkspace(w account.Workspace, err error) (*workspaceOutput, error) {
	if err != nil {
		return nil, err
	}
	return &workspaceOutput{Body: viewWorkspace(w)}, nil
}

func (s *service) editWorkspace(ctx context.Context, in *editWorkspaceInput) (*workspaceOutput, error) {
	if err := plainText("body.name", in.Body.Name); err != nil {
		return nil, err
	}
	by := who(ctx)
	return oneWorkspace(s.Identity.RenameWorkspace(ctx, by, in.ID, in.Body.Name))
}

func (s *service) removeWorkspace(ctx context.Context, in *workspaceInput) (*struct{}, error) {
	by := who(ctx)
	return nil, s.Identity.RemoveWorkspace(ctx, by, in.ID)
}
