package drill

// issuerMutants are what is looked at before another issuer is believed: its access tokens, and the sign-ins on the page that it answers.
var issuerMutants = func() []mutant {
	edited := func(control, run string, edits ...edit) mutant {
		for i, e := range edits {
			edits[i].file = "internal/oauth/" + e.file
		}
		return mutant{control, edits, "./internal/oauth", run}
	}
	one := func(control, file, old, new, run string) mutant {
		return edited(control, run, edit{file, old, new})
	}
	people := func(control, file, old, new, run string) mutant {
		return mutant{control, []edit{{"internal/" + file, old, new}}, "./internal/identity", run}
	}
	settings := func(control, old, new string) mutant {
		return mutant{control, []edit{{"cmd/sluice/oidc.go", old, new}}, "./cmd/sluice", "SettingsOfIssuers"}
	}
	const (
		refused  = "AForeignTokenThatIsNot"
		speaks   = "TokensOfCognito"
		algs     = "AlgorithmsAreOfTheList"
		keys     = "KeysOfAnIssuerAreRead"
		places   = "KeysComeFrom"
		ways     = "LessSecureThanTheIssuer"
		accounts = "WhoHasAnAccountHere"
		brings   = "ASignInByAnIssuerBrings"
		answers  = "AnswersOfNoSignIn"
		ids      = "IDTokensThatAreNot"
		returns  = "AfterASignInABrowser"
		cookies  = "TheCookieOfASignIn"
		roles    = "RolesOfAnAccessToken"
		shut     = "WhoMayNotComeIn"
		endpoint = "ACodeGoesToTheIssuerAlone"
		visitors = "WhomAnotherIssuerSignsIn"
		leaves   = "SignsOutHereGoesOn"
		tells    = "LogoutTokensThatAreNot"
		told     = "TheIssuerTells"
		expelled = "SignsOutAtTheIssuer"
	)
	return []mutant{
		// Access tokens.
		one("a foreign token is signed by an algorithm of the list", "verify.go", "jose.ParseSignedCompact(token, algs)", "jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256})", algs),
		one("a key signs by its algorithm", "verify.go", "key.Algorithm != \"\" && key.Algorithm != alg", "key.Algorithm == \"\" && alg == \"\"", algs),
		one("a foreign signature is verified", "verify.go", "	if err != nil {\n		return err\n	}\n	return json.Unmarshal(payload, into)", "	if err != nil {\n		payload = o.jws.UnsafePayloadWithoutVerification()\n	}\n	return json.Unmarshal(payload, into)", refused),
		one("a foreign token brings no key", "verify.go", `{"jwk", "jku",`, `{`, refused),
		one("a foreign token is of a type for that", "external.go", "if !slices.Contains([]string{typeAccess, \"jwt\", \"\"}, o.typ) {", "if o.typ == \"none\" {", refused),
		one("a foreign token is of the issuer", "external.go", "	if c.text(\"iss\") != e.Issuer {\n		return errors.New(\"its iss is another\")\n	}\n", "", refused),
		one("a foreign token has what is required", "external.go", "if !slices.Contains(c.list(name), want) {", "if name == want {", refused),
		one("a foreign token is for this server", "external.go", "if len(e.Audiences) > 0 && !audience {", "if len(e.Audiences) > 0 && !audience && false {", refused),
		one("a token without an audience says what it is for", "external.go", "if len(e.Audiences) == 0 && c.text(\"token_use\") != \"access\" {", "if len(e.Audiences) == 0 && c.text(\"iss\") == \"\" {", refused),
		one("a foreign token is of a client that is named", "external.go", "if len(e.Clients) > 0 && !slices.Contains(e.Clients, c.client()) {", "if len(e.Clients) > 0 && c.client() == \"\" {", refused),
		one("a foreign token is good now", "external.go", "	return e.inTime(c)\n", "	return nil\n", refused),
		one("a foreign token ends", "verify.go", "case !now.Before(expires.Time().Add(leeway)):", "case expires.Time().IsZero():", refused),
		one("a foreign token has an end", "verify.go", "		return errors.New(\"it has no exp\")\n", "		return nil\n", refused),
		one("a foreign token begins", "verify.go", "case notBefore != nil && now.Add(leeway).Before(notBefore.Time()):", "case notBefore != nil && notBefore.Time().IsZero():", refused),
		one("a foreign token was not issued in the future", "verify.go", "case issued != nil && now.Add(leeway).Before(issued.Time()):", "case issued != nil && issued.Time().IsZero():", refused),
		one("times are numbers", "external.go", "notBefore, err2 := c.date(\"nbf\")\n", "notBefore, err2 := c.date(\"nbf\")\n	err2 = nil\n", refused),
		one("Cognito's ID token is no access token", "external.go", "use != \"\" && use != \"access\" {", "use == \"none\" {", refused),
		one("Keycloak's ID token is no access token", "external.go", "kind != \"\" && kind != \"Bearer\" && kind != \"DPoP\" {", "kind == \"none\" {", refused),
		one("a token that is bound to another is an ID token", "external.go", "if c[name] != nil {\n			return errors.New(\"it has \"", "if c[name] == name {\n			return errors.New(\"it has \"", refused),
		one("a token that is bound to a key is not a bearer's", "external.go", "if c[\"cnf\"] != nil {", "if c[\"cnf\"] == \"\" {", refused),
		one("an access token says what it may", "external.go", "	return errors.New(\"it says neither scope nor client, as access tokens do\")\n", "	return nil\n", refused),

		// What they mean.
		one("who has no role is refused", "external.go", "	if role == \"\" {\n		return account.Principal{}, noRole()\n	}\n", "", refused),
		one("values of a role claim mean what is said", "external.go", "			role = e.Roles[name]\n", "			role = max(role, e.Roles[name])\n", speaks),
		one("a role is one of ours", "external.go", "if role.Valid() && (best", "if (best", speaks+"|"+refused),
		one("scopes are those of the token", "external.go", "		who.Scopes = e.scopes(c).Within(role.Scopes())\n", "		who.Scopes = role.Scopes()\n", speaks),
		one("scopes are within the role", "external.go", "e.scopes(c).Within(role.Scopes())", "e.scopes(c)", speaks),
		one("workspaces are those of the token", "external.go", "			who.Workspaces = own\n		}\n	}\n	if e.ScopeClaim", "			_ = own\n		}\n	}\n	if e.ScopeClaim", speaks),
		one("a machine is no person", "external.go", "		who.Kind = account.Service\n", "", speaks),
		one("people of two issuers are two", "external.go", "[]byte(e.Issuer + \"\\n\" + subject)", "[]byte(subject)", accounts),
		one("who somebody is hangs on no e-mail address", "external.go", "	subject := c.text(\"sub\")\n	if subject", "	subject := c.text(\"email\")\n	if subject", accounts),
		one("who is disabled here is refused", "external.go", "case err == nil && u.State == account.Disabled:", "case err == nil && u.State == \"\":", accounts),
		one("whether somebody is disabled is known or nothing is", "external.go", "	return err\n}\n\n// claims are", "	return nil\n}\n\n// claims are", accounts),
		one("names are one line", "external.go", "[]rune(text.Without(line))", "[]rune(text.Without(\"\") + line)", speaks),

		// Keys.
		one("keys are read again", "keyset.go", "if key != nil && age < keysFresh {", "if key != nil && age < keysStale {", keys),
		one("keys that nobody can read again end", "keyset.go", "	case key != nil && age < keysStale:\n		return key, nil", "	case key != nil:\n		return key, nil", keys),
		one("made-up tokens don't make it ask", "keyset.go", "now.Sub(k.tried) >= keysAgain {", "now.Sub(k.tried) >= 0 {", keys),
		one("a key is found by its name there", "keyset.go", "kid != \"\" && one.KeyID == kid ||", "kid != \"\" ||", refused+"|"+keys),
		one("a document is the issuer's", "keyset.go", "		if doc.Issuer != k.issuer {\n			return nil, fmt.Errorf(\"it says that it is %q\", doc.Issuer)\n		}\n", "", places),
		one("keys come without redirects", "keyset.go", "return http.ErrUseLastResponse", "return nil", places),
		edited("a document has a length", places, edit{"keyset.go", "io.LimitReader(res.Body, mostKeys+1)", "io.LimitReader(res.Body, 8*mostKeys)"}, edit{"keyset.go", "	if len(body) > mostKeys {", "	if len(body) > 8*mostKeys {"}),
		one("a shared key is passed over", "keyset.go", "!key.IsPublic() || !key.Valid() || ", "", places),
		one("a weak key is passed over", "keyset.go", " || isRSA && small.N.BitLen() < 2048", " || isRSA && small.N.BitLen() < 512", places),
		edited("a key that seals signs nothing", places, edit{"keyset.go", " || key.Use == \"enc\"", ""}, edit{"verify.go", "if key.Use != \"\" && key.Use != \"sig\" {", "if key.Use == \"none\" {"}),
		one("keys come by TLS", "keyset.go", "if at = doc.Keys; secureAs(k.issuer, at) != nil {", "if at = doc.Keys; at == \"\" {", ways),

		// Sign-ins on the page: what goes out.
		one("a browser returns to the page", "party.go", " || !fragment.MatchString(to)", "", returns),
		one("a page to return to has a length", "party.go", "len(to) > mostFragment || ", "", returns),
		one("there is one page to return to", "party.go", "err != nil || repeated(query) || len(to)", "err != nil || len(to)", returns),
		one("a sign-in has a challenge", "party.go", ", oauth2.S256ChallengeOption(v.Verifier))", ")", brings),
		one("a sign-in has a nonce", "party.go", "v.State, oauth2.SetAuthURLParam(\"nonce\", v.Nonce), ", "v.State, ", brings),
		one("a state can't be guessed", "party.go", "State: secret(),", "State: secret()[:8],", brings),
		one("a code goes with its verifier", "party.go", "Exchange(ctx, code, oauth2.VerifierOption(v.Verifier))", "Exchange(ctx, code)", brings),
		edited("a sign-in under way is sealed", cookies, edit{"party.go", "p.set(w, p.seal.Close(p.cookie, text))", "p.set(w, hex.EncodeToString(text))"},
			edit{"party.go", "	text, ok := p.seal.Open(p.cookie, c.Value)\n	if !ok {", "	text, err := hex.DecodeString(c.Value)\n	if err != nil {"}, edit{"party.go", "	\"encoding/json\"\n", "	\"encoding/hex\"\n	\"encoding/json\"\n"}),
		one("scripts don't read the cookie", "party.go", "HttpOnly: true, ", "", cookies),
		one("the cookie goes by TLS", "party.go", "Secure: p.secure, ", "", cookies),
		one("the cookie is of this host", "party.go", "p.cookie = \"__Host-sluice-external\"", "p.cookie = \"sluice-external\"", cookies),
		one("other sites' requests bring no cookie", "party.go", "SameSite: http.SameSiteLaxMode", "SameSite: http.SameSiteNoneMode", cookies),
		one("a sign-in is asked for by GET", "party.go", "if !only(w, r, http.MethodGet) {", "if !only(w, r, http.MethodGet, http.MethodPost) {", cookies),
		one("the issuer that is asked is the one", "party.go", "if err == nil && at.Issuer != p.External.Issuer {", "if err == nil && at.Issuer == \"\" {", endpoint),
		one("the issuer is asked by TLS", "party.go", "			err = secureAs(p.External.Issuer, one)\n", "			_ = one\n", ways),
		one("a code goes where the issuer says", "party.go", "p.External.keys.client) // which", "http.DefaultClient) // which", endpoint),

		// And what comes back.
		one("an answer is of this browser's sign-in", "party.go", "	if subtle.ConstantTimeCompare([]byte(query.Get(\"state\")), []byte(v.State)) != 1 {", "	if subtle.ConstantTimeCompare(nil, nil) != 1 {", answers),
		one("an answer comes once", "party.go", "	p.set(w, \"\") // whatever", "	// whatever", answers),
		one("an answer comes in time", "party.go", "if !p.External.Now().Before(v.Ends) {", "if v.Ends.IsZero() {", answers),
		one("an answer says each thing once", "party.go", "if err != nil || repeated(query) || len(r.URL.RawQuery) > mostAnswer {", "if err != nil || len(r.URL.RawQuery) > mostAnswer {", answers),
		one("an answer has a length", "party.go", " || len(r.URL.RawQuery) > mostAnswer {", " {", answers),
		one("an answer is of the issuer", "party.go", "iss != p.External.Issuer && (iss != \"\" || at.AnswersIssuer)", "iss == \"\" && at.AnswersIssuer", answers),
		one("an issuer that promises to say who it is does", "party.go", "(iss != \"\" || at.AnswersIssuer)", "iss != \"\"", answers),
		one("an error opens nothing", "party.go", "if code := query.Get(\"error\"); code != \"\" {", "if code := query.Get(\"error\"); code == \"none\" {", answers),
		one("who may not come in has no session", "party.go", "	done, err := p.Admit(r.Context(), came)\n	if err != nil {\n		return err\n	}\n", "	done, _ := p.Admit(r.Context(), came)\n", shut),

		// ID tokens.
		one("an ID token is signed", "verify.go", "	if err != nil {\n		return err\n	}\n	return json.Unmarshal(payload, into)", "	if err != nil {\n		payload = o.jws.UnsafePayloadWithoutVerification()\n	}\n	return json.Unmarshal(payload, into)", ids),
		one("an ID token is of its type", "visitor.go", "if !slices.Contains([]string{\"jwt\", \"\"}, o.typ) {", "if o.typ == \"none\" {", ids),
		one("an ID token is of the issuer", "visitor.go", "	if c.text(\"iss\") != e.Issuer {\n		return errors.New(\"its iss is another\")\n	}\n", "", ids),
		one("an ID token has what is required", "visitor.go", "if !slices.Contains(c.list(name), want) {", "if name == want {", ids),
		one("an ID token is for this client", "visitor.go", "!slices.Contains(audience, client) || ", "", ids),
		one("an ID token was given to this client", "visitor.go", "party != \"\" && party != client || ", "", ids),
		one("an ID token for many says who it was given to", "visitor.go", " || len(audience) > 1 && party == \"\"", "", ids),
		one("an ID token is of this sign-in", "visitor.go", "if c.text(\"nonce\") != nonce {", "if c.text(\"nonce\") == \"none\" {", ids),
		one("Cognito's access token is no ID token", "visitor.go", "use != \"\" && use != \"id\" || ", "use == \"none\" || ", ids),
		one("Keycloak's other tokens are no ID tokens", "visitor.go", " || kind != \"\" && kind != \"ID\" {", " || kind == \"none\" {", ids),
		one("an ID token is somebody's", "visitor.go", "sub == \"\" || len(sub)", "len(sub)", ids),
		one("a name at the issuer has a length", "visitor.go", " || len(sub) > mostSubject", "", ids),
		one("an ID token was issued", "visitor.go", "	if c[\"iat\"] == nil {\n		return errors.New(\"it has no iat\")\n	}\n", "", ids),
		one("an ID token is good now", "visitor.go", "	return e.inTime(c)\n", "	return nil\n", ids),
		one("an access token's roles are of one that is good here", "external.go", "	if err := e.check(c, o.typ); err != nil {", "	if err := e.check(c, o.typ); err != nil && o.typ == \"none\" {", roles),
		one("an access token's roles are of the same person", "visitor.go", " && more.text(\"sub\") == c.text(\"sub\") {", " {", roles),
		one("who has no role has no session", "visitor.go", "	if who.Role == \"\" {\n		return who, noRole()\n	}\n", "", roles),

		// Signing out there, and being told of it.
		one("what it takes to sign out is sealed", "leave.go", "	return p.seal.Close(hintName, []byte(idToken))\n", "	return idToken\n", leaves),
		one("an address to sign out is as secure as the issuer", "leave.go", "		err = secureAs(p.External.Issuer, at.Leave)\n", "", leaves),
		one("a hint has a length", "leave.go", "	if len(idToken) > mostHint {", "	if len(idToken) > 2*mostHint {", leaves),
		one("a logout token is of its type", "leave.go", "if !slices.Contains([]string{\"logout+jwt\", \"jwt\", \"\"}, o.typ) {", "if o.typ == \"none\" {", tells),
		one("a logout token is of the issuer", "leave.go", "	case c.text(\"iss\") != e.Issuer:\n", "	case c.text(\"iss\") == \"none\":\n", tells),
		one("a logout token is for this client", "leave.go", "!slices.Contains(c.list(\"aud\"), client)", "len(c.list(\"aud\")) == 0", tells),
		one("a logout token says what happened", "leave.go", "	case !happened:\n", "	case happened && false:\n", tells),
		one("a logout token has no nonce", "leave.go", "	case c[\"nonce\"] != nil:\n", "	case c[\"nonce\"] == 1:\n", tells),
		one("a logout token names somebody", "leave.go", "c.text(\"sub\") == \"\" && c.text(\"sid\") == \"\" || ", "", tells),
		one("a logout token can be told from others", "leave.go", "c.text(\"jti\") == \"\" || ", "", tells),
		one("a logout token is good now", "leave.go", "	if err := e.inTime(c); err != nil {", "	if err := e.inTime(c); err != nil && c[\"exp\"] == nil {", tells),
		one("a logout token comes in a form", "leave.go", "media != \"application/x-www-form-urlencoded\" || ", "media == \"none\" || ", tells),
		one("a logout token that is not good ends nothing", "leave.go", "	if err == nil {\n		ended, err = p.Expel", "	if err != nil || err == nil {\n		ended, err = p.Expel", tells),
		one("a session of the issuer is not a user", "leave.go", "e.id(\"session\\n\"+sid)", "e.id(sid)", told),
		people("a sign-out there counts once", "catalog/session.go", "err != nil || rows == 0 {\n			return err\n		}\n		whose", "err != nil || rows < 0 {\n			return err\n		}\n		whose", expelled),
		people("a sign-out there is of one session", "catalog/sqlc/session.sql.go", "(party = '' OR CAST(", "(party <> 'none' OR CAST(", expelled),

		// What may be set.
		settings("an issuer is trusted for something", "if o.external() && len(o.Audience) == 0 && len(o.Clients) == 0 {", "if o.external() && o.Issuer == \"\" {"),
		settings("an issuer signs by keys that are public", "if !slices.Contains(oauth.Algorithms(), alg) {", "if alg == \"\" {"),
		settings("an issuer elsewhere is asked by TLS", " || u.Scheme != \"https\" && !local {", " || u.Scheme == \"\" && !local {"),
		settings("an issuer's address has no password", "u.User != nil || ", ""),
		settings("somebody without a role is not let in by mistake", "if o.external() && o.DefaultRole == \"\" && o.RoleClaim == \"\" {", "if o.external() && o.Issuer == \"\" {"),
		settings("a value means a role that there is", "if _, role := lastPair(pair); !account.Role(role).Valid() {", "if _, role := lastPair(pair); role == \"\" {"),
		settings("an access token is short", "case o.Access < time.Minute || o.Access > time.Hour:", "case o.Access < time.Minute:"),

		// Their accounts here.
		people("who is disabled doesn't come in by the issuer", "catalog/sqlc/account.sql.go", " WHERE account.state <> 'disabled'", "", visitors),
		people("workspaces are what the issuer tells now", "catalog/session.go", "		if err := t.RemoveMembers(ctx, u.ID); err != nil {\n			return err\n		}\n		for _, w := range u.Workspaces {\n			if _, err := t.AddMember(ctx, sqlc.AddMemberParams{Account: u.ID", "		for _, w := range u.Workspaces {\n			if _, err := t.AddMember(ctx, sqlc.AddMemberParams{Account: u.ID", visitors),
		people("a role is what the issuer tells now", "catalog/sqlc/account.sql.go", "name = excluded.name, role = excluded.role, signed_in", "name = excluded.name, signed_in", visitors),
		people("a session by the issuer is short", "identity/visitor.go", "	session.Expires = session.Created.Add(externalFor)\n", "", visitors),
		people("a sign-in by the issuer ends the session that the browser had", "identity/visitor.go", "		entry.Ends = digest(old)\n", "		_ = old\n", visitors),
		people("nobody signs in by the address of an account without a password", "identity/hash.go", "return subtle.ConstantTimeCompare(got, want) == 1 && known,", "return subtle.ConstantTimeCompare(got, want) == 1 || !known,", visitors),
		people("an account without a password gets none", "identity/signin.go", "	if login.Hash == \"\" {\n		return", "	if login.Hash == \"none\" {\n		return", visitors),
		people("an account without a password is not reset", "catalog/account.go", "		case row.Secret == \"\":", "		case row.Secret == \"none\":", visitors),
	}
}()
