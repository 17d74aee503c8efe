-- A second factor of users, which is asked for after the password.

-- +goose Up
ALTER TABLE account ADD COLUMN factor TEXT NOT NULL DEFAULT ''; -- the secret of its codes, encrypted; '' for none
ALTER TABLE account ADD COLUMN factored BIGINT NOT NULL DEFAULT 0; -- since when
ALTER TABLE account ADD COLUMN step BIGINT NOT NULL DEFAULT 0; -- the newest step whose code was taken

ALTER TABLE session ADD COLUMN proven BIGINT NOT NULL DEFAULT 0; -- when the second factor was shown; 0 for never
ALTER TABLE session ADD COLUMN offer TEXT NOT NULL DEFAULT ''; -- a second factor that waits for its first code: the secret, encrypted; '' for none
ALTER TABLE session ADD COLUMN offered BIGINT NOT NULL DEFAULT 0; -- when that was

-- A code, good once, for who has lost what makes the others.
CREATE TABLE recovery_code (
    account TEXT NOT NULL,
    hash    TEXT NOT NULL, -- SHA-256 of the code
    PRIMARY KEY (account, hash)
);

-- When the second factor was shown in the session that gave it; 0 for never.
ALTER TABLE oauth_code ADD COLUMN proven BIGINT NOT NULL DEFAULT 0;
ALTER TABLE oauth_grant ADD COLUMN proven BIGINT NOT NULL DEFAULT 0;
