-- name: lock_alarms
-- Everything that is held, so that two passes cannot tell the same thing twice.
SELECT cause, rule, severity, is_raised, seen_at, raised_at, detail, updated_at FROM alarms ORDER BY cause FOR UPDATE;

-- name: list_raised
-- What is wrong now, worst and oldest first.
SELECT cause, rule, severity, raised_at, detail, updated_at FROM alarms
WHERE is_raised ORDER BY severity, raised_at, cause;

-- name: save_alarms
-- What was seen in this pass; rows come as one JSON array.
INSERT INTO alarms (cause, rule, severity, is_raised, seen_at, raised_at, detail, updated_at)
SELECT cause, rule, severity, is_raised, seen_at, raised_at, detail, %(now)s
FROM jsonb_populate_recordset(NULL::alarms, %(rows)s::jsonb)
ON CONFLICT (cause) DO UPDATE SET
    (severity, is_raised, seen_at, raised_at, detail, updated_at) =
    (excluded.severity, excluded.is_raised, excluded.seen_at, excluded.raised_at, excluded.detail, excluded.updated_at);

-- name: delete_alarms
-- These causes are gone.
DELETE FROM alarms WHERE cause = ANY(%(causes)s::text[]);

-- name: add_notices
-- What has to be said about them; rows come as one JSON array.
INSERT INTO alarm_notices (cause, rule, kind, severity, at, detail, delivery, delivered_at)
SELECT cause, rule, kind, severity, at, detail, coalesce(delivery, 'pending'), delivered_at
FROM jsonb_populate_recordset(NULL::alarm_notices, %(rows)s::jsonb);

-- name: list_pending
-- What has not been sent yet, oldest first.
SELECT id, cause, rule, kind, severity, at, detail, attempts FROM alarm_notices
WHERE delivery = 'pending' ORDER BY id LIMIT %(limit)s;

-- name: save_delivery
-- What became of one notice.
UPDATE alarm_notices SET delivery = %(delivery)s, attempts = attempts + 1, delivered_at = %(delivered_at)s
WHERE id = %(id)s;

-- name: list_notices
-- The last that was said, newest first.
SELECT id, cause, rule, kind, severity, at, detail, delivery, attempts, delivered_at FROM alarm_notices
ORDER BY at DESC, id DESC LIMIT %(limit)s;

-- name: listen_to_streams
-- Streams with a valid token: when each was last heard, how often it fired lately, and trades its last alerts spoke of.
SELECT wanted.stream, heard.received_at AS last_at, fired.fires, followed.trades
FROM (SELECT DISTINCT stream FROM webhook_tokens
      WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > %(now)s)) AS wanted
CROSS JOIN LATERAL (
    SELECT received_at FROM telemetry_automated_signals_log AS log
    WHERE log.stream = wanted.stream AND log.source = 'webhook' AND log.received_at <= %(now)s
      AND log.content_type IS DISTINCT FROM %(test)s
    ORDER BY received_at DESC, id DESC LIMIT 1) AS heard
CROSS JOIN LATERAL (
    SELECT count(*) AS fires FROM telemetry_automated_signals_log AS log
    WHERE log.stream = wanted.stream AND log.source = 'webhook' AND log.duplicate_of IS NULL
      AND log.content_type IS DISTINCT FROM %(test)s
      AND log.received_at > %(now)s::timestamptz - interval '3 minutes' AND log.received_at <= %(now)s) AS fired
CROSS JOIN LATERAL (
    SELECT count(*) AS trades FROM trade_states AS held
    WHERE held.stream = wanted.stream AND held.status IN ('ACTIVE', 'BE_PROTECTED', 'BE_EXITED')
      AND held.last_received_at > heard.received_at - interval '2 minutes') AS followed
ORDER BY wanted.stream;

-- name: listen_to_kinds
-- Which kinds of alert each stream sent lately, on how many days, and when last.
SELECT stream, coalesce(fused_event ->> 'event_type', raw_payload ->> 'event_type') AS kind,
       max(received_at) AS last_at, count(DISTINCT (received_at AT TIME ZONE 'America/New_York')::date) AS days
FROM telemetry_automated_signals_log
WHERE source = 'webhook' AND received_at > %(since)s AND received_at <= %(now)s AND stream = ANY(%(streams)s::text[])
  AND status <> 'quarantined'
GROUP BY 1, 2
HAVING coalesce(fused_event ->> 'event_type', raw_payload ->> 'event_type') IS NOT NULL
ORDER BY 1, 2;

-- name: newest_bars
-- The newest bar of the smallest timeframe in minutes of each active contract that has bars of it.
SELECT c.contract_id, smallest.timeframe_value AS minutes, newest.at AS last_at
FROM contracts AS c
CROSS JOIN LATERAL (
    SELECT frame FROM generate_series(1, 59) AS frame
    WHERE EXISTS (SELECT FROM ohlc_bars AS bar WHERE bar.contract_id = c.contract_id AND bar.timeframe_unit = 2
                  AND bar.timeframe_value = frame)
    ORDER BY frame LIMIT 1) AS smallest (timeframe_value)
CROSS JOIN LATERAL (
    SELECT max("timestamp") AS at FROM ohlc_bars AS bar
    WHERE bar.contract_id = c.contract_id AND bar.timeframe_unit = 2
      AND bar.timeframe_value = smallest.timeframe_value) AS newest
WHERE c.is_active AND c.contract_id = ANY(%(contract_ids)s::text[])
ORDER BY 1;

-- name: add_drill
-- A rehearsal and what came of it.
INSERT INTO drills (kind, started_at, finished_at, is_passed, figures)
VALUES (%(kind)s, %(started_at)s, %(finished_at)s, %(is_passed)s, %(figures)s::jsonb);

-- name: last_drills
-- The last rehearsal of each kind.
SELECT DISTINCT ON (kind) kind, started_at, finished_at, is_passed, figures
FROM drills ORDER BY kind, started_at DESC, id DESC;

-- name: save_report
-- What a process says of its journal and its disk, in place of what it said before.
INSERT INTO process_reports (owner, said_at, journal_ok, pending, oldest_age_seconds, is_persistent, disk_free)
VALUES (%(owner)s, %(said_at)s, %(journal_ok)s, %(pending)s, %(oldest_age_seconds)s, %(is_persistent)s, %(disk_free)s)
ON CONFLICT (owner) DO UPDATE SET
    (said_at, journal_ok, pending, oldest_age_seconds, is_persistent, disk_free) =
    (excluded.said_at, excluded.journal_ok, excluded.pending, excluded.oldest_age_seconds, excluded.is_persistent,
     excluded.disk_free);

-- name: delete_old_reports
-- Processes that ended long ago without a word.
DELETE FROM process_reports WHERE said_at < %(before)s;

-- name: list_reports
-- What the other processes have said lately.
SELECT owner, journal_ok, pending, oldest_age_seconds, is_persistent, disk_free FROM process_reports
WHERE said_at > %(since)s AND owner <> %(but)s ORDER BY owner;
