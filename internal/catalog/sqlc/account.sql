-- name: LockAccounts :execrows
-- LockAccounts keeps other changes of users and workspaces waiting until this transaction ends, so that counts hold.
UPDATE workspace SET name = name WHERE id = 'main';

-- name: PutWorkspace :execrows
INSERT INTO workspace (id, name, created) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;

-- name: Workspaces :many
SELECT * FROM workspace ORDER BY id;

-- name: RenameWorkspace :one
UPDATE workspace SET name = $2 WHERE id = $1 RETURNING *;

-- name: RemoveWorkspace :execrows
DELETE FROM workspace WHERE id = $1;

-- name: CountMembers :one
SELECT count(*) FROM member WHERE workspace = $1;

-- name: PutAccount :execrows
INSERT INTO account (id, email, address, name, role, state, secret, temporary, used, created, signed_in) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9, 0)
ON CONFLICT DO NOTHING;

-- name: PutVisitor :execrows
-- PutVisitor makes an account without a password for somebody whom another issuer signs in, or changes it to what that tells, unless it is disabled.
INSERT INTO account (id, email, address, name, role, state, secret, temporary, used, created, signed_in) VALUES ($1, $2, $1, $3, $4, 'active', '', 0, 0, $5, $5)
ON CONFLICT (id) DO UPDATE SET email = excluded.email, name = excluded.name, role = excluded.role, signed_in = excluded.signed_in WHERE account.state <> 'disabled';

-- name: Account :one
SELECT sqlc.embed(a), CAST(coalesce((SELECT string_agg(m.workspace, ' ') FROM member m WHERE m.account = a.id), '') AS TEXT) AS workspaces
FROM account a WHERE a.id = $1;

-- name: AccountByAddress :one
SELECT sqlc.embed(a), CAST(coalesce((SELECT string_agg(m.workspace, ' ') FROM member m WHERE m.account = a.id), '') AS TEXT) AS workspaces
FROM account a WHERE a.address = $1;

-- name: KnownAddress :one
-- KnownAddress counts the sessions that an account has from an address, and the sign-ins recorded from there; where the account has a second factor, only those that showed it.
SELECT CAST((SELECT count(*) FROM session s JOIN account a ON a.id = s.account WHERE a.address = sqlc.arg(account) AND s.address = sqlc.arg(client)
AND (a.factor = '' OR s.proven > 0)) + (SELECT count(*) FROM audit u JOIN account a ON a.id = u.user_id WHERE a.address = sqlc.arg(account) AND u.address = sqlc.arg(client)
AND u.what = 'sign_in' AND u.time >= a.factored) AS BIGINT) AS known;

-- name: KnownAddresses :many
-- KnownAddresses returns the addresses that KnownAddress counts, each once. IPv6 needs all of them: no text comparison
-- selects a /64, because "::" can stand on either side of its end.
SELECT s.address FROM session s JOIN account a ON a.id = s.account WHERE a.address = sqlc.arg(account) AND (s.proven > 0 OR a.factor = '')
UNION SELECT u.address FROM audit u JOIN account a ON a.id = u.user_id WHERE a.address = sqlc.arg(account)
AND u.what = 'sign_in' AND a.factored <= u.time;

-- name: Accounts :many
SELECT sqlc.embed(a), CAST(coalesce((SELECT string_agg(m.workspace, ' ') FROM member m WHERE m.account = a.id), '') AS TEXT) AS workspaces
FROM account a WHERE a.id > $1 ORDER BY a.id LIMIT $2;

-- name: LockAccount :one
UPDATE account SET name = name WHERE id = $1 RETURNING *;

-- name: CountAdmins :one
-- CountAdmins counts those with a password: whom another issuer signs in may be gone when that is.
SELECT count(*) FROM account WHERE role = 'admin' AND state = 'active' AND secret <> '';

-- name: CountAnyAdmins :one
SELECT count(*) FROM account WHERE role = 'admin' AND secret <> '';

-- name: EditAccount :exec
UPDATE account SET name = $2, role = $3, state = $4 WHERE id = $1;

-- name: RemoveAccount :execrows
DELETE FROM account WHERE id = $1;

-- name: AddMember :execrows
INSERT INTO member (account, workspace) SELECT sqlc.arg(account), w.id FROM workspace w WHERE w.id = sqlc.arg(workspace) ON CONFLICT DO NOTHING;

-- name: RemoveMembers :exec
DELETE FROM member WHERE account = $1;

-- name: SignIn :execrows
-- SignIn counts where the password is still the one that was compared, and a temporary one was not used yet. Who has a second factor is not signed in by that.
UPDATE account SET secret = sqlc.arg(rehashed), signed_in = CASE WHEN factor = '' THEN sqlc.arg(now) ELSE signed_in END, used = CASE WHEN temporary > 0 THEN 1 ELSE 0 END
WHERE id = sqlc.arg(id) AND secret = sqlc.arg(secret) AND state <> 'disabled' AND (temporary = 0 OR (used = 0 AND temporary > sqlc.arg(now)));

-- name: SetPassword :execrows
-- SetPassword gives an account a password of its own, where it is still the one that was compared.
UPDATE account SET secret = sqlc.arg(fresh), temporary = 0, used = 0, state = 'active' WHERE id = sqlc.arg(id) AND secret = sqlc.arg(secret) AND state <> 'disabled';

-- name: SetTemporary :exec
UPDATE account SET secret = $2, temporary = $3, used = 0 WHERE id = $1;

-- name: PutResetCode :exec
INSERT INTO reset_code (account, hash, expires) VALUES ($1, $2, $3) ON CONFLICT (account) DO UPDATE SET hash = excluded.hash, expires = excluded.expires;

-- name: ResetCode :one
SELECT * FROM reset_code WHERE hash = $1 AND expires > $2;

-- name: TakeResetCode :execrows
DELETE FROM reset_code WHERE hash = $1 AND expires > $2;

-- name: RemoveResetCode :exec
DELETE FROM reset_code WHERE account = $1;

-- name: LockStrike :one
INSERT INTO strike (name, count, last, until) VALUES ($1, 0, 0, 0) ON CONFLICT (name) DO UPDATE SET count = strike.count RETURNING *;

-- name: SetStrike :exec
UPDATE strike SET count = $2, last = $3, until = $4 WHERE name = $1;

-- name: RemoveStrike :exec
DELETE FROM strike WHERE name = $1;

-- name: InsertAudit :exec
INSERT INTO audit (time, what, by_id, by_name, user_id, user_name, address, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: Audit :many
SELECT * FROM audit WHERE id < sqlc.arg(before) AND (CAST(sqlc.arg(who) AS TEXT) = '' OR user_id = sqlc.arg(who) OR by_id = sqlc.arg(who))
ORDER BY id DESC LIMIT sqlc.arg(most);

-- name: LockWorkspace :execrows
-- LockWorkspace keeps a workspace from being removed until this transaction ends.
UPDATE workspace SET name = name WHERE id = $1;

-- name: CountVideosIn :one
SELECT count(*) FROM video WHERE workspace = $1;
