-- name: list_signals
-- Every column of so many signals in the order of their keys, after one of them.
SELECT stream, trade_id, status, direction, symbol, timeframe, bias, session, session_label, signal_time, signal_time_from,
       signal_date, signal_time_ny, created_at, entry_time, confirmation_time, confirmation_time_from, bars_to_confirmation,
       be_triggered_at, be_exit_at, exit_at, exit_kind, exit_price, cancelled_at, cancel_reason, cancelled_by, bars_pending,
       entry_price, stop_loss, risk_distance, targets, targets_extended, be_mfe_r, no_be_mfe_r, mae_r, last_mfe_slot,
       be_result_r, no_be_result_r, setup, market_state, htf_alignment, htf_computed, flags, first_received_at,
       last_received_at, last_kind, sources, confidence, updated_at
FROM trade_states
WHERE (stream, trade_id) > (%(stream_after)s::text, %(trade_after)s::text)
  AND (%(stream)s::text IS NULL OR stream = %(stream)s)
  AND (%(since)s::timestamptz IS NULL OR coalesce(signal_time, first_received_at) >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR coalesce(signal_time, first_received_at) < %(until)s)
ORDER BY stream, trade_id
LIMIT %(limit)s;

-- name: list_openings
-- The rows that may have been known when these signals were entered: how they appeared and were confirmed.
SELECT id, stream, trade_id, event_type, event_key, slot, direction, symbol, timeframe, bias, session, session_label,
       event_time, signal_instant, received_at, entry_price, stop_loss, current_price, exit_price, risk_distance, mfe, be_mfe,
       no_be_mfe, mae_global_r, final_be_mfe, final_no_be_mfe, reason, cancelled_by, bars_pending, targets, setup,
       market_state, telemetry, htf_alignment, warnings, data_source, confidence_score, reconciliation_reason,
       payload_checksum, sequence_number, event_id, confirmation_time, bars_to_confirmation, receipt_id, revoked_at
FROM automated_signals
WHERE (stream, trade_id) IN (SELECT * FROM unnest(%(streams)s::text[], %(trade_ids)s::text[]))
  AND event_type IN ('SIGNAL_CREATED', 'ENTRY') AND revoked_at IS NULL
ORDER BY stream, trade_id, received_at, id;

-- name: list_deliveries_of
-- The deliveries that one signal's events came from, with their bytes, in the order of their receipt.
SELECT id, receipt_id, received_at, source, status, dialect, content_type, delivery_key, raw_body, repair, validation_error
FROM telemetry_automated_signals_log
WHERE receipt_id = ANY(%(receipt_ids)s::uuid[])
ORDER BY received_at, id;
