package fault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestEachKindHasItsStatusAndItsWorth(t *testing.T) {
	t.Parallel()
	for kind, want := range map[Kind]struct {
		status    int
		permanent bool
	}{
		Internal: {500, false}, Invalid: {422, true}, Unauthorized: {401, true}, Forbidden: {403, true}, NotFound: {404, true}, Conflict: {409, true},
		Gone: {410, true}, TooLarge: {413, true}, Unsupported: {415, true}, Limited: {429, false}, Unavailable: {503, false}, Canceled: {503, false},
	} {
		err := fmt.Errorf("wrapped: %w", New(kind, "op", "code", "Do this.", nil))
		if got := Of(err).Kind.Status(); got != want.status {
			t.Errorf("kind %d: status %d, want %d", kind, got, want.status)
		}
		if Permanent(err) != want.permanent || !Is(err, kind) {
			t.Errorf("kind %d: permanent %v, is %v", kind, Permanent(err), Is(err, kind))
		}
	}
}

func TestAForeignErrorGivesNothingAway(t *testing.T) {
	t.Parallel()
	for code, err := range map[string]error{
		"internal": errors.New("open /srv/secret: permission denied"),
		"canceled": fmt.Errorf("x: %w", context.Canceled),
		"timeout":  fmt.Errorf("x: %w", context.DeadlineExceeded),
	} {
		p := ProblemOf(err)
		if p.Code != code || strings.Contains(p.Detail, "secret") || p.Detail == "" {
			t.Errorf("%v: %+v", err, p)
		}
	}
	if Is(nil, Internal) {
		t.Error("no error is of a kind")
	}
}

func TestAProblemIsAnsweredAsRFC9457Says(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	Write(w, New(Unavailable, "disk", "disk_full", "Free some space.", errors.New("statfs /srv/secret")))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	var p Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Code != "disk_full" || p.Status != 503 || p.Title != "Service Unavailable" || p.Type != "about:blank" {
		t.Errorf("%s, %v", w.Body, err)
	}
	if strings.Contains(w.Body.String(), "secret") {
		t.Errorf("the cause is shown: %s", w.Body)
	}
}

func TestWrite_Refusals_SayWhenToComeBackOnlyWhereItHelps(t *testing.T) {
	t.Parallel()
	for kind, want := range map[Kind]bool{Limited: true, Unavailable: true, Invalid: false, NotFound: false, Internal: false} {
		w := httptest.NewRecorder()
		Write(w, New(kind, "op", "code", "A sentence.", nil))
		if got := w.Header().Get("Retry-After") != ""; got != want {
			t.Errorf("%d: Retry-After is %q", w.Code, w.Header().Get("Retry-After"))
		}
	}
}

func TestTheLogTellsTheCause(t *testing.T) {
	t.Parallel()
	cause := errors.New("the disk is gone")
	err := New(Unavailable, "bucket.put", "storage_unavailable", "Try again.", cause)
	if text := err.Error(); !strings.Contains(text, "bucket.put") || !strings.Contains(text, "the disk is gone") || !errors.Is(err, cause) {
		t.Error(text)
	}
}
