package upload

import "testing"

func TestASweepLeavesPinsAloneThatAreBeingRecorded(t *testing.T) {
	t.Parallel()
	var p pins
	ended := p.begin("begun before, recorded after")
	p.watch()
	ended()
	p.begin("begun and recorded meanwhile")()
	for key, want := range map[string]bool{"begun before, recorded after": false, "begun and recorded meanwhile": false, "nobody's": true} {
		removed := false
		if err := p.unless(key, func() error { removed = true; return nil }); err != nil || removed != want {
			t.Errorf("%s: removed %v, %v", key, removed, err)
		}
	}
	p.rest()
	if len(p.active) != 0 {
		t.Errorf("still noted: %v", p.active)
	}
}
