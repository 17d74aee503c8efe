package drill

// deliveryMutants are the controls of internal/delivery, each taken away by itself; the attacks of its tests must notice.
var deliveryMutants = func() []mutant {
	const room = "internal/delivery/"
	one := func(control, file, old, new, run string) mutant {
		return mutant{control, []edit{{room + file, old, new}}, "./internal/delivery", run}
	}
	const (
		policies = "EachPolicyOpens"
		judged   = "JudgedOnce"
		nobody   = "NobodyLearns"
		paths    = "NotExactlyAStreams"
		cdn      = "ACDNVouches"
		clients  = "AddressOfClients"
		pages    = "WithdrawnAndBoundToPages"
		byName   = "PagesReadWhatTheyMay"
		capped   = "ACapHolds"
		upTo     = "SignedUpToARung"
		ranges   = "RangesThatCostMuch"
		bodies   = "TwoServersMayRead"
		gates    = "WhatWasPublished"
		asking   = "ATrustedCacheAsks"
	)
	return []mutant{
		one("a stream is only read", "delivery.go", "case r.Method == http.MethodGet || r.Method == http.MethodHead:", "case r.Method != http.MethodOptions:", "OnlyReading"),
		one("a body is refused", "delivery.go", "case r.ContentLength != 0 || len(r.TransferEncoding) > 0:", "case r.ContentLength != 0 && len(r.TransferEncoding) > 0:", bodies),
		one("a connection with a body ends", "delivery.go", "	p.Header().Set(\"Connection\", \"close\")\n", "", bodies),
		one("who may is decided", "delivery.go", "err = e.admit(r, v)", "_ = e.admit(r, v)", policies),
		one("the cap is held", "delivery.go", "err = e.within(r.Context(), v)", "_ = e.within(r.Context(), v)", capped),
		one("many ranges are one", "delivery.go", "strings.Count(given[0], \",\") < most", "strings.Count(given[0], \",\") < most+4000", ranges),
		one("two Range headers are none", "delivery.go", "len(given) == 1 && ", "", ranges),
		one("a remote object has one range", "delivery.go", "e.serveRemote(p, bounded(r, 1), v)", "e.serveRemote(p, bounded(r, mostRanges), v)", "InOnePiece"),
		one("a link is not followed", "open.go", "|syscall.O_NOFOLLOW", "", "OnlyFiles"),
		one("a pipe doesn't hold a request", "open.go", "|syscall.O_NONBLOCK", "", "OnlyFiles"),
		one("only files are sent", "open.go", "if s.Mode&syscall.S_IFMT != syscall.S_IFREG {", "if s.Mode == 0 {", "OnlyFiles"),
		one("what needs a proof is private", "delivery.go", "	case !v.shared:\n		who =", "	case !v.shared && v.until.IsZero():\n		who =", policies),
		one("nothing is kept for longer than the right to it", "delivery.go", "most = max(0, min(most, rest))", "most = max(0, most, min(most, rest))", "BeginsAndEnds"),
		one("a refusal is not kept", "delivery.go", "	w.Header().Set(\"Cache-Control\", \"no-store\")\n", "", "OnlyReading"),
		one("what is not there has one answer", "delivery.go", "		err = missing(err)\n	case kind == fault.Unauthorized:", "	case kind == fault.Unauthorized:", paths),
		one("a playback can be purged by itself", "delivery.go", "	if p.ID != \"\" {\n		all", "	if p.ID == \"\" {\n		all", pages),

		one("browsers keep what a CDN checked for an hour", "delivery.go", "case v.shared && v.Policy != video.Public && most > behindCDN:", "case false:", cdn),
		{"no address can be decoded twice", []edit{{"internal/upload/name.go", "escapes.ReplaceAllString(clean(name), \"-$1\")", "clean(name)"}}, "./internal/delivery", "AnyName"},

		one("a proof comes before what is there", "admit.go", "	if v.rights, err = e.prove(r, v); err != nil {", "	if !v.served {\n		return missing(nil)\n	}\n	if v.rights, err = e.prove(r, v); err != nil {", nobody),
		one("a playback can be withdrawn", "admit.go", "if v.Revoked {", "if v.Revoked && v.ID == \"\" {", pages),
		one("a playback is for its pages", "admit.go", "if !e.pageMay(r, v.Playback) {", "if !e.pageMay(r, v.Playback) && false {", pages),
		one("what isn't published is not there", "admit.go", "	if !v.served {", "	if !v.served && v.Prefix == \"\" {", paths+"|Retired"),
		one("a signed video needs a proof", "admit.go", "if v.Policy == video.Public {", "if v.Policy != video.Members {", policies),
		one("what is for some pages is not kept for all", "admit.go", "rights{shared: len(v.Origins) == 0}", "rights{shared: true}", pages),
		one("a CDN opens nothing for members", "admit.go", "v.Policy != video.Members && e.vouched(r)", "e.vouched(r)", cdn),
		one("a signature in the address decides", "admit.go", "		proven.shared = vouched\n		return proven, err\n	}\n", "		proven.shared = vouched\n		if err == nil {\n			return proven, err\n		}\n	}\n", judged),
		one("a token decides", "admit.go", "if len(r.Header[\"Authorization\"]) > 0 {", "if len(r.Header[\"Authorization\"]) > 1 {", judged),
		one("a key pair of users opens nothing for members", "admit.go", "if v.Policy == video.Members && !known.internal[g.KeyPairID()] {", "if v.Policy == video.Members && known.internal == nil {", policies),
		one("a key pair opens its workspaces alone", "admit.go", "Now: e.Now(), Workspace: v.Workspace,", "Now: e.Now(), Workspace: \"main\",", "OfItsWorkspaces"),
		one("a client's address is looked at", "admit.go", "Client: ClientAddress(r, e.Proxies), ", "", clients),
		one("a video is for who may see it", "admit.go", "case !who.MaySee(", "case false && !who.MaySee(", policies),
		one("a workspace is looked at", "admit.go", "Workspace: v.Workspace, Ready: v.Ready}", "Workspace: \"nowhere\", Ready: v.Ready}", policies),
		one("what is for somebody is kept for a moment", "admit.go", "rights{until: e.Now().Add(lookedFor)}", "rights{until: e.Now().Add(forever)}", "BeingWhoTheyAre"),

		one("who asks is known for a moment", "viewer.go", "now.Sub(seen.asked) < freshFor", "now.Sub(seen.asked) < forever", "WhoAsks"),
		one("somebody is known by all they send", "viewer.go", "[]string{\"Authorization\", \"Cookie\"}", "[]string{\"Authorization\"}", "WhoAsks"),
		one("credentials are told apart", "viewer.go", "_, _ = io.WriteString(all, value+\"\\x00\")", "_, _ = io.WriteString(all, value)", "ToldApart"),
		one("those who are known are bounded", "viewer.go", "if v.recent.Len() > viewersKept {", "if v.recent.Len() > 2*viewersKept {", "Bounded"),

		one("a hidden file is not served", "target.go", "strings.Contains(file, \"/.\")", "strings.Contains(file, \"/..\")", paths),
		one("a hidden file at the top is not served", "target.go", "file[0] == '.' || ", "", paths),
		one("only kinds of streams are served", "target.go", "!known || ", "known && n < 0 || ", paths),
		one("a generation has one spelling", "target.go", " || strconv.Itoa(n) != number", "", paths),
		one("a folder has the form of one", "target.go", "!owned(folder) || ", "", paths),

		one("an answer is fresh for two seconds", "gate.go", "age < g.fresh ||", "age < keptFor ||", "TwoSeconds"),
		one("only what was good goes on without the catalog", "gate.go", "troubled && g.good(*last)) {", "troubled) {", gates),
		one("what was good goes on for a minute", "gate.go", "if age >= keptFor {", "if age >= forever {", gates),
		one("what wasn't good isn't fallen back on", "gate.go", "	if last != nil && g.good(*last) {\n		enough", "	if last != nil {\n		enough", gates),
		one("one question is asked at a time", "gate.go", "	result := g.flight.DoChan(", "	g.flight.Forget(question.String())\n	result := g.flight.DoChan(", "CauseOneQuestion"),
		one("answers are bounded", "gate.go", "if g.recent.Len() > remembered {", "if g.recent.Len() > 2*remembered {", "AnswersKept"),

		one("unknown keys ask now and then", "keys.go", "now.Sub(k.asked) < askAgainAfter", "now.Sub(k.asked) < 0", "RetiredOrUnknown"),
		one("key pairs are read again", "keys.go", "ringFreshFor = 20 * time.Second", "ringFreshFor = time.Hour", "RetiredOrUnknown"),
		one("a grant that is kept is checked each time", "keys.go", "return g, known, g.Check(known.all, q)", "return g, known, nil", "BeginsAndEnds"),
		one("grants are bounded", "keys.go", "if k.recent.Len() > grantsKept {", "if k.recent.Len() > 2*grantsKept {", "Bounded"),
		one("members' key pairs are the server's", "keys.go", "for _, k := range internal {", "for _, k := range users {", policies),

		one("media in no rung's folder is above any cap", "manifest.go", "if strings.HasPrefix(v.kind, \"video/\") {", "if strings.HasPrefix(v.kind, \"none/\") {", capped),
		one("a rung that isn't listed is above the cap", "manifest.go", " && !named(rung)", "", capped),
		one("a manifest is capped", "manifest.go", "		choice = choice.Capped(v.MaxResolution)\n", "", capped),
		one("a manifest varies by the device", "manifest.go", "		h.Add(\"Vary\", strings.Join(DeviceHeaders, \", \"))\n", "", "DevicesGet"),
		one("a signed manifest is nobody's to keep", "manifest.go", "	h.Set(\"Cache-Control\", \"private, no-store\")\n", "", "OpensAllThatItNames"),
		one("a canned signature stays with its address", "manifest.go", "v.grant == nil || v.credential.Policy == \"\"", "v.grant == nil", "OpensAllThatItNames"),
		one("a signature for one manifest stays with it", "manifest.go", "if resource == base || ", "if resource == \"\" || ", "OpensAllThatItNames"),
		one("a signature for a rung is for that rung", "manifest.go", "resource := top + folder + \"*\"", "resource := top + \"*\"", upTo),
		one("a signature for a rung has the conditions of the first", "manifest.go", ", NotBefore: policy.NotBefore, Client: policy.Client", "", "SameConditions"),
		one("a signature for a rung ends with the first", "manifest.go", "Resource: resource, Expires: policy.Expires,", "Resource: resource, Expires: policy.Expires.Add(forever),", "SameConditions"),
		one("what is for members is signed for members", "manifest.go", "if v.ring.internal[g.KeyPairID()] {", "if v.ring.internal == nil {", upTo),
		one("a manifest is kept by its choice", "shelf.go", "object+\"\\x00\"+choice.Key()", "object", "DevicesGet"),

		one("the signature is for the edge's own host", "origin.go", "return e.addresses[0].Scheme, e.addresses[0].Host", "return e.addresses[0].Scheme, r.Host", judged),
		one("the secret comes once", "origin.go", "if len(given) != 1 {", "if len(given) == 0 {", cdn),
		one("the secret is compared", "origin.go", "return fits == 1", "return fits == 1 || given[0] != \"\"", cdn),
		{"a proxy is believed that is trusted", []edit{
			{room + "origin.go", "	if !slices.ContainsFunc(proxies, trusted) {\n		return at\n	}\n", ""},
			{room + "origin.go", "if err != nil || !slices.ContainsFunc(proxies, trusted) {", "if err != nil || at == before && !slices.ContainsFunc(proxies, trusted) {"},
		}, "./internal/delivery", clients},
		one("what can't be read is not believed", "origin.go", "		if err != nil || !slices.ContainsFunc(proxies, trusted) {", "		if err != nil {\n			continue\n		}\n		if !slices.ContainsFunc(proxies, trusted) {", clients),
		one("what a CDN doesn't send is private", "admit.go", "		proven.shared = vouched\n", "		proven.shared = true\n", cdn),
		one("what a CDN vouches for is shared", "admit.go", "	if vouched {\n		return rights{shared: true}, nil", "	if vouched {\n		return rights{}, nil", cdn),
		one("one who knows no secret asks nothing", "vouch.go", "	if !e.vouched(r) {", "	if len(e.secrets) == 0 {", asking),
		one("what a cache is told is not kept", "vouch.go", "	w.Header().Set(\"Cache-Control\", \"no-store\")\n	if m", "	if m", asking),
		one("a HEAD is asked for as a GET", "vouch.go", " && m != http.MethodGet && m != http.MethodHead {", " && m != http.MethodGet {", asking),
		one("a cache asks about one address", "vouch.go", "if len(lines) != 1 {", "if len(lines) == 0 {", asking),
		one("a cache asks about a path", "vouch.go", "if err != nil || u.Host != \"\" {", "if err != nil {", asking),
		one("a cache's secret vouches for nothing there", "vouch.go", "	asked.Header.Del(e.CDN.Header)\n", "", asking),
		one("who may is asked for a cache too", "vouch.go", "		err = e.admit(asked, v)\n", "		_ = e.admit(asked, v)\n", asking),
		one("a cap is held for a cache too", "vouch.go", "		err = e.within(r.Context(), v)\n", "		_ = e.within(r.Context(), v)\n", asking),
		one("what is asked about is the path that the cache serves", "vouch.go", "	asked.URL = u\n", "	asked.URL = u.JoinPath()\n", asking),
		one("other pages are told apart for a cache too", "vouch.go", "	e.share(w.Header(), r, v) // what it keeps was for another page\n", "	_ = v\n", asking),
		one("a cache is told three answers", "vouch.go", "	case fault.Is(err, fault.NotFound), fault.Is(err, fault.Invalid):\n		w.WriteHeader(http.StatusForbidden)", "	case fault.Is(err, fault.Invalid):\n		w.WriteHeader(http.StatusForbidden)", asking),
		one("a page is told by its referrer", "origin.go", "			origin = from.Scheme + \"://\" + from.Host\n", "			return true\n", pages),
		one("a page of another site is told by its browser", "origin.go", "site != \"cross-site\" && ", "", pages),
		one("a page of another origin is told by its browser", "origin.go", " && site != \"same-site\"", "", pages),
		one("an origin is compared whole", "origin.go", "return slices.Contains(p.Origins, origin) || ", "return strings.HasPrefix(origin, p.Origins[0]) || ", pages),
		one("a playback of some pages is not for all", "origin.go", "v == nil || v.Policy == video.Public && len(v.Origins) == 0", "v == nil || v.Policy == video.Public", pages),
		one("an answer by origin varies by it", "origin.go", "	h[\"Vary\"] = byOrigin\n", "", byName),
		one("no other page reads", "origin.go", "if origin == \"\" || !slices.Contains(allowed, origin) && !slices.Contains(e.Pages, origin) {", "if origin == \"\" {", byName),
		one("never all pages with cookies", "origin.go", "			h.Set(\"Access-Control-Allow-Origin\", \"*\") //", "			h.Set(\"Access-Control-Allow-Credentials\", \"true\")\n			h.Set(\"Access-Control-Allow-Origin\", \"*\") //", byName),
		one("a playback's pages are instead of others", "origin.go", "		allowed = v.Origins\n", "		allowed = append(slices.Clone(allowed), v.Origins...)\n", pages),
		one("addresses are no referrers", "origin.go", ", h[\"Referrer-Policy\"] = noSniff, noReferrer\n", " = noSniff\n", byName),
		one("kinds are not guessed", "origin.go", "	h[\"X-Content-Type-Options\"], h[\"Referrer-Policy\"] = noSniff, noReferrer\n", "	h[\"Referrer-Policy\"] = noReferrer\n", "ServedWhole"),

		one("who takes nothing is cut off", "pace.go", "usualStall = 30 * time.Second", "usualStall = 30 * time.Hour", "TakesNothing"),
		one("who takes nothing of a file is cut off", "wire.go", "				_ = c.SetWriteDeadline(time.Now().Add(c.within))\n", "", "TakesNothing"),
		one("a file is closed in the end", "open.go", "		if f.gone = true; f.users == 0 {", "		if f.gone = true; f.users < 0 {", "KeptOpen"),
		one("a file is not closed while it is sent", "open.go", "		if f.gone = true; f.users == 0 {", "		if f.gone = true; f.users >= 0 {", "KeptOpen"),
		one("what is kept is bounded", "kept.go", "if d.recent.Len() > descriptionsKept {", "if d.recent.Len() > 2*descriptionsKept {", "Bounded"),
		one("an object doesn't change while it is sent", "remote.go", "if err == nil && now.ETag != object.ETag {", "if err == nil && now.Key != object.Key {", "ChangesWhile"),
	}
}()

// grantMutants are those of internal/grant.
var grantMutants = func() []mutant {
	const room = "internal/grant/"
	one := func(control, file, old, new, run string) mutant {
		return mutant{control, []edit{{room + file, old, new}}, "./internal/grant", run}
	}
	const (
		who        = "WhoGetsAGrant"
		conditions = "ConditionsAreKept"
		everything = "EverythingIs"
		playbacks  = "APlaybackThatIsNotThere"
		caps       = "ACapIs"
		rotation   = "RotationOverlaps"
	)
	return []mutant{
		one("a grant is for who may see", "grant.go", "if err != nil || !p.MaySee(account.Subject{Owner: v.Owner, Workspace: v.Workspace, Ready: v.Status == video.Ready}) {", "if err != nil {", who),
		one("what isn't ready is not shown to viewers", "grant.go", "Ready: v.Status == video.Ready}", "Ready: true}", who),
		one("what can't be played isn't granted", "grant.go", "if v.Output == nil || v.Published == 0 {", "if v.Output == nil && v.Published != 0 {", who),
		one("what is for members is signed for members", "grant.go", "		purpose = signing.ForMembers\n", "		purpose = signing.ForPlayback\n", who),
		one("a grant for members is short", "grant.go", "		until = g.sooner(until, g.whole(g.Members, o))\n", "", who),
		one("a grant for members ends with the film", "grant.go", "min(life+o.output.Duration, g.Longest)", "life + o.output.Duration", "LengthOfTheVideo"),
		one("a grant of everything is short", "grant.go", "Expires: g.sooner(until, g.Members)}", "Expires: until}", everything),
		one("everything is what is in reach", "grant.go", "	if !reach.All {", "	if !reach.All && len(reach.Workspaces) == 0 {", everything),
		one("nobody reaches nothing", "grant.go", "if len(workspaces) == 0 {", "if workspaces == nil && reach.All {", everything),
		one("a grant of everything has no cap", "grant.go", "if r.MaxResolution != 0 || r.Path", "if r.Path", everything),
		one("a grant is not for longer than is allowed", "grant.go", "r.For < 0 || r.For > g.Longest", "r.For < 0", conditions),
		one("a grant begins before it ends", "grant.go", "case !r.NotBefore.IsZero() && !r.NotBefore.Before(until):", "case r.For < 0 && !r.NotBefore.Before(until):", conditions),
		one("a grant begins when it says", "grant.go", "	return g.sign(out, r, o, signer, signing.Policy{NotBefore: from, Expires: until, Client: r.Client})\n", "	_ = from\n	return g.sign(out, r, o, signer, signing.Policy{Expires: until, Client: r.Client})\n", conditions),
		one("a grant is for its addresses", "grant.go", "signing.Policy{NotBefore: from, Expires: until, Client: r.Client})\n}\n\n// manifests", "signing.Policy{NotBefore: from, Expires: until})\n}\n\n// manifests", conditions),
		one("conditions need a policy", "grant.go", "if out.Resource == out.File && policy.NotBefore.IsZero() && !policy.Client.IsValid() {", "if out.Resource == out.File {", conditions),
		one("a playback that was revoked is not granted", "grant.go", "form.Revoked || ", "", playbacks),
		one("a playback is of its video", "grant.go", " || id != \"\" && id != form.Video", "", playbacks),
		one("a playback out of reach is not there", "grant.go", "		case r.Playback != \"\":\n", "		case r.Playback == \"\" && id == \"\":\n", playbacks),
		one("a playback has its own policy", "grant.go", "string(form.ID), form.Policy, string(form.ID)", "string(form.ID), v.Policy, string(form.ID)", caps),
		one("a cap is not lifted", "grant.go", "r.MaxResolution < form.MaxResolution", "r.MaxResolution > form.MaxResolution", caps),
		one("one signed file is no manifest", "grant.go", "		out.Way = Manifest // one", "		out.Way = URL // one", "AddressOfAManifest"),
		one("a manifest's grant is for its generation", "grant.go", "fmt.Sprintf(\"%s%d/*\", stream, o.generation)", "stream + \"*\"", who),
		one("a file's grant is for the file", "grant.go", "		out.Resource = out.File\n", "		out.Resource = stream + \"*\"\n", who),
		one("a video's grant is for the video", "grant.go", "/x\"), \"x\")", "/x\"), \"/x\")", who),
		one("a path has one spelling", "grant.go", "err != nil || at == \"\" || path.Clean(\"/\"+name) != \"/\"+name", "at == \"\"", conditions),

		one("a private key is sealed", "keys.go", "r.Sealed = k.seal.Close(r.ID, private)", "r.Sealed = string(private)", "NoPrivateKey"),
		one("all processes sign with one first key pair", "keys.go", "	kept, err := k.store.FirstKeyPair(ctx, r, k.act(ctx, account.KeyPairMade, r.ID))", "	kept, err := r, k.store.AddKeyPair(ctx, r, k.act(ctx, account.KeyPairMade, r.ID), nil)", "OfManyProcesses"),
		one("a key pair without its private key doesn't sign", "keys.go", "err == nil && signs(t.pair) {", "err == nil {", "AnotherSecret"),
		one("a new key pair waits for every edge", "keys.go", "k.now().Add(signing.Settle), n.After)", "k.now(), n.After)", rotation),
		one("users replace key pairs of users", "keys.go", " && r.Purpose == signing.ForPlayback })", " })", "OfTheServer"),
		one("a key pair that was retired signs no more", "keys.go", "	k.read = time.Time{}\n", "", rotation),
		one("key pairs for members are told apart", "keys.go", "if t.Purpose == signing.ForMembers {", "if t.Purpose == \"\" {", who),
		one("a key pair signs for its purpose", "keys.go", "if t.Purpose == p {", "if t.Purpose == p || p == signing.ForMembers {", who),
	}
}()
