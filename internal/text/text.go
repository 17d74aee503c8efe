// Package text says which characters a line of text may hold that a person or a program gives: titles, names, tags, metadata, subjects of mail.
//
// Promise. One rule for all of them. Refused are characters that cannot be seen and act on those around them: controls, line and paragraph separators, the nine controls that
// embed, override or isolate a direction of writing (Unicode UAX #9 §2.1, §2.2, §2.4; "Trojan Source", CVE-2021-42574), and U+FEFF. All others pass: U+200C and U+200D, which
// Persian, Indic scripts and emoji need, the implicit marks of direction (UAX #9 §2.6), which turn no text around, and the tags of flags.
//
// Cost. One comparison a character. Failure. None: these are pure functions.
package text

import (
	"strings"
	"unicode"
)

// Hidden reports whether a character is refused. U+0000 is among them, which PostgreSQL's TEXT does not hold.
func Hidden(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfeff
}

// Line returns s on one line, with U+FFFD in the place of each character that Hidden refuses and of bytes that are not UTF-8.
func Line(s string) string {
	return strings.Map(func(r rune) rune {
		if Hidden(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}

// Without returns s without the characters that Hidden refuses and without bytes that are not UTF-8.
func Without(s string) string {
	return strings.Map(func(r rune) rune {
		if Hidden(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}
