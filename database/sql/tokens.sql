-- name: add_token
-- A new webhook token, by its hash only.
INSERT INTO webhook_tokens (token_hash, token_end, stream, created_by)
VALUES (%(token_hash)s, %(token_end)s, %(stream)s, %(created_by)s)
ON CONFLICT (token_hash) DO NOTHING
RETURNING id;

-- name: list_tokens
-- Every token that was ever made, newest first, for the operator's list.
SELECT id, token_end, stream, created_at, created_by, expires_at, revoked_at
FROM webhook_tokens
ORDER BY created_at DESC, id DESC;

-- name: list_valid_tokens
-- What the door accepts now: hash and stream.
SELECT token_hash, stream, expires_at
FROM webhook_tokens
WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > %(now)s);

-- name: expire_tokens
-- Let the stream's valid tokens end at a given time, so that old and new overlap during a rotation.
UPDATE webhook_tokens SET expires_at = %(expires_at)s
WHERE stream = %(stream)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > %(expires_at)s)
RETURNING id;

-- name: revoke_token
-- End one token at once.
UPDATE webhook_tokens SET revoked_at = %(now)s WHERE id = %(id)s AND revoked_at IS NULL RETURNING id;

-- name: notify_tokens
-- Tell every process to read the tokens again.
SELECT pg_notify('webhook_tokens', '');

-- name: lock_first_start
-- One process at a time makes the first login and token.
SELECT pg_advisory_xact_lock(%(key)s);
