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
-- End the session that holds the lock if it has sent nothing for so many seconds: its process is frozen. A transaction
-- that the process was frozen in ends too, since a new leader's epoch would wait for it.
SELECT pg_terminate_backend(other.pid, 2000) AS ended
FROM pg_locks JOIN pg_stat_activity AS leader USING (pid)
JOIN pg_stat_activity AS other ON other.pid = leader.pid
  OR (other.datname = leader.datname AND other.state LIKE 'idle in transaction%%'
      AND split_part(other.application_name, ' ', 3) = split_part(leader.application_name, ' ', 3)
      AND other.state_change < clock_timestamp() - make_interval(secs => %(stale_seconds)s))
WHERE locktype = 'advisory' AND classid = %(lock)s AND objid = %(key)s AND objsubid = 2 AND granted
  AND leader.datname = current_database() AND leader.pid <> pg_backend_pid()
  AND greatest(leader.query_start, leader.state_change) < clock_timestamp() - make_interval(secs => %(stale_seconds)s);
