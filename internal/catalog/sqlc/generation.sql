-- name: InsertGeneration :exec
INSERT INTO generation (video, n, state, settings, facts, plan, output, created, updated) VALUES ($1, $2, 'waiting', $3, '', '', '', $4, $4);

-- name: Generation :one
SELECT * FROM generation WHERE video = $1 AND n = $2;

-- name: GenerationState :one
SELECT g.state FROM generation g JOIN video v ON v.id = g.video WHERE g.video = $1 AND g.n = $2 AND v.status <> 'deleting';

-- name: Playback :one
-- Playback is what the edge asks of a video and one of its generations; the state is empty where there is no such generation.
SELECT v.id, v.prefix, v.owner, v.workspace, v.playback, v.status,
    CAST(coalesce((SELECT g.state FROM generation g WHERE g.video = v.id AND g.n = $2), '') AS TEXT) AS state
FROM video v WHERE v.id = $1 AND v.status <> 'deleting';

-- name: PlanGeneration :execrows
UPDATE generation SET state = 'planned', facts = $3, plan = $4, updated = $5 WHERE video = $1 AND n = $2 AND state = 'waiting';

-- name: PublishGeneration :execrows
UPDATE generation SET state = 'published', output = $3, updated = $4 WHERE video = $1 AND n = $2 AND state = 'planned';

-- name: SupersedeGenerations :exec
UPDATE generation SET state = 'superseded', updated = $3 WHERE video = $1 AND n <> $2 AND state = 'published';

-- name: EndGeneration :execrows
-- EndGeneration fails or cancels what is under way.
UPDATE generation SET state = $3, updated = $4 WHERE video = $1 AND n = $2 AND state IN ('waiting', 'planned');

-- name: CondemnGeneration :execrows
-- CondemnGeneration takes a generation from viewers and from redrives, before its objects go. It may be repeated.
UPDATE generation SET state = 'retiring', updated = $3 WHERE video = $1 AND n = $2 AND state IN ('superseded', 'failed', 'canceled', 'retiring');

-- name: RetireGeneration :execrows
UPDATE generation SET state = 'retired', updated = $3 WHERE video = $1 AND n = $2 AND state = 'retiring';

-- name: ReopenGeneration :execrows
UPDATE generation SET state = CASE WHEN plan = '' THEN 'waiting' ELSE 'planned' END, updated = $3 WHERE video = $1 AND n = $2 AND state = 'failed';

-- name: InsertRendition :exec
INSERT INTO rendition (video, generation, name, kind, codec, width, height, average, peak, bytes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: RemoveRenditionsOf :exec
DELETE FROM rendition WHERE video = $1 AND generation = $2;
