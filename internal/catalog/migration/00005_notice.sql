-- +goose Up

-- An address that is told of events by mail.
CREATE TABLE subscription (
    id        TEXT PRIMARY KEY,
    address   TEXT NOT NULL UNIQUE,
    failed    BIGINT NOT NULL, -- 1: is told of video.failed
    recovered BIGINT NOT NULL, -- 1: is told of video.recovered
    refused   BIGINT NOT NULL, -- messages that were refused in a row
    next      BIGINT NOT NULL, -- no message before
    due       BIGINT NOT NULL, -- when the job that sends runs, or last ran; 0 where there is none
    created   BIGINT NOT NULL
);

-- One event to be told to one address. It waits until a message takes it.
CREATE TABLE notice (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription TEXT NOT NULL,
    address      TEXT NOT NULL,
    event        TEXT NOT NULL,
    video        TEXT NOT NULL,
    name         TEXT NOT NULL, -- of the video
    generation   BIGINT NOT NULL,
    step         TEXT NOT NULL,
    code         TEXT NOT NULL,
    message      TEXT NOT NULL,
    time         BIGINT NOT NULL,
    mail         BIGINT NOT NULL -- the message; 0 while it waits
);
CREATE INDEX notice_subscription ON notice (subscription, mail, id);
CREATE INDEX notice_mail ON notice (mail, id);

-- One message to one address.
CREATE TABLE mail (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription TEXT NOT NULL,
    state        TEXT NOT NULL, -- sending, sent, refused, dead
    tries        BIGINT NOT NULL,
    code         TEXT NOT NULL, -- of the trouble of its last try
    message      TEXT NOT NULL,
    created      BIGINT NOT NULL,
    finished     BIGINT NOT NULL
);
CREATE INDEX mail_subscription ON mail (subscription, state);
CREATE INDEX mail_finished ON mail (finished);
