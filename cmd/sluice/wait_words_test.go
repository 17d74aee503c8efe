package main

import (
	"testing"
	"time"

	"sluice/client"
)

func TestWaitWords_EachReason_IsASentence(t *testing.T) {
	t.Parallel()
	now, n := time.Now(), func(n int) *int { return &n }
	eta := int64(120)
	for want, w := range map[string]client.Waiting{
		"waits for a free worker":                                                      {For: "worker"},
		"waits for a free worker: 3 jobs are before it, about 2m0s":                    {For: "worker", Ahead: n(3), Workers: n(1), ETA: &eta},
		"waits for a free worker: it is next, about 2m0s":                              {For: "worker", Ahead: n(0), Workers: n(1), ETA: &eta},
		"waits for a free worker: 1000 or more jobs are before it":                     {For: "worker", Ahead: n(1000), Workers: n(1)},
		"waits for a worker: no process works on the queue encode, 1 job is before it": {For: "worker", Queue: "encode", Ahead: n(1), Workers: n(0)},
		"waits until the queue encode is resumed: 2 jobs are before it":                {For: "paused", Queue: "encode", Ahead: n(2)},
		"waits for room on the server's disk":                                          {For: "disk"},
		"waits for the storage: next try in 12s":                                       {For: "storage", NextTry: now.Add(12 * time.Second)},
		"waits after a failed try: next try in 0s":                                     {For: "retry", NextTry: now.Add(-time.Second)},
	} {
		if got := waitWords(w, now); got != want {
			t.Errorf("%q want %q", got, want)
		}
	}
}
