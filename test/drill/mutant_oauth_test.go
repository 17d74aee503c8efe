package drill

// oauthMutants are the controls of the provider, each taken away by itself. Where one lies in the library, it is our use of it that is taken away. Some hold twice, in our code and in what it
// calls (alg none, HMAC with a public key, crit: go-jose has no way to say yes to them); those have no mutant, but attacks.
var oauthMutants = func() []mutant {
	edited := func(control, run string, edits ...edit) mutant {
		for i, e := range edits {
			edits[i].file = "internal/" + e.file
		}
		return mutant{control, edits, "./internal/oauth", run}
	}
	one := func(control, file, old, new, run string) mutant {
		return edited(control, run, edit{"oauth/" + file, old, new})
	}
	elsewhere := func(control, file, old, new, run string) mutant {
		return edited(control, run, edit{file, old, new})
	}
	registered := func(control, old, new string) mutant {
		return mutant{control, []edit{{"internal/account/redirect.go", old, new}}, "./internal/account", "WhichRedirectAddresses"}
	}
	const (
		parted    = "AskedWhetherToSignOut"
		forged    = "ForgedTokens"
		codes     = "ACodeWorksOnce"
		asks      = "OnlyPKCE"
		redirects = "NobodyIsSent"
		clear     = "TakesOnlyWhatIsClear"
		refreshes = "ARefreshTokenWorksOnce"
		fifty     = "OfFiftyUses"
		ends      = "AFamilyEnds"
		prompts   = "PromptsAndMaxAge"
		page      = "GoesToThePage"
		users     = "WhatAUserMayNoMore"
		programs  = "WhatAProgramMayNoMore"
		service   = "ClientCredentialsClient"
		scopes    = "SignsSomebodyInAndRefreshes"
		told      = "WhoLearnsOfATokenAndOfAPerson"
		ended     = "RevocationIntrospection"
		keys      = "KeysTakeTurns"
		another   = "EveryProcessHeeds"
		asked     = "MadeUpKeys"
		origins   = "AnotherOriginMayAsk"
		forms     = "AFormThatAnotherSite"
	)
	return []mutant{
		// What a token is.
		one("a token has a length", "verify.go", "if len(token) > mostToken {", "if len(token) > mostToken<<20 {", forged),
		one("a token brings no key", "verify.go", `{"jwk", "jku",`, `{"jku",`, forged),
		one("a token names no place of keys", "verify.go", `"jku", "x5u"`, `"x5u"`, forged),
		one("a token names no place of certificates", "verify.go", `"x5u", "x5c"`, `"x5c"`, forged),
		one("a token brings no certificate", "verify.go", `"x5c", "crit"`, `"crit"`, forged),
		one("members of a header have no case", "verify.go", "slices.Contains(badHeaders, strings.ToLower(name))", "slices.Contains(badHeaders, name)", forged),
		edited("a token of ours is signed by one algorithm", forged, edit{"oauth/token.go", "jose.SignatureAlgorithm{jose.RS256}", "jose.SignatureAlgorithm{jose.RS256, jose.RS512}"},
			edit{"oauth/verify.go", `key.Algorithm != "" && key.Algorithm != alg`, `key.Algorithm == ""`}),
		one("a key is found by its name", "key.go", "if r.keys[i].ID == id &&", "if", forged),
		one("a signature is verified", "verify.go", "	if err != nil {\n		return err\n	}\n	return json.Unmarshal(payload, into)", "	if err != nil {\n		payload = o.jws.UnsafePayloadWithoutVerification()\n	}\n	return json.Unmarshal(payload, into)", forged),
		one("an access token is of its type", "token.go", "if o.typ != strings.ToLower(typ) {", "if typ != typeAccess && o.typ != strings.ToLower(typ) {", forged),
		one("a token is of this issuer", "token.go", "c.Issuer != p.Issuer || ", "", forged),
		one("a token is for this server", "token.go", " || !slices.Contains(c.Audience, p.Issuer)", "", forged),
		one("a token ends", "verify.go", "case !now.Before(expires.Time().Add(leeway)):", "case expires.Time().IsZero():", forged),
		one("a token has an end", "verify.go", "		return errors.New(\"it has no exp\")\n", "		return nil\n", forged),
		one("a token was not issued in the future", "verify.go", "case issued != nil && now.Add(leeway).Before(issued.Time()):", "case issued != nil && issued.Time().IsZero():", forged),
		one("a program that is not there speaks for nobody", "token.go", "	if err != nil {\n		return over(err)\n	}\n	if c.Family", "	if err != nil && c.Family == \"\" {\n		return over(err)\n	}\n	if c.Family", forged),
		one("a token without a grant is a service's", "token.go", "client.Kind != account.ServiceClient || c.Subject != client.ID", "client.ID == \"\"", forged),

		// What a token may.
		one("a token may what was asked for", "token.go", "Scopes: account.ParseScopes(c.Scope).Within(client.Scopes)", "Scopes: account.AllScopes().Within(client.Scopes)", forged),
		one("a token may what the user's role does", "token.go", ".Within(client.Scopes).Within(user.Role.Scopes())", ".Within(client.Scopes)", users),
		one("a token may what its program may", "token.go", ".Within(client.Scopes).Within(user.Role.Scopes())", ".Within(user.Role.Scopes())", programs),
		one("a token of a service may what it may", "token.go", "who.Scopes = account.ParseScopes(c.Scope).Within(who.Scopes)", "who.Scopes = account.ParseScopes(c.Scope)", programs),
		one("a token of a service may what was asked for", "token.go", "who.Scopes = account.ParseScopes(c.Scope).Within(who.Scopes)", "_ = c.Scope", programs),
		one("a disabled user's tokens are none", "token.go", "u.State != account.Active || ", "", users),
		one("a token is none until the password is changed", "token.go", " || u.MustChange", "", users),
		one("what is known is not old", "memo.go", "now.Sub(one.at) < Fresh", "now.Sub(one.at) < 1000*Fresh", users),
		one("what is known is bounded", "memo.go", " || len(m.kept) >= mostKept", "", "IsBounded"),
		one("a revoked token is bad", "token.go", "p.denied.has(ctx, c.ID, c.Family)", "p.denied.has(ctx, c.Family)", ended),
		one("a grant that ended has no tokens", "token.go", "p.denied.has(ctx, c.ID, c.Family)", "p.denied.has(ctx, c.ID)", ended),
		one("what this process revokes counts at once", "memo.go", "	d.ids = nil\n", "", ended),
		one("what another process revokes counts soon", "memo.go", "now.Sub(d.at) >= Fresh", "now.Sub(d.at) >= 1000*Fresh", another),
		one("a key that another process withdrew is bad soon", "key.go", "[]time.Duration{readKeys, askAgain}", "[]time.Duration{1000 * readKeys, askAgain}", another),

		// Who asks for tokens.
		one("a program shows its secret", "server.go", "c.Kind.Secret() && !same", "c.Kind.Secret() && !same && c.Secret == \"\"", clear),
		one("what is kept of a secret is none", "server.go", "[]byte(hashOf(r.Data.ClientSecret)), []byte(c.Secret)) == 1", "[]byte(hashOf(r.Data.ClientSecret)), []byte(c.Secret)) == 1 || r.Data.ClientSecret == c.Secret", clear),
		one("a program without a secret shows none", "server.go", " || !c.Kind.Secret() && r.Data.ClientSecret != \"\"", "", clear),
		one("a program that signs people in doesn't act for itself", "client.go", "	return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken}", "	return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken, oidc.GrantTypeClientCredentials}", asks),
		one("a service signs nobody in", "client.go", "		return []oidc.GrantType{oidc.GrantTypeClientCredentials}\n", "		return oidc.AllGrantTypes\n", service),
		one("tokens are asked for by POST", "http.go", "if !only(w, r, http.MethodPost) {", "if !only(w, r, http.MethodGet, http.MethodPost) {", clear),
		one("a token's request has nothing in its address", "http.go", " || r.URL.RawQuery != \"\"", "", clear),
		one("a parameter is there once", "http.go", "case repeated(values):", "case values == nil:", clear),
		one("a program proves who it is in one way", "http.go", "case basic && (", "case basic && body == nil && (", clear),
		one("a request has a length", "http.go", "body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostForm))", "body, err := io.ReadAll(r.Body)", clear),
		one("answers with tokens are nobody's to keep", "http.go", "	h.Set(\"Cache-Control\", \"no-store\")\n", "", clear),
		one("an address with a code is no referrer", "http.go", "	h.Set(\"Referrer-Policy\", \"no-referrer\")\n", "", forms),
		one("pages of anywhere ask without cookies", "http.go", "AllowedHeaders: []string{\"Authorization\", \"Content-Type\"},", "AllowedHeaders: []string{\"Authorization\", \"Content-Type\"}, AllowCredentials: true,", origins),
		one("pages of others don't read where codes are given", "http.go", "mux.Handle(pathAuthorize, told(back, navigation(library)))", "mux.Handle(pathAuthorize, open(told(back, navigation(library))))", origins),

		// Codes.
		elsewhere("a code is its program's", "account/oauth.go", "	case c.Client != r.Client:\n		return Unknown", "	case c.Client == \"\":\n		return Unknown", codes),
		elsewhere("a code works once", "account/oauth.go", "	case c.Family != \"\":\n		return Reused\n", "", codes),
		elsewhere("a code ends", "account/oauth.go", "	case !now.Before(c.Expires):\n		return TooLate\n", "", "ACodeIsGoodForAMinute"),
		one("a code ends soon", "oauth.go", "codeLife    = time.Minute ", "codeLife    = time.Hour ", "ACodeIsGoodForAMinute"),
		elsewhere("a code is for its redirect address", "account/oauth.go", "c.Redirect != r.Redirect || ", "", codes),
		elsewhere("a code is for its verifier", "account/oauth.go", " || subtle.ConstantTimeCompare([]byte(c.Challenge), []byte(r.Challenge)) != 1", " || subtle.ConstantTimeCompare(nil, nil) != 1", codes),
		elsewhere("a wrong verifier spends the code", "catalog/oauth.go", "err = t.RedeemCode(ctx, sqlc.RedeemCodeParams{Hash: hash, Family: r.Family}) // a grant", "_ = hash // a grant", codes),
		elsewhere("a second use ends what the first gave", "catalog/oauth.go", "	rows, err := t.Queries.EndGrant(ctx, sqlc.EndGrantParams{ID: g.ID, Ended: t.now})\n	if err != nil || rows == 0 {", "	rows, err := int64(1), error(nil)\n	if err != nil || rows == 0 {", codes),
		elsewhere("a second use is written down", "catalog/oauth.go", "	return t.act(ctx, account.Act{Time: timeOf(t.now), What: account.GrantReused,", "	if rows == 1 {\n		return nil\n	}\n	return t.act(ctx, account.Act{Time: timeOf(t.now), What: account.GrantReused,", "TheSecondUse"),
		one("a verifier has a length", "server.go", "if !verifier.MatchString(d.CodeVerifier) {", "if d.CodeVerifier == \"\" {", codes),
		one("a challenge is asked for", "authorize.go", " || !challenge.MatchString(d.CodeChallenge)", "", asks),
		one("a challenge is S256", "authorize.go", "d.CodeChallengeMethod != oidc.CodeChallengeMethodS256 || ", "", asks),
		{"of many who redeem a code one is granted", []edit{{"internal/catalog/sqlc/oauth.sql.go", "UPDATE oauth_code SET family = family WHERE hash = $1 RETURNING hash, client, account, redirect, challenge, nonce, scope, signed_in, expires, family",
			"SELECT hash, client, account, redirect, challenge, nonce, scope, signed_in, expires, family FROM oauth_code WHERE hash = $1"}}, "./internal/catalog", "OfManyWhoRedeem"},

		// Where codes go.
		one("a browser goes where the program is registered", "authorize.go", "if !c.Returns(d.RedirectURI) {", "if d.RedirectURI == \"\" {", redirects),
		elsewhere("a redirect address is compared whole", "account/redirect.go", "if uri == registered || ", "if strings.HasPrefix(uri, registered) || ", redirects),
		elsewhere("a redirect address has its case", "account/redirect.go", "if uri == registered || ", "if strings.EqualFold(uri, registered) || ", redirects),
		elsewhere("only a native program's port is free", "account/redirect.go", "c.Kind == NativeClient && sameButPort", "sameButPort", redirects),
		elsewhere("a native program's port is a number", "account/redirect.go", "(?::[0-9]{1,5})?(/", "(?::[^/]*)?(/", redirects),
		elsewhere("a native program's path is its own", "account/redirect.go", " && x[2] == y[2]", "", redirects),
		elsewhere("a native program's host is its own", "account/redirect.go", "x[1] == y[1] && ", "", redirects),
		registered("a registered address has no fragment", "	case strings.Contains(uri, \"#\"):\n		return errors.New(\"leave out what begins with #\")\n", ""),
		registered("a registered address has no user", "	case u.User != nil:\n		return errors.New(\"leave out user and password\")\n", ""),
		registered("a registered address is one of TLS", "case u.Scheme == \"http\" && loopback(u.Hostname()):", "case u.Scheme == \"http\":"),
		registered("a scheme of its own has a dot", "case kind == NativeClient && strings.Contains(u.Scheme, \".\"):", "case kind == NativeClient:"),
		registered("a scheme of its own is a native program's", "case kind == NativeClient && strings.Contains(u.Scheme, \".\"):", "case strings.Contains(u.Scheme, \".\"):"),
		registered("a registered address is printable", "r <= ' ' || r > '~' || strings", "strings"),
		registered("a registered address has no wildcards", "strings.ContainsRune(\"\\\\*\\\"<>^`{|}\", r)", "r == 0"),
		one("a parameter of a sign-in is there once", "http.go", "if repeated(r.Form) {", "if r.Form == nil {", redirects),
		one("an address that is registered no more gets nothing", "authorize.go", "	if !c.Returns(q.Redirect) {", "	if q.Redirect == \"\" {", programs),
		one("an answer names this server", "authorize.go", "params := url.Values{\"code\": {code}, \"iss\": {p.Issuer}}", "params := url.Values{\"code\": {code}}", scopes),
		one("a refusal names this server", "authorize.go", ", \"iss\": {p.Issuer}}\n	if e.", "}\n	if e.", asks),
		one("only codes are given", "authorize.go", "case d.ResponseType != oidc.ResponseTypeCode:", "case d.ResponseType == \"\":", asks),
		one("a code goes in the query", "authorize.go", "case mode != \"\" && mode != \"query\":", "case mode == \"x\":", asks),
		one("a request is not an object", "authorize.go", "case d.RequestParam != \"\":", "case d.RequestParam == \"x\":", asks),
		one("a request is not fetched", "authorize.go", "case r.Form.Has(\"request_uri\"):", "case r.Form.Has(\"\"):", asks),
		one("tokens are for this server alone", "authorize.go", "case r.Form.Has(\"resource\") &&", "case r.Form.Has(\"\") &&", asks),
		one("what a program has carried through has a length", "authorize.go", "if len(d.State) > mostState || ", "if ", asks),

		// Who is asked.
		one("a token signs nobody in", "authorize.go", "who.Kind == account.Person && who.Session != \"\" && ", "who.Kind == account.Person && ", prompts),
		one("who must change the password is asked for that", "authorize.go", " && who.Settled() == nil && (", " && (", prompts),
		one("a new sign-in is a new one", "authorize.go", " && (q.Newer == 0 || who.SignedIn.UnixMilli() >= q.Newer)", "", prompts),
		one("a native program asks each time", "authorize.go", "case a.Kind == account.NativeClient || ", "case ", prompts),
		one("who was asked allows it with a browser", "authorize.go", "case who.Kind != account.Person || who.Session == \"\":", "case who.Kind != account.Person:", page),
		one("who says no is heeded", "authorize.go", "case !allow:", "case !allow && who.MustChange:", page),
		one("who must change the password allows nothing", "authorize.go", "	case who.Settled() != nil:\n", "	case who.Settled() != nil && !allow:\n", page),
		one("who allows it has signed in newly enough", "authorize.go", "	case !q.good(who):\n		return \"\", fault", "	case !q.good(who) && who.MustChange:\n		return \"\", fault", page),
		one("a request ends", "authorize.go", " || q.Expires == nil || !p.Now().Before(until(q.Expires))", "", page),
		one("a request is signed", "verify.go", "	if err != nil {\n		return err\n	}\n	return json.Unmarshal(payload, into)", "	if err != nil {\n		payload = o.jws.UnsafePayloadWithoutVerification()\n	}\n	return json.Unmarshal(payload, into)", page),
		one("a form of another site is asked for once more", "http.go", "if r.Method == http.MethodPost {\n			if", "if r.Method == http.MethodPost && r.Form == nil {\n			if", forms),

		// Scopes.
		one("a user gives what the role may", "authorize.go", "scope := within(q.Scope, c, who.Role)", "scope := within(q.Scope, c, account.Admin)", users),
		one("a program gets what it may have", "token.go", "account.ParseScopes(scope).Within(c.Scopes).Within(role.Scopes())", "account.ParseScopes(scope).Within(role.Scopes())", scopes),
		one("a role gives what it has", "token.go", "account.ParseScopes(scope).Within(c.Scopes).Within(role.Scopes())", "account.ParseScopes(scope).Within(c.Scopes)", scopes),
		one("a refresh asks for no more", "server.go", "if ok && g.Client == c.ID && !has(g.Scope, name) {", "if ok && g.Client == c.ID && name == \"\" {", refreshes),
		one("a refresh gives what the role has now", "server.go", "scope = within(scope, c, user.Role)", "scope = within(scope, c, account.Admin)", users),
		one("a service gets what its role may", "server.go", "within(scope, c, c.Role); scope == \"\"", "within(scope, c, account.Admin); scope == \"\"", service),
		one("a service is nobody's person", "token.go", " && c.Kind != account.ServiceClient || ", " || ", service),

		// Refresh tokens.
		edited("a refresh token is asked for", scopes, edit{"oauth/server.go", "	if !account.Offline(g.Scope) {\n		refresh = \"\"\n	}\n", ""},
			edit{"catalog/oauth.go", "	if err == nil && account.Offline(g.Scope) {", "	if err == nil {"}),
		elsewhere("a refresh token is its program's", "catalog/oauth.go", " || err == nil && row.Client != r.Client:", ":", refreshes),
		elsewhere("a refresh token works once", "catalog/sqlc/oauth.sql.go", "UPDATE oauth_refresh SET used = $2 WHERE hash = $1 AND used = 0", "UPDATE oauth_refresh SET used = $2 WHERE hash = $1", refreshes),
		elsewhere("of fifty at once one wins", "catalog/sqlc/oauth.sql.go", "UPDATE oauth_refresh SET used = $2 WHERE hash = $1 AND used = 0", "UPDATE oauth_refresh SET used = $2 WHERE hash = $1", fifty),
		elsewhere("a second use ends the family", "catalog/oauth.go", "return account.Reused, t.reused(ctx, g, \"refresh token\", r.Address)", "return account.Reused, nil", refreshes),
		elsewhere("a family of fifty ends", "catalog/oauth.go", "return account.Reused, t.reused(ctx, g, \"refresh token\", r.Address)", "return account.Reused, nil", fifty),
		elsewhere("a family that ended has no tokens", "catalog/oauth.go", "	case !g.Ended.IsZero():\n		return account.Over, nil\n", "", refreshes),
		elsewhere("a refresh token that nobody uses ends", "catalog/oauth.go", "case !now.Before(timeOf(token.Expires)) || ", "case ", ends),
		elsewhere("a family ends", "catalog/oauth.go", " || !now.Before(last):", ":", ends),
		one("a user who is gone refreshes nothing", "server.go", "		if err := p.Store.EndGrant(ctx, g.ID); err != nil {\n			return nil, s.failed(err)\n		}\n", "", users),

		// Who learns what.
		edited("who asks about a token has a secret", told, edit{"oauth/server.go", "	if !c.Kind.Secret() {\n		return nil, badClient()\n	}\n	all", "	all"},
			edit{"oauth/server.go", " || !c.Kind.Secret() && r.Data.ClientSecret != \"\"", ""}),
		one("who asks about a token has it from here", "server.go", "case err == nil && (all || claims.ClientID == c.ID):", "case err == nil:", ended),
		one("who asks about a refresh token was given it", "server.go", "if ok && (all || g.Client == c.ID) {", "if ok {", told),
		one("who asks about all tokens sees to users", "server.go", "all := c.Kind == account.ServiceClient && c.Principal().Scopes.Has(account.UsersAdmin)", "all := c.Kind == account.ServiceClient", told),
		one("only services ask about all tokens", "server.go", "all := c.Kind == account.ServiceClient && c.Principal()", "all := c.Principal()", told),
		one("who signed in is told to who asked for that", "server.go", " || !has(claims.Scope, scopeOpenID) {", " {", told),
		one("a service signed in nobody", "server.go", "err != nil || who.Kind != account.Person || ", "err != nil || ", told),
		edited("names are told to who asked for them", told, edit{"oauth/server.go", "if has(claims.Scope, scopeProfile) {", "{"}),
		edited("e-mail addresses are told to who asked for them", told, edit{"oauth/server.go", "if has(claims.Scope, scopeEmail) {", "{"}),
		one("an ID token has the name for who asked", "token.go", "if has(scope, scopeProfile) {", "{", scopes),
		one("an ID token has the e-mail address for who asked", "token.go", "if has(scope, scopeEmail) {", "{", told),
		one("a token comes in a header", "http.go", "clean.URL.RawQuery, clean.Body, clean.ContentLength = \"\", http.NoBody, 0\n		clean.Header.Set(\"Authorization\", \"Bearer \"+token)", "if token != \"\" {\n			clean.Header.Set(\"Authorization\", \"Bearer \"+token)\n		}", clear),

		// What ends.
		one("who revokes was given the token", "server.go", "others := err == nil && claims.ClientID != c.ID", "others := false && claims.ClientID != c.ID", ended),
		elsewhere("who revokes a family was given it", "catalog/oauth.go", "err == nil && g.Client != client {", "err == nil && g.Client == \"\" {", ended),
		one("another person's link signs nobody out", "server.go", "hint.Subject == \"\" || who.Session != \"\" && who.ID != hint.Subject", "hint.Subject == \"\"", ended),
		one("a link without an ID token asks", "server.go", "if hint.Subject == \"\" || who.Session", "if hint.Subject != \"\" && who.Session", ended),
		one("a hint is an ID token", "token.go", "if o.typ != strings.ToLower(typ) {", "if typ != typeID && o.typ != strings.ToLower(typ) {", ended),
		one("a hint is of the program that asks", "server.go", " || d.ClientID != \"\" && d.ClientID != hint.Party", "", ended),
		one("after signing out a browser goes where the program is registered", "part.go", "err != nil || !q.known(c) || len(d.State)", "err != nil || !q.known(c) && c.ID == \"none\" || len(d.State)", ended),
		one("who was asked goes where the program is registered", "part.go", "	if err != nil || !q.known(c) {\n		return \"\"", "	if err != nil || !q.known(c) && c.ID == \"none\" {\n		return \"\"", parted),
		one("who was asked goes on in time", "part.go", " || q.Expires == nil || !p.Now().Before(until(q.Expires)) {", " {", parted),
		one("introspection asks anew", "server.go", "	p.denied.forget() // who asks here wants to know what is true now\n", "", "TakesBackFromAProgram"),
		elsewhere("what is taken back ends", "catalog/sqlc/oauth.sql.go", "WHERE account = $2 AND client = $3 AND ended = 0 AND expires > $1", "WHERE account = $2 AND client = $3 AND ended > 0 AND expires > $1", "TakesBackFromAProgram"),

		// Keys.
		one("a private key is sealed", "key.go", "Sealed: r.seal.Close(public.KeyID, der),", "Sealed: string(der),", keys),
		one("a key signs in its time", "key.go", "k.private == nil || !now.Before(k.Until):", "k.private == nil:", keys),
		one("a key is published before it signs", "key.go", "if next == nil && chosen.Until.Sub(now) <= ahead {", "if next == nil && chosen.Until.Sub(now) <= 0 {", keys),
		elsewhere("a withdrawn key is good for nothing", "catalog/sqlc/oauth.sql.go", "expires = CASE WHEN expires < $2 THEN expires ELSE $2 END", "expires = expires + 0 * $2", "ANewKeySigns"),
		one("keys that are made up are not asked for", "key.go", "[]time.Duration{readKeys, askAgain}", "[]time.Duration{readKeys, 0}", asked),
	}
}()
