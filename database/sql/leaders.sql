-- name: try_lock
-- The session lock of a leader; it ends with the connection.
SELECT pg_try_advisory_lock(%(lock)s, %(key)s) AS locked;

-- name: take_lead
-- A new epoch for a new leader; waits for the last write of the old one.
INSERT INTO leaders AS held (name, epoch, owner) VALUES (%(name)s, 1, %(owner)s)
ON CONFLICT (name) DO UPDATE SET epoch = held.epoch + 1, owner = excluded.owner, since = now()
RETURNING epoch;

-- name: prove_lead
-- The fence of a leader's transaction: a row only while its epoch is the newest, and no other can begin meanwhile.
SELECT 1 AS leads FROM leaders WHERE name = %(name)s AND epoch = %(epoch)s FOR SHARE;

-- name: beat
-- A sign of life on the lock's connection.
SELECT 1 AS alive;

-- name: end_stale_leader
-- End the session that holds the lock if it has sent nothing for so many seconds: its process is frozen.
SELECT pg_terminate_backend(pid, 2000) AS ended
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND classid = %(lock)s AND objid = %(key)s AND objsubid = 2 AND granted
  AND datname = current_database() AND pid <> pg_backend_pid()
  AND greatest(query_start, state_change) < clock_timestamp() - make_interval(secs => %(stale_seconds)s);
