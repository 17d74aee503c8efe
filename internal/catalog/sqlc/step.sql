-- name: InsertStep :exec
INSERT INTO step (video, generation, name, n, state, weight, progress, result, started, finished) VALUES ($1, $2, $3, $4, 'waiting', $5, 0, '', 0, 0);

-- name: BeginStep :execrows
UPDATE step SET state = 'running', started = CASE WHEN started = 0 THEN CAST(sqlc.arg(now) AS BIGINT) ELSE started END, progress = 0
WHERE video = sqlc.arg(video) AND generation = sqlc.arg(generation) AND name = sqlc.arg(name) AND n = sqlc.arg(n) AND state IN ('waiting', 'running');

-- name: FinishStep :execrows
UPDATE step SET state = 'done', progress = 1, result = $5, finished = $6 WHERE video = $1 AND generation = $2 AND name = $3 AND n = $4 AND state = 'running';

-- name: FailStep :execrows
UPDATE step SET state = 'failed', finished = $5 WHERE video = $1 AND generation = $2 AND name = $3 AND n = $4 AND state = 'running';

-- name: ReturnStep :execrows
UPDATE step SET state = 'waiting', progress = 0 WHERE video = $1 AND generation = $2 AND name = $3 AND n = $4 AND state = 'running';

-- name: CancelSteps :exec
UPDATE step SET state = 'canceled', finished = $3 WHERE video = $1 AND generation = $2 AND state IN ('waiting', 'running');

-- name: ReopenSteps :many
UPDATE step SET state = 'waiting', progress = 0, finished = 0 WHERE video = $1 AND generation = $2 AND state IN ('failed', 'canceled') RETURNING name, n;

-- name: StepProgress :exec
UPDATE step SET progress = $5 WHERE video = $1 AND generation = $2 AND name = $3 AND n = $4 AND state = 'running';

-- name: UndoneSteps :one
-- UndoneSteps is 1 while a step of a generation is not done, else 0. Each step that ends asks it, so that it must not read those that are.
SELECT count(*) FROM (SELECT 1 FROM step WHERE video = $1 AND generation = $2 AND state <> 'done' LIMIT 1) AS undone;

-- name: Steps :many
SELECT name, n, state, progress, started, finished FROM step WHERE video = $1 AND generation = $2 ORDER BY name, n;

-- name: Parts :many
SELECT name, n, result FROM step WHERE video = $1 AND generation = $2 AND state = 'done' AND result <> '' ORDER BY name, n;

-- name: LastAttempt :one
SELECT CAST(coalesce(max(number), 0) AS BIGINT) FROM attempt WHERE video = $1 AND generation = $2 AND name = $3 AND n = $4;

-- name: AttemptOfJob :one
SELECT CAST(coalesce(max(number), 0) AS BIGINT) FROM attempt WHERE video = $1 AND generation = $2 AND name = $3 AND n = $4 AND job = $5 AND try = $6;

-- name: InsertAttempt :exec
INSERT INTO attempt (video, generation, name, n, number, job, try, worker, started, finished, code, message, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, '', '', '');

-- name: CloseAttempt :exec
UPDATE attempt SET finished = $6, code = $7, message = $8, detail = $9
WHERE video = $1 AND generation = $2 AND name = $3 AND n = $4 AND number = $5 AND finished = 0;

-- name: Attempts :many
SELECT name, n, number, worker, started, finished, code, message, detail FROM attempt WHERE video = $1 AND generation = $2 ORDER BY name, n, number;

-- name: AttemptsOfJob :many
SELECT name, n, number, worker, started, finished, code, message, detail FROM attempt
WHERE video = $1 AND generation = $2 AND name = $3 AND n = $4 AND job = $5 ORDER BY number;
