package signing

import (
	"reflect"
	"testing"
	"time"

	"sluice/internal/fault"
)

func TestAKeyPairOpensItsWorkspacesAlone(t *testing.T) {
	t.Parallel()
	bounded, free := key(ECDSAP256, SHA256), key(RSA2048, SHA256)
	bounded.Workspaces = []string{"films", "main"}
	r := ring(t, bounded, free)
	for _, c := range []struct {
		k         KeyPair
		workspace string
		opens     bool
	}{
		{bounded, "films", true}, {bounded, "main", true}, {bounded, "other", false}, {bounded, "", false}, {bounded, "films,main", false},
		{free, "films", true}, {free, "", true},
	} {
		credential, q := ask(t, sign(t, c.k, library(noon.Add(time.Hour))).SignedURL(prefix+"x.m4s"))
		q.Workspace = c.workspace
		_, err := r.Verify(credential, q)
		if (err == nil) != c.opens || err != nil && fault.Of(err).Code != "policy_wrong_resource" {
			t.Errorf("%s in %q: %v", c.k, c.workspace, err)
		}
	}
	if k, err := r.Signer(noon); err != nil || k.ID != free.ID {
		t.Errorf("signed with %s, %v", k, err)
	}
	if k, err := r.SignerFor([]string{"films", "main"}, noon); err != nil || k.ID != bounded.ID {
		t.Errorf("for these workspaces signed with %s, %v", k, err)
	}
	if k, err := r.SignerFor([]string{"films"}, noon); err == nil {
		t.Errorf("for fewer workspaces signed with %s", k)
	}
}

func TestAKeyPairComesBackFromItsRecord(t *testing.T) {
	t.Parallel()
	for _, a := range []Algorithm{RSA2048, ECDSAP256} {
		k := key(a, SHA256)
		k.Workspaces = []string{"main"}
		k, err := k.Retiring(noon, noon.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		record, err := k.Record(ForMembers)
		if err != nil {
			t.Fatal(err)
		}
		private, err := k.PrivatePEM()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := record.KeyPair(private); err != nil || !reflect.DeepEqual(got, k) {
			t.Errorf("%#v came back as %#v, %v", k, got, err)
		}
		got, err := record.KeyPair(nil)
		if err != nil || got.Hash != SHA256 || got.Fingerprint() != k.Fingerprint() || got.State(noon) != Retiring {
			t.Errorf("without its private key: %v, %v", got, err)
		}
		if _, err := got.Sign(library(noon.Add(time.Hour))); err == nil {
			t.Error("it signs without its private key")
		}
		for state, at := range map[State]time.Time{Active: noon.Add(-1), Retiring: noon, Retired: noon.Add(time.Hour)} {
			if record.State(at) != state {
				t.Errorf("%s at %s", record.State(at), at)
			}
		}
		record.Public = "x"
		if _, err := record.KeyPair(nil); err == nil || fault.Of(err).Code != "key_unreadable" {
			t.Errorf("a record that is damaged: %v", err)
		}
	}
}
