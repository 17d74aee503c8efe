package catalog

import (
	"reflect"
	"sync"
	"testing"
	"time"

	"sluice/internal/account"
	"sluice/internal/fault"
	"sluice/internal/signing"
)

// made is what the tests write down of all that they do to key pairs.
var made = account.AuditEntry{What: account.KeyPairMade, By: "ann", Time: time.UnixMilli(1)}

// keyPair is the record of a new key pair.
func (w *world) keyPair(p signing.Purpose, workspaces ...string) signing.Record {
	w.t.Helper()
	k, err := signing.Make(signing.ECDSAP256, signing.SHA256, w.now().UTC())
	w.must(err)
	r, err := k.Record(p)
	w.must(err)
	r.Workspaces, r.Sealed = workspaces, "sealed"
	return r
}

func TestKeyPairsAreKeptAsTheyAre(t *testing.T) {
	each(t, func(w *world) {
		a, b := w.keyPair(signing.ForPlayback), w.keyPair(signing.ForMembers, "films", "main")
		w.must(w.AddKeyPair(t.Context(), a, made, nil))
		w.must(w.AddKeyPair(t.Context(), b, made, nil))
		w.refused(w.AddKeyPair(t.Context(), a, made, nil), fault.Conflict, "key_id_taken")
		got, err := w.KeyPairs(t.Context())
		w.must(err)
		if want := []signing.Record{a, b}; !reflect.DeepEqual(got, want) {
			w.t.Errorf("%+v, want %+v", got, want)
		}
		acts, err := w.Acts(t.Context(), "ann", 0, 10)
		w.must(err)
		if len(acts) != 2 {
			w.t.Errorf("written down: %+v", acts)
		}
	})
}

func TestOneOfManyFirstKeyPairsIsKept(t *testing.T) {
	each(t, func(w *world) {
		var all sync.WaitGroup
		kept := make(chan string, 16)
		for i := range cap(kept) {
			r := w.keyPair(signing.ForPlayback)
			if i%2 == 1 {
				r = w.keyPair(signing.ForMembers, "main")
			}
			all.Go(func() {
				got, err := w.FirstKeyPair(t.Context(), r, made)
				if err != nil {
					w.t.Error(err)
				}
				kept <- string(got.Purpose) + got.ID
			})
		}
		all.Wait()
		close(kept)
		different := map[string]bool{}
		for id := range kept {
			different[id] = true
		}
		rows, err := w.KeyPairs(t.Context())
		w.must(err)
		if len(different) != 2 || len(rows) != 2 {
			w.t.Errorf("%v were told and %d are kept, want one of each purpose", different, len(rows))
		}
	})
}

func ends(r signing.Record, from, until time.Time) account.Retirement {
	return account.Retirement{KeyPair: r.ID, From: from, Until: until, Act: account.AuditEntry{What: account.KeyPairRetired, By: "ann", Time: time.UnixMilli(1)}}
}

func TestAKeyPairReplacesAnotherWhollyOrNotAtAll(t *testing.T) {
	each(t, func(w *world) {
		old, fresh, late := w.keyPair(signing.ForPlayback), w.keyPair(signing.ForPlayback), w.keyPair(signing.ForPlayback)
		now := time.UnixMilli(w.clock.Load()).UTC()
		w.must(w.AddKeyPair(t.Context(), old, made, nil))
		end, longer := ends(old, now, now.Add(time.Hour)), ends(old, now, now.Add(2*time.Hour))
		w.must(w.AddKeyPair(t.Context(), fresh, made, &end))
		w.refused(w.AddKeyPair(t.Context(), late, made, &longer), fault.Conflict, "key_ends_earlier")
		none := ends(late, now, now)
		none.KeyPair = "Knone"
		w.refused(w.AddKeyPair(t.Context(), late, made, &none), fault.NotFound, "no_key_pair")
		rows, err := w.KeyPairs(t.Context())
		w.must(err)
		acts, err := w.Acts(t.Context(), "ann", 0, 10)
		w.must(err)
		if len(rows) != 2 || len(acts) != 3 {
			w.t.Fatalf("%+v, written down: %+v", rows, acts)
		}
		for _, r := range rows {
			if (r.ID == old.ID) != (r.State(now) == signing.Retiring) || r.ID == late.ID {
				w.t.Errorf("%+v", r)
			}
		}
	})
}

func TestAKeyPairEndsAsItWasSaidAndNoLater(t *testing.T) {
	each(t, func(w *world) {
		first, err := w.FirstKeyPair(t.Context(), w.keyPair(signing.ForPlayback), made)
		w.must(err)
		now := time.UnixMilli(w.clock.Load()).UTC()
		w.refused(w.RemoveKeyPair(t.Context(), first.ID, account.AuditEntry{What: account.KeyPairRemoved, Time: w.now(), Detail: map[string]string{"key_pair": first.ID}}), fault.Conflict, "key_not_retired")
		got, err := w.RetireKeyPair(t.Context(), ends(first, now, now.Add(time.Hour)))
		w.must(err)
		if got.State(now) != signing.Retiring || got.State(now.Add(time.Hour)) != signing.Retired {
			w.t.Errorf("%+v", got)
		}
		_, err = w.RetireKeyPair(t.Context(), ends(first, now, now.Add(2*time.Hour)))
		w.refused(err, fault.Conflict, "key_ends_earlier")
		second, err := w.FirstKeyPair(t.Context(), w.keyPair(signing.ForPlayback), made) // the place is free for another
		w.must(err)
		if second.ID == first.ID {
			w.t.Error("the one that is retired was given as the first one")
		}
		w.refused(w.RemoveKeyPair(t.Context(), first.ID, account.AuditEntry{What: account.KeyPairRemoved, Time: w.now(), Detail: map[string]string{"key_pair": first.ID}}), fault.Conflict, "key_not_retired")
		w.clock.Add(time.Hour.Milliseconds())
		w.must(w.RemoveKeyPair(t.Context(), first.ID, account.AuditEntry{What: account.KeyPairRemoved, Time: w.now(), Detail: map[string]string{"key_pair": first.ID}}))
		w.refused(w.RemoveKeyPair(t.Context(), first.ID, account.AuditEntry{What: account.KeyPairRemoved, Time: w.now(), Detail: map[string]string{"key_pair": first.ID}}), fault.NotFound, "no_key_pair")
		_, err = w.RetireKeyPair(t.Context(), ends(first, now, now))
		w.refused(err, fault.NotFound, "no_key_pair")
	})
}
