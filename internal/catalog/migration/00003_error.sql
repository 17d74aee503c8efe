-- +goose Up

-- One failed attempt at a step. It outlives its video; what the tool printed is the attempt's, and goes with it.
CREATE TABLE error (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    video      TEXT NOT NULL,
    name       TEXT NOT NULL, -- of the video
    generation BIGINT NOT NULL,
    step       TEXT NOT NULL,
    n          BIGINT NOT NULL,
    attempt    BIGINT NOT NULL,
    code       TEXT NOT NULL,
    message    TEXT NOT NULL,
    final      BIGINT NOT NULL, -- 1: the generation failed with it; 0: the step was tried again
    time       BIGINT NOT NULL
);
CREATE INDEX error_video ON error (video, id);
CREATE INDEX error_time ON error (time);
