-- name: add_wave
-- The wave of signals that have come in; one that was given up, or was complete, is opened for them again.
INSERT INTO waves (wave_time, status, first_received_at, last_received_at, settles_at, needs_processing)
VALUES (%(wave_time)s, 'collecting', %(received_at)s, %(received_at)s, %(settles_at)s, true)
ON CONFLICT (wave_time) DO UPDATE
SET status = CASE waves.status WHEN 'not_found' THEN 'collecting' ELSE waves.status END,
    first_received_at = least(waves.first_received_at, excluded.first_received_at),
    last_received_at = greatest(waves.last_received_at, excluded.last_received_at),
    settles_at = excluded.settles_at, needs_processing = true, failures = 0
RETURNING xmax = 0 AS is_new;

-- name: add_wave_if_absent
-- The row that signals need before they can be stored.
INSERT INTO waves (wave_time, status, first_received_at, last_received_at, settles_at)
VALUES (%(wave_time)s, 'collecting', %(received_at)s, %(received_at)s, %(received_at)s)
ON CONFLICT (wave_time) DO NOTHING;

-- name: add_not_found
-- A wave that did not come in its window; no row comes back when it has come, or was recorded before.
INSERT INTO waves (wave_time, status) VALUES (%(wave_time)s, 'not_found')
ON CONFLICT (wave_time) DO NOTHING
RETURNING wave_time;

-- name: count_repeat
-- A wave that brought nothing new; its number of repeats.
UPDATE waves SET repeats = repeats + 1 WHERE wave_time = %(wave_time)s RETURNING repeats;

-- name: add_wave_signals
-- The signals of a wave that are not stored yet; rows come as one JSON array.
INSERT INTO wave_signals (wave_time, signal_key, signal_id, exchange_id, symbol, action, score_week, score_month, created_at,
                          filter_params, faults, warnings, raw, received_at)
SELECT wave_time, signal_key, signal_id, exchange_id, symbol, action, score_week, score_month, created_at, filter_params,
       faults, warnings, raw, received_at
FROM jsonb_populate_recordset(NULL::wave_signals, %(rows)s::jsonb)
ON CONFLICT (wave_time, coalesce(exchange_id, 0), signal_key) DO NOTHING
RETURNING wave_time, coalesce(exchange_id, 0) AS exchange_id, signal_key;

-- name: list_due_waves
-- Waves with signals that the parameters and the selection do not know yet, oldest first.
SELECT wave_time FROM waves WHERE needs_processing AND settles_at <= %(now)s ORDER BY wave_time;

-- name: lock_wave
-- A wave that still has something to process, for this transaction alone; no row when another process was faster.
SELECT wave_time, status, failures, first_received_at FROM waves
WHERE wave_time = %(wave_time)s AND needs_processing
FOR UPDATE;

-- name: list_wave_signals
-- Everything stored of a wave, as much as the decisions need.
SELECT id, signal_key, exchange_id, score_week, score_month, filter_params, faults
FROM wave_signals WHERE wave_time = %(wave_time)s ORDER BY id;

-- name: stored_versions
-- What is stored under the keys of a wave, to tell a repeat from another version.
SELECT signal_key, coalesce(exchange_id, 0) AS exchange_id, symbol, action, score_week, score_month, filter_params
FROM wave_signals WHERE wave_time = %(wave_time)s;

-- name: save_verdicts
-- What becomes of each signal; rows come as one JSON array.
UPDATE wave_signals AS held SET rank = fresh.rank, verdict = fresh.verdict, reason = fresh.reason
FROM jsonb_populate_recordset(NULL::wave_signals, %(rows)s::jsonb) AS fresh
WHERE held.id = fresh.id
  AND (held.rank, held.verdict, held.reason) IS DISTINCT FROM (fresh.rank, fresh.verdict, fresh.reason);

-- name: finish_wave
-- The wave is complete; with failures left it is tried again later.
UPDATE waves SET status = 'completed', completed_at = coalesce(completed_at, %(now)s),
    needs_processing = %(is_again)s, failures = %(failures)s, settles_at = %(settles_at)s
WHERE wave_time = %(wave_time)s;

-- name: list_waves
-- The newest waves with their counts; delays are counted from the close of the candle.
SELECT w.wave_time, w.status, w.first_received_at, w.completed_at, w.needs_processing, w.repeats, w.failures,
       extract(epoch FROM w.first_received_at - w.wave_time - interval '15 minutes')::float AS delay_seconds,
       counts.received, counts.valid, counts.selected, counts.exchanges, coalesce(changes.exchanges_changed, 0) AS changed
FROM waves w
CROSS JOIN LATERAL (
    SELECT count(*) AS received, count(*) FILTER (WHERE cardinality(faults) = 0) AS valid,
           count(*) FILTER (WHERE verdict = 'selected') AS selected, count(DISTINCT exchange_id) AS exchanges
    FROM wave_signals s WHERE s.wave_time = w.wave_time) counts
LEFT JOIN LATERAL (
    SELECT count(*) AS exchanges_changed FROM monitoring.params_history h
    WHERE h.wave_timestamp = w.wave_time AND h.superseded_at IS NULL AND cardinality(h.changed_fields) > 0) changes ON true
WHERE (%(before)s::timestamptz IS NULL OR w.wave_time < %(before)s)
ORDER BY w.wave_time DESC
LIMIT %(limit)s;

-- name: get_wave_signals
-- The signals of one wave for people, best first.
SELECT id, signal_id, exchange_id, symbol, action, score_week, score_month, created_at, received_at, filter_params, faults,
       warnings, rank, verdict, reason
FROM wave_signals WHERE wave_time = %(wave_time)s
ORDER BY exchange_id NULLS LAST, rank NULLS LAST, id;

-- name: save_feed_state
-- What the holder of the feed says of itself.
INSERT INTO wave_feed (id, state, detail, owner, since, last_heard_at, updated_at)
VALUES (1, %(state)s, %(detail)s, %(owner)s, %(since)s, %(last_heard_at)s, %(now)s)
ON CONFLICT (id) DO UPDATE SET (state, detail, owner, since, last_heard_at, updated_at) =
    (excluded.state, excluded.detail, excluded.owner, excluded.since, excluded.last_heard_at, excluded.updated_at);

-- name: get_feed_state
-- What the holder of the feed last said of itself.
SELECT state, detail, owner, since, last_heard_at, updated_at FROM wave_feed WHERE id = 1;

-- name: try_feed_lock
-- The session lock that makes this connection the only feed.
SELECT pg_try_advisory_lock(%(lock)s) AS locked;

-- name: beat
-- Is the connection that holds the lock alive?
SELECT 1 AS alive;

-- name: notify_waves
-- Tell every process that waves or parameters have changed.
SELECT pg_notify('waves', %(payload)s);

-- name: list_paths
-- Entered trades with the minutes of their path (price, running MFE and MAE in R), for a replay.
SELECT t.stream, t.trade_id, t.symbol, t.direction, t.entry_time, t.entry_price, t.risk_distance, t.status, t.exit_at,
       t.no_be_result_r, path.minutes
FROM trade_states t
CROSS JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_array(a.current_price, greatest(a.no_be_mfe, a.be_mfe), a.mae_global_r) ORDER BY a.slot)
           AS minutes
    FROM automated_signals a
    WHERE a.stream = t.stream AND a.trade_id = t.trade_id AND a.event_type = 'MFE_UPDATE' AND a.revoked_at IS NULL) path
WHERE t.stream = %(stream)s AND t.entry_time >= %(since)s AND t.entry_time < %(until)s
  AND NOT t.flags @> ARRAY['phantom']
ORDER BY t.entry_time DESC, t.trade_id
LIMIT %(limit)s;

-- name: list_signals_between
-- Valid wave signals received in a span, for a replay.
SELECT wave_time, exchange_id, symbol, action, rank, received_at
FROM wave_signals
WHERE received_at >= %(since)s AND received_at < %(until)s AND cardinality(faults) = 0 AND rank IS NOT NULL
ORDER BY received_at, wave_time, exchange_id, rank
LIMIT %(limit)s;
