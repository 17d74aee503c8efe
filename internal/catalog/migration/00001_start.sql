-- Times are epoch milliseconds, 0 for never; what ends in "JSON" in a comment is JSON text, '' for nothing.

-- +goose Up
CREATE TABLE video (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    title       TEXT NOT NULL,
    description TEXT NOT NULL,
    tags        TEXT NOT NULL, -- JSON array
    metadata    TEXT NOT NULL, -- JSON object
    status      TEXT NOT NULL,
    failure     TEXT NOT NULL, -- JSON
    source      TEXT NOT NULL, -- JSON; '' until the object is there
    facts       TEXT NOT NULL, -- JSON
    settings    TEXT NOT NULL, -- JSON, of the newest generation
    newest      BIGINT NOT NULL,
    published   BIGINT NOT NULL, -- the pointer that publishing flips
    prefix      TEXT NOT NULL,
    output      TEXT NOT NULL, -- JSON, of the published generation
    created     BIGINT NOT NULL,
    updated     BIGINT NOT NULL,
    received    BIGINT NOT NULL,
    playable    BIGINT NOT NULL
);
CREATE INDEX video_status ON video (status, id);

CREATE TABLE upload (
    bucket  TEXT NOT NULL,
    key     TEXT NOT NULL,
    video   TEXT NOT NULL,
    type    TEXT NOT NULL,
    size    BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    PRIMARY KEY (bucket, key)
);
CREATE INDEX upload_video ON upload (video);

-- An accepted write, counted once however often its event comes.
CREATE TABLE fact (
    bucket   TEXT NOT NULL,
    key      TEXT NOT NULL,
    etag     TEXT NOT NULL,
    modified BIGINT NOT NULL,
    video    TEXT NOT NULL,
    size     BIGINT NOT NULL,
    recorded BIGINT NOT NULL,
    PRIMARY KEY (bucket, key, etag, modified)
);
CREATE INDEX fact_video ON fact (video);

CREATE TABLE generation (
    video    TEXT NOT NULL,
    n        BIGINT NOT NULL,
    state    TEXT NOT NULL,
    settings TEXT NOT NULL, -- JSON
    facts    TEXT NOT NULL, -- JSON
    plan     TEXT NOT NULL, -- JSON
    output   TEXT NOT NULL, -- JSON
    created  BIGINT NOT NULL,
    updated  BIGINT NOT NULL,
    PRIMARY KEY (video, n)
);

CREATE TABLE step (
    video      TEXT NOT NULL,
    generation BIGINT NOT NULL,
    name       TEXT NOT NULL,
    n          BIGINT NOT NULL,
    state      TEXT NOT NULL,
    weight     DOUBLE PRECISION NOT NULL, -- its part of the whole generation's work, 0..1
    progress   DOUBLE PRECISION NOT NULL, -- 0..1
    result     TEXT NOT NULL, -- JSON
    started    BIGINT NOT NULL,
    finished   BIGINT NOT NULL,
    PRIMARY KEY (video, generation, name, n)
);

CREATE TABLE attempt (
    video      TEXT NOT NULL,
    generation BIGINT NOT NULL,
    name       TEXT NOT NULL,
    n          BIGINT NOT NULL,
    number     BIGINT NOT NULL,
    job        BIGINT NOT NULL, -- which job, and which try of it
    try        BIGINT NOT NULL,
    worker     TEXT NOT NULL,
    started    BIGINT NOT NULL,
    finished   BIGINT NOT NULL,
    code       TEXT NOT NULL,
    message    TEXT NOT NULL,
    detail     TEXT NOT NULL,
    PRIMARY KEY (video, generation, name, n, number)
);

-- One published track.
CREATE TABLE rendition (
    video      TEXT NOT NULL,
    generation BIGINT NOT NULL,
    name       TEXT NOT NULL,
    kind       TEXT NOT NULL,
    codec      TEXT NOT NULL,
    width      BIGINT NOT NULL,
    height     BIGINT NOT NULL,
    average    BIGINT NOT NULL,
    peak       BIGINT NOT NULL,
    bytes      BIGINT NOT NULL,
    PRIMARY KEY (video, generation, name)
);

-- Events outlive their video.
CREATE TABLE event (
    id    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    video TEXT NOT NULL,
    type  TEXT NOT NULL,
    time  BIGINT NOT NULL,
    data  TEXT NOT NULL -- JSON
);
CREATE INDEX event_video ON event (video, id);
