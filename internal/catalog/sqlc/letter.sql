-- name: InsertLetter :one
INSERT INTO letter (kind, account, address, secret, expires, state, due, tries, code, message, created, finished)
VALUES ($1, $2, $3, $4, $5, 'waiting', 0, 0, '', '', $6, 0) RETURNING id;

-- name: VoidLetters :exec
-- VoidLetters ends an account's letters that tell a secret: it is of no use any more.
UPDATE letter SET secret = '', state = CASE WHEN state = 'waiting' THEN 'void' ELSE state END, finished = CASE WHEN finished = 0 THEN sqlc.arg(now) ELSE finished END
WHERE account = sqlc.arg(account) AND secret <> '';

-- name: VoidForgottenLetters :exec
UPDATE letter SET secret = '', state = CASE WHEN state = 'waiting' THEN 'void' ELSE state END, finished = CASE WHEN finished = 0 THEN sqlc.arg(now) ELSE finished END
WHERE account = sqlc.arg(account) AND secret <> '' AND kind = 'forgot';

-- name: VoidExpiredLetters :exec
UPDATE letter SET secret = '', state = CASE WHEN state = 'waiting' THEN 'void' ELSE state END, finished = CASE WHEN finished = 0 THEN sqlc.arg(now) ELSE finished END
WHERE secret <> '' AND expires <= sqlc.arg(now);

-- name: TryLetter :one
UPDATE letter SET tries = tries + 1, due = $2 WHERE id = $1 AND state = 'waiting' RETURNING *;

-- name: TroubleLetter :exec
UPDATE letter SET code = $2, message = $3 WHERE id = $1 AND state = 'waiting';

-- name: EndLetter :execrows
UPDATE letter SET state = $2, code = $3, message = $4, finished = $5, secret = '' WHERE id = $1 AND state = 'waiting';

-- name: SleepingLetters :many
-- SleepingLetters returns the letters that wait and have no job, or one that was lost.
SELECT id FROM letter WHERE state = 'waiting' AND due < $1 ORDER BY id;

-- name: SetLetterDue :exec
UPDATE letter SET due = $2 WHERE id = $1;

-- name: Letters :many
SELECT * FROM letter WHERE id < sqlc.arg(before) AND (CAST(sqlc.arg(state) AS TEXT) = '' OR state = sqlc.arg(state)) ORDER BY id DESC LIMIT sqlc.arg(most);

-- name: Letter :one
SELECT * FROM letter WHERE id = $1;

-- name: PruneLetters :exec
DELETE FROM letter WHERE finished > 0 AND finished < $1;
