-- +goose Up

-- A key pair that playback is signed with.
CREATE TABLE key_pair (
    id         TEXT PRIMARY KEY,
    purpose    TEXT NOT NULL, -- playback, members
    workspaces TEXT NOT NULL, -- JSON list: of members, what it opens where that isn't everything; '' for everything
    algorithm  TEXT NOT NULL,
    hash       TEXT NOT NULL,
    public     TEXT NOT NULL, -- PEM
    sealed     TEXT NOT NULL, -- the private key, encrypted; '' where others have it
    created    BIGINT NOT NULL,
    retiring   BIGINT NOT NULL, -- from then on it signs no more
    retired    BIGINT NOT NULL, -- from then on nothing that it signed is good
    slot       TEXT NOT NULL UNIQUE -- of two that are made because none was there, one stays: what it is for; its id, for all others
);

-- One more way to watch a video.
CREATE TABLE playback (
    id             TEXT PRIMARY KEY,
    video          TEXT NOT NULL,
    base           TEXT NOT NULL, -- the playback, or the video, that it is a smaller form of; '' where it was asked for by itself
    name           TEXT NOT NULL,
    policy         TEXT NOT NULL, -- '' for the video's, or the base's
    origins        TEXT NOT NULL, -- JSON list, '' for any
    max_resolution BIGINT NOT NULL, -- 0 for no cap
    created        BIGINT NOT NULL,
    revoked        BIGINT NOT NULL,
    slot           TEXT NOT NULL UNIQUE -- what it is a form of and its cap; its id, where it was asked for by itself or is revoked
);
CREATE INDEX playback_video ON playback (video, id);
