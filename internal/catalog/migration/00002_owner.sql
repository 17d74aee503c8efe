-- Every video has an owner: the admin until there are accounts.

-- +goose Up
ALTER TABLE video ADD COLUMN owner TEXT NOT NULL DEFAULT 'admin';
