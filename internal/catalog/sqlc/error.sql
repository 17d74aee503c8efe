-- name: InsertError :exec
INSERT INTO error (video, name, generation, step, n, attempt, code, message, final, time, workspace)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: Errors :many
SELECT sqlc.embed(e), CAST(coalesce(a.worker, '') AS TEXT) AS worker, CAST(coalesce(a.detail, '') AS TEXT) AS detail
FROM error e LEFT JOIN attempt a ON a.video = e.video AND a.generation = e.generation AND a.name = e.step AND a.n = e.n AND a.number = e.attempt
WHERE e.id < sqlc.arg(before) AND e.time >= sqlc.arg(since)
    AND (CAST(sqlc.arg(step) AS TEXT) = '' OR e.step = sqlc.arg(step)) AND (CAST(sqlc.arg(code) AS TEXT) = '' OR e.code = sqlc.arg(code))
ORDER BY e.id DESC LIMIT sqlc.arg(most);

-- name: ErrorsOfWorkspace :many
SELECT sqlc.embed(e), CAST(coalesce(a.worker, '') AS TEXT) AS worker, CAST(coalesce(a.detail, '') AS TEXT) AS detail
FROM error e LEFT JOIN attempt a ON a.video = e.video AND a.generation = e.generation AND a.name = e.step AND a.n = e.n AND a.number = e.attempt
WHERE e.workspace = sqlc.arg(workspace) AND e.id < sqlc.arg(before) AND e.time >= sqlc.arg(since)
    AND (CAST(sqlc.arg(step) AS TEXT) = '' OR e.step = sqlc.arg(step)) AND (CAST(sqlc.arg(code) AS TEXT) = '' OR e.code = sqlc.arg(code))
ORDER BY e.id DESC LIMIT sqlc.arg(most);

-- name: ErrorsOfVideo :many
SELECT sqlc.embed(e), CAST(coalesce(a.worker, '') AS TEXT) AS worker, CAST(coalesce(a.detail, '') AS TEXT) AS detail
FROM error e LEFT JOIN attempt a ON a.video = e.video AND a.generation = e.generation AND a.name = e.step AND a.n = e.n AND a.number = e.attempt
WHERE e.video = sqlc.arg(video) AND e.id < sqlc.arg(before) AND e.time >= sqlc.arg(since)
    AND (CAST(sqlc.arg(step) AS TEXT) = '' OR e.step = sqlc.arg(step)) AND (CAST(sqlc.arg(code) AS TEXT) = '' OR e.code = sqlc.arg(code))
ORDER BY e.id DESC LIMIT sqlc.arg(most);

-- name: ErrorGroups :many
SELECT g.code, g.step, g.count, g.videos, g.final, g.first, g.last, e.message
FROM (
    SELECT f.code, f.step, count(*) AS count, count(DISTINCT f.video) AS videos, CAST(sum(f.final) AS BIGINT) AS final,
        CAST(min(f.time) AS BIGINT) AS first, CAST(max(f.time) AS BIGINT) AS last, CAST(max(f.id) AS BIGINT) AS newest
    FROM error f WHERE f.time >= sqlc.arg(since) GROUP BY f.code, f.step
) g JOIN error e ON e.id = g.newest
ORDER BY g.count DESC, g.code, g.step LIMIT sqlc.arg(most);

-- name: ErrorGroupsOfWorkspace :many
SELECT g.code, g.step, g.count, g.videos, g.final, g.first, g.last, e.message
FROM (
    SELECT f.code, f.step, count(*) AS count, count(DISTINCT f.video) AS videos, CAST(sum(f.final) AS BIGINT) AS final,
        CAST(min(f.time) AS BIGINT) AS first, CAST(max(f.time) AS BIGINT) AS last, CAST(max(f.id) AS BIGINT) AS newest
    FROM error f WHERE f.workspace = sqlc.arg(workspace) AND f.time >= sqlc.arg(since) GROUP BY f.code, f.step
) g JOIN error e ON e.id = g.newest
ORDER BY g.count DESC, g.code, g.step LIMIT sqlc.arg(most);
