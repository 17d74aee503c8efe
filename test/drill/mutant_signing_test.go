package drill

// signingMutants are the controls of internal/signing, each taken away by itself; its table of attacks must notice.
var signingMutants = func() []mutant {
	const room = "internal/signing/"
	one := func(control, file, old, new, run string) mutant {
		return mutant{control, []edit{{room + file, old, new}}, "./internal/signing", run}
	}
	const (
		attacks = "EachControlHolds"
		paths   = "PathThatCouldBeReadTwice"
		policy  = "ReadExactlyOrRefused"
		covers  = "CoversWhatCloudFrontDocuments"
		queries = "LeaveTheQuery"
	)
	return []mutant{
		one("a signature is verified", "ring.go", "if !key.verify(c.Hash, text, signature) {", "if key.verify(c.Hash, text, signature) && false {", "NoByte|"+attacks),
		one("RSA is verified", "key.go", "return rsa.VerifyPKCS1v15(public, hash, digest, signature) == nil", "return hash != 0", "NoByte"),
		one("ECDSA is verified", "key.go", "return ecdsa.VerifyASN1(public, digest, signature)", "return digest != nil", "NoByte"),
		one("the hash is the one that is named", "key.go", "	if h == SHA256 {\n		d :=", "	if h == \"\" {\n		d :=", "EachForm|DoesNotFit|SDK|Commands"),
		one("base64 has one spelling", "credential.go", `.WithPadding('_').Strict()`, `.WithPadding('_')`, "NoByte|"+attacks),
		one("base64 has no line ends", "credential.go", "!base64Text(c.Policy) || !base64Text(c.Signature)", "!base64Text(c.Policy) && !base64Text(c.Signature)", "NoByte|"+attacks+"|"+queries),
		one("an unknown key pair is refused", "ring.go", "	if !ok {\n		return nil, errUnknownKey\n	}", "	if !ok && len(r.pairs) == 0 {\n		return nil, errUnknownKey\n	}", attacks),
		one("a retired key pair is refused", "ring.go", "if r.pairs[i].State(now) == Retired {", "if r.pairs[i].State(now) == \"\" {", attacks),
		one("a retiring key pair doesn't sign", "ring.go", "k.State(now) != Active", "k.State(now) == Retired", "NewestKeyPair"),
		one("a key pair that no edge has read doesn't sign", "ring.go", "if settledA != settledB {", "if false && settledA != settledB {", "NewestKeyPair"),
		one("retirement is not put off", "key.go", "if !k.RetiredAt.IsZero() && until.After(k.RetiredAt) {", "if false && until.After(k.RetiredAt) {", "OneDirection"),
		one("a policy ends", "ring.go", "if now >= g.expires {", "if now > g.expires {", attacks),
		one("a policy begins", "ring.go", "now <= g.notBefore {", "now < g.notBefore {", attacks),
		one("a policy is for its addresses", "ring.go", "!g.policy.Client.Contains(q.Client.Unmap().WithZone(\"\"))", "!g.policy.Client.IsValid()", attacks),
		one("an address that is mapped into IPv6 is the same", "ring.go", "q.Client.Unmap().WithZone", "q.Client.WithZone", attacks),
		one("a policy is for its resource", "ring.go", "q.Path == (Path{}) || !g.covers(q) {", "q.Path == (Path{}) {", attacks+"|KeptGrant"),
		one("a key pair opens its workspaces alone", "ring.go", "!slices.Contains(key.Workspaces, q.Workspace) {", "len(key.Workspaces) == 0 {", "WorkspacesAlone"),
		one("a bounded key pair signs for its workspaces alone", "ring.go", " || !slices.Equal(k.Workspaces, workspaces)", "", "WorkspacesAlone"),
		one("a path is canonical or nothing is covered", "ring.go", "if q.Path == (Path{}) || !g.covers(q) {", "if !g.covers(q) {", "WithoutACanonicalPath"),
		one("a kept Grant is one of that key", "ring.go", "if key.print != g.key {", "if key.print != g.key && false {", "KeptGrant"),
		one("a canned Grant is for one path", "ring.go", "g.url.Path == q.Path && ", "", "KeptGrant"),
		one("a canned Grant is for one query", "ring.go", " && g.url.Query == q.Query", "", "KeptGrant"),
		one("a canned Grant is for one host", "ring.go", "g.url.Host == q.Host && ", "", "KeptGrant"),
		one("a canned Grant is for one scheme", "ring.go", "g.url.Scheme == q.Scheme && ", "", "KeptGrant"),
		one("a URL can't write its own policy", "policy.go", "!plain(r.Query)", "r.Query == \"\\n\"", "WriteItsOwnPolicy"),
		one("a host can't write its own policy", "policy.go", "!plain(r.Host)", "r.Host == \"\\n\"", "WriteItsOwnPolicy"),
		one("an expiry is a number", "credential.go", "c.Expires != \"\" && (!ok || n == 0)", "c.Expires == \"\" && ok && n == 1", "WriteItsOwnPolicy|"+queries),
		one("a policy and an expiry are not both there", "credential.go", "(c.Policy == \"\") == (c.Expires == \"\")", "c.Policy == \"\" && c.Expires == \"\"", attacks+"|"+queries),
		one("a parameter is there once", "credential.go", "case there[at]:", "case there[at] && values[at] == \"\\n\":", queries),
		one("a cookie is there once", "credential.go", "if there[i] {", "if there[i] && values[i] == \"\\n\" {", "AmongOthers"),
		one("an escaped name isn't overlooked", "credential.go", "			if escaped {\n				return -1, errMalformed\n			}\n", "			if escaped {\n				return -1, nil\n			}\n", queries),
		one("a policy has one statement", "policy.go", "	if r.peek() == ',' {\n		return r.fail(errPolicyMany)\n	}\n	r.expect(']')", "	if r.peek() == ',' {\n		r.at = len(r.text) - 2\n	}\n	r.expect(']')", attacks+"|"+policy),
		one("a policy has no key twice", "reader.go", "if k == key {", "if k == key && false {", attacks+"|"+policy),
		one("a policy has no unknown key", "reader.go", "		if !value(key) {\n			return r.fail(errPolicyUnknown)\n		}\n", "		if !value(key) {\n			r.object(func(string) bool { r.quoted(); return true })\n		}\n", attacks+"|"+policy),
		one("a policy has no escapes", "reader.go", "c >= 0x7f || c == '\\\\':", "c >= 0x7f:", attacks+"|"+policy),
		one("a policy ends where it ends", "policy.go", "if r.err == nil && r.at != len(r.text) {", "if r.err == nil && r.at > len(r.text) {", attacks+"|"+policy),
		one("a policy has an expiry", "policy.go", "	if r.err == nil && p.Expires.IsZero() {\n		r.err = errPolicyExpiry\n	}\n", "	if p.Expires.IsZero() {\n		p.Expires = time.Unix(lastSecond, 0)\n	}\n", attacks+"|"+policy),
		one("a policy has a length", "policy.go", "	if len(text) > longestPolicy {\n		return Policy{}, errPolicyLarge\n	}\n", "", policy),
		one("a wildcard stays in the domain", "resource.go", "!wild(p.domain, r.Host)", "!wild(p.domain, r.Host+r.Path.s)", covers),
		one("a wildcard stays in the path", "resource.go", "	if r.Query == \"\" || p.rest[len(p.rest)-1] == '*' {\n		if wild(p.rest, r.Path.s) {", "	{\n		if wild(p.rest, r.Path.s+\"?\"+r.Query) || wild(p.rest, r.Path.s) {", covers),
		one("a scheme is compared", "resource.go", "!wild(p.protocol, r.Scheme) || ", "", covers+"|"+attacks),
		one("dot elements are refused", "path.go", "n.length > 2 || n.dots != n.length }", "n.length > 0 }", paths),
		one("empty elements are refused", "path.go", "if n.length == 0 || !n.elementFits() {", "if !n.elementFits() {", paths),
		one("encoded separators are refused", "path.go", "func confusing(c byte) bool { return c == '/' || c == '\\\\' || ", "func confusing(c byte) bool { return ", paths),
		one("encoded control characters are refused", "path.go", "c == '\\\\' || c < ' ' || c == 0x7f }", "c == '\\\\' }", paths),
		one("backslashes and parameters of a path are refused", "path.go", " || c == '\\\\' || c == ';' || c == '?' || c == '#':", ":", paths),
		one("an escape of an escape is refused", "path.go", "	if twiceEncoded(canonical) {", "	if canonical == \"\" {", paths),
		one("what isn't UTF-8 is refused", "path.go", "n.wide && !textual(n.decoded)", "n.wide && n.decoded == nil", paths),
		one("small keys are refused", "key.go", "key.N.BitLen() != rsaBits || ", "", "WouldNotTake"),
		one("odd exponents are refused", "key.go", "key.E != rsaExponent || ", "", "WouldNotTake"),
		one("other curves are refused", "key.go", "if key.Curve != elliptic.P256() {", "if key.Curve == nil {", "WouldNotTake"),
		one("a key is never printed", "key.go", "io.WriteString(s, k.ID+", "fmt.Fprintf(s, \"%v\", k.private); _, _ = io.WriteString(s, k.ID+", "NeverShows"),
		one("a canned policy of wildcards is not signed", "credential.go", "strings.ContainsAny(rawURL, \"*#\")", "strings.ContainsAny(rawURL, \"#\")", "IsNotSigned"),
	}
}()
