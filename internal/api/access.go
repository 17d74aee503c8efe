package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/account"
	"sluice/internal/fault"
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
	levelScope   level = iota + 1 // somebody whose credentials have the scope
	levelSettled                  // somebody, who may do more than change a temporary password
	levelKnown                    // somebody
	levelElse                     // whoever cmd/sluice let through by other credentials
	levelOpen                     // anybody
)

// needs is for routes that ask for a scope.
func needs(s account.Scope) access { return access{level: levelScope, scope: s} }

// settled is for routes on what is everybody's own, which need no scope; why says so.
func settled(why string) access { return access{level: levelSettled, why: why} }

// known is for routes that somebody whose password is temporary needs too; why says for what.
func known(why string) access { return access{level: levelKnown, why: why} }

// open is for routes that ask for nobody; why says what keeps them from harm.
func open(why string) access { return access{level: levelOpen, why: why} }

// elsewhere is for routes that cmd/sluice guards by credentials of their own, which are the named security scheme; why says which.
func elsewhere(why string) access { return access{level: levelElse, why: why} }

// allow asks the policy.
func (a access) allow(p account.Principal) error {
	switch a.level {
	case levelScope:
		return p.Allow(a.scope)
	case levelSettled:
		return p.Settled()
	case levelKnown:
		return p.Known()
	case levelElse, levelOpen:
		return nil
	}
	return fault.New(fault.Forbidden, "api.access", codeForbidden, "Nobody may use this address.", nil)
}

// schemes are the ways to say who asks, as the OpenAPI document names them.
var schemes = []string{"bearer"}

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
	case levelSettled, levelKnown:
	}
	all := make([]map[string][]string, 0, len(schemes))
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
		refused = []string{codeMissingScope, codeMustChange}
	case levelSettled:
		refused = []string{codeMustChange}
	case levelElse:
		return problems{http.StatusUnauthorized: {codeUnauthorized}}
	case levelKnown, levelOpen:
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
		p := problemOf(err)
		if c := challenge(err, a.scope); c != "" {
			ctx.SetHeader("WWW-Authenticate", c)
		}
		ctx.SetHeader("Content-Type", p.ContentType(""))
		ctx.SetStatus(p.Status)
		_ = json.NewEncoder(ctx.BodyWriter()).Encode(p) // the client is gone if this fails
	}
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
