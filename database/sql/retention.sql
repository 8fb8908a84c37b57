-- name: keep_rebuild_out
-- A rebuild reads the bodies in many statements: none may go between two of them.
LOCK TABLE automated_signals IN ROW EXCLUSIVE MODE;

-- name: let_bodies_go
-- Forget the raw bytes of so many old deliveries; what was understood of them and their keys stay for ever.
UPDATE telemetry_automated_signals_log SET raw_body = NULL, raw_payload = NULL
WHERE id IN (SELECT id FROM telemetry_automated_signals_log
             WHERE received_at < %(before)s AND raw_body IS NOT NULL AND status <> 'quarantined'
             ORDER BY id LIMIT %(limit)s)
RETURNING id;

-- name: delete_bars
-- Forget old bars of seconds and minutes.
DELETE FROM ohlc_bars WHERE timeframe_unit IN (1, 2) AND "timestamp" < %(before)s;

-- name: delete_spans
-- Where their bars are gone, nothing is known about the time any more.
DELETE FROM bar_spans WHERE timeframe_unit IN (1, 2) AND ends_at <= %(before)s;

-- name: trim_spans
-- The same for spans that reach across the border.
UPDATE bar_spans SET starts_at = %(before)s
WHERE timeframe_unit IN (1, 2) AND starts_at < %(before)s AND ends_at > %(before)s;

-- name: delete_notices
-- Forget what was told about alarms long ago, unless it still waits to be sent.
DELETE FROM alarm_notices WHERE at < %(before)s AND delivery <> 'pending';
