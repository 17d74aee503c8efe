package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"sluice/internal/account"
	"sluice/internal/catalog/sqlc"
	"sluice/internal/video"
)

// videoOf reads a row, with what the steps of the newest generation tell: how far they are and when (epoch ms) the first began.
func videoOf(r sqlc.Video, progress float64, spent, running int64) (video.Video, error) {
	v := video.Video{
		ID:          video.ID(r.ID),
		Owner:       r.Owner,
		Workspace:   r.Workspace,
		Policy:      video.Policy(r.Playback),
		Name:        r.Name,
		Title:       r.Title,
		Description: r.Description,
		Status:      video.Status(r.Status),
		Newest:      int(r.Newest),
		Published:   int(r.Published),
		Prefix:      r.Prefix,
		Created:     timeOf(r.Created),
		Updated:     timeOf(r.Updated),
		Received:    timeOf(r.Received),
		Playable:    timeOf(r.Playable),
		NextLook:    timeOf(r.NextLook),
		Progress:    min(progress, 1),
		Spent:       time.Duration(max(0, spent)) * time.Millisecond,
		Running:     int(running),
	}
	if v.Published > 0 && v.Published == v.Newest {
		v.Progress = 1 // the weights add up to it but for rounding
	}
	err := errors.Join(
		unmarshal(r.Tags, &v.Tags),
		unmarshal(r.Metadata, &v.Metadata),
		unmarshal(r.Failure, &v.Failure),
		unmarshal(r.Source, &v.Source),
		unmarshal(r.Facts, &v.Facts),
		unmarshal(r.Settings, &v.Settings),
		unmarshal(r.Output, &v.Output),
	)
	if err != nil {
		return v, fmt.Errorf("read the row of video %s: %w", r.ID, err)
	}
	return v, nil
}

// insertion makes the row of a new video; it is waiting, with nothing published.
func insertion(v video.Video, now int64) (sqlc.InsertVideoParams, error) {
	tags, err1 := marshal(v.Tags)
	metadata, err2 := marshal(v.Metadata)
	source, err3 := marshal(v.Source)
	settings, err4 := marshal(v.Settings)
	p := sqlc.InsertVideoParams{
		ID:          string(v.ID),
		Name:        v.Name,
		Title:       v.Title,
		Description: v.Description,
		Tags:        tags,
		Metadata:    metadata,
		Source:      source,
		Settings:    settings,
		Prefix:      v.Prefix,
		Created:     now,
		Updated:     now,
		Owner:       cmp.Or(v.Owner, video.Admin),
		Workspace:   cmp.Or(v.Workspace, account.DefaultWorkspace),
		Playback:    string(cmp.Or(v.Policy, video.Signed)),
	}
	if v.Source != nil {
		p.Newest, p.Received = 1, now
	} else if !v.NextLook.IsZero() {
		p.NextLook = v.NextLook.UnixMilli()
	}
	return p, errors.Join(err1, err2, err3, err4)
}

// timeOf reads epoch milliseconds; 0 is the zero time.
func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
