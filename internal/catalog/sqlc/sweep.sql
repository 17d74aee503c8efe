-- name: AbandonedUploads :many
SELECT u.* FROM upload u JOIN video v ON v.id = u.video
WHERE v.status = 'waiting' AND v.source = '' AND u.expires < sqlc.arg(before) AND u.video > sqlc.arg(after) ORDER BY u.video LIMIT sqlc.arg(most);

-- name: AbandonVideo :execrows
-- AbandonVideo gates on the source: a video that got one stays.
DELETE FROM video WHERE id = $1 AND status = 'waiting' AND source = '';

-- name: VideoRemains :one
SELECT status, updated FROM video WHERE id = $1;

-- name: GenerationStates :many
SELECT n, state, updated FROM generation WHERE video = $1;
