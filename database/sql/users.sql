-- name: get_user
-- The login a cookie speaks of.
SELECT id, name, password_hash, role, session_version, is_active, created_at, last_login_at
FROM users WHERE id = %(id)s;

-- name: get_user_by_name
-- The login somebody claims to be.
SELECT id, name, password_hash, role, session_version, is_active, created_at, last_login_at
FROM users WHERE name = %(name)s;

-- name: list_users
-- Every login, for the operator's list.
SELECT id, name, password_hash, role, session_version, is_active, created_at, last_login_at
FROM users ORDER BY name;

-- name: add_user
-- A new login; no row comes back if the name is taken.
INSERT INTO users (name, password_hash, role) VALUES (%(name)s, %(password_hash)s, %(role)s)
ON CONFLICT (name) DO NOTHING
RETURNING id, name, password_hash, role, session_version, is_active, created_at, last_login_at;

-- name: set_password
-- Another password, which ends every session of the login.
UPDATE users SET password_hash = %(password_hash)s, session_version = session_version + 1
WHERE name = %(name)s RETURNING id;

-- name: set_active
-- Let a login in or keep it out; either way its sessions end.
UPDATE users SET is_active = %(is_active)s, session_version = session_version + 1
WHERE name = %(name)s RETURNING id;

-- name: end_sessions
-- Make every cookie of the login dead.
UPDATE users SET session_version = session_version + 1 WHERE id = %(id)s;

-- name: record_login
-- Remember when the login was last used.
UPDATE users SET last_login_at = %(now)s WHERE id = %(id)s;
