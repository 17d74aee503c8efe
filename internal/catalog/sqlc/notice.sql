-- name: PutSubscription :one
INSERT INTO subscription (id, address, failed, recovered, refused, next, due, created) VALUES ($1, $2, $3, $4, 0, 0, 0, $5)
ON CONFLICT (address) DO UPDATE SET failed = excluded.failed, recovered = excluded.recovered, refused = 0 RETURNING *;

-- name: CountSubscriptions :one
SELECT count(*) FROM subscription WHERE address <> $1;

-- name: Subscriptions :many
SELECT sqlc.embed(s), (SELECT count(*) FROM notice n WHERE n.subscription = s.id AND n.mail = 0) AS waiting FROM subscription s ORDER BY s.address;

-- name: SubscriptionIDs :many
SELECT id, failed, recovered FROM subscription ORDER BY id;

-- name: LockSubscription :one
-- LockSubscription keeps a subscription from other transactions until this one ends: who adds a notice and who looks whether any is left follow each other.
UPDATE subscription SET due = due WHERE id = $1 RETURNING *;

-- name: SetDue :exec
UPDATE subscription SET due = $2 WHERE id = $1;

-- name: SetSent :exec
UPDATE subscription SET next = $2, due = $3, refused = $4 WHERE id = $1;

-- name: RemoveSubscription :execrows
DELETE FROM subscription WHERE id = $1;

-- name: RemoveWaiting :exec
DELETE FROM notice WHERE notice.subscription = $1 AND (notice.mail = 0 OR notice.mail IN (SELECT m.id FROM mail m WHERE m.subscription = $1 AND m.state = 'sending'));

-- name: RemoveSending :exec
DELETE FROM mail WHERE subscription = $1 AND state = 'sending';

-- name: InsertNotice :exec
INSERT INTO notice (subscription, address, event, video, name, generation, step, code, message, time, mail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0);

-- name: Waiting :one
SELECT count(*) FROM notice WHERE subscription = $1 AND mail = 0;

-- name: SendingMail :one
SELECT * FROM mail WHERE subscription = $1 AND state = 'sending' ORDER BY id LIMIT 1;

-- name: InsertMail :one
INSERT INTO mail (subscription, state, tries, code, message, created, finished) VALUES ($1, 'sending', 0, '', '', $2, 0) RETURNING *;

-- name: TakeNotices :exec
UPDATE notice SET mail = $2 WHERE subscription = $1 AND mail = 0;

-- name: TryMail :exec
UPDATE mail SET tries = tries + 1 WHERE id = $1;

-- name: TroubleMail :exec
UPDATE mail SET code = $2, message = $3 WHERE id = $1 AND state = 'sending';

-- name: EndMail :execrows
UPDATE mail SET state = $2, code = $3, message = $4, finished = $5 WHERE id = $1 AND state = 'sending';

-- name: NoticesOfMail :many
SELECT * FROM notice WHERE mail = $1 ORDER BY id LIMIT $2;

-- name: NoticeGroups :many
SELECT event, code, count(*) AS count FROM notice WHERE mail = $1 GROUP BY event, code ORDER BY event, count DESC, code;

-- name: RemoveOldNotices :exec
DELETE FROM notice WHERE notice.mail IN (SELECT m.id FROM mail m WHERE m.finished > 0 AND m.finished < $1);

-- name: RemoveOldMail :exec
DELETE FROM mail WHERE finished > 0 AND finished < $1;

-- name: Outbox :many
SELECT sqlc.embed(n), CAST(coalesce(m.state, 'waiting') AS TEXT) AS state, CAST(coalesce(m.tries, 0) AS BIGINT) AS tries,
    CAST(coalesce(m.code, '') AS TEXT) AS trouble, CAST(coalesce(m.message, '') AS TEXT) AS why, CAST(coalesce(m.finished, 0) AS BIGINT) AS finished
FROM notice n LEFT JOIN mail m ON m.id = n.mail
WHERE n.id < sqlc.arg(before) AND (CAST(sqlc.arg(state) AS TEXT) = '' OR coalesce(m.state, 'waiting') = sqlc.arg(state))
ORDER BY n.id DESC LIMIT sqlc.arg(most);

-- name: Recovered :one
-- Recovered counts the generations that failed since another was published.
SELECT count(*) FROM error WHERE video = $1 AND final = 1 AND generation > sqlc.arg(published) AND generation <= sqlc.arg(newest);
