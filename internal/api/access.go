package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/account"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// access is who may use a route. It is declared with the route, checked before anything of the request is read, and told in the OpenAPI document. The zero
// access is none: route refuses to register it.
type access struct {
	level level
	scope account.Scope // for levelScope
	why   string        // for the other levels
}

type level int

const (
	levelScope         level = iota + 1 // somebody whose credentials have the scope
	levelSettled                        // somebody of whom nothing more is asked
	levelEnrolling                      // somebody, who may still have to set up a second factor
	levelAuthenticated                  // somebody, who may still have to change a temporary password too
	levelKnown                          // somebody, who may still have to show a second factor too
	levelElse                           // whoever cmd/sluice let through by other credentials
	levelAsked                          // anybody, who is told of their own credentials
	levelOpen                           // anybody
)

// needs is for routes that ask for a scope.
func needs(s account.Scope) access { return access{level: levelScope, scope: s} }

// settled is for routes on what is everybody's own, which need no scope; why says so.
func settled(why string) access { return access{level: levelSettled, why: why} }

// enrolling is for routes that somebody needs too who must set up a second factor; why says for what.
func enrolling(why string) access { return access{level: levelEnrolling, why: why} }

// authenticated is for routes that somebody needs too whose password is temporary; why says for what.
func authenticated(why string) access { return access{level: levelAuthenticated, why: why} }

// known is for routes that somebody needs too who has not shown their second factor yet; why says for what.
func known(why string) access { return access{level: levelKnown, why: why} }

// open is for routes that ask for nobody; why says what keeps them from harm.
func open(why string) access { return access{level: levelOpen, why: why} }

// asked is for routes that tell anybody what they are with the credentials that they have, and that they have none; why says so.
func asked(why string) access { return access{level: levelAsked, why: why} }

// elsewhere is for routes that cmd/sluice guards by credentials of their own, which are the named security scheme; why says which.
func elsewhere(why string) access { return access{level: levelElse, why: why} }

// allow asks the policy.
func (a access) allow(p account.Principal) error {
	switch a.level {
	case levelScope:
		return p.Allow(a.scope)
	case levelSettled:
		return p.Settled()
	case levelEnrolling:
		return p.Enrolling()
	case levelAuthenticated:
		return p.Authenticated()
	case levelKnown:
		return p.Known()
	case levelElse, levelOpen, levelAsked:
		return nil
	}
	return forbidden("Nobody may use this address.")
}

// schemes are the ways to say who asks, as the OpenAPI document names them.
var schemes = []string{"bearer", "session"}

// security is what the OpenAPI document says of a. The list beside a scheme names scopes (OpenAPI 3.1 §4.8.30 has them for every type of scheme).
func (a access) security() []map[string][]string {
	scopes := []string{}
	switch a.level {
	case levelOpen:
		return []map[string][]string{} // not nil: that would mean what the document says for all
	case levelElse:
		return []map[string][]string{{"events": scopes}}
	case levelScope:
		scopes = []string{string(a.scope)}
	case levelSettled, levelEnrolling, levelAuthenticated, levelKnown, levelAsked:
	}
	all := make([]map[string][]string, 0, 1+len(schemes))
	if a.level == levelAsked {
		all = append(all, map[string][]string{}) // none will do too
	}
	for _, scheme := range schemes {
		all = append(all, map[string][]string{scheme: scopes})
	}
	return all
}

// problems are the codes that a refuses with, and those of requests by a method that changes something.
func (a access) problems(method string) problems {
	var refused []string
	switch a.level {
	case levelScope:
		refused = []string{codeMissingScope, codeMustProve, codeMustChange, codeMustEnrol}
	case levelSettled:
		refused = []string{codeMustProve, codeMustChange, codeMustEnrol}
	case levelEnrolling:
		refused = []string{codeMustProve, codeMustChange}
	case levelAuthenticated:
		refused = []string{codeMustProve}
	case levelElse:
		return problems{http.StatusUnauthorized: {codeUnauthorized}}
	case levelKnown, levelOpen, levelAsked:
	}
	if method != http.MethodGet {
		refused = append(refused, codeCrossSite)
	}
	all := problems{}
	if a.level != levelOpen {
		all[http.StatusUnauthorized] = []string{codeUnauthorized}
	}
	if len(refused) > 0 {
		all[http.StatusForbidden] = refused
	}
	return all
}

// sentence says who may use a route, for its description.
func (a access) sentence() string {
	if a.level == levelScope {
		return fmt.Sprintf("Needs the scope `%s`.", a.scope)
	}
	return a.why
}

// guard lets a request through to what reads it, or refuses it.
func (s *service) guard(a access, operation string) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		who, _ := account.From(ctx.Context())
		err := a.allow(who)
		if err == nil {
			next(ctx)
			return
		}
		if s.Refused != nil {
			s.Refused(ctx.Context(), operation, err)
		}
		if c := challenge(err, a.scope); c != "" {
			ctx.SetHeader("WWW-Authenticate", c)
		}
		refuse(ctx, problemOf(err))
	}
}

// refuse answers with a problem document before an operation begins.
func refuse(ctx huma.Context, p *Problem) {
	ctx.SetHeader("Content-Type", p.ContentType(""))
	ctx.SetStatus(p.Status)
	_ = json.NewEncoder(ctx.BodyWriter()).Encode(p) // the client is gone if this fails
}

// textual refuses an address that holds what is no text: U+0000, which PostgreSQL's TEXT does not hold, and bytes that are not UTF-8.
func textual(ctx huma.Context, next func(huma.Context)) {
	u := ctx.URL()
	bad := func(text string) bool { return strings.Contains(text, "\x00") || !utf8.ValidString(text) }
	if bad(u.Path) {
		refuse(ctx, invalid(codeInvalid, "path", "expected text without the character U+0000"))
		return
	}
	for name, values := range u.Query() {
		if slices.ContainsFunc(values, bad) {
			refuse(ctx, invalid(codeInvalid, "query."+strings.ToValidUTF8(name, "?"), "expected text without the character U+0000"))
			return
		}
	}
	next(ctx)
}

// challenge is the WWW-Authenticate header of a refusal (RFC 6750 §3), empty where other credentials would not help.
func challenge(err error, scope account.Scope) string {
	switch fault.Of(err).Code {
	case codeUnauthorized:
		return `Bearer realm="sluice"`
	case codeMissingScope:
		return fmt.Sprintf(`Bearer realm="sluice", error="insufficient_scope", scope="%s"`, scope)
	}
	return ""
}

// who is the principal of a request that guard let through.
func who(ctx context.Context) account.Principal {
	p, _ := account.From(ctx)
	return p
}

// within is a reach as the store filters by it.
func within(r account.AccessScope) video.Within {
	return video.Within{All: r.All, Workspaces: r.Workspaces, ReadyOnly: r.ReadyOnly}
}

// subject is what the policy asks of a video.
func subject(v video.Video) account.Subject {
	return account.Subject{Owner: v.Owner, Workspace: v.Workspace, Ready: v.Status == video.Ready}
}

// seen returns a video that a request's principal may see. What lies outside its reach is not there, and an id that is not well formed names no video.
func (s *service) seen(ctx context.Context, text string) (video.Video, error) {
	id, ok := video.ParseID(text)
	if !ok {
		return video.Video{}, noVideo()
	}
	v, err := s.Videos.Video(ctx, id)
	return v, seeable(ctx, v, err)
}

// seeable makes of a video that was read what a request's principal is told of it: that there is none, where it is not for them.
func seeable(ctx context.Context, v video.Video, err error) error {
	if err == nil && !who(ctx).MaySee(subject(v)) {
		return noVideo()
	}
	return err
}

// changeable returns a video that a request's principal may change. The change is a transaction of its own: one that takes the video elsewhere between the
// two is as if it came after.
func (s *service) changeable(ctx context.Context, text string) (video.Video, error) {
	v, err := s.seen(ctx, text)
	if err == nil && !who(ctx).MayChange(subject(v)) {
		err = forbidden("You may see this video and not change it; ask an editor of its workspace.")
	}
	return v, err
}

// remembered returns a video that a request's principal may see, or no more than the id of one that was deleted: what is left of those is for who sees
// everything, since nothing tells any more where they lay.
func (s *service) remembered(ctx context.Context, text string) (video.Video, error) {
	v, err := s.seen(ctx, text)
	if id, ok := video.ParseID(text); ok && fault.Is(err, fault.NotFound) && who(ctx).Reach().All {
		return video.Video{ID: id}, nil
	}
	return v, err
}

// home is the workspace that a principal puts a video into: the named one, or its own.
func home(p account.Principal, named string) (string, error) {
	if named == "" {
		named, _ = p.Home()
	}
	if named == "" {
		return "", forbidden("You belong to no workspace; ask an administrator to add you to one.")
	}
	if !p.MayPut(named) {
		return "", forbidden("You may not put videos into this workspace; name one of yours.")
	}
	return named, nil
}

// place adds to an edit where the video goes and who may watch it.
func (s *service) place(ctx context.Context, e VideoEdit, edit *video.Edit) error {
	if e.Workspace.set {
		workspace, err := home(who(ctx), e.Workspace.value)
		if err != nil {
			return err
		}
		edit.Workspace = &workspace
	}
	if e.Policy.set {
		edit.Policy = new(cmp.Or(video.Policy(e.Policy.value), s.Policy))
	}
	return nil
}

func forbidden(message string) error {
	return fault.New(fault.Forbidden, "api.access", codeForbidden, message, nil)
}
