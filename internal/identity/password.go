package identity

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/trustelem/zxcvbn"
	"golang.org/x/text/unicode/norm"

	"sluice/internal/fault"
)

// What a password of one's own must be: long, and nothing that people guess. There are no rules of composition (NIST SP 800-63B-4 §3.1.1.2, OWASP ASVS 5.0 §6.2).
const (
	leastPassword = 12  // characters
	mostPassword  = 128 // characters
	leastScore    = 3   // of zxcvbn's 0 to 4: more than 10^8 guesses, with lists of tens of thousands of common passwords among them
	mostScored    = 64  // characters that zxcvbn looks at, whose time grows faster than they do: what follows only makes a password stronger
	manyOthers    = 6   // different characters outside of ASCII: its lists have no such passwords
)

// normal is the form in which passwords are compared: the same characters typed on different keyboards are the same password (SP 800-63B-4 §3.1.1.2).
func normal(password string) string { return norm.NFKC.String(password) }

// check refuses a password that is too short, too long or easy to guess by someone who knows the user. fault.Invalid, code "weak_password".
func check(password string, words ...string) error {
	refuse := func(message string) error {
		return fault.New(fault.Invalid, "identity.password", "weak_password", message, nil)
	}
	text := normal(password)
	n := utf8.RuneCountInString(text)
	switch {
	case !utf8.ValidString(password) || strings.ContainsFunc(text, unicode.IsControl):
		return refuse("The password holds characters that can't be typed; leave them out.")
	case n < leastPassword || n > mostPassword:
		return refuse(fmt.Sprintf("The password has %d characters; use %d to %d.", n, leastPassword, mostPassword))
	}
	if plain, others := split(text); others < manyOthers && zxcvbn.PasswordStrength(plain, guessable(words)).Score < leastScore {
		return refuse("The password is easy to guess; use some words that don't belong together, or let a password manager make one.")
	}
	return nil
}

// split returns what zxcvbn can judge, which reads bytes: the ASCII characters, as many as it may; and how many different others there are.
func split(text string) (plain string, others int) {
	seen := map[rune]bool{}
	var ascii strings.Builder
	for _, r := range text {
		switch {
		case r > unicode.MaxASCII:
			seen[r] = true
		case ascii.Len() < mostScored:
			ascii.WriteRune(r)
		}
	}
	return ascii.String(), len(seen)
}

// guessable is what somebody who knows the user would try: their words, the parts of them, and the product.
func guessable(words []string) []string {
	all := []string{"sluice"}
	for _, w := range words {
		w = strings.ToLower(w)
		all = append(all, w)
		all = append(all, strings.FieldsFunc(w, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })...)
	}
	return all
}
