-- name: InsertEvent :exec
INSERT INTO event (video, type, time, data) VALUES ($1, $2, $3, $4);

-- name: Events :many
SELECT * FROM event WHERE video = sqlc.arg(video) AND id > sqlc.arg(after) ORDER BY id LIMIT sqlc.arg(most);

-- name: NewestEvent :one
SELECT CAST(COALESCE(MAX(id), 0) AS BIGINT) FROM event;

-- name: RemovalsAfter :many
SELECT video, type FROM event WHERE id > $1 AND type IN ('video.deleted', 'generation.retired') ORDER BY id;
