package drill

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/engine/enginetest"
	"sluice/test/rig"
)

// TestLettersGoOutThoughTheProcessThatSendsThemDies has people invited while two processes of one PostgreSQL send the letters. One of them dies in the middle and stays dead: the other sends
// what is left, each letter arrives, no more than those under way arrive twice, and what each tells is good.
func TestLettersGoOutThoughTheProcessThatSendsThemDies(t *testing.T) {
	beside(t)
	points := []string{"SettleLetter.before"}
	if *full {
		points = append(points, "ClaimLetter.before", "ClaimLetter.after", "SettleLetter.after", "WakeLetters.before", "WakeLetters.after")
	}
	for _, point := range points {
		t.Run(point, func(t *testing.T) { survived(t, point) })
	}
}

// sending is how many letters a process has under way at most.
const sending = 2

func survived(t *testing.T, point string) {
	const people = 12
	dsn, storage := enginetest.Postgres(t), rig.VersityGW(t)
	options := func() rig.Options {
		return rig.Options{Tags: "drill", Token: "a-token-that-all-members-share", Env: []string{"SLUICE_DATABASE=" + dsn}, Args: storage.Flags()}
	}
	mortal := options()
	office := post(t, &mortal, 0)
	immortal := mortal
	mortal.Env = append(mortal.Env, "SLUICE_FAILPOINT="+point, "SLUICE_FAILED="+filepath.Join(t.TempDir(), "met"))
	immortal.Env = append(immortal.Env[:len(immortal.Env):len(immortal.Env)], "SLUICE_FAILPOINT=")

	// Those who write the letters know no mail server, so that nothing is sent before a process that knows one has found them: that is the duty.
	clerk := rig.Keep(t, options())
	clerk.Revive(time.Minute)
	l := openLedger(t, clerk, dsn)
	operator := bearing(t, clerk, clerk.Token)
	var invited []*person
	for i := range people {
		p := newPerson(t, clerk, fmt.Sprintf("guest%d@example.com", i))
		p.id = operator.must(http.MethodPost, "/v1/users", map[string]any{"email": p.email, "role": "viewer"}, http.StatusCreated).text("id")
		invited = append(invited, p)
	}
	if waiting := l.rows(`SELECT address FROM letter WHERE state = 'waiting' AND due = 0`); len(waiting) != people || len(office.Letters()) > 0 {
		t.Fatalf("%d wait, %d were sent", len(waiting), len(office.Letters()))
	}
	if err := clerk.Stop(); err != nil { // its worker would have the limits of the queue
		t.Fatal(err)
	}
	first := rig.Launch(t, mortal)
	if err := first.Wait(2 * time.Minute); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the process was to be killed at %s: %v\n%s", point, err, first.Log())
	}
	injected(t, 1)
	second := rig.Keep(t, immortal)
	second.Revive(time.Minute)
	for deadline := time.Now().Add(3 * time.Minute); len(l.rows(`SELECT address FROM letter WHERE state = 'waiting'`)) > 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("letters still wait: %q\n%s", l.rows(`SELECT address FROM letter WHERE state = 'waiting'`), second.Log())
		}
	}
	came, twice := map[string]int{}, 0
	for _, one := range office.Letters() {
		came[one.To]++
	}
	for _, p := range invited {
		switch n := came[p.email]; {
		case n < 1:
			t.Errorf("the letter to %s was lost", p.email)
		case n > 1:
			twice += n - 1
		}
		p.k = second
		if secret := p.told(office, temporary, 0); p.signIn(secret).status != http.StatusCreated {
			t.Errorf("what the letter to %s tells is not good", p.email)
		}
	}
	if twice > sending {
		t.Errorf("%d letters came twice; %d at most were under way", twice, sending)
	}
	l.k = second
	l.end()
	t.Logf("%d of %d came twice", twice, people)
}
