-- name: InsertEvent :exec
INSERT INTO event (video, type, time, data) VALUES ($1, $2, $3, $4);

-- name: Events :many
SELECT * FROM event WHERE video = sqlc.arg(video) AND id > sqlc.arg(after) ORDER BY id LIMIT sqlc.arg(most);
