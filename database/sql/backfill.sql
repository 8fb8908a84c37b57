-- name: try_lock
-- One backfill at a time: whoever comes meanwhile has nothing to do.
SELECT pg_try_advisory_xact_lock(%(key)s) AS is_ours;

-- name: list_missing_tables
-- Which tables that the backfill needs are not there.
SELECT name FROM unnest(ARRAY['automated_signals', 'telemetry_automated_signals_log']) AS wanted (name)
WHERE to_regclass(name) IS NULL
ORDER BY name;

-- name: count_logged
-- How many events have been given a row by earlier backfills.
SELECT count(*) AS total FROM telemetry_automated_signals_log WHERE source = 'backfill';

-- name: list_unlogged
-- Events without a delivery of their own that no backfill has given a row yet, the oldest rows first.
SELECT a.id FROM automated_signals a
WHERE a.receipt_id IS NULL AND NOT EXISTS (
    SELECT 1 FROM telemetry_automated_signals_log t
    WHERE t.source = 'backfill' AND (t.raw_payload ->> 'automated_signals_id')::bigint = a.id)
ORDER BY a.id
LIMIT %(limit)s;

-- name: add_row
-- The row of one event: what the event says, at the event's time, marked as made up from it.
INSERT INTO telemetry_automated_signals_log
    (received_at, stream, source, status, raw_payload, fused_event, handler_result, processing_time_ms)
SELECT a.received_at, a.stream, 'backfill', 'accepted',
       jsonb_build_object('source', %(mark)s::text, 'automated_signals_id', a.id, 'trade_id', a.trade_id,
                          'event_type', a.event_type)
       || jsonb_strip_nulls(jsonb_build_object(
           'direction', a.direction, 'symbol', a.symbol, 'timeframe', a.timeframe, 'session', a.session, 'bias', a.bias,
           'signal_date', a.signal_date, 'signal_time', a.signal_time, 'event_time', a.event_time,
           'entry_price', a.entry_price, 'stop_loss', a.stop_loss, 'current_price', a.current_price,
           'exit_price', a.exit_price, 'risk_distance', a.risk_distance, 'be_mfe', a.be_mfe, 'no_be_mfe', a.no_be_mfe,
           'mae_global_r', a.mae_global_r, 'final_be_mfe', a.final_be_mfe, 'final_no_be_mfe', a.final_no_be_mfe,
           'reason', a.reason, 'data_source', a.data_source, 'confidence_score', a.confidence_score)),
       NULL, jsonb_build_object('source', %(mark)s::text), 0
FROM automated_signals a
WHERE a.id = %(id)s
ON CONFLICT DO NOTHING
RETURNING id;
