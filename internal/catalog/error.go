package catalog

import (
	"context"
	"math"

	"sluice/internal/catalog/sqlc"
	"sluice/internal/video"
)

// note keeps a failed attempt in the table of errors.
func (t tx) note(ctx context.Context, v sqlc.Video, ref video.StepRef, attempt int64, why video.StepFailure) error {
	final := int64(0)
	if why.Final {
		final = 1
	}
	return t.InsertError(ctx, sqlc.InsertErrorParams{
		Video: v.ID, Name: v.Name, Generation: int64(ref.Generation), Step: string(ref.Name), N: int64(ref.N), Attempt: attempt,
		Code: why.Code, Message: why.Message, Final: final, Time: t.now,
	})
}

// Errors returns up to query.Limit failed attempts (1000 where it is 0 or more than that), newest first. They outlive their video. A query without a
// video reads from the newest on until it has enough of those chosen.
func (s *Store) Errors(ctx context.Context, query video.ErrorQuery) ([]video.StepError, error) {
	if query.Before == 0 {
		query.Before = math.MaxInt64
	}
	since := int64(0)
	if !query.Since.IsZero() {
		since = query.Since.UnixMilli()
	}
	var found []video.StepError
	err := s.read(ctx, func(q *sqlc.Queries) error {
		if query.Video != "" {
			rows, err := q.ErrorsOfVideo(ctx, sqlc.ErrorsOfVideoParams{
				Video: string(query.Video), Before: query.Before, Since: since, Step: string(query.Step), Code: query.Code, Most: page(query.Limit),
			})
			for _, r := range rows {
				found = append(found, errorOf(r.Error, r.Worker, r.Detail))
			}
			return err
		}
		rows, err := q.Errors(ctx, sqlc.ErrorsParams{Before: query.Before, Since: since, Step: string(query.Step), Code: query.Code, Most: page(query.Limit)})
		for _, r := range rows {
			found = append(found, errorOf(r.Error, r.Worker, r.Detail))
		}
		return err
	})
	return found, err
}

func errorOf(r sqlc.Error, worker, detail string) video.StepError {
	return video.StepError{
		StepRef: video.StepRef{Video: video.ID(r.Video), Generation: int(r.Generation), Name: video.StepName(r.Step), N: int(r.N)},
		Failure: video.Failure{Code: r.Code, Message: r.Message},
		ID:      r.ID, Source: r.Name, Attempt: int(r.Attempt), Final: r.Final != 0, Time: timeOf(r.Time), Worker: worker, Detail: detail,
	}
}

// ErrorGroups counts the errors since query.Since by code and step, the most frequent first. It reads all of them.
func (s *Store) ErrorGroups(ctx context.Context, query video.ErrorQuery) ([]video.ErrorGroup, error) {
	since := int64(0)
	if !query.Since.IsZero() {
		since = query.Since.UnixMilli()
	}
	var groups []video.ErrorGroup
	err := s.read(ctx, func(q *sqlc.Queries) error {
		rows, err := q.ErrorGroups(ctx, sqlc.ErrorGroupsParams{Since: since, Most: page(query.Limit)})
		for _, r := range rows {
			groups = append(groups, video.ErrorGroup{
				Code: r.Code, Step: video.StepName(r.Step), Message: r.Message, Count: int(r.Count), Videos: int(r.Videos), Final: int(r.Final),
				First: timeOf(r.First), Last: timeOf(r.Last),
			})
		}
		return err
	})
	return groups, err
}
