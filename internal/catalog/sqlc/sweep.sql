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

-- name: OldErrors :one
SELECT count(*) AS count, CAST(coalesce(min(time), 0) AS BIGINT) AS first FROM error WHERE time < $1;

-- name: OldNotices :one
-- OldNotices counts those whose message has ended, and those that no message has taken.
SELECT count(*) AS count, CAST(coalesce(min(n.time), 0) AS BIGINT) AS first FROM notice n LEFT JOIN mail m ON m.id = n.mail
WHERE n.time < sqlc.arg(before) AND (n.mail = 0 OR m.finished > 0 AND m.finished < sqlc.arg(before));

-- name: ForgetErrors :execrows
DELETE FROM error WHERE id IN (SELECT e.id FROM error e WHERE e.time < sqlc.arg(before) ORDER BY e.id LIMIT sqlc.arg(most));

-- name: ForgetNotices :execrows
DELETE FROM notice WHERE id IN (
    SELECT n.id FROM notice n LEFT JOIN mail m ON m.id = n.mail
    WHERE n.time < sqlc.arg(before) AND (n.mail = 0 OR m.finished > 0 AND m.finished < sqlc.arg(before)) ORDER BY n.id LIMIT sqlc.arg(most)
);

-- name: ForgetMail :exec
DELETE FROM mail WHERE finished > 0 AND finished < sqlc.arg(before) AND NOT EXISTS (SELECT 1 FROM notice n WHERE n.mail = mail.id);
