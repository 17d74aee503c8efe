-- name: InsertClient :exec
INSERT INTO oauth_client (id, name, kind, secret, redirects, logouts, scopes, role, workspaces, created, rotated)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: Clients :many
SELECT * FROM oauth_client ORDER BY name, id;

-- name: CountClients :one
SELECT count(*) FROM oauth_client;

-- name: Client :one
SELECT * FROM oauth_client WHERE id = $1;

-- name: LockClient :one
UPDATE oauth_client SET id = id WHERE id = $1 RETURNING *;

-- name: UpdateClient :exec
UPDATE oauth_client SET name = $2, redirects = $3, logouts = $4, scopes = $5, role = $6, workspaces = $7, secret = $8, rotated = $9 WHERE id = $1;

-- name: RemoveClient :execrows
DELETE FROM oauth_client WHERE id = $1;

-- name: InsertCode :exec
INSERT INTO oauth_code (hash, client, account, redirect, challenge, nonce, scope, signed_in, expires, family, proven) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '', $10);

-- name: LockCode :one
UPDATE oauth_code SET family = family WHERE hash = $1 RETURNING *;

-- name: RedeemCode :exec
UPDATE oauth_code SET family = $2 WHERE hash = $1;

-- name: SweepCodes :exec
DELETE FROM oauth_code WHERE expires < $1;

-- name: RemoveCodesOf :exec
DELETE FROM oauth_code WHERE account = $1 AND family = '';

-- name: InsertGrant :exec
INSERT INTO oauth_grant (id, client, account, scope, nonce, signed_in, created, expires, ended, proven) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9);

-- name: Grant :one
SELECT * FROM oauth_grant WHERE id = $1;

-- name: LockGrant :one
UPDATE oauth_grant SET expires = expires WHERE id = $1 RETURNING *;

-- name: ExtendGrant :exec
UPDATE oauth_grant SET expires = $2 WHERE id = $1;

-- name: EndGrant :execrows
UPDATE oauth_grant SET ended = $2 WHERE id = $1 AND ended = 0;

-- name: EndGrantsOfAccount :exec
UPDATE oauth_grant SET ended = $2 WHERE account = $1 AND ended = 0;

-- name: EndGrantsOfClient :exec
UPDATE oauth_grant SET ended = $2 WHERE client = $1 AND ended = 0;

-- name: GrantsOfAccount :many
-- GrantsOfAccount are those that are good, with their client, and when they last got tokens: at the code, or at the last refresh.
SELECT g.client, g.scope, g.created, g.expires, c.name, c.kind,
    CAST(coalesce((SELECT max(r.used) FROM oauth_refresh r WHERE r.family = g.id), 0) AS BIGINT) AS refreshed
FROM oauth_grant g JOIN oauth_client c ON c.id = g.client WHERE g.account = sqlc.arg(account) AND g.ended = 0 AND g.expires > sqlc.arg(now)
ORDER BY c.name, c.id, g.created;

-- name: EndGrantsOfPair :execrows
UPDATE oauth_grant SET ended = sqlc.arg(now) WHERE account = sqlc.arg(account) AND client = sqlc.arg(client) AND ended = 0 AND expires > sqlc.arg(now);

-- name: RemoveCodesOfPair :execrows
DELETE FROM oauth_code WHERE account = $1 AND client = $2 AND family = '';

-- name: SweepRefreshes :exec
-- SweepRefreshes takes those of families that are over: the last of their tokens has expired, or they were ended that long ago.
DELETE FROM oauth_refresh WHERE family IN (SELECT g.id FROM oauth_grant g WHERE g.expires < sqlc.arg(now) OR (g.ended > 0 AND g.ended < sqlc.arg(before)));

-- name: SweepGrants :exec
DELETE FROM oauth_grant WHERE expires < sqlc.arg(now) OR (ended > 0 AND ended < sqlc.arg(before));

-- name: InsertRefresh :exec
INSERT INTO oauth_refresh (hash, family, expires, used) VALUES ($1, $2, $3, 0);

-- name: Refresh :one
SELECT * FROM oauth_refresh WHERE hash = $1;

-- name: UseRefresh :execrows
UPDATE oauth_refresh SET used = $2 WHERE hash = $1 AND used = 0;

-- name: Deny :exec
INSERT INTO oauth_denied (id, expires) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: DenyOnce :execrows
INSERT INTO oauth_denied (id, expires) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: SweepDenied :exec
DELETE FROM oauth_denied WHERE expires < $1;

-- name: Denied :many
SELECT id FROM oauth_grant WHERE ended > sqlc.arg(since) UNION SELECT d.id FROM oauth_denied d WHERE d.expires > sqlc.arg(now);

-- name: InsertSigningKey :exec
INSERT INTO oauth_key (id, algorithm, public, sealed, signs, until, expires) VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: RetireSigningKeys :exec
-- RetireSigningKeys has no key sign from now on, and publishes none for longer than told.
UPDATE oauth_key SET until = CASE WHEN until < sqlc.arg(now) THEN until ELSE sqlc.arg(now) END, expires = CASE WHEN expires < sqlc.arg(latest) THEN expires ELSE sqlc.arg(latest) END;

-- name: SigningKeys :many
SELECT * FROM oauth_key WHERE expires > $1 ORDER BY signs, id;

-- name: UnsealSigningKey :exec
-- UnsealSigningKey forgets a private key that nothing opens any more.
UPDATE oauth_key SET sealed = '' WHERE id = $1;

-- name: SweepSigningKeys :exec
DELETE FROM oauth_key WHERE expires <= $1;
