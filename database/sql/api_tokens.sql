-- name: add_token
-- A new API token, by its hash only.
INSERT INTO api_tokens (token_hash, token_end, name, role, created_by)
VALUES (%(token_hash)s, %(token_end)s, %(name)s, %(role)s, %(created_by)s)
RETURNING id;

-- name: get_token
-- Who speaks with this token, if it is still good.
SELECT id, name, role FROM api_tokens WHERE token_hash = %(token_hash)s AND revoked_at IS NULL;

-- name: list_tokens
-- Every API token that was ever made, newest first.
SELECT id, token_end, name, role, created_at, created_by, revoked_at
FROM api_tokens
ORDER BY created_at DESC, id DESC;

-- name: revoke_token
-- End one API token at once.
UPDATE api_tokens SET revoked_at = %(now)s WHERE id = %(id)s AND revoked_at IS NULL RETURNING id;
