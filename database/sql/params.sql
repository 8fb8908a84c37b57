-- name: get_params
-- The latest parameters of one exchange.
SELECT * FROM monitoring.params WHERE exchange_id = %(exchange_id)s;

-- name: get_all_params
-- The latest parameters of every exchange.
SELECT * FROM monitoring.params ORDER BY exchange_id;

-- name: add_exchanges
-- A row for each exchange that has none yet.
INSERT INTO monitoring.params (exchange_id)
SELECT exchange_id FROM unnest(%(exchange_ids)s::integer[]) AS exchange_id ORDER BY exchange_id
ON CONFLICT DO NOTHING;

-- name: lock_params
-- The latest parameters of these exchanges, locked in their order.
SELECT * FROM monitoring.params WHERE exchange_id = ANY (%(exchange_ids)s::integer[]) ORDER BY exchange_id FOR NO KEY UPDATE;

-- name: update_params
-- Set the fields that are named; rows come as one JSON array of {exchange_id, fields}, a null takes a value away.
UPDATE monitoring.params AS held SET
    max_trades_filter = CASE WHEN fields ? 'max_trades_filter' THEN (fields ->> 'max_trades_filter')::integer
                        ELSE max_trades_filter END,
    stop_loss_filter = CASE WHEN fields ? 'stop_loss_filter' THEN (fields ->> 'stop_loss_filter')::numeric
                       ELSE stop_loss_filter END,
    trailing_activation_filter = CASE WHEN fields ? 'trailing_activation_filter'
                                 THEN (fields ->> 'trailing_activation_filter')::numeric ELSE trailing_activation_filter END,
    trailing_distance_filter = CASE WHEN fields ? 'trailing_distance_filter'
                               THEN (fields ->> 'trailing_distance_filter')::numeric ELSE trailing_distance_filter END,
    score_week_filter = CASE WHEN fields ? 'score_week_filter' THEN (fields ->> 'score_week_filter')::numeric
                        ELSE score_week_filter END,
    score_month_filter = CASE WHEN fields ? 'score_month_filter' THEN (fields ->> 'score_month_filter')::numeric
                         ELSE score_month_filter END
FROM jsonb_to_recordset(%(rows)s::jsonb) AS fresh (exchange_id integer, fields jsonb)
WHERE held.exchange_id = fresh.exchange_id
RETURNING held.exchange_id;

-- name: history_around
-- What the waves before, at and after one hold of these exchanges: the newest value of each field, each found by index.
WITH believed AS NOT MATERIALIZED (
    SELECT * FROM monitoring.params_history WHERE superseded_at IS NULL
)
SELECT e.exchange_id, place,
       (SELECT wave_signal_id FROM believed h
        WHERE h.exchange_id = e.exchange_id AND wave_timestamp = %(wave_time)s AND place = 0) AS wave_signal_id,
       (SELECT max_trades_filter FROM believed h
        WHERE h.exchange_id = e.exchange_id AND wave_timestamp >= low AND wave_timestamp < high
          AND max_trades_filter IS NOT NULL ORDER BY wave_timestamp DESC LIMIT 1) AS max_trades_filter,
       (SELECT stop_loss_filter FROM believed h
        WHERE h.exchange_id = e.exchange_id AND wave_timestamp >= low AND wave_timestamp < high
          AND stop_loss_filter IS NOT NULL ORDER BY wave_timestamp DESC LIMIT 1) AS stop_loss_filter,
       (SELECT trailing_activation_filter FROM believed h
        WHERE h.exchange_id = e.exchange_id AND wave_timestamp >= low AND wave_timestamp < high
          AND trailing_activation_filter IS NOT NULL ORDER BY wave_timestamp DESC LIMIT 1) AS trailing_activation_filter,
       (SELECT trailing_distance_filter FROM believed h
        WHERE h.exchange_id = e.exchange_id AND wave_timestamp >= low AND wave_timestamp < high
          AND trailing_distance_filter IS NOT NULL ORDER BY wave_timestamp DESC LIMIT 1) AS trailing_distance_filter,
       (SELECT score_week_filter FROM believed h
        WHERE h.exchange_id = e.exchange_id AND wave_timestamp >= low AND wave_timestamp < high
          AND score_week_filter IS NOT NULL ORDER BY wave_timestamp DESC LIMIT 1) AS score_week_filter,
       (SELECT score_month_filter FROM believed h
        WHERE h.exchange_id = e.exchange_id AND wave_timestamp >= low AND wave_timestamp < high
          AND score_month_filter IS NOT NULL ORDER BY wave_timestamp DESC LIMIT 1) AS score_month_filter
FROM unnest(%(exchange_ids)s::integer[]) AS e (exchange_id)
CROSS JOIN (VALUES (-1, '-infinity'::timestamptz, %(wave_time)s::timestamptz),
                   (0, %(wave_time)s::timestamptz, %(wave_time)s::timestamptz + interval '1 microsecond'),
                   (1, %(wave_time)s::timestamptz + interval '1 microsecond', 'infinity'::timestamptz))
    AS span (place, low, high)
WHERE EXISTS (SELECT FROM believed h
              WHERE h.exchange_id = e.exchange_id AND wave_timestamp >= low AND wave_timestamp < high);

-- name: params_as_of
-- The parameters that held at `at`, by what was known at `known_at`: of waves whose candle had closed, the newest value.
WITH known AS NOT MATERIALIZED (
    SELECT * FROM monitoring.params_history
    WHERE wave_timestamp <= %(at)s::timestamptz - interval '15 minutes' AND changed_at <= %(known_at)s
      AND (superseded_at IS NULL OR superseded_at > %(known_at)s)
)
SELECT * FROM (
    SELECT e.exchange_id,
           (SELECT max(wave_timestamp) FROM known h WHERE h.exchange_id = e.exchange_id) AS wave_time,
           (SELECT max_trades_filter FROM known h WHERE h.exchange_id = e.exchange_id
              AND max_trades_filter IS NOT NULL ORDER BY wave_timestamp DESC LIMIT 1) AS max_trades_filter,
           (SELECT stop_loss_filter FROM known h WHERE h.exchange_id = e.exchange_id
              AND stop_loss_filter IS NOT NULL ORDER BY wave_timestamp DESC LIMIT 1) AS stop_loss_filter,
           (SELECT trailing_activation_filter FROM known h WHERE h.exchange_id = e.exchange_id
              AND trailing_activation_filter IS NOT NULL ORDER BY wave_timestamp DESC LIMIT 1) AS trailing_activation_filter,
           (SELECT trailing_distance_filter FROM known h WHERE h.exchange_id = e.exchange_id
              AND trailing_distance_filter IS NOT NULL ORDER BY wave_timestamp DESC LIMIT 1) AS trailing_distance_filter,
           (SELECT score_week_filter FROM known h WHERE h.exchange_id = e.exchange_id
              AND score_week_filter IS NOT NULL ORDER BY wave_timestamp DESC LIMIT 1) AS score_week_filter,
           (SELECT score_month_filter FROM known h WHERE h.exchange_id = e.exchange_id
              AND score_month_filter IS NOT NULL ORDER BY wave_timestamp DESC LIMIT 1) AS score_month_filter
    FROM monitoring.params e) held
WHERE wave_time IS NOT NULL
ORDER BY exchange_id;

-- name: supersede_history
-- What was believed of a wave until now, before its correction is added.
UPDATE monitoring.params_history SET superseded_at = %(now)s
WHERE wave_timestamp = %(wave_time)s AND exchange_id = ANY (%(exchange_ids)s::integer[]) AND superseded_at IS NULL;

-- name: add_history
-- What a wave says of each exchange and what it changed; rows come as one JSON array.
INSERT INTO monitoring.params_history
    (exchange_id, max_trades_filter, stop_loss_filter, trailing_activation_filter, trailing_distance_filter, score_week_filter,
     score_month_filter, changed_at, wave_timestamp, wave_signal_id, applied, changed_fields, max_relative_change)
SELECT exchange_id, max_trades_filter, stop_loss_filter, trailing_activation_filter, trailing_distance_filter, score_week_filter,
       score_month_filter, changed_at, wave_timestamp, wave_signal_id, applied, changed_fields, max_relative_change
FROM jsonb_populate_recordset(NULL::monitoring.params_history, %(rows)s::jsonb);

-- name: list_history
-- The history of an exchange, newest wave first; with `is_all` the superseded rows too.
SELECT h.*, s.signal_id, s.symbol
FROM monitoring.params_history h LEFT JOIN wave_signals s ON s.id = h.wave_signal_id
WHERE h.exchange_id = %(exchange_id)s AND (%(is_all)s::boolean OR h.superseded_at IS NULL)
  AND (%(before)s::timestamptz IS NULL OR h.wave_timestamp < %(before)s)
ORDER BY h.wave_timestamp DESC, h.changed_at DESC, h.id DESC
LIMIT %(limit)s;

-- name: all_history
-- Every row that was ever believed, oldest knowledge first, for a replay without look-ahead.
SELECT exchange_id, wave_timestamp, changed_at, superseded_at, max_trades_filter, stop_loss_filter, trailing_activation_filter,
       trailing_distance_filter, score_week_filter, score_month_filter
FROM monitoring.params_history WHERE changed_at < %(until)s ORDER BY changed_at, id;

-- name: list_significant
-- The newest changes beyond a share of the value before.
SELECT h.exchange_id, h.wave_timestamp, h.changed_at, h.applied, h.changed_fields, h.max_relative_change, s.symbol, s.signal_id
FROM monitoring.params_history h LEFT JOIN wave_signals s ON s.id = h.wave_signal_id
WHERE h.max_relative_change > %(ratio)s AND h.superseded_at IS NULL
ORDER BY h.wave_timestamp DESC, h.exchange_id
LIMIT %(limit)s;

-- name: add_override
-- A value that masks the recorded one from now on.
INSERT INTO monitoring.param_overrides (exchange_id, field, value, reason, set_by, set_at, expires_at)
VALUES (%(exchange_id)s, %(field)s, %(value)s, %(reason)s, %(set_by)s, %(set_at)s, %(expires_at)s)
RETURNING *;

-- name: replace_override
-- End the override of a field that a new one takes the place of.
UPDATE monitoring.param_overrides SET ended_at = %(now)s, ended_by = %(ended_by)s, end_reason = 'replaced'
WHERE exchange_id = %(exchange_id)s AND field = %(field)s AND ended_at IS NULL;

-- name: end_override
-- Take one override back; no row comes back when it has ended.
UPDATE monitoring.param_overrides SET ended_at = %(now)s, ended_by = %(ended_by)s, end_reason = %(end_reason)s
WHERE id = %(id)s AND ended_at IS NULL AND (expires_at IS NULL OR expires_at > %(now)s)
RETURNING *;

-- name: active_overrides
-- The overrides that mask at an instant.
SELECT * FROM monitoring.param_overrides
WHERE set_at <= %(at)s AND (expires_at IS NULL OR expires_at > %(at)s) AND (ended_at IS NULL OR ended_at > %(at)s)
ORDER BY exchange_id, field;

-- name: list_overrides
-- Every override that was ever set, newest first.
SELECT * FROM monitoring.param_overrides ORDER BY set_at DESC, id DESC LIMIT %(limit)s;

-- name: add_events
-- Events of the feed and the parameters; rows come as one JSON array.
INSERT INTO monitoring.events (event_type, event_data, correlation_id, symbol, exchange, severity, error_message, created_at)
SELECT event_type, event_data, correlation_id, symbol, exchange, coalesce(severity, 'INFO'), error_message, created_at
FROM jsonb_populate_recordset(NULL::monitoring.events, %(rows)s::jsonb);

-- name: list_events
-- The newest events, of one type or of all.
SELECT id, event_type, event_data, correlation_id, symbol, exchange, severity, error_message, created_at
FROM monitoring.events
WHERE (%(event_type)s::text IS NULL OR event_type = %(event_type)s)
ORDER BY created_at DESC, id DESC
LIMIT %(limit)s;
