-- name: InsertUpload :exec
INSERT INTO upload (bucket, key, video, type, size, expires, multipart, part) VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: UploadByKey :one
SELECT * FROM upload WHERE bucket = $1 AND key = $2;

-- name: UploadOfVideo :one
SELECT sqlc.embed(u), v.received FROM upload u JOIN video v ON v.id = u.video WHERE u.video = $1 AND v.status <> 'deleting';

-- name: UploadOfDeleted :one
SELECT u.* FROM upload u JOIN video v ON v.id = u.video WHERE u.video = $1 AND v.status = 'deleting';

-- name: InsertFact :execrows
-- InsertFact gates on the write: 0 rows for one that is known.
INSERT INTO fact (bucket, key, etag, modified, video, size, recorded) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING;

-- name: FactVideo :one
SELECT video FROM fact WHERE bucket = $1 AND key = $2 AND etag = $3 AND modified = $4;

-- name: SetFactVideo :exec
UPDATE fact SET video = $5 WHERE bucket = $1 AND key = $2 AND etag = $3 AND modified = $4;
