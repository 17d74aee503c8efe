package text_test

import (
	"testing"

	"sluice/internal/text"
)

func TestHidden_JoinersPass_ControlsAndOverridesDoNot(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"می‌خواهم", "क्‍ष", "👩‍👩‍👧‍👦", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "שלום\u200f!", "日本\u3000語", "a\u00adb"} { //nolint:staticcheck // the joiners are what names have
		if got := text.Line(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
		if got := text.Without(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
	for _, r := range "\x00\t\n\r\x1b\x7f\u0085\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff" {
		if s := "a" + string(r) + "b"; !text.Hidden(r) || text.Line(s) != "a\ufffdb" || text.Without(s) != "ab" {
			t.Errorf("%q passes", r)
		}
	}
	if got := text.Line("a\xffb"); got != "a\ufffdb" {
		t.Errorf("%q", got)
	}
}
