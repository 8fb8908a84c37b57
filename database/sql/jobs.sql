-- name: last_slot
-- The newest slot of a job that has a row; NULL before its first.
SELECT max(slot) AS slot FROM job_runs WHERE job = %(job)s;

-- name: unfinished_slots
-- Slots of a job whose run may have died, oldest first: all that say running, and abandoned ones that may start again.
SELECT slot FROM job_runs
WHERE job = %(job)s AND (status = 'running' OR (status = 'abandoned' AND slot >= %(oldest)s))
ORDER BY slot;

-- name: save_missed
-- One row for each slot that was never run and never will be.
INSERT INTO job_runs (job, slot, status, owner, finished_at, message)
SELECT %(job)s, slot, 'missed', %(owner)s, now(), 'later than its grace'
FROM unnest(%(slots)s::timestamptz[]) AS slot
ON CONFLICT (job, slot) DO NOTHING
RETURNING slot;

-- name: try_lock
-- The session lock that makes this connection the job's only runner.
SELECT pg_try_advisory_lock(%(lock)s, %(key)s) AS locked;

-- name: unlock
-- Free at once: a connection that is closed keeps its locks until the server has noticed.
SELECT pg_advisory_unlock_all();

-- name: end_stale_holder
-- End the session that holds the job's lock if it has not sent anything for so many seconds: its process is frozen.
SELECT pg_terminate_backend(pid, %(wait_ms)s) AS ended
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND classid = %(lock)s AND objid = %(key)s AND objsubid = 2 AND granted
  AND datname = current_database() AND pid <> pg_backend_pid()
  AND greatest(query_start, state_change) < clock_timestamp() - make_interval(secs => %(stale_seconds)s);

-- name: end_leftovers
-- End transactions of an earlier run of the job, which has lost the lock that the caller now holds.
SELECT pg_terminate_backend(pid, %(wait_ms)s) AS ended
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND classid = %(fence)s AND objid = %(key)s AND objsubid = 2 AND granted
  AND datname = current_database() AND pid <> pg_backend_pid();

-- name: abandon_running
-- Whoever holds the job's lock knows that rows still saying running belong to the dead; waits for their last commit.
UPDATE job_runs SET status = 'abandoned', finished_at = now(), message = 'its runner is gone'
WHERE job = %(job)s AND status = 'running'
RETURNING slot, owner, attempt;

-- name: claim_slot
-- Take a slot that has no row, or one whose runner died; no row comes back when the slot is done.
INSERT INTO job_runs (job, slot, status, owner) VALUES (%(job)s, %(slot)s, 'running', %(owner)s)
ON CONFLICT (job, slot) DO UPDATE
SET status = 'running', owner = excluded.owner, attempt = job_runs.attempt + 1, started_at = now(),
    finished_at = NULL, message = ''
WHERE job_runs.status = 'abandoned'
RETURNING id, attempt;

-- name: prove_claim
-- The fence of a job's transaction: a row only while this run owns its slot; a take-over waits for, or ends, the holder.
SELECT pg_advisory_xact_lock_shared(%(fence)s, %(key)s)
FROM job_runs
WHERE id = %(run_id)s AND attempt = %(attempt)s AND status = 'running'
FOR SHARE;

-- name: beat
-- A sign of life on the lock's connection.
SELECT 1 AS alive;

-- name: finish_run
-- Record the end of a run, if the slot is still this run's.
UPDATE job_runs
SET status = %(status)s, finished_at = now(), counts = %(counts)s::jsonb, message = %(message)s
WHERE id = %(run_id)s AND attempt = %(attempt)s AND status = 'running'
RETURNING id;

-- name: last_successes
-- When each of these jobs last succeeded, anywhere.
SELECT job, max(finished_at) AS finished_at FROM job_runs
WHERE status = 'succeeded' AND job = ANY (%(jobs)s::text[])
GROUP BY job;

-- name: delete_old_runs
-- Forget old runs, but never a job's newest row (slots are counted from it) nor its last success.
DELETE FROM job_runs AS old
WHERE old.slot < %(before)s AND old.status <> 'running'
  AND EXISTS (SELECT FROM job_runs AS newer WHERE newer.job = old.job AND newer.slot > old.slot)
  AND (old.status <> 'succeeded' OR EXISTS (
        SELECT FROM job_runs AS newer
        WHERE newer.job = old.job AND newer.slot > old.slot AND newer.status = 'succeeded'));
