-- +goose Up

-- Whom users and videos belong to. The one called "main" is made with the first user.
CREATE TABLE workspace (
    id      TEXT PRIMARY KEY,
    name    TEXT NOT NULL,
    created BIGINT NOT NULL
);

-- A person who may sign in.
CREATE TABLE account (
    id        TEXT PRIMARY KEY,
    email     TEXT NOT NULL,        -- as given
    address   TEXT NOT NULL UNIQUE, -- the same in lower case: what is compared
    name      TEXT NOT NULL,
    role      TEXT NOT NULL,        -- admin, editor, viewer
    state     TEXT NOT NULL,        -- invited, active, disabled
    secret    TEXT NOT NULL,        -- the password's argon2id hash, as a PHC string
    temporary BIGINT NOT NULL,      -- until when the password may be used, where it is a temporary one; else 0
    used      BIGINT NOT NULL,      -- 1: the temporary password has opened its session, and opens no other
    created   BIGINT NOT NULL,
    signed_in BIGINT NOT NULL       -- last; 0 for never
);

CREATE TABLE member (
    account   TEXT NOT NULL,
    workspace TEXT NOT NULL,
    PRIMARY KEY (account, workspace)
);
CREATE INDEX member_workspace ON member (workspace);

-- A browser that is signed in.
CREATE TABLE session (
    id      TEXT PRIMARY KEY,
    hash    TEXT NOT NULL UNIQUE, -- SHA-256 of what the cookie holds
    account TEXT NOT NULL,
    created BIGINT NOT NULL,
    seen    BIGINT NOT NULL,      -- about: to the minute
    expires BIGINT NOT NULL,      -- whatever happens
    address TEXT NOT NULL,        -- from where it was opened
    agent   TEXT NOT NULL         -- by what browser
);
CREATE INDEX session_account ON session (account, id);

-- A personal API token.
CREATE TABLE token (
    id      TEXT PRIMARY KEY,
    hash    TEXT NOT NULL UNIQUE, -- SHA-256 of the token
    account TEXT NOT NULL,
    name    TEXT NOT NULL,
    scopes  TEXT NOT NULL,        -- with spaces between
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    used    BIGINT NOT NULL       -- about: to the minute; 0 for never
);
CREATE INDEX token_account ON token (account, id);

-- The one code by which an account may get a new password.
CREATE TABLE reset_code (
    account TEXT PRIMARY KEY,
    hash    TEXT NOT NULL UNIQUE, -- SHA-256 of the code
    expires BIGINT NOT NULL
);

-- Failures in a row, of an account or from an address.
CREATE TABLE strike (
    name  TEXT PRIMARY KEY,
    count BIGINT NOT NULL,
    last  BIGINT NOT NULL, -- the last failure
    until BIGINT NOT NULL  -- nothing is tried before
);
CREATE INDEX strike_last ON strike (last);

-- A message to the holder of an account.
CREATE TABLE letter (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind     TEXT NOT NULL,   -- invitation, reset, forgot, changed
    account  TEXT NOT NULL,
    address  TEXT NOT NULL,   -- to whom
    secret   TEXT NOT NULL,   -- the password or code that it tells; empty once it was sent, replaced, used or is of no use any more
    expires  BIGINT NOT NULL, -- of the secret; 0 where there is none
    state    TEXT NOT NULL,   -- waiting, sent, refused, dead, void
    due      BIGINT NOT NULL, -- when the job that sends it runs, or last ran; 0 where there is none
    tries    BIGINT NOT NULL,
    code     TEXT NOT NULL,   -- of the trouble of its last try
    message  TEXT NOT NULL,
    created  BIGINT NOT NULL,
    finished BIGINT NOT NULL
);
CREATE INDEX letter_account ON letter (account, state);
CREATE INDEX letter_finished ON letter (finished);

-- What was done that matters for security.
CREATE TABLE audit (
    id        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time      BIGINT NOT NULL,
    what      TEXT NOT NULL,
    by_id     TEXT NOT NULL, -- who did it
    by_name   TEXT NOT NULL,
    user_id   TEXT NOT NULL, -- to whose account
    user_name TEXT NOT NULL,
    address   TEXT NOT NULL, -- from where
    detail    TEXT NOT NULL  -- JSON, without secrets
);
CREATE INDEX audit_time ON audit (time);
CREATE INDEX audit_user ON audit (user_id, id);
