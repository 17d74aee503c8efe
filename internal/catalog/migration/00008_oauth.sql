-- +goose Up

-- A program that signs people in here, or that signs in by itself.
CREATE TABLE oauth_client (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    kind       TEXT NOT NULL, -- web, spa, native, service
    secret     TEXT NOT NULL, -- hash; '' for programs that can keep none
    redirects  TEXT NOT NULL, -- JSON list
    logouts    TEXT NOT NULL, -- JSON list
    scopes     TEXT NOT NULL, -- most that its tokens may allow
    role       TEXT NOT NULL, -- of a service
    workspaces TEXT NOT NULL, -- of a service, JSON list
    created    BIGINT NOT NULL,
    rotated    BIGINT NOT NULL -- when the secret was made
);

-- An authorization code. It outlives its time, so that a second use is known for one.
CREATE TABLE oauth_code (
    hash      TEXT PRIMARY KEY,
    client    TEXT NOT NULL,
    account   TEXT NOT NULL,
    redirect  TEXT NOT NULL,
    challenge TEXT NOT NULL,
    nonce     TEXT NOT NULL,
    scope     TEXT NOT NULL,
    signed_in BIGINT NOT NULL,
    expires   BIGINT NOT NULL,
    family    TEXT NOT NULL -- the grant that it gave; '' before
);
CREATE INDEX oauth_code_expires ON oauth_code (expires);
CREATE INDEX oauth_code_account ON oauth_code (account);

-- What a code gave: all tokens that come of it are one family.
CREATE TABLE oauth_grant (
    id        TEXT PRIMARY KEY,
    client    TEXT NOT NULL,
    account   TEXT NOT NULL,
    scope     TEXT NOT NULL,
    nonce     TEXT NOT NULL,
    signed_in BIGINT NOT NULL,
    created   BIGINT NOT NULL,
    expires   BIGINT NOT NULL, -- when the last of its tokens does
    ended     BIGINT NOT NULL  -- 0 while it is good
);
CREATE INDEX oauth_grant_account ON oauth_grant (account);
CREATE INDEX oauth_grant_client ON oauth_grant (client);
CREATE INDEX oauth_grant_expires ON oauth_grant (expires);
CREATE INDEX oauth_grant_ended ON oauth_grant (ended);

-- A refresh token. One that was used is kept, so that its second use is known for one.
CREATE TABLE oauth_refresh (
    hash    TEXT PRIMARY KEY,
    family  TEXT NOT NULL,
    expires BIGINT NOT NULL,
    used    BIGINT NOT NULL -- 0 before
);
CREATE INDEX oauth_refresh_family ON oauth_refresh (family);

-- An access token that was revoked by itself, until it expires.
CREATE TABLE oauth_denied (
    id      TEXT PRIMARY KEY,
    expires BIGINT NOT NULL
);
CREATE INDEX oauth_denied_expires ON oauth_denied (expires);

-- A key that signs tokens.
CREATE TABLE oauth_key (
    id        TEXT PRIMARY KEY,
    algorithm TEXT NOT NULL,
    public    TEXT NOT NULL, -- JWK
    sealed    TEXT NOT NULL, -- the private key, encrypted
    signs     BIGINT NOT NULL, -- signs from here
    until     BIGINT NOT NULL, -- to here
    expires   BIGINT NOT NULL  -- is published until here
);
