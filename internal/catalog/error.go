package catalog

import (
	"cmp"
	"context"
	"math"
	"slices"

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
		Code: why.Code, Message: why.Message, Final: final, Time: t.now, Workspace: v.Workspace,
	})
}

// Errors returns up to query.Limit failed attempts (1000 where it is 0 or more than that) within the query's reach, newest first. They outlive their video. A
// query without a video reads from the newest on, in each workspace, until it has enough of those chosen.
func (s *Store) Errors(ctx context.Context, query video.ErrorQuery) (found []video.StepError, err error) {
	if query.Before == 0 {
		query.Before = math.MaxInt64
	}
	err = s.read(ctx, func(q *sqlc.Queries) error {
		switch {
		case query.Video != "":
			found, err = errorsOfVideo(ctx, q, query)
		case query.All:
			found, err = errorsEverywhere(ctx, q, query)
		default:
			for i := 0; i < len(query.Workspaces) && err == nil; i++ {
				var some []video.StepError
				some, err = errorsOf(ctx, q, query, query.Workspaces[i])
				found = append(found, some...)
			}
		}
		return err
	})
	slices.SortFunc(found, func(a, b video.StepError) int { return cmp.Compare(b.ID, a.ID) })
	found = slices.CompactFunc(found, func(a, b video.StepError) bool { return a.ID == b.ID })
	return found[:min(len(found), int(page(query.Limit)))], err
}

// errorsOfVideo returns those of one video, which all lie where the video lies or lay.
func errorsOfVideo(ctx context.Context, q *sqlc.Queries, query video.ErrorQuery) (found []video.StepError, err error) {
	rows, err := q.ErrorsOfVideo(ctx, sqlc.ErrorsOfVideoParams{
		Video: string(query.Video), Before: query.Before, Since: since(query), Step: string(query.Step), Code: query.Code, Most: page(query.Limit),
	})
	for _, r := range rows {
		if query.All || slices.Contains(query.Workspaces, r.Error.Workspace) {
			found = append(found, errorOf(r.Error, r.Worker, r.Detail))
		}
	}
	return found, err
}

func errorsEverywhere(ctx context.Context, q *sqlc.Queries, query video.ErrorQuery) (found []video.StepError, err error) {
	rows, err := q.Errors(ctx, sqlc.ErrorsParams{Before: query.Before, Since: since(query), Step: string(query.Step), Code: query.Code, Most: page(query.Limit)})
	for _, r := range rows {
		found = append(found, errorOf(r.Error, r.Worker, r.Detail))
	}
	return found, err
}

func errorsOf(ctx context.Context, q *sqlc.Queries, query video.ErrorQuery, workspace string) (found []video.StepError, err error) {
	rows, err := q.ErrorsOfWorkspace(ctx, sqlc.ErrorsOfWorkspaceParams{
		Workspace: workspace, Before: query.Before, Since: since(query), Step: string(query.Step), Code: query.Code, Most: page(query.Limit),
	})
	for _, r := range rows {
		found = append(found, errorOf(r.Error, r.Worker, r.Detail))
	}
	return found, err
}

// since is from when on a query looks, in epoch milliseconds.
func since(query video.ErrorQuery) int64 {
	if query.Since.IsZero() {
		return 0
	}
	return query.Since.UnixMilli()
}

func errorOf(r sqlc.Error, worker, detail string) video.StepError {
	return video.StepError{
		StepRef: video.StepRef{Video: video.ID(r.Video), Generation: int(r.Generation), Name: video.StepName(r.Step), N: int(r.N)},
		Failure: video.Failure{Code: r.Code, Message: r.Message},
		ID:      r.ID, Source: r.Name, Attempt: int(r.Attempt), Final: r.Final != 0, Time: timeOf(r.Time), Worker: worker, Detail: detail,
	}
}

// ErrorGroups counts the errors since query.Since within the query's reach by code and step, the most frequent first. It reads all of them.
func (s *Store) ErrorGroups(ctx context.Context, query video.ErrorQuery) ([]video.ErrorGroup, error) {
	var groups []video.ErrorGroup
	err := s.read(ctx, func(q *sqlc.Queries) error {
		if query.All {
			rows, err := q.ErrorGroups(ctx, sqlc.ErrorGroupsParams{Since: since(query), Most: page(query.Limit)})
			for _, r := range rows {
				groups = append(groups, groupOf(r))
			}
			return err
		}
		named := slices.Compact(slices.Sorted(slices.Values(query.Workspaces)))
		for _, workspace := range named {
			rows, err := q.ErrorGroupsOfWorkspace(ctx, sqlc.ErrorGroupsOfWorkspaceParams{Workspace: workspace, Since: since(query), Most: page(query.Limit)})
			if err != nil {
				return err
			}
			for _, r := range rows {
				groups = joined(groups, groupOf(sqlc.ErrorGroupsRow(r)))
			}
		}
		return nil
	})
	slices.SortFunc(groups, func(a, b video.ErrorGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Step, b.Step))
	})
	return groups[:min(len(groups), int(page(query.Limit)))], err
}

func groupOf(r sqlc.ErrorGroupsRow) video.ErrorGroup {
	return video.ErrorGroup{
		Code: r.Code, Step: video.StepName(r.Step), Message: r.Message, Count: int(r.Count), Videos: int(r.Videos), Final: int(r.Final),
		First: timeOf(r.First), Last: timeOf(r.Last),
	}
}

// joined adds a group of another workspace to those of some. No video is counted twice: its errors all lie in one workspace.
func joined(groups []video.ErrorGroup, g video.ErrorGroup) []video.ErrorGroup {
	i := slices.IndexFunc(groups, func(known video.ErrorGroup) bool { return known.Code == g.Code && known.Step == g.Step })
	if i < 0 {
		return append(groups, g)
	}
	known := &groups[i]
	known.Count, known.Videos, known.Final = known.Count+g.Count, known.Videos+g.Videos, known.Final+g.Final
	if g.First.Before(known.First) {
		known.First = g.First
	}
	if g.Last.After(known.Last) {
		known.Last, known.Message = g.Last, g.Message
	}
	return groups
}
