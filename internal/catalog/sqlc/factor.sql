-- name: TakeStep :exec
UPDATE account SET step = $2 WHERE id = $1;

-- name: SeeSignIn :exec
UPDATE account SET signed_in = $2 WHERE id = $1;

-- name: SetFactor :exec
-- SetFactor gives an account a second factor, or takes it.
UPDATE account SET factor = $2, factored = $3, step = $4 WHERE id = $1;

-- name: OfferFactor :execrows
UPDATE session SET offer = $3, offered = $4 WHERE account = $1 AND id = $2;

-- name: TakeOffer :execrows
-- TakeOffer ends a session by its offer, where that is still the one that was compared.
DELETE FROM session WHERE account = $1 AND id = $2 AND offer = $3 AND offer <> '';

-- name: InsertRecoveryCode :exec
INSERT INTO recovery_code (account, hash) VALUES ($1, $2);

-- name: TakeRecoveryCode :execrows
DELETE FROM recovery_code WHERE account = $1 AND hash = $2;

-- name: RemoveRecoveryCodes :exec
DELETE FROM recovery_code WHERE account = $1;

-- name: CountRecoveryCodes :one
SELECT count(*) FROM recovery_code WHERE account = $1;
