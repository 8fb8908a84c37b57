-- name: get_second_factor
-- The second factor of a login, proposed or in force.
SELECT totp_secret, totp_confirmed_at, totp_last_step FROM users WHERE id = %(id)s;

-- name: propose_second_factor
-- A new secret, which counts once a code of it was shown; one in force stays.
UPDATE users SET totp_secret = %(secret)s, totp_last_step = 0 WHERE id = %(id)s AND totp_confirmed_at IS NULL RETURNING id;

-- name: confirm_second_factor
-- From now on a login needs a code. The other sessions of the login end.
UPDATE users SET totp_confirmed_at = %(now)s, totp_last_step = %(step)s, session_version = session_version + 1
WHERE id = %(id)s AND totp_secret IS NOT NULL AND totp_confirmed_at IS NULL
RETURNING id;

-- name: use_code
-- Use up the code of a step; no row comes back if it, or a later one, was used before.
UPDATE users SET totp_last_step = %(step)s WHERE id = %(id)s AND totp_last_step < %(step)s RETURNING id;

-- name: remove_second_factor
-- The login needs no code any more; its sessions end.
UPDATE users SET totp_secret = NULL, totp_confirmed_at = NULL, totp_last_step = 0, session_version = session_version + 1
WHERE name = %(name)s RETURNING id;
