package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"sluice/client"
)

func TestSettingsOfIssuersThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	good := OIDC{Access: time.Minute, Refresh: time.Hour, RefreshMax: time.Hour, Rotate: 48 * time.Hour}
	external := good
	external.Issuer, external.Audience, external.RoleClaim = "https://login.example.com/realms/media", []string{"sluice"}, "roles"
	for _, o := range []OIDC{good, external} {
		if err := o.check(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
	for want, change := range map[string]func(*OIDC){
		"oidc.access":                        func(o *OIDC) { o.Access = 2 * time.Hour },
		"oidc.refresh":                       func(o *OIDC) { o.RefreshMax = time.Minute },
		"oidc.rotate":                        func(o *OIDC) { o.Rotate = time.Hour },
		"oidc.issuer is \"http://login":      func(o *OIDC) { o.Issuer = "http://login.example.com" },
		"oidc.issuer is \"https://u:p@login": func(o *OIDC) { o.Issuer = "https://u:p@login.example.com" },
		"oidc.jwks":                          func(o *OIDC) { o.JWKS = "file:///keys" },
		"any token of that issuer":           func(o *OIDC) { o.Audience = nil },
		"oidc.algorithms has \"HS256\"":      func(o *OIDC) { o.Algorithms = []string{"HS256"} },
		"oidc.algorithms has \"none\"":       func(o *OIDC) { o.Algorithms = []string{"none"} },
		"oidc.default_role":                  func(o *OIDC) { o.DefaultRole = "owner" },
		"nobody would have a role":           func(o *OIDC) { o.RoleClaim = "" },
		"oidc.roles has \"a\"":               func(o *OIDC) { o.Roles = []string{"a"} },
		"oidc.roles has \"a=owner\"":         func(o *OIDC) { o.Roles = []string{"a=owner"} },
		"oidc.scopes has":                    func(o *OIDC) { o.Scopes = []string{"a=b"} },
		"oidc.require has":                   func(o *OIDC) { o.Require = []string{"tid"} },
		"oidc.client_secret":                 func(o *OIDC) { o.ClientSecret = "of nobody" },
		"oidc.only":                          func(o *OIDC) { o.Only = true },
		"oidc.client_id":                     func(o *OIDC) { *o = good; o.ClientID = "house" },
		"oidc.ask lacks openid":              func(o *OIDC) { o.ClientID, o.Ask = "house", []string{"email"} },
		"oidc.name":                          func(o *OIDC) { o.ClientID, o.Ask, o.Name = "house", []string{"openid"}, "a\nb" },
	} {
		o := external
		change(&o)
		if err := o.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want one that says %q", err, want)
		}
	}
	if value, meaning := lastPair("https://x/?a=b=admin"); value != "https://x/?a=b" || meaning != "admin" {
		t.Errorf("%q %q", value, meaning)
	}
}

func TestAServiceIsRegisteredAndAsksWithATokenOfItsOwn(t *testing.T) {
	t.Parallel()
	var settings Settings
	settings.Data, settings.Listen, settings.Roles, settings.Unsandboxed = t.TempDir(), "127.0.0.1:0", []string{roleAPI, roleWorker, roleEdge}, true
	settings.UploadExpiry, settings.Workers.Encode = time.Minute, 1
	settings.S3.UploadsBucket, settings.S3.MediaBucket = "uploads", "media"
	settings.OIDC = OIDC{Access: 15 * time.Minute, Refresh: time.Hour, RefreshMax: time.Hour, Rotate: 48 * time.Hour}
	a, err := Open(t.Context(), settings, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	server := &http.Server{Handler: a.routes(), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(a.listener) }() // ends with Close
	t.Cleanup(func() { _ = server.Close() })
	as := func(token string) *client.Client {
		c, err := client.New(a.local, token)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	admin := as(a.token)
	o, err := admin.AddOAuthClient(t.Context(), client.OAuthClient{Name: "Importer", Kind: "service", Role: "viewer", Workspaces: []string{"main"}, Scopes: []string{"videos/read", "users/admin"}})
	if err != nil || o.Secret == "" {
		t.Fatalf("%+v %v", o, err)
	}
	token := func(secret string) (string, string) {
		res, err := http.PostForm(a.local+"/oauth/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {o.ID}, "client_secret": {secret}}) //nolint:noctx // of a test
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Token string `json:"access_token"`
			Error string
		}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		return got.Token, got.Error
	}
	access, _ := token(o.Secret)
	service := as(access)
	for _, err := range service.Videos(t.Context(), client.Query{}) {
		t.Errorf("it may read: %v", err)
	}
	if _, err := service.OAuthClients(t.Context()); err == nil || !strings.Contains(err.Error(), "users/admin") {
		t.Errorf("a viewer is no admin: %v", err)
	}
	rotated, err := admin.RotateOAuthClient(t.Context(), o.ID)
	if err != nil || rotated.Secret == "" || rotated.Secret == o.Secret {
		t.Fatalf("%+v %v", rotated, err)
	}
	name := "Exporter"
	if edited, err := admin.EditOAuthClient(t.Context(), o.ID, client.OAuthClientEdit{Name: &name}); err != nil || edited.Name != name || edited.Secret != "" || len(edited.Scopes) != 2 {
		t.Errorf("%+v %v", edited, err)
	}
	if all, err := admin.OAuthClients(t.Context()); err != nil || len(all) != 1 || all[0].Name != name || all[0].Secret != "" {
		t.Errorf("%+v %v", all, err)
	}
	for until := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) { // within 5 s
		if _, refused := token(o.Secret); refused == "invalid_client" {
			break
		}
		if time.Now().After(until) {
			t.Fatal("the old secret is still taken")
		}
	}
	if access, _ := token(rotated.Secret); access == "" {
		t.Error("the new secret is not taken")
	}
	if err := admin.RemoveOAuthClient(t.Context(), o.ID); err != nil {
		t.Error(err)
	}
}
