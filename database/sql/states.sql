-- name: add_states
-- A row for each signal that has none yet and is not deleted, in the order of the keys, so that two writers never wait for
-- each other crosswise.
INSERT INTO trade_states (stream, trade_id)
SELECT stream, trade_id
FROM unnest(%(streams)s::text[], %(trade_ids)s::text[]) AS wanted (stream, trade_id)
WHERE NOT EXISTS (SELECT FROM deleted_signals d
                  WHERE d.stream = wanted.stream AND d.trade_id = wanted.trade_id AND d.restored_at IS NULL)
ORDER BY stream, trade_id
ON CONFLICT DO NOTHING;

-- name: lock_states
-- The facts of these signals, locked in the order of the keys.
SELECT stream, trade_id, facts
FROM trade_states
WHERE (stream, trade_id) IN (SELECT * FROM unnest(%(streams)s::text[], %(trade_ids)s::text[]))
ORDER BY stream, trade_id
FOR UPDATE;

-- name: hold_deleted
-- Which of these signals are deleted, kept so until the transaction ends.
SELECT stream, trade_id FROM deleted_signals
WHERE restored_at IS NULL AND (stream, trade_id) IN (SELECT * FROM unnest(%(streams)s::text[], %(trade_ids)s::text[]))
ORDER BY stream, trade_id
FOR SHARE;

-- name: save_states
-- Facts and everything derived from them; rows come as one JSON array.
UPDATE trade_states AS held SET
    (
     facts, status, direction, symbol, timeframe, bias, session, session_label, signal_time, signal_time_from,
     signal_date, signal_time_ny, created_at, entry_time, confirmation_time, confirmation_time_from,
     bars_to_confirmation, be_triggered_at, be_exit_at, exit_at, exit_kind, exit_price, cancelled_at, cancel_reason,
     cancelled_by, bars_pending, entry_price, stop_loss, risk_distance, targets, targets_extended, be_mfe_r,
     no_be_mfe_r, mae_r, last_mfe_slot, be_result_r, no_be_result_r, setup, market_state, htf_alignment,
     htf_computed, flags, first_received_at, last_received_at, last_kind, sources, confidence, updated_at) =
    (
     fresh.facts, fresh.status, fresh.direction, fresh.symbol, fresh.timeframe, fresh.bias, fresh.session,
     fresh.session_label, fresh.signal_time, fresh.signal_time_from, fresh.signal_date, fresh.signal_time_ny,
     fresh.created_at, fresh.entry_time, fresh.confirmation_time, fresh.confirmation_time_from,
     fresh.bars_to_confirmation, fresh.be_triggered_at, fresh.be_exit_at, fresh.exit_at, fresh.exit_kind,
     fresh.exit_price, fresh.cancelled_at, fresh.cancel_reason, fresh.cancelled_by, fresh.bars_pending,
     fresh.entry_price, fresh.stop_loss, fresh.risk_distance, fresh.targets, fresh.targets_extended, fresh.be_mfe_r,
     fresh.no_be_mfe_r, fresh.mae_r, fresh.last_mfe_slot, fresh.be_result_r, fresh.no_be_result_r, fresh.setup,
     fresh.market_state, fresh.htf_alignment, fresh.htf_computed, fresh.flags, fresh.first_received_at,
     fresh.last_received_at, fresh.last_kind, fresh.sources, fresh.confidence, now())
FROM jsonb_populate_recordset(NULL::trade_states, %(rows)s::jsonb) AS fresh
WHERE held.stream = fresh.stream AND held.trade_id = fresh.trade_id;

-- name: notify_signals
-- Tell every process which signals have changed.
SELECT pg_notify('signals', %(payload)s::text);

-- name: delete_states
-- Before a rebuild.
DELETE FROM trade_states;

-- name: all_facts
-- Every signal's facts, for a hash over all states.
SELECT stream, trade_id, facts FROM trade_states WHERE (%(stream)s::text IS NULL OR stream = %(stream)s)
ORDER BY stream, trade_id;

-- name: facts_beyond_proof
-- Facts of signals that began while bodies are kept no longer: what repeats among those said cannot be read again.
SELECT stream, trade_id, facts FROM trade_states
WHERE first_received_at <= (SELECT max(received_at) FROM telemetry_automated_signals_log
                            WHERE raw_body IS NULL AND receipt_id IS NOT NULL AND source IN ('webhook', 'import'));

-- name: list_unfolded
-- Signals of an older table that have events but no state yet, the deleted ones left out.
SELECT DISTINCT stream, trade_id FROM automated_signals a
WHERE NOT EXISTS (SELECT 1 FROM trade_states t WHERE t.stream = a.stream AND t.trade_id = a.trade_id)
  AND NOT EXISTS (SELECT 1 FROM deleted_signals d
                  WHERE d.stream = a.stream AND d.trade_id = a.trade_id AND d.restored_at IS NULL)
ORDER BY stream, trade_id
LIMIT %(limit)s;

-- name: list_keys
-- A page of signals in the order asked for, by keyset; values are client-side literals, so every CASE folds away in the planner,
-- and with it the join to the health scores wherever they are not what is sorted by.
SELECT page.stream, page.trade_id
FROM unnest(%(streams)s::text[]) AS wanted (stream)
CROSS JOIN LATERAL (
    SELECT stream, trade_id, at, value
    FROM (SELECT t.*,
                 CASE %(sort)s::text WHEN 'signal' THEN signal_time WHEN 'entered' THEN entry_time
                                     WHEN 'ended' THEN coalesce(exit_at, cancelled_at) END AS at,
                 CASE %(sort)s::text WHEN 'no_be_mfe' THEN no_be_mfe_r WHEN 'be_mfe' THEN be_mfe_r
                                     WHEN 'mae' THEN mae_r WHEN 'health' THEN health_score END AS value
          FROM trade_states AS t
          LEFT JOIN signal_health_metrics AS h ON h.stream = t.stream AND h.trade_id = t.trade_id) AS state
    WHERE stream = wanted.stream
      AND (%(statuses)s::text[] IS NULL OR status = ANY(%(statuses)s))
      AND (%(sessions)s::text[] IS NULL OR session = ANY(%(sessions)s))
      AND (%(direction)s::text IS NULL OR direction = %(direction)s)
      AND (%(since)s::timestamptz IS NULL OR signal_time >= %(since)s)
      AND (%(until)s::timestamptz IS NULL OR signal_time < %(until)s)
      AND (%(text)s::text IS NULL
           OR strpos(lower(trade_id COLLATE "C"), lower(%(text)s)) > 0
           OR strpos(lower(symbol COLLATE "C"), lower(%(text)s)) > 0)
      AND CASE WHEN %(is_unknown)s::boolean THEN at IS NULL AND value IS NULL ELSE at IS NOT NULL OR value IS NOT NULL END
      AND CASE WHEN %(after_id)s::text IS NULL THEN true
               WHEN %(after_at)s::timestamptz IS NOT NULL AND %(is_rising)s::boolean
               THEN (at, trade_id, stream) > (%(after_at)s::timestamptz, %(after_id)s::text, %(after_stream)s::text)
               WHEN %(after_at)s::timestamptz IS NOT NULL
               THEN (at, trade_id, stream) < (%(after_at)s::timestamptz, %(after_id)s::text, %(after_stream)s::text)
               WHEN %(after_value)s::numeric IS NOT NULL AND %(is_rising)s::boolean
               THEN (value, trade_id, stream) > (%(after_value)s::numeric, %(after_id)s::text, %(after_stream)s::text)
               WHEN %(after_value)s::numeric IS NOT NULL
               THEN (value, trade_id, stream) < (%(after_value)s::numeric, %(after_id)s::text, %(after_stream)s::text)
               WHEN %(is_rising)s::boolean THEN (trade_id, stream) > (%(after_id)s::text, %(after_stream)s::text)
               ELSE (trade_id, stream) < (%(after_id)s::text, %(after_stream)s::text) END
    ORDER BY CASE WHEN %(is_rising)s::boolean THEN at END ASC NULLS FIRST,
             CASE WHEN NOT %(is_rising)s::boolean THEN at END DESC NULLS LAST,
             CASE WHEN %(is_rising)s::boolean THEN value END ASC, CASE WHEN NOT %(is_rising)s::boolean THEN value END DESC,
             CASE WHEN %(is_rising)s::boolean THEN trade_id END ASC, CASE WHEN NOT %(is_rising)s::boolean THEN trade_id END DESC
    LIMIT %(limit)s) AS page
ORDER BY CASE WHEN %(is_rising)s::boolean THEN at END ASC NULLS FIRST,
         CASE WHEN NOT %(is_rising)s::boolean THEN at END DESC NULLS LAST,
         CASE WHEN %(is_rising)s::boolean THEN value END ASC, CASE WHEN NOT %(is_rising)s::boolean THEN value END DESC,
         CASE WHEN %(is_rising)s::boolean THEN trade_id END ASC, CASE WHEN NOT %(is_rising)s::boolean THEN trade_id END DESC,
         CASE WHEN %(is_rising)s::boolean THEN page.stream END ASC,
         CASE WHEN NOT %(is_rising)s::boolean THEN page.stream END DESC
LIMIT %(limit)s;

-- name: list_rows
-- What a list shows of these signals, in the order in which they are named.
SELECT t.stream, t.trade_id, status, direction, symbol, timeframe, session, session_label, signal_time, signal_time_from, entry_time,
       exit_at, exit_kind, coalesce(exit_at, cancelled_at) AS ended_at, cancelled_at, cancel_reason, cancelled_by, bars_pending,
       be_exit_at, entry_price, stop_loss, risk_distance, be_mfe_r, no_be_mfe_r, mae_r, be_result_r, no_be_result_r, last_kind,
       last_received_at, flags, confirmation_time, confirmation_time_from, bars_to_confirmation, htf_alignment, htf_computed,
       h.health_score, h.gap_flags -> 'gaps' AS gaps
FROM unnest(%(streams)s::text[], %(trade_ids)s::text[]) WITH ORDINALITY AS wanted (stream, trade_id, place)
JOIN trade_states AS t ON t.stream = wanted.stream AND t.trade_id = wanted.trade_id
LEFT JOIN signal_health_metrics AS h ON h.stream = t.stream AND h.trade_id = t.trade_id
ORDER BY place;

-- name: count_states
-- How many signals of a selection stand where; phantoms are not counted.
SELECT status, count(*) AS total FROM trade_states
WHERE stream = ANY(%(streams)s) AND NOT flags @> ARRAY['phantom']
  AND (%(statuses)s::text[] IS NULL OR status = ANY(%(statuses)s))
  AND (%(sessions)s::text[] IS NULL OR session = ANY(%(sessions)s))
  AND (%(direction)s::text IS NULL OR direction = %(direction)s)
  AND (%(since)s::timestamptz IS NULL OR signal_time >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR signal_time < %(until)s)
  AND (%(text)s::text IS NULL
       OR strpos(lower(trade_id COLLATE "C"), lower(%(text)s)) > 0
       OR strpos(lower(symbol COLLATE "C"), lower(%(text)s)) > 0)
GROUP BY status;

-- name: list_streams
-- The streams that have signals, by jumping through the primary key instead of reading every row.
WITH RECURSIVE found AS (
    (SELECT stream FROM trade_states ORDER BY stream LIMIT 1)
    UNION ALL
    SELECT (SELECT stream FROM trade_states WHERE stream > found.stream ORDER BY stream LIMIT 1)
    FROM found WHERE found.stream IS NOT NULL
)
SELECT stream FROM found WHERE stream IS NOT NULL;

-- name: get_neighbours
-- The signals just before and after one in its stream, by signal time.
SELECT (SELECT trade_id FROM trade_states
        WHERE stream = %(stream)s::text
          AND (signal_time, trade_id) < (%(signal_time)s::timestamptz, %(trade_id)s::text)
        ORDER BY signal_time DESC NULLS LAST, trade_id DESC LIMIT 1) AS earlier,
       (SELECT trade_id FROM trade_states
        WHERE stream = %(stream)s::text
          AND (signal_time, trade_id) > (%(signal_time)s::timestamptz, %(trade_id)s::text)
        ORDER BY signal_time ASC NULLS FIRST, trade_id ASC LIMIT 1) AS later;

-- name: get_states
-- The state of a trade id, in one stream or in every one that has it, with its health.
SELECT t.*, h.health_score, h.gap_flags -> 'gaps' AS gaps
FROM trade_states AS t
LEFT JOIN signal_health_metrics AS h ON h.stream = t.stream AND h.trade_id = t.trade_id
WHERE t.trade_id = %(trade_id)s AND (%(stream)s::text IS NULL OR t.stream = %(stream)s)
ORDER BY t.stream;
