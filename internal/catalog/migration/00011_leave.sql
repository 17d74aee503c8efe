-- +goose Up

-- What goes with a session of somebody whom an external issuer signed in: the issuer's own session, hashed ('' where it named none), and what it takes to sign out there, sealed.
ALTER TABLE session ADD COLUMN party TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN hint TEXT NOT NULL DEFAULT '';
CREATE INDEX session_party ON session (party);
