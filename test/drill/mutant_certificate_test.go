package drill

// certificateMutants are the controls of TLS at our own listener and of a CDN's certificates, each taken away by itself.
var certificateMutants = func() []mutant {
	one := func(control, old, new, run string) mutant {
		return mutant{control, []edit{{"internal/certificate/certificate.go", old, new}}, "./internal/certificate", run}
	}
	edge := func(control, file, old, new string) mutant {
		return mutant{control, []edit{{"internal/delivery/" + file, old, new}}, "./internal/delivery", "VouchesByItsCertificate"}
	}
	const (
		told    = "ToldByItsCertificate"
		renewed = "RenewedWithout"
		anew    = "JudgedAnew"
		start   = "StopTheStart"
	)
	return []mutant{
		{"old TLS is not spoken", []edit{
			{"internal/certificate/certificate.go", "c := &tls.Config{MinVersion: tls.VersionTLS12,", "c := &tls.Config{MinVersion: tls.VersionTLS10,"},
			{"internal/certificate/certificate.go", "return &tls.Config{MinVersion: tls.VersionTLS12,", "return &tls.Config{MinVersion: tls.VersionTLS10,"},
		}, "./internal/certificate", "OldTLS"},
		one("a CDN's certificate is of its CA", "if until, err := k.verify(s.PeerCertificates, roots, now); err == nil {", "if until, err := k.verify(s.PeerCertificates, roots, now); err == nil || k.named(s.PeerCertificates[0]) {", told),
		one("it is good at this time", "CurrentTime: now,", "CurrentTime: chain[0].NotBefore,", told),
		one("it is a client's", "x509.ExtKeyUsageClientAuth}", "x509.ExtKeyUsageAny}", told),
		one("it has a name that is asked for", "if !k.named(chain[0]) {", "if !k.named(chain[0]) && false {", told),
		one("a name is compared whole", "strings.EqualFold(want, has)", "strings.HasSuffix(strings.ToLower(has), strings.ToLower(want))", told),
		one("a handshake without it is refused where it is required", "			if !k.Trusts(&s) {", "			if !k.Trusts(&s) && len(s.PeerCertificates) == 0 {", told),
		one("none is a CDN's where no CA is set", "	if roots == nil {\n		return until, errors.New(\"no CA is one of a CDN's\")\n	}\n", "	if roots == nil {\n		return now.Add(look), nil\n	}\n", "ProvesNothing"),
		one("it ends with its end", "found = verdict{true, until}", "found = verdict{true, until.Add(1e6 * look)}", anew),
		one("what is known of it ends with the files", "k.read, k.config, k.roots, k.checked = read, c, roots, map[[sha256.Size]byte]verdict{}", "k.read, k.config, k.roots = read, c, roots\n	if k.checked == nil {\n		k.checked = map[[sha256.Size]byte]verdict{}\n	}", anew),
		one("what is broken ends nothing", "	pair, err := k.pair(read[0], read[1])\n	if err != nil {\n		return err\n	}\n", "	pair, err := k.pair(read[0], read[1])\n	if err != nil {\n		if k.config == nil {\n			return err\n		}\n		pair = tls.Certificate{}\n	}\n", renewed),
		one("what is broken is told once", "		k.read = read\n		k.mu.Unlock()\n", "		k.mu.Unlock()\n", renewed),
		one("an expired certificate is not used", "	case now.After(pair.Leaf.NotAfter):", "	case now.IsZero():", start),
		one("one that isn't good yet is not used", "	case now.Before(pair.Leaf.NotBefore):", "	case now.IsZero():", start),
		one("a CA that is none is not used", "if !roots.AppendCertsFromPEM(read[2]) {", "if !roots.AppendCertsFromPEM(read[2]) && len(read[2]) == 0 {", start),

		edge("the header decides where it comes along", "origin.go", "	if len(given) == 0 {\n		return e.CDN", "	if len(given) == 0 || len(e.secrets) == 0 {\n		return e.CDN"),
		edge("no certificate is none", "origin.go", "return e.CDN.Certificate != nil && e.CDN.Certificate(r.TLS)", "return e.CDN.Certificate != nil"),
		edge("the asker's certificate answers no question", "vouch.go", "	asked.TLS = nil //", "	//"),
		edge("a question is a CDN's", "vouch.go", "	if !e.vouched(r) {", "	if !e.vouched(r) && r.TLS == nil {"),
		edge("a certificate opens nothing for members", "admit.go", "v.Policy != video.Members && e.vouched(r)", "e.vouched(r)"),
	}
}()
