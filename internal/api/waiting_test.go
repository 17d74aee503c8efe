package api

import (
	"encoding/json"
	"testing"
	"time"

	"sluice/internal/engine"
)

func TestWaiting_EachStanding_NamesTheReason(t *testing.T) {
	at, start := time.Date(2026, 3, 9, 14, 5, 6, 0, time.UTC), 1500*time.Millisecond
	for name, c := range map[string]struct {
		standing engine.QueuePosition
		want     string
	}{
		"in line":       {engine.QueuePosition{Queue: "encode", Ahead: 3, Workers: 2, Start: &start}, `{"for":"worker","queue":"encode","ahead":3,"workers":2,"eta_seconds":2}`},
		"begun":         {engine.QueuePosition{Queue: "encode", Running: true, Paused: true, Workers: 2}, `{"for":"worker","queue":"encode","ahead":0,"workers":2,"eta_seconds":0}`},
		"paused":        {engine.QueuePosition{Queue: "encode", Paused: true, Held: true, Ahead: 1}, `{"for":"paused","queue":"encode","ahead":1,"workers":0}`},
		"held":          {engine.QueuePosition{Queue: "encode", Held: true, Workers: 1}, `{"for":"disk","code":"disk_full","queue":"encode","ahead":0,"workers":1}`},
		"room of copy":  {engine.QueuePosition{Queue: "ingest", Due: at, Code: "disk_full", Workers: 1}, `{"for":"disk","code":"disk_full","next_try":"2026-03-09T14:05:06.000Z","queue":"ingest","workers":1}`},
		"storage":       {engine.QueuePosition{Queue: "ingest", Due: at, Code: "storage_unavailable", Workers: 1}, `{"for":"storage","code":"storage_unavailable","next_try":"2026-03-09T14:05:06.000Z","queue":"ingest","workers":1}`},
		"database":      {engine.QueuePosition{Queue: "ingest", Due: at, Code: "database_busy", Workers: 1}, `{"for":"database","code":"database_busy","next_try":"2026-03-09T14:05:06.000Z","queue":"ingest","workers":1}`},
		"after failure": {engine.QueuePosition{Queue: "ingest", Due: at, Workers: 1}, `{"for":"retry","next_try":"2026-03-09T14:05:06.000Z","queue":"ingest","workers":1}`},
	} {
		b, err := json.Marshal(standing(c.standing))
		if err != nil {
			t.Fatal(err)
		}
		var got, want any
		if json.Unmarshal(b, &got) != nil || json.Unmarshal([]byte(c.want), &want) != nil {
			t.Fatalf("%s: %s", name, b)
		}
		g, _ := json.Marshal(got)
		w, _ := json.Marshal(want)
		if string(g) != string(w) {
			t.Errorf("%s: %s want %s", name, g, w)
		}
	}
}
