-- +goose Up

-- The multipart upload by which the source comes, empty where it comes in one PUT, and the bytes of each part but the last.
ALTER TABLE upload ADD COLUMN multipart TEXT NOT NULL DEFAULT '';
ALTER TABLE upload ADD COLUMN part BIGINT NOT NULL DEFAULT 0;
