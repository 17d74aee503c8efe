-- name: InsertVideo :exec
INSERT INTO video (id, name, title, description, tags, metadata, status, failure, source, facts, settings, newest, published, prefix, output, created,
    updated, received, playable, owner, workspace, playback, next_look)
VALUES ($1, $2, $3, $4, $5, $6, 'waiting', '', $7, '', $8, $9, 0, $10, '', $11, $12, $13, 0, $14, $15, $16, $17);

-- name: LockVideo :one
-- LockVideo keeps a video, and what hangs on it, from other transactions until this one ends. Every move locks its video first.
UPDATE video SET updated = updated WHERE id = $1 AND status <> 'deleting' RETURNING *;

-- name: Video :one
SELECT sqlc.embed(v), CAST(coalesce((SELECT sum(s.weight * s.progress) FROM step s WHERE s.video = v.id AND s.generation = v.newest), 0) AS DOUBLE PRECISION) AS progress,
    CAST(coalesce((SELECT sum(CASE WHEN a.finished > 0 THEN a.finished - a.started WHEN a.started < sqlc.arg(now) THEN sqlc.arg(now) - a.started ELSE 0 END)
        FROM step s JOIN attempt a ON a.video = s.video AND a.generation = s.generation AND a.name = s.name AND a.n = s.n
        WHERE s.video = v.id AND s.generation = v.newest AND a.code = '' AND (s.state = 'done' AND a.finished > 0 OR s.state = 'running' AND a.finished = 0)), 0) AS BIGINT) AS spent,
    (SELECT count(*) FROM step s WHERE s.video = v.id AND s.generation = v.newest AND s.state = 'running') AS running
FROM video v WHERE v.id = sqlc.arg(id) AND v.status <> 'deleting';

-- name: Videos :many
SELECT sqlc.embed(v), CAST(coalesce((SELECT sum(s.weight * s.progress) FROM step s WHERE s.video = v.id AND s.generation = v.newest), 0) AS DOUBLE PRECISION) AS progress,
    CAST(coalesce((SELECT sum(CASE WHEN a.finished > 0 THEN a.finished - a.started WHEN a.started < sqlc.arg(now) THEN sqlc.arg(now) - a.started ELSE 0 END)
        FROM step s JOIN attempt a ON a.video = s.video AND a.generation = s.generation AND a.name = s.name AND a.n = s.n
        WHERE s.video = v.id AND s.generation = v.newest AND a.code = '' AND (s.state = 'done' AND a.finished > 0 OR s.state = 'running' AND a.finished = 0)), 0) AS BIGINT) AS spent,
    (SELECT count(*) FROM step s WHERE s.video = v.id AND s.generation = v.newest AND s.state = 'running') AS running
FROM video v WHERE v.id < sqlc.arg(before) AND v.status <> 'deleting' ORDER BY v.id DESC LIMIT sqlc.arg(most);

-- name: VideosByStatus :many
SELECT sqlc.embed(v), CAST(coalesce((SELECT sum(s.weight * s.progress) FROM step s WHERE s.video = v.id AND s.generation = v.newest), 0) AS DOUBLE PRECISION) AS progress,
    CAST(coalesce((SELECT sum(CASE WHEN a.finished > 0 THEN a.finished - a.started WHEN a.started < sqlc.arg(now) THEN sqlc.arg(now) - a.started ELSE 0 END)
        FROM step s JOIN attempt a ON a.video = s.video AND a.generation = s.generation AND a.name = s.name AND a.n = s.n
        WHERE s.video = v.id AND s.generation = v.newest AND a.code = '' AND (s.state = 'done' AND a.finished > 0 OR s.state = 'running' AND a.finished = 0)), 0) AS BIGINT) AS spent,
    (SELECT count(*) FROM step s WHERE s.video = v.id AND s.generation = v.newest AND s.state = 'running') AS running
FROM video v WHERE v.status = sqlc.arg(status) AND v.id < sqlc.arg(before) ORDER BY v.id DESC LIMIT sqlc.arg(most);

-- name: VideosOfWorkspace :many
SELECT sqlc.embed(v), CAST(coalesce((SELECT sum(s.weight * s.progress) FROM step s WHERE s.video = v.id AND s.generation = v.newest), 0) AS DOUBLE PRECISION) AS progress,
    CAST(coalesce((SELECT sum(CASE WHEN a.finished > 0 THEN a.finished - a.started WHEN a.started < sqlc.arg(now) THEN sqlc.arg(now) - a.started ELSE 0 END)
        FROM step s JOIN attempt a ON a.video = s.video AND a.generation = s.generation AND a.name = s.name AND a.n = s.n
        WHERE s.video = v.id AND s.generation = v.newest AND a.code = '' AND (s.state = 'done' AND a.finished > 0 OR s.state = 'running' AND a.finished = 0)), 0) AS BIGINT) AS spent,
    (SELECT count(*) FROM step s WHERE s.video = v.id AND s.generation = v.newest AND s.state = 'running') AS running
FROM video v WHERE v.workspace = sqlc.arg(workspace) AND v.id < sqlc.arg(before) AND v.status <> 'deleting' ORDER BY v.id DESC LIMIT sqlc.arg(most);

-- name: VideosOfWorkspaceByStatus :many
SELECT sqlc.embed(v), CAST(coalesce((SELECT sum(s.weight * s.progress) FROM step s WHERE s.video = v.id AND s.generation = v.newest), 0) AS DOUBLE PRECISION) AS progress,
    CAST(coalesce((SELECT sum(CASE WHEN a.finished > 0 THEN a.finished - a.started WHEN a.started < sqlc.arg(now) THEN sqlc.arg(now) - a.started ELSE 0 END)
        FROM step s JOIN attempt a ON a.video = s.video AND a.generation = s.generation AND a.name = s.name AND a.n = s.n
        WHERE s.video = v.id AND s.generation = v.newest AND a.code = '' AND (s.state = 'done' AND a.finished > 0 OR s.state = 'running' AND a.finished = 0)), 0) AS BIGINT) AS spent,
    (SELECT count(*) FROM step s WHERE s.video = v.id AND s.generation = v.newest AND s.state = 'running') AS running
FROM video v WHERE v.workspace = sqlc.arg(workspace) AND v.status = sqlc.arg(status) AND v.id < sqlc.arg(before) ORDER BY v.id DESC LIMIT sqlc.arg(most);

-- name: EditVideo :exec
UPDATE video SET title = $2, description = $3, tags = $4, metadata = $5, workspace = $6, playback = $7 WHERE id = $1;

-- name: MoveErrors :exec
UPDATE error SET workspace = $2 WHERE video = $1;

-- name: AttachSource :one
-- AttachSource gates on the source: the first write to a granted key gets the video.
UPDATE video SET source = $2, received = $3, newest = 1 WHERE id = $1 AND status = 'waiting' AND source = '' RETURNING settings, owner;

-- name: SetNextLook :execrows
-- SetNextLook gates on the source: 0 rows for a video that has it.
UPDATE video SET next_look = $2 WHERE id = $1 AND status = 'waiting' AND source = '';

-- name: GrantedVideo :one
SELECT name, status, source, owner, workspace, playback FROM video WHERE id = $1;

-- name: TouchVideo :exec
UPDATE video SET updated = $2 WHERE id = $1;

-- name: SetStatus :exec
UPDATE video SET status = $2 WHERE id = $1;

-- name: SetFacts :exec
UPDATE video SET facts = $2 WHERE id = $1;

-- name: PublishVideo :exec
UPDATE video SET status = 'ready', failure = '', published = $2, output = $3, playable = $4 WHERE id = $1;

-- name: FailVideo :exec
UPDATE video SET status = $2, failure = $3 WHERE id = $1;

-- name: RestartVideo :exec
UPDATE video SET status = $2, failure = '', settings = $3, newest = $4 WHERE id = $1;

-- name: DeletedVideo :one
SELECT * FROM video WHERE id = $1 AND status = 'deleting';

-- name: LockDeleted :execrows
UPDATE video SET updated = updated WHERE id = $1 AND status = 'deleting';

-- name: RemoveVideo :exec
DELETE FROM video WHERE id = $1;

-- name: RemoveUploads :exec
DELETE FROM upload WHERE video = $1;

-- name: RemoveFacts :exec
DELETE FROM fact WHERE video = $1;

-- name: RemoveGenerations :exec
DELETE FROM generation WHERE video = $1;

-- name: RemoveSteps :exec
DELETE FROM step WHERE video = $1;

-- name: RemoveAttempts :exec
DELETE FROM attempt WHERE video = $1;

-- name: RemoveRenditions :exec
DELETE FROM rendition WHERE video = $1;
