-- name: InsertSession :exec
INSERT INTO session (id, hash, account, created, seen, expires, address, agent, proven, party, hint) VALUES ($1, $2, $3, $4, $4, $5, $6, $7, $8, $9, $10);

-- name: SessionByHash :one
SELECT s.id, s.account AS owner, s.created, s.seen, s.expires, s.address, s.agent, s.proven, s.offer, s.offered, sqlc.embed(a), CAST(coalesce((SELECT string_agg(m.workspace, ' ') FROM member m WHERE m.account = a.id), '') AS TEXT) AS workspaces
FROM session s JOIN account a ON a.id = s.account WHERE s.hash = $1;

-- name: SeeSession :exec
UPDATE session SET seen = $2 WHERE id = $1;

-- name: SessionsOf :many
SELECT id, account, created, seen, expires, address, agent, proven, offer, offered FROM session WHERE account = $1 ORDER BY id DESC;

-- name: LeaveSession :one
DELETE FROM session WHERE account = $1 AND id = $2 RETURNING hint;

-- name: LeaveByIssuer :many
-- LeaveByIssuer ends a session of the issuer's, where it names one, and else all of a user: of both where it names both, since the issuer may have named none at the sign-in.
DELETE FROM session WHERE (party <> '' AND party = sqlc.arg(party) AND (CAST(sqlc.arg(account) AS TEXT) = '' OR account = sqlc.arg(account)))
    OR (account = sqlc.arg(account) AND (party = '' OR CAST(sqlc.arg(party) AS TEXT) = '')) RETURNING account;

-- name: RemoveSession :execrows
DELETE FROM session WHERE account = $1 AND id = $2;

-- name: RemoveSessionByHash :exec
DELETE FROM session WHERE hash = $1;

-- name: RemoveSessionsBut :execrows
DELETE FROM session WHERE account = $1 AND id <> $2;

-- name: InsertToken :exec
INSERT INTO token (id, hash, account, name, scopes, created, expires, used) VALUES ($1, $2, $3, $4, $5, $6, $7, 0);

-- name: CountTokens :one
SELECT count(*) FROM token WHERE account = $1;

-- name: TokenByHash :one
SELECT sqlc.embed(t), sqlc.embed(a), CAST(coalesce((SELECT string_agg(m.workspace, ' ') FROM member m WHERE m.account = a.id), '') AS TEXT) AS workspaces
FROM token t JOIN account a ON a.id = t.account WHERE t.hash = $1;

-- name: SeeToken :exec
UPDATE token SET used = $2 WHERE id = $1;

-- name: TokensOf :many
SELECT * FROM token WHERE account = $1 ORDER BY id DESC;

-- name: RemoveToken :execrows
DELETE FROM token WHERE account = $1 AND id = $2;

-- name: RemoveTokens :execrows
DELETE FROM token WHERE account = $1;

-- name: PruneSessions :exec
DELETE FROM session WHERE expires < sqlc.arg(now) OR seen < sqlc.arg(idle);

-- name: PruneTokens :exec
DELETE FROM token WHERE expires < $1;

-- name: PruneResetCodes :exec
DELETE FROM reset_code WHERE expires < $1;

-- name: PruneStrikes :exec
DELETE FROM strike WHERE last < sqlc.arg(before) AND until < sqlc.arg(before);

-- name: PruneAudit :exec
DELETE FROM audit WHERE time < sqlc.arg(before) OR (what = 'sign_in.failed' AND time < sqlc.arg(failures));
