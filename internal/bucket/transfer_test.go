package bucket_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/bucket"
	"sluice/internal/fault"
)

// stored finds the description of an object.
func (h *house) stored(t *testing.T, name string) bucket.Stored {
	t.Helper()
	for f, err := range bucket.Files(h.root) {
		if err != nil {
			t.Fatal(err)
		}
		if f.Bucket+"/"+f.Key == name {
			return f
		}
	}
	t.Fatalf("no file %s", name)
	return bucket.Stored{}
}

func TestATransferSendsWhatIsNotThereAndNothingTwice(t *testing.T) {
	t.Parallel()
	elsewhere(t, func(t *testing.T, p place) {
		from, to := newHouse(t), p.store
		const part = 5 << 20
		transfer := bucket.Transfer{Root: from.root, To: to, Part: part}
		for key, size := range map[string]int{"empty": 0, "small ü.mp4": 1000, "one part": part, "three parts": 2*part + 1} {
			body := bytes.Repeat([]byte(key+"."), size/len(key+".")+1)[:size]
			if _, err := from.store.Put(t.Context(), "uploads", key, bytes.NewReader(body), int64(size), "video/mp4"); err != nil {
				t.Fatal(err)
			}
			f := from.stored(t, "uploads/"+key)
			for _, want := range []bool{true, false} {
				o, sent, err := transfer.Send(t.Context(), f, "media", "moved/"+key)
				if err != nil || sent != want || o.Size != int64(size) || o.ContentType != "video/mp4" {
					t.Errorf("%s: %+v, sent %v, want %v: %v", key, o, sent, want, err)
				}
			}
			got, _, err := to.Get(t.Context(), "media", "moved/"+key, "")
			if err != nil {
				t.Fatal(err)
			}
			holds, err := io.ReadAll(got)
			_ = got.Close()
			if err != nil || !bytes.Equal(holds, body) {
				t.Errorf("%s holds %d bytes of %d: %v", key, len(holds), size, err)
			}
			if err := transfer.Same(t.Context(), f, "media", "moved/"+key); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestATransferReplacesWhatIsAnotherObject(t *testing.T) {
	t.Parallel()
	elsewhere(t, func(t *testing.T, p place) {
		from, to := newHouse(t), p.store
		transfer := bucket.Transfer{Root: from.root, To: to}
		for s, body := range map[*bucket.Store]string{from.store: "what it holds", to: "something els"} {
			if _, err := s.Put(t.Context(), "media", "a", strings.NewReader(body), int64(len(body)), ""); err != nil {
				t.Fatal(err)
			}
		}
		f := from.stored(t, "media/a")
		if err := transfer.Same(t.Context(), f, "media", "a"); fault.Of(err).Code != "objects_differ" {
			t.Errorf("two objects are taken for one: %v", err)
		}
		if _, sent, err := transfer.Send(t.Context(), f, "media", "a"); err != nil || !sent {
			t.Errorf("sent %v: %v", sent, err)
		}
		if err := transfer.Same(t.Context(), f, "media", "a"); err != nil {
			t.Error(err)
		}
	})
}

func TestATransferRefusesAFileThatIsNotWhatWasStored(t *testing.T) {
	t.Parallel()
	elsewhere(t, func(t *testing.T, p place) {
		from, to := newHouse(t), p.store
		if _, err := from.store.Put(t.Context(), "media", "a", strings.NewReader("whole"), 5, ""); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(from.root, "media/a"), []byte("wh0le"), 0o600); err != nil {
			t.Fatal(err)
		}
		transfer := bucket.Transfer{Root: from.root, To: to}
		if _, _, err := transfer.Send(t.Context(), from.stored(t, "media/a"), "media", "a"); fault.Of(err).Code != "object_damaged" {
			t.Errorf("a damaged file was sent: %v", err)
		}
		if _, err := to.Head(t.Context(), "media", "a"); !fault.Is(err, fault.NotFound) {
			t.Errorf("something was stored: %v", err)
		}
	})
}
