package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/account"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// ClientStore is what the client routes need of the store. Each method is one transaction, with the record of who did it.
type ClientStore interface {
	// AddClient keeps a client. fault.Conflict where there are as many as may be.
	AddClient(ctx context.Context, c account.Client, act account.AuditEntry) error
	// Clients returns all clients, by name.
	Clients(ctx context.Context) ([]account.Client, error)
	// Client returns one. fault.NotFound for none.
	Client(ctx context.Context, id string) (account.Client, error)
	// EditClient changes a client. fault.NotFound for none.
	EditClient(ctx context.Context, id string, edit account.ClientEdit, act account.AuditEntry) (account.Client, error)
	// RemoveClient removes a client and ends what people gave it. fault.NotFound for none.
	RemoveClient(ctx context.Context, id string, act account.AuditEntry) error
}

// KeyRing is the keys that sign tokens.
type KeyRing interface {
	// Renew has a new key sign at once; the others are known until their tokens have expired, or no more where they are withdrawn.
	Renew(ctx context.Context, act account.AuditEntry, withdraw bool) (account.SigningKey, error)
}

// ClientRequest describes a program that may ask for tokens.
type ClientRequest struct {
	Name       string   `json:"name" minLength:"1" maxLength:"100" pattern:"^[^\\x00-\\x1f\\x7f]*$" example:"Editorial tool" doc:"Shown to people who sign in there"`
	Kind       string   `json:"kind" enum:"web,spa,native,service" example:"web" doc:"web: runs on a server and has a secret; spa: runs in a browser, native: on a person's machine, both without a secret; service: acts for itself, with a secret"`
	Redirects  []string `json:"redirects,omitempty" maxItems:"20" maxLength:"1000" example:"[\"https://tool.example.com/callback\"]" doc:"Where people come back to, compared character for character; at least one, none for a service. https, or http on 127.0.0.1, [::1] and localhost (where a native client may be on any port), or for a native client a scheme with a dot"`
	Logouts    []string `json:"logouts,omitempty" maxItems:"20" maxLength:"1000" example:"[\"https://tool.example.com/\"]" doc:"Where people come back to after signing out"`
	Scopes     []string `json:"scopes" minItems:"1" maxItems:"20" enum:"videos/read,videos/write,uploads/write,images/read,users/admin,jobs/admin" example:"[\"videos/read\"]" doc:"Most that its tokens may allow; what the user's role, or its own, does not allow is left out"`
	Role       string   `json:"role,omitempty" enum:"admin,editor,viewer" example:"editor" doc:"What a service may do at most; required for one, and for no other"`
	Workspaces []string `json:"workspaces,omitempty" maxItems:"100" maxLength:"64" example:"[\"main\"]" doc:"Workspaces of a service"`
}

// ClientEdit changes a client; what is absent stays.
type ClientEdit struct {
	Name       *string   `json:"name,omitempty" minLength:"1" maxLength:"100" pattern:"^[^\\x00-\\x1f\\x7f]*$" example:"Editorial tool" doc:"Shown to people who sign in there"`
	Redirects  *[]string `json:"redirects,omitempty" maxItems:"20" maxLength:"1000" example:"[\"https://tool.example.com/callback\"]" doc:"Where people come back to"`
	Logouts    *[]string `json:"logouts,omitempty" maxItems:"20" maxLength:"1000" example:"[\"https://tool.example.com/\"]" doc:"Where people come back to after signing out"`
	Scopes     *[]string `json:"scopes,omitempty" minItems:"1" maxItems:"20" enum:"videos/read,videos/write,uploads/write,images/read,users/admin,jobs/admin" example:"[\"videos/read\"]" doc:"Most that its tokens may allow"`
	Role       *string   `json:"role,omitempty" enum:"admin,editor,viewer" example:"editor" doc:"What a service may do at most"`
	Workspaces *[]string `json:"workspaces,omitempty" maxItems:"100" maxLength:"64" example:"[\"main\"]" doc:"Workspaces of a service"`
}

// OAuthClient is a program that may ask for tokens.
type OAuthClient struct {
	ID         string   `json:"id" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"Its client_id"`
	Name       string   `json:"name" example:"Editorial tool" doc:"Shown to people who sign in there"`
	Kind       string   `json:"kind" enum:"web,spa,native,service" example:"web" doc:"What it is"`
	Redirects  []string `json:"redirects" example:"[\"https://tool.example.com/callback\"]" doc:"Where people come back to"`
	Logouts    []string `json:"logouts" example:"[]" doc:"Where people come back to after signing out"`
	Scopes     []string `json:"scopes" example:"[\"videos/read\"]" doc:"Most that its tokens may allow"`
	Role       string   `json:"role,omitempty" enum:"admin,editor,viewer" example:"editor" doc:"What a service may do at most; absent for other kinds"`
	Workspaces []string `json:"workspaces" example:"[\"main\"]" doc:"Workspaces of a service"`
	Created    Time     `json:"created" doc:"When it was registered"`
	Rotated    Time     `json:"rotated,omitzero" doc:"When its secret was made; absent where it has none"`
	Secret     string   `json:"secret,omitempty" example:"sluice_cs_…" doc:"Its client_secret: shown once, when it is made"`
}

// ClientList is all clients.
type ClientList struct {
	Items []OAuthClient `json:"items" doc:"By name"`
}

// TokenKeyRequest asks for another key.
type TokenKeyRequest struct {
	Withdraw bool `json:"withdraw,omitempty" example:"false" doc:"Know the keys before it no more, as after a theft: every access token that is out is good no more within a minute, and programs refresh"`
}

// TokenKey is a key that signs tokens: what is public of it.
type TokenKey struct {
	ID    string `json:"id" example:"pG9cVx1…" doc:"What tokens name it by, in kid"`
	Signs Time   `json:"signs" doc:"From when"`
	Until Time   `json:"until" doc:"To when at the latest"`
}

type tokenKeyInput struct{ Body TokenKeyRequest }

type tokenKeyOutput struct{ Body TokenKey }

type clientInput struct {
	ID string `path:"id" maxLength:"64" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"The client's id"`
}

type clientRequestInput struct {
	Body ClientRequest
}

type clientEditInput struct {
	ID   string `path:"id" maxLength:"64" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"The client's id"`
	Body ClientEdit
}

type clientOutput struct {
	Body OAuthClient
}

type clientsOutput struct {
	Body ClientList
}

func (s *service) routeClients() {
	tags, admin := []string{"clients"}, needs(account.UsersAdmin)
	none := problems{http.StatusNotFound: {"no_client"}}
	route(s, admin, huma.Operation{OperationID: "addClient", Method: http.MethodPost, Path: "/v1/clients", Tags: tags, DefaultStatus: http.StatusCreated,
		Summary: "Let a program ask for tokens", Description: "A secret, where the kind has one, is in this answer and in no other.", MaxBodyBytes: smallBody * 4},
		problems{http.StatusConflict: {"too_many_clients", codeNoProvider}, http.StatusUnprocessableEntity: {codeRedirect}}, s.addClient)
	route(s, admin, huma.Operation{OperationID: "listClients", Method: http.MethodGet, Path: "/v1/clients", Tags: tags,
		Summary: "List the programs that may ask for tokens"}, nil, s.listClients)
	route(s, admin, huma.Operation{OperationID: "getClient", Method: http.MethodGet, Path: "/v1/clients/{id}", Tags: tags,
		Summary: "Show a program that may ask for tokens"}, none, s.getClient)
	route(s, admin, huma.Operation{OperationID: "editClient", Method: http.MethodPatch, Path: "/v1/clients/{id}", Tags: tags,
		Summary: "Change a program that may ask for tokens", Description: "Tokens that are out lose what is taken away within 5 seconds. The kind stays.", MaxBodyBytes: smallBody * 4},
		problems{http.StatusNotFound: {"no_client"}, http.StatusUnprocessableEntity: {codeRedirect}}, s.editClient)
	route(s, admin, huma.Operation{OperationID: "removeClient", Method: http.MethodDelete, Path: "/v1/clients/{id}", Tags: tags, DefaultStatus: http.StatusNoContent,
		Summary: "Let a program ask for tokens no more", Description: "Its tokens are good no more within 5 seconds."}, none, s.removeClient)
	route(s, admin, huma.Operation{OperationID: "rotateClientSecret", Method: http.MethodPost, Path: "/v1/clients/{id}/secret", Tags: tags,
		Summary: "Give a program another secret", Description: "The old one is good no more within 5 seconds; tokens that are out stay good. The new one is in this answer and in no other."},
		problems{http.StatusNotFound: {"no_client"}, http.StatusConflict: {codeNoSecret}}, s.rotateClientSecret)
	route(s, admin, huma.Operation{OperationID: "rotateTokenKeys", Method: http.MethodPost, Path: "/v1/token-keys", Tags: tags, DefaultStatus: http.StatusCreated,
		Summary: "Have a new key sign tokens at once", Description: "Keys take turns by themselves; this is for one that somebody else may have.", MaxBodyBytes: smallBody},
		problems{http.StatusConflict: {codeNoProvider}}, s.rotateTokenKeys)
}

// did is what was done to a client.
func (s *service) did(ctx context.Context, what string, c account.Client) account.AuditEntry {
	by := who(ctx)
	return account.AuditEntry{Time: s.Now(), What: what, By: by.ID, ByName: by.Name, Address: account.CallerOf(ctx).Address,
		Detail: map[string]string{"client": c.ID, "name": c.Name, "kind": string(c.Kind), "scopes": c.Scopes.String()}}
}

// noTokens refuses what is for servers that give tokens.
func noTokens(message string) error {
	return fault.New(fault.Conflict, "api.clients", codeNoProvider, message, nil)
}

func (s *service) rotateTokenKeys(ctx context.Context, in *tokenKeyInput) (*tokenKeyOutput, error) {
	if s.KeyRing == nil {
		return nil, noTokens("This server gives no tokens: another issuer does, and has keys of its own.")
	}
	by := who(ctx)
	k, err := s.KeyRing.Renew(ctx, account.AuditEntry{Time: s.Now(), What: account.KeysRotated, By: by.ID, ByName: by.Name, Address: account.CallerOf(ctx).Address}, in.Body.Withdraw)
	if err != nil {
		return nil, err
	}
	return &tokenKeyOutput{Body: TokenKey{ID: k.ID, Signs: Time(k.Signs), Until: Time(k.Until)}}, nil
}

func (s *service) addClient(ctx context.Context, in *clientRequestInput) (*clientOutput, error) {
	if s.SignIns == nil {
		return nil, noTokens("This server gives no tokens: another issuer does; register the program there.")
	}
	b := in.Body
	now := s.Now()
	c := account.Client{
		ID: string(video.NewID(now)), Name: b.Name, Kind: account.ClientKind(b.Kind), Redirects: b.Redirects, Logouts: b.Logouts, Scopes: scopesOf(b.Scopes),
		Role: account.Role(b.Role), Workspaces: b.Workspaces, Created: now,
	}
	if err := checkClient(c); err != nil {
		return nil, err
	}
	text := ""
	if c.Kind.Secret() {
		text, c.Secret = s.ClientSecret()
		c.Rotated = now
	}
	if err := s.Clients.AddClient(ctx, c, s.did(ctx, account.ClientAdded, c)); err != nil {
		return nil, err
	}
	out := oauthClient(c)
	out.Secret = text
	return &clientOutput{Body: out}, nil
}

func scopesOf(names []string) account.Scopes {
	var all account.Scopes
	for _, n := range names {
		all = append(all, account.Scope(n))
	}
	return all.Within(account.AllScopes())
}

// checkClient refuses what a client of its kind can't have.
func checkClient(c account.Client) error {
	if err := plainText("body.name", c.Name); err != nil { // a person decides by it
		return err
	}
	service := c.Kind == account.ServiceClient
	switch {
	case service && len(c.Redirects)+len(c.Logouts) > 0:
		return invalid(codeInvalid, "body.redirects", "a service signs nobody in, and has none")
	case service && !c.Role.Valid():
		return invalid(codeInvalid, "body.role", "a service needs a role: admin, editor or viewer")
	case !service && (c.Role != "" || len(c.Workspaces) > 0):
		return invalid(codeInvalid, "body.role", "role and workspaces are a service's; here they are those of who signs in")
	case !service && len(c.Redirects) == 0:
		return invalid(codeRedirect, "body.redirects", "expected at least one address")
	case len(c.Scopes) == 0:
		return invalid(codeInvalid, "body.scopes", "expected at least one scope")
	case len(c.Name) == 0 || len(c.Redirects) > 20 || len(c.Logouts) > 20 || len(c.Workspaces) > 100:
		return invalid(codeInvalid, "body", "expected a name, at most 20 addresses of each sort, and at most 100 workspaces")
	}
	for field, uris := range map[string][]string{"body.redirects": c.Redirects, "body.logouts": c.Logouts} {
		for i, uri := range uris {
			if err := account.CheckRedirect(c.Kind, uri); err != nil {
				return invalid(codeRedirect, field+"["+strconv.Itoa(i)+"]", err.Error())
			}
		}
	}
	return nil
}

func oauthClient(c account.Client) OAuthClient {
	scopes := make([]string, 0, len(c.Scopes))
	for _, one := range c.Scopes {
		scopes = append(scopes, string(one))
	}
	return OAuthClient{ID: c.ID, Name: c.Name, Kind: string(c.Kind), Redirects: list(c.Redirects), Logouts: list(c.Logouts),
		Scopes: scopes, Role: string(c.Role), Workspaces: list(c.Workspaces), Created: Time(c.Created), Rotated: Time(c.Rotated)}
}

func (s *service) listClients(ctx context.Context, _ *struct{}) (*clientsOutput, error) {
	all, err := s.Clients.Clients(ctx)
	if err != nil {
		return nil, err
	}
	list := ClientList{Items: make([]OAuthClient, 0, len(all))}
	for _, c := range all {
		list.Items = append(list.Items, oauthClient(c))
	}
	return &clientsOutput{Body: list}, nil
}

func (s *service) getClient(ctx context.Context, in *clientInput) (*clientOutput, error) {
	c, err := s.Clients.Client(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &clientOutput{Body: oauthClient(c)}, nil
}

func (s *service) editClient(ctx context.Context, in *clientEditInput) (*clientOutput, error) {
	b := in.Body
	edit := account.ClientEdit{Name: b.Name, Redirects: b.Redirects, Logouts: b.Logouts, Workspaces: b.Workspaces}
	if names := b.Scopes; names != nil {
		scopes := scopesOf(*names)
		edit.Scopes = &scopes
	}
	if role := b.Role; role != nil {
		edit.Role = (*account.Role)(role)
	}
	old, err := s.Clients.Client(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	next := edit.Apply(old, s.Now())
	if err := checkClient(next); err != nil {
		return nil, err
	}
	c, err := s.Clients.EditClient(ctx, in.ID, edit, s.did(ctx, account.ClientEdited, next))
	if err != nil {
		return nil, err
	}
	return &clientOutput{Body: oauthClient(c)}, nil
}

func (s *service) removeClient(ctx context.Context, in *clientInput) (*struct{}, error) {
	old, err := s.Clients.Client(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.Clients.RemoveClient(ctx, in.ID, s.did(ctx, account.ClientRemoved, old))
}

func (s *service) rotateClientSecret(ctx context.Context, in *clientInput) (*clientOutput, error) {
	old, err := s.Clients.Client(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if !old.Kind.Secret() {
		return nil, fault.New(fault.Conflict, "api.client", codeNoSecret, "A client of this kind can keep no secret, and has none.", nil)
	}
	text, hash := s.ClientSecret()
	c, err := s.Clients.EditClient(ctx, in.ID, account.ClientEdit{Secret: &hash}, s.did(ctx, account.ClientRotated, old))
	if err != nil {
		return nil, err
	}
	out := oauthClient(c)
	out.Secret = text
	return &clientOutput{Body: out}, nil
}
