package drill

// purgeMutants are the controls of what tells a CDN to drop copies, each taken away by itself.
var purgeMutants = func() []mutant {
	one := func(control, file, old, new, run string) mutant {
		return mutant{control, []edit{{"internal/purge/" + file, old, new}}, "./internal/purge", run}
	}
	records := func(control, file, old, new string) mutant {
		return mutant{control, []edit{{"internal/catalog/" + file, old, new}}, "./internal/catalog", "ACDNIs|OneJobTells"}
	}
	const (
		refusal = "RefusesIsAsked"
		hidden  = "RepeatsSecrets"
		meant   = "CannotBeMeant"
		named   = "ByKeysOrByPaths"
	)
	return []mutant{
		one("a redirect is not followed", "call.go", "return http.ErrUseLastResponse }", "return nil }", refusal),
		one("only 2xx is an end", "call.go", "if resp.StatusCode/100 == 2 {", "if resp.StatusCode/100 <= 4 {", refusal),
		one("a header's value is told to nobody", "call.go", "		add(h.value)\n", "", hidden),
		one("a part of a header's value is told to nobody", "call.go", "			add(part)\n", "			_ = part\n", hidden),
		one("what is behind the host is told to nobody", "call.go", "			add(v)\n", "			_ = v\n", hidden),
		one("AWS's keys are told to nobody", "call.go", "	add(c.Access)\n", "", hidden),
		one("an address is told to nobody", "call.go", "	if errors.As(err, &at) {\n		err = at.Err", "	if errors.As(err, &at) {\n		err = at", "Hangs"),
		one("an answer is cut", "call.go", "len(text) > toldOf", "len(text) > toldOf<<20", hidden),
		one("a call that hangs is given up", "call.go", "Timeout:       max(c.Timeout, 0),", "Timeout:       max(c.Timeout, 0) * 10000,", "Hangs"),
		one("only http is spoken", "call.go", "u.Scheme != \"http\" && u.Scheme != \"https\" || ", "", meant),
		one("an address has no password", "call.go", " || u.User != nil", "", meant),
		one("a header is one line", "call.go", " || !httpguts.ValidHeaderFieldValue(h.value)", "", meant),
		one("a method is a token", "call.go", "if !httpguts.ValidHeaderFieldName(c.Method) {", "if c.Method == \"\" {", meant),
		one("a placeholder is known", "call.go", "			if !ok {\n", "			if !ok && of != \"\" {\n", meant),
		one("a call has as many as it may", "purge.go", "next := min(told+p.caller.most, len(names))", "next := len(names)", named),
		one("what the CDN took is not told again", "purge.go", "if last[i] < told {", "if last[i] < 0 {", "NotToldAgainBecause"),
		one("what the CDN did not take is told again", "purge.go", "if last[i] < told {", "if last[i] <= told {", "NotToldAgainBecause"),

		records("a deletion is told", "video.go", "	if err := t.dropVideo(ctx, row); err != nil {\n		return err\n	}\n	return t.event(ctx, row.ID, event.VideoDeleted, nil)", "	return t.event(ctx, row.ID, event.VideoDeleted, nil)"),
		records("another policy is told", "video.go", "if changed.Playback != row.Playback {", "if changed.Playback == row.Owner {"),
		records("another policy of a playback is told", "playback.go", "form.Policy != was.Policy || ", ""),
		records("another cap of a playback is told", "playback.go", "form.MaxResolution != was.MaxResolution || ", ""),
		records("other pages of a playback are told", "playback.go", " || !slices.Equal(form.Origins, was.Origins)", " || !slices.Equal(form.Origins, form.Origins)"),
		records("a withdrawn playback is told", "playback.go", "if err := t.dropPlayback(ctx, v, p); err != nil { // before", "if err := t.dropPlayback(ctx, v, \"none\"); err != nil { // before"),
		records("forms go with what they are forms of", "purge.go", "(one.ID == string(p) || one.Base == string(p))", "one.ID == string(p)"),
		records("a generation that went is told", "remove.go", "		if err := t.dropGeneration(ctx, v, int64(generation)); err != nil {\n			return err\n		}\n", ""),
		records("it is told once edges have forgotten", "purge.go", "p.Due = t.now + dropAfter.Milliseconds()", "p.Due = t.now"),
		records("it is told a second time", "purge.go", "			if c.Again {\n", "			if c.Again && c.ID < 0 {\n"),
		records("a twin puts nothing off", "sqlc/purge.sql.go", "SET again = 0, due = $2 WHERE id = $1 AND again = 1", "SET again = 0, due = $2 WHERE id = $1"),
		records("one job is enough", "purge.go", "if due > t.now-overdue.Milliseconds() && due <= next {", "if due > t.now-overdue.Milliseconds() && due < 0 {"),
		records("a lost job is found", "purge.go", "if due > t.now-overdue.Milliseconds() && due <= next {", "if due > 0 && due <= next {"),
	}
}()
