-- +goose Up

-- From where accounts were signed in to: read at each sign-in.
CREATE INDEX audit_known ON audit (user_id, address) WHERE what = 'sign_in';
