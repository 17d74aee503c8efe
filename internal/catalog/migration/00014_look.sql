-- +goose Up

-- When the server next looks, by itself, for the source of a waiting video; 0 where no look is scheduled.
ALTER TABLE video ADD COLUMN next_look BIGINT NOT NULL DEFAULT 0;
