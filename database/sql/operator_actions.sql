-- name: add_action
-- What somebody did or tried to do.
INSERT INTO operator_actions (done_at, login, role, action, arguments, status, address, request_id)
VALUES (%(done_at)s, %(login)s, %(role)s, %(action)s, %(arguments)s::jsonb, %(status)s, %(address)s, %(request_id)s);

-- name: list_actions
-- A page of what was done, newest first.
SELECT id, done_at, login, role, action, arguments, status, address, request_id
FROM operator_actions
WHERE %(before_id)s::bigint IS NULL OR id < %(before_id)s
ORDER BY id DESC
LIMIT %(limit)s;
