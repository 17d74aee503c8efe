-- name: InsertPurge :exec
INSERT INTO purge (video, generation, folders, playbacks, again, due) VALUES ($1, $2, $3, $4, 1, $5);

-- name: LockPurgeJob :one
-- LockPurgeJob keeps others from looking whether there is a job until this transaction ends.
INSERT INTO purge_job (id, due) VALUES (1, 0) ON CONFLICT (id) DO UPDATE SET due = purge_job.due RETURNING due;

-- name: SetPurgeJob :exec
UPDATE purge_job SET due = $1 WHERE id = 1;

-- name: NextPurge :one
-- NextPurge is when the first of them is due; 0 where there are none.
SELECT CAST(coalesce(min(due), 0) AS BIGINT) FROM purge;

-- name: DuePurges :many
SELECT * FROM purge WHERE due <= sqlc.arg(now) ORDER BY due, id LIMIT sqlc.arg(most);

-- name: TellPurgeAgain :exec
UPDATE purge SET again = 0, due = $2 WHERE id = $1 AND again = 1;

-- name: EndPurge :exec
DELETE FROM purge WHERE id = $1;
