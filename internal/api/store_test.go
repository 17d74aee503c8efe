package api

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice/internal/account"
	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/fault"
	"sluice/internal/upload"
	"sluice/internal/video"
)

// shelf is a store, and a granter, that keeps videos in memory: the catalog's own tests prove the SQL one.
type shelf struct {
	mu     sync.Mutex
	videos []video.Video // oldest first
	steps  map[video.ID][]video.Step
	events map[video.ID][]event.Event
	errors []video.StepError // newest first
	jobs   []engine.Job
	fail   error // answered by every method where it is set
	duty   engine.DutyState
	hurry  int // how often the reconciler was hurried
	// complete answers complete calls.
	complete func(id video.ID) (bool, error)
	now      time.Time
}

var missing = fault.New(fault.NotFound, "shelf", codeNoVideo, "There is no video with this id.", nil)

func (s *shelf) at(id video.ID) (int, error) {
	if s.fail != nil {
		return 0, s.fail
	}
	i := slices.IndexFunc(s.videos, func(v video.Video) bool { return v.ID == id })
	if i < 0 {
		return 0, missing
	}
	return i, nil
}

func (s *shelf) add(v video.Video) video.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(time.Millisecond)
	if v.ID == "" {
		v.ID = video.NewID(s.now)
	}
	v.Workspace, v.Policy = cmp.Or(v.Workspace, account.DefaultWorkspace), cmp.Or(v.Policy, video.Signed)
	s.videos = append(s.videos, v)
	s.events[v.ID] = append(s.events[v.ID], event.Event{ID: int64(len(s.videos)), Video: string(v.ID), Type: event.UploadGranted, Time: s.now})
	return v.ID
}

func (s *shelf) Video(_ context.Context, id video.ID) (video.Video, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := s.at(id)
	if err != nil {
		return video.Video{}, err
	}
	return s.videos[i], nil
}

func (s *shelf) Videos(_ context.Context, q video.Query) ([]video.Video, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []video.Video
	for i := len(s.videos) - 1; i >= 0 && len(out) < q.Limit; i-- {
		v := s.videos[i]
		in := q.All || slices.Contains(q.Workspaces, v.Workspace)
		if in && (!q.ReadyOnly || v.Status == video.Ready) && (q.Status == "" || v.Status == q.Status) && (q.Before == "" || v.ID < q.Before) {
			out = append(out, v)
		}
	}
	return out, s.fail
}

func (s *shelf) Edit(_ context.Context, id video.ID, e video.Edit) (video.Video, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := s.at(id)
	if err != nil {
		return video.Video{}, err
	}
	v := &s.videos[i]
	if e.Title != nil {
		v.Title = *e.Title
	}
	if e.Description != nil {
		v.Description = *e.Description
	}
	if e.Tags != nil {
		v.Tags = *e.Tags
	}
	if e.Metadata != nil {
		v.Metadata = *e.Metadata
	}
	if e.Workspace != nil {
		v.Workspace = *e.Workspace
	}
	if e.Policy != nil {
		v.Policy = *e.Policy
	}
	return *v, nil
}

func (s *shelf) Delete(_ context.Context, id video.ID, next []engine.Job) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := s.at(id)
	if err != nil {
		return err
	}
	s.videos = slices.Delete(s.videos, i, i+1)
	s.jobs = append(s.jobs, next...)
	return nil
}

func (s *shelf) Encode(_ context.Context, id video.ID, settings video.Settings, next func(int) []engine.Job) (video.Video, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := s.at(id)
	if err != nil {
		return video.Video{}, err
	}
	v := &s.videos[i]
	if v.Source == nil {
		return video.Video{}, fault.New(fault.Conflict, "shelf", "no_source", "The source has not been uploaded yet; upload it first.", nil)
	}
	v.Newest++
	v.Settings = settings
	s.jobs = append(s.jobs, next(v.Newest)...)
	return *v, nil
}

func (s *shelf) Detail(ctx context.Context, id video.ID) (video.Video, []video.Step, error) {
	v, err := s.Video(ctx, id)
	return v, s.steps[id], err
}

func (s *shelf) Events(_ context.Context, id video.ID, after int64, limit int) ([]event.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []event.Event
	for _, e := range s.events[id] {
		if e.ID > after && len(out) < limit {
			out = append(out, e)
		}
	}
	return out, s.fail
}

func (s *shelf) Grant(_ context.Context, r upload.Request) (video.Upload, error) {
	if strings.HasSuffix(r.Filename, ".txt") {
		return video.Upload{}, fault.New(fault.Unsupported, "shelf", "unsupported_type", "Files of this kind do not become videos; upload a video or audio file.", nil)
	}
	id := s.add(video.Video{Name: r.Filename, Owner: r.Owner, Workspace: r.Workspace, Policy: r.Policy, Status: video.Waiting, Created: s.now, Updated: s.now, Settings: r.Settings})
	return video.Upload{Video: id, Bucket: "uploads", Key: r.Filename, Expires: s.now.Add(5 * time.Minute),
		URL: fmt.Sprintf("http://edge.test/uploads/%s?X-Amz-Signature=0", r.Filename), Header: map[string]string{"Content-Type": r.ContentType}}, nil
}

// Parts gives parts of an upload that has three.
func (s *shelf) Parts(_ context.Context, id video.ID, first, count int) (parts []upload.Part, expires time.Time, err error) {
	if _, err := s.complete(id); err != nil {
		return nil, expires, err
	}
	for n := first; n < first+count && n <= 3; n++ {
		parts = append(parts, upload.Part{Number: n, Size: 5, URL: fmt.Sprintf("http://storage.test/p?partNumber=%d", n)})
	}
	return parts, began, nil
}

func (s *shelf) Complete(_ context.Context, id video.ID) (bool, error) { return s.complete(id) }

func (s *shelf) Reconciliation(context.Context) (engine.DutyState, error) { return s.duty, s.fail }

func (s *shelf) Reconcile(context.Context) error {
	s.hurry++
	return s.fail
}

func (s *shelf) Errors(_ context.Context, q video.ErrorQuery) ([]video.StepError, error) {
	var out []video.StepError
	for _, e := range s.errors {
		if (q.All || slices.Contains(q.Workspaces, account.DefaultWorkspace)) && (q.Before == 0 || e.ID < q.Before) && (q.Video == "" || e.Video == q.Video) && (q.Step == "" || e.Name == q.Step) &&
			(q.Code == "" || e.Code == q.Code) && !e.Time.Before(q.Since) && len(out) < q.Limit {
			out = append(out, e)
		}
	}
	return out, s.fail
}

func (s *shelf) ErrorGroups(_ context.Context, q video.ErrorQuery) ([]video.ErrorGroup, error) {
	var out []video.ErrorGroup
	for _, e := range s.errors {
		if q.All && !e.Time.Before(q.Since) {
			out = append(out, video.ErrorGroup{Code: e.Code, Step: e.Name, Message: e.Message, Count: 1, Videos: 1, First: e.Time, Last: e.Time})
		}
	}
	return out, s.fail
}
