package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/catalog"
	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/video"
)

func TestAVideoDeletedDuringABackupIsDeletedInItsRecords(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "copy.db")
	store, err := catalog.Open(t.Context(), file, nil)
	if err != nil {
		t.Fatal(err)
	}
	var ids []video.ID
	for _, key := range []string{"kept.mp4", "deleted.mp4"} {
		v := video.Video{ID: video.NewID(time.Now()), Name: key, Prefix: "streams/" + key}
		if _, _, err := store.Received(t.Context(), v, video.Source{Bucket: "uploads", Key: key, ETag: "e"}, func(video.ID) []engine.Job { return nil }); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, v.ID)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	// One that was deleted before the records were copied is told of, too, where it happened between the look at the events and the copy.
	for range 2 {
		if err := forget(t.Context(), file, []video.ID{ids[1], video.NewID(time.Now())}); err != nil {
			t.Fatal(err)
		}
	}
	if store, err = catalog.Open(t.Context(), file, nil); err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := store.Video(t.Context(), ids[0]); err != nil {
		t.Error(err)
	}
	if v, err := store.Video(t.Context(), ids[1]); !fault.Is(err, fault.NotFound) {
		t.Errorf("the deleted video is there: %+v, %v", v, err)
	}
	var jobs int
	if err := store.DB().Read.QueryRowContext(t.Context(), `SELECT count(*) FROM river_job WHERE kind = 'delete'`).Scan(&jobs); err != nil || jobs != 2 {
		t.Errorf("%d jobs remove what is left of it, want 2: %v", jobs, err)
	}
}

func TestOnlyTheNewestBackupsAreKept(t *testing.T) {
	t.Parallel()
	data, to := t.TempDir(), filepath.Join(t.TempDir(), "backups")
	store, err := catalog.Open(t.Context(), filepath.Join(data, databaseFile), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := os.WriteFile(filepath.Join(data, tokenFile), []byte("a token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(data, "objects", "uploads"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := Backup{Data: data, To: to, Keep: 2, Secrets: true}
	var names []string
	for i := range 4 {
		if i == 3 { // what a killed backup leaves
			if err := os.MkdirAll(filepath.Join(to, partPrefix+"killed"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Run(); err != nil {
			t.Fatal(err)
		}
		all, err := backups(to)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, all[len(all)-1])
		time.Sleep(2 * time.Millisecond)
	}
	all, err := backups(to)
	if err != nil || !slices.Equal(all, names[2:]) {
		t.Errorf("kept %v of %v: %v", all, names, err)
	}
	if left, _ := filepath.Glob(filepath.Join(to, partPrefix+"*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	c.To = filepath.Join(data, "backups")
	if err := c.Run(); err == nil {
		t.Error("a backup into the data folder was taken")
	}
}

func TestWhatWasMovedAwayIsNotBackedUpAsIfItWereServedStill(t *testing.T) {
	t.Parallel()
	data, to := t.TempDir(), filepath.Join(t.TempDir(), "backups")
	store, err := catalog.Open(t.Context(), filepath.Join(data, databaseFile), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := os.MkdirAll(filepath.Join(data, "objects", "uploads"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeMoved(data, moved{ID: "begun"}); err != nil {
		t.Fatal(err)
	}
	c := Backup{Data: data, To: to, Keep: 2}
	if err := c.Run(); err != nil {
		t.Errorf("a folder whose move has only begun is not backed up: %v", err)
	}
	if err := writeMoved(data, moved{ID: "done", Done: time.Now(), To: "elsewhere"}); err != nil {
		t.Fatal(err)
	}
	if err := c.Run(); err == nil || !strings.Contains(err.Error(), "elsewhere") {
		t.Errorf("the old state is backed up: %v", err)
	}
}

func TestARestoreWritesNothingButWhatABackupHolds(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	data, to, target := filepath.Join(top, "data"), filepath.Join(top, "backups"), filepath.Join(top, "target", "data")
	if err := os.MkdirAll(filepath.Join(data, "objects", "uploads"), 0o700); err != nil {
		t.Fatal(err)
	}
	store, err := catalog.Open(t.Context(), filepath.Join(data, databaseFile), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	c := Backup{Data: data, To: to}
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	names, err := backups(to)
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	file := filepath.Join(to, names[0], manifestFile)
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	body = []byte(strings.Replace(string(body), `"files": {`, `"files": {"../planted": "00",`, 1))
	for name, text := range map[string][]byte{file: body, filepath.Join(to, "planted"): []byte("planted")} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := (&Restore{Data: target, From: to}).Run(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(top, "target", "planted")); err == nil {
		t.Error("a file was written beside the data folder")
	}
}
