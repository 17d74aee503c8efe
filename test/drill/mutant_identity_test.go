package drill

// identityMutants are the controls of accounts, sessions, tokens and the front door, each taken away by itself.
var identityMutants = func() []mutant {
	one := func(control, file, old, new, in, run string) mutant {
		return mutant{control, []edit{{file, old, new}}, in, run}
	}
	people := func(control, file, old, new, run string) mutant {
		return one(control, "internal/identity/"+file, old, new, "./internal/identity", run)
	}
	door := func(control, file, old, new, run string) mutant {
		return one(control, "cmd/sluice/"+file, old, new, "./cmd/sluice", run)
	}
	return []mutant{
		people("an unknown user costs a hash too", "hash.go", "	if !known {\n		hash = h.dummy\n	}", "	if !known {\n		return false, false, nil\n	}", "EveryFailedSignIn"),
		people("guesses at a user wait", "throttle.go", "		was = perUser.strike(was, now)\n", "", "FailuresMake"),
		people("guesses from an address wait", "throttle.go", "{ return perAddress.strike(was, act.Time) }", "{ return was }", "AnAddressThatGuesses"),
		people("who comes from a known address is counted apart", "signin.go", "try.held == 0 || login.Known && !try.shut", "try.held == 0", "KnownAddress"),
		people("guesses from an address keep out nobody who is known there", "signin.go", "login.Known && !try.shut", "login.Known && try.shut", "AddressUnderAttack"),
		people("a device cookie ends with the password", "device.go", "bytes.Equal(text[nonceBytes:], fingerprint(l.Hash, l.Factored))", "!bytes.Equal(nil, fingerprint(l.Hash, l.Factored))", "DeviceCookie"),
		people("the link that the start prints works once", "link.go", "	delete(l.codes, digest(code))\n", "", "Link_Code"),
		people("the link that the start prints ends", "link.go", "if !ok || !end.After(now) {", "if !ok {", "Link_Code"),
		one("an id_token_hint names who is answered", "internal/oauth/authorize.go", "return (q.Subject == \"\" || q.Subject == who.ID) && who.", "return who.", "./internal/oauth", "IDTokenHint"),
		one("an id_token_hint is the client's own", "internal/oauth/authorize.go", "c.Party != q.ClientID, ", "", "./internal/oauth", "IDTokenHint"),
		one("a refused relay is not taken for a wrong address", "internal/notify/reply.go", "	case class == \"7\":\n		return ofServer\n", "", "./internal/notify", "OnlyTheAddress"),
		one("no text turns the direction of writing", "internal/text/text.go", " || r >= 0x2066 && r <= 0x2069", "", "./internal/text", "Hidden"),
		people("few hashes run side by side", "hash.go", "semaphore.NewWeighted(int64(side))", "semaphore.NewWeighted(int64(side) + 1000)", "ManySignIns"),
		people("a sign-in ends the session that the browser had", "signin.go", "opening.Ends = digest(caller.Cookie)", "opening.Ends = \"\"", "ASignInEnds"),
		people("secrets are kept as hashes", "identity.go", "	return hex.EncodeToString(sum[:])\n", "	_ = hex.EncodeToString(sum[:])\n	return secret\n", "NoSecretIsKept"),
		people("a role counts at once", "identity.go", "Scopes: scopes.Within(u.Role.Scopes())", "Scopes: scopes", "WhatChangesAUser"),
		people("a session ends at its time", "session.go", "!session.Expires.After(now) || ", "", "EndInTime"),
		people("a session that nobody uses ends", "session.go", "now.Sub(session.Seen) > idleFor || u", "u", "EndInTime"),
		people("a token ends at its time", "session.go", "!k.Expires.After(now) || u", "u", "EndInTime"),
		people("another user's sessions are for administrators", "session.go", "	if err := by.Allow(account.UsersAdmin); err != nil {\n		return account.User{}, err\n	}\n	login", "	login", "ASignInEnds"),
		one("passwords are good for nothing where the issuer alone signs people in", "internal/api/sessions.go", "	if !s.IssuerOnly {\n		return handle\n	}\n", "	if !s.IssuerOnly || s.IssuerOnly {\n		return handle\n	}\n", "./internal/api", "AnIssuerAlone"),
		one("a code that is out gives nothing that was taken back", "internal/catalog/sqlc/oauth.sql.go", "DELETE FROM oauth_code WHERE account = $1 AND client = $2 AND family = ''", "DELETE FROM oauth_code WHERE account = $1 AND client = $2 AND family = 'none'", "./internal/catalog", "ProgramsAreTheLive"),
		people("what people guess is no password", "password.go", "guessable(words)).Score < leastScore", "guessable(words)).Score < 0", "WhatPeopleGuess"),
		one("a temporary password works once", "internal/catalog/sqlc/account.sql.go", "(temporary = 0 OR (used = 0 AND temporary >", "(temporary = 0 OR (used >= 0 AND temporary >", "./internal/identity", "OfManyWhoTry"),
		one("a session waits for the second factor", "internal/account/policy.go", "	if p.MustProve {\n", "	if p.MustProve && false {\n", "./internal/identity", "AfterThePassword"),
		one("who must have a second factor sets one up", "internal/account/policy.go", "	if p.MustEnrol {\n", "	if p.MustEnrol && false {\n", "./internal/identity", "WhoMustHave"),
		people("a code is of its step, or one beside it", "factor.go", "	skew          = 1 ", "	skew          = 3 ", "ACodeWorksOnce"),
		one("a code is good once", "internal/catalog/factor.go", "	case shown.Step <= row.Step:\n		return video.ErrStale\n", "", "./internal/identity", "OfTwoWhoShow"),
		one("a recovery code is good once", "internal/catalog/factor.go", "		return fenced(t.TakeRecoveryCode(ctx, sqlc.TakeRecoveryCodeParams{Account: l.ID, Hash: shown.Recovery}))", "		return nil", "./internal/identity", "OfTwoWhoShow"),
		one("the session that waited ends", "internal/catalog/factor.go", "		if err := fenced(t.RemoveSession(ctx, sqlc.RemoveSessionParams{Account: p.Login.ID, ID: p.Waited})); err != nil {\n			return err\n		}\n", "", "./internal/identity", "AfterThePassword"),
		people("guesses at a second factor wait", "factor.go", "	if err := s.admit(ctx, strikes, address); err != nil {\n		return shown, strikes, err\n	}\n", "", "GuessesAtASecond"),
		people("guesses at a second factor count against their address", "factor.go", "	if err := s.blame(ctx, addressStrikes(act.Address), act); err != nil {\n		return err\n	}\n", "", "GuessesAtASecond"),
		one("who has the password alone is not known by their address", "internal/catalog/sqlc/account.sql.go", "AND (a.factor = '' OR s.proven > 0)", "", "./internal/identity", "PasswordAloneIsNotKnown"),
		people("a second factor is set up by password", "factor.go", "	case password == \"\":\n", "	case password == \"\" && has:\n", "IsSetUpByPassword"),
		people("a second factor is changed by the one before", "factor.go", "	if has {\n		var strikes string", "	if has && false {\n		var strikes string", "IsReplacedBy"),
		people("an offer ends in time", "factor.go", "!ok || s.Now().Sub(session.Offered) > offerFor", "!ok", "IsSetUpByPassword"),
		people("an offer is its session's", "factor.go", "	uri, ok := s.Seal.Open(session.ID, session.Offer)", "	all, _ := s.Store.Sessions(ctx, by.ID)\n	session = all[0]\n	uri, ok := s.Seal.Open(session.ID, session.Offer)", "SecondSessionIsOffered"),
		people("nobody resets their own second factor", "factor.go", "	if by.ID == id {\n", "	if by.ID == id && false {\n", "RemovedByItsUser"),
		people("who must have a second factor keeps it", "factor.go", "	if s.Demand.Of(account.User{ID: by.ID, Role: by.Role}) {", "	if false {", "WhoMustHave"),
		one("a second factor goes with its account", "internal/catalog/account.go", "			if _, err := t.unfactor(ctx, row); err != nil {\n				return err\n			}\n", "", "./internal/identity", "GoesWithItsAccount"),
		one("other sessions end with a new second factor", "internal/catalog/factor.go", "	if _, err := t.RemoveSessionsBut(ctx, sqlc.RemoveSessionsButParams{Account: id}); err != nil {\n		return err\n	}\n	return t.admit(", "	return t.admit(", "./internal/identity", "IsSetUpByPassword"),
		one("a second factor is set up in the session that was offered it", "internal/catalog/factor.go", "		if err := fenced(t.TakeOffer(ctx, sqlc.TakeOfferParams{Account: id, ID: f.Asked.ID, Offer: f.Asked.Offer})); err != nil {\n			return err\n		}\n", "", "./internal/identity", "WhileEverythingEnded"),
		one("who has not shown the second factor gives programs nothing", "internal/oauth/authorize.go", "who.Settled() == nil && (", "!who.MustChange && (", "./internal/oauth", "SecondFactorGives"),
		one("a token is made for a session that lives", "internal/catalog/factor.go", "	if err == nil && !slices.ContainsFunc(open,", "	if err == nil && false && !slices.ContainsFunc(open,", "./internal/identity", "WasAskedForWhile"),
		door("a header keeps cookies from counting", "access.go", "		if len(header) > 0 {\n			r.Header.Del(\"Cookie\")\n", "		if len(header) > 0 {\n			_ = r\n", "OneOfSeveralCredentials"),
		door("a page elsewhere reads nothing by cookies", "access.go", "} else if a.access.foreign(r) {", "} else if false {", "NoPageElsewhere"),
		door("pages that may call are compared whole", "cors.go", "slices.Contains(named, origin) }", "slices.ContainsFunc(named, func(o string) bool { return strings.HasPrefix(origin, o) }) }", "PagesOfCORSOrigins"),
		door("cookies are for pages that are named", "cors.go", "rules.AllowCredentials, rules.AllowedOrigins = nil, false, []", "rules.AllowCredentials, rules.AllowedOrigins = nil, true, []", "AllPagesCall"),
		door("an origin is spelled as browsers do", "config.go", "		if err := checkOrigin(o); err != nil {", "		if err := checkOrigin(o); err != nil && false {", "OriginsAreThose"),
		door("other sites' pages change nothing", "access.go", "err := a.access.origin.Check(r); err != nil {", "err := a.access.origin.Check(r); err != nil && false {", "OneOfSeveralCredentials"),
		one("only trusted proxies are believed", "internal/delivery/origin.go", "		if err != nil || !slices.ContainsFunc(proxies, trusted) {", "		if err != nil {", "./cmd/sluice", "TrustedProxies"),
		one("what is erased is overwritten", "internal/engine/db.go", ", \"secure_delete(1)\"", "", "./internal/catalog", "AnErasedSecret"),
		one("the log is emptied of what was erased", "internal/engine/db.go", "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA wal_checkpoint(PASSIVE)", "./internal/catalog", "AnErasedSecret"),
		door("what seals the keys is asked for", "seal.go", "			return missingSeal()\n", "			_ = missingSeal()\n", "WithoutWhatSeals"),
		door("what seals the keys is the right one", "seal.go", "			return wrongSeal(nil)\n", "			_ = wrongSeal(nil)\n", "WithoutWhatSeals"),
		one("the last administrator stays", "internal/catalog/account.go", "	if err == nil && n < 2 {", "	if err == nil && n < 0 {", "./internal/identity", "LastAdministrator"),
		door("a body has to go on coming", "crowd.go", "if b.got += n; b.got >= portion {", "if b.got += n; b.got >= 1 {", "BodyHasToGoOn"),
		door("what nobody reads holds no connection", "crowd.go", "			if !b.ended {\n", "			if b.ended {\n", "BodyThatNobodyReads"),
		door("there are as many connections as may be", "crowd.go", "if c.number.Add(1) > int64(c.most) {", "if c.number.Add(1) > int64(100*c.most) {", "TooManyConnections"),
		door("who is answered keeps the connection", "crowd.go", "since > 0 {", "since >= 0 {", "TooManyConnections"),
		door("who has waited longest goes first", "crowd.go", "cmp.Compare(a.since, b.since)", "cmp.Compare(b.since, a.since)", "TooManyConnections"),
		door("every answer says nosniff", "access.go", "		h[\"X-Content-Type-Options\"], h[\"Content-Security-Policy\"], h[\"Referrer-Policy\"] = noSniff, inert, sameOrigin\n", "		h[\"Content-Security-Policy\"], h[\"Referrer-Policy\"] = inert, sameOrigin\n", "EveryAnswerTells"),
		door("a connection of HTTP/1.0 ends", "access.go", "if !r.ProtoAtLeast(1, 1) {", "if !r.ProtoAtLeast(1, 0) {", "HTTP10"),
		one("a route asks for its scope", "internal/api/access.go", "		err := a.allow(who)\n", "		err := a.allow(who)\n		err = nil\n", "./cmd/sluice", "NobodyGetsMore"),
		one("a video of another workspace is not there", "internal/api/access.go", "if err == nil && !who(ctx).MaySee(subject(v)) {", "if err == nil && false {", "./cmd/sluice", "NobodyGetsMore"),
		one("a video's texts hide nothing", "internal/api/videos.go", "if strings.ContainsFunc(s, text.Hidden) {", "if false && strings.ContainsFunc(s, text.Hidden) {", "./internal/api", "EveryRefusalIsAProblem"),
	}
}()
