-- +goose Up

-- Copies that a CDN is to drop. A row goes when the CDN was told twice.
CREATE TABLE purge (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    video      TEXT NOT NULL,
    generation BIGINT NOT NULL, -- 0 for every one
    folders    TEXT NOT NULL,   -- JSON list of what addresses at the edge begin with: the video's folder and its playback ids
    playbacks  BIGINT NOT NULL, -- 1: only what has these playback ids in its address
    again      BIGINT NOT NULL, -- 1: to be told once more, later
    due        BIGINT NOT NULL
);
CREATE INDEX purge_due ON purge (due, id);

-- The job that tells the CDN, of which there is one: the row with id 1, made when it is first needed.
CREATE TABLE purge_job (
    id  BIGINT PRIMARY KEY,
    due BIGINT NOT NULL -- when it runs, or last ran; 0 where there is none
);
