-- name: KeyPairs :many
SELECT * FROM key_pair ORDER BY created, id;

-- name: InsertKeyPair :execrows
INSERT INTO key_pair (id, purpose, workspaces, algorithm, hash, public, sealed, created, retiring, retired, slot)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, $9) ON CONFLICT DO NOTHING;

-- name: KeyPairOfSlot :one
SELECT * FROM key_pair WHERE slot = $1;

-- name: LockKeyPair :one
-- LockKeyPair keeps a key pair from other transactions until this one ends.
UPDATE key_pair SET retired = retired WHERE id = $1 RETURNING *;

-- name: RetireKeyPair :exec
UPDATE key_pair SET retiring = $2, retired = $3, slot = id WHERE id = $1;

-- name: UnsealKeyPair :exec
-- UnsealKeyPair forgets a private key that nothing opens any more.
UPDATE key_pair SET sealed = '' WHERE id = $1;

-- name: RemoveKeyPair :exec
DELETE FROM key_pair WHERE id = $1;

-- name: InsertPlayback :execrows
INSERT INTO playback (id, video, base, name, policy, origins, max_resolution, created, revoked, slot)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9) ON CONFLICT DO NOTHING;

-- name: Playbacks :many
SELECT * FROM playback WHERE video = $1 ORDER BY id;

-- name: CountPlaybacks :one
SELECT count(*) FROM playback WHERE video = $1;

-- name: PlaybackOfSlot :one
SELECT * FROM playback WHERE slot = $1;

-- name: PlaybackOf :one
SELECT * FROM playback WHERE video = $1 AND id = $2;

-- name: EditPlayback :exec
UPDATE playback SET name = $2, policy = $3, origins = $4, max_resolution = $5 WHERE id = $1;

-- name: RevokePlayback :exec
UPDATE playback SET revoked = $2, slot = id WHERE (playback.id = $1 OR playback.base = $1) AND playback.revoked = 0;

-- name: RemovePlaybacks :exec
DELETE FROM playback WHERE video = $1;

-- name: PlaybackInForce :one
-- PlaybackInForce is what the edge asks of a playback and a generation of its video; the state is empty where there is no such generation.
SELECT v.id, v.prefix, v.owner, v.workspace, v.playback, v.status, p.policy, p.origins, p.max_resolution, p.revoked,
    CAST(coalesce(b.policy, '') AS TEXT) AS base_policy, CAST(coalesce(b.origins, '') AS TEXT) AS base_origins,
    CAST(coalesce(b.max_resolution, 0) AS BIGINT) AS base_resolution,
    CAST(coalesce((SELECT g.state FROM generation g WHERE g.video = v.id AND g.n = $2), '') AS TEXT) AS state
FROM playback p JOIN video v ON v.id = p.video LEFT JOIN playback b ON b.id = p.base WHERE p.id = $1 AND v.status <> 'deleting';
