-- name: add_one_shots
-- One-shot facts, a row a fact and source rank: the least (received_at, checksum) stays, whatever came first. Rows come as
-- one JSON array, each fact once.
INSERT INTO automated_signals AS held
    (stream, trade_id, event_type, event_key, slot, direction, symbol, timeframe, bias, session, session_label, signal_date,
     signal_time, event_time, signal_instant, received_at, entry_price, stop_loss, current_price, exit_price, risk_distance,
     mfe, be_mfe, no_be_mfe, mae_global_r, final_be_mfe, final_no_be_mfe, reason, cancelled_by, bars_pending, targets,
     targets_extended, setup, market_state, telemetry, htf_alignment, raw_payload, warnings, data_source, confidence_score,
     reconciliation_timestamp, reconciliation_reason, payload_checksum, sequence_number, event_id, confirmation_time,
     bars_to_confirmation, receipt_id)
SELECT stream, trade_id, event_type, event_key, slot, direction, symbol, timeframe, bias, session, session_label, signal_date,
       signal_time, event_time, signal_instant, received_at, entry_price, stop_loss, current_price, exit_price, risk_distance,
       mfe, be_mfe, no_be_mfe, mae_global_r, final_be_mfe, final_no_be_mfe, reason, cancelled_by, bars_pending, targets,
       targets_extended, setup, market_state, telemetry, htf_alignment, raw_payload, warnings, data_source, confidence_score,
       reconciliation_timestamp, reconciliation_reason, payload_checksum, sequence_number, event_id, confirmation_time,
       bars_to_confirmation, receipt_id
FROM json_populate_recordset(NULL::automated_signals, %(rows)s::json)
ON CONFLICT (event_key, source_rank) WHERE revoked_at IS NULL DO UPDATE SET
    (direction, symbol, timeframe, bias, session, session_label, signal_date, signal_time, event_time, signal_instant,
     received_at, entry_price, stop_loss, current_price, exit_price, risk_distance, mfe, be_mfe, no_be_mfe, mae_global_r,
     final_be_mfe, final_no_be_mfe, reason, cancelled_by, bars_pending, targets, targets_extended, setup, market_state,
     telemetry, htf_alignment, raw_payload, warnings, confidence_score, reconciliation_timestamp, reconciliation_reason,
     payload_checksum, sequence_number, event_id, confirmation_time, bars_to_confirmation, receipt_id) =
    (excluded.direction, excluded.symbol, excluded.timeframe, excluded.bias, excluded.session, excluded.session_label,
     excluded.signal_date, excluded.signal_time, excluded.event_time, excluded.signal_instant, excluded.received_at,
     excluded.entry_price, excluded.stop_loss, excluded.current_price, excluded.exit_price, excluded.risk_distance,
     excluded.mfe, excluded.be_mfe, excluded.no_be_mfe, excluded.mae_global_r, excluded.final_be_mfe,
     excluded.final_no_be_mfe, excluded.reason, excluded.cancelled_by, excluded.bars_pending, excluded.targets,
     excluded.targets_extended, excluded.setup, excluded.market_state, excluded.telemetry, excluded.htf_alignment,
     excluded.raw_payload, excluded.warnings, excluded.confidence_score, excluded.reconciliation_timestamp,
     excluded.reconciliation_reason, excluded.payload_checksum, excluded.sequence_number, excluded.event_id,
     excluded.confirmation_time, excluded.bars_to_confirmation, excluded.receipt_id)
WHERE (excluded.received_at, excluded.payload_checksum) < (held.received_at, held.payload_checksum)
RETURNING event_key, source_rank, xmax = 0 AS is_new;

-- name: add_mfe_updates
-- MFE updates, a row a minute and source rank: extremes merge, and whatever else the latest receipt says stays.
INSERT INTO automated_signals AS held
    (stream, trade_id, event_type, event_key, slot, direction, symbol, timeframe, bias, session_label, event_time, received_at,
     entry_price, stop_loss, current_price, risk_distance, mfe, be_mfe, no_be_mfe, mae_global_r, telemetry, raw_payload,
     warnings, data_source, confidence_score, reconciliation_timestamp, reconciliation_reason, payload_checksum,
     sequence_number, event_id, receipt_id)
SELECT stream, trade_id, event_type, event_key, slot, direction, symbol, timeframe, bias, session_label, event_time, received_at,
       entry_price, stop_loss, current_price, risk_distance, mfe, be_mfe, no_be_mfe, mae_global_r, telemetry, raw_payload,
       warnings, data_source, confidence_score, reconciliation_timestamp, reconciliation_reason, payload_checksum,
       sequence_number, event_id, receipt_id
FROM json_populate_recordset(NULL::automated_signals, %(rows)s::json)
ON CONFLICT (event_key, source_rank) WHERE revoked_at IS NULL DO UPDATE SET
    be_mfe = greatest(held.be_mfe, excluded.be_mfe),
    no_be_mfe = greatest(held.no_be_mfe, excluded.no_be_mfe),
    mfe = greatest(held.mfe, excluded.mfe),
    mae_global_r = least(held.mae_global_r, excluded.mae_global_r),
    current_price = CASE WHEN (excluded.received_at, excluded.payload_checksum) > (held.received_at, held.payload_checksum)
                         THEN coalesce(excluded.current_price, held.current_price)
                         ELSE coalesce(held.current_price, excluded.current_price) END,
    (direction, symbol, timeframe, bias, session_label, event_time, received_at, entry_price, stop_loss, risk_distance,
     telemetry, raw_payload, warnings, confidence_score, reconciliation_timestamp, reconciliation_reason, payload_checksum,
     sequence_number, event_id, receipt_id) =
    (SELECT (later).direction, (later).symbol, (later).timeframe, (later).bias, (later).session_label, (later).event_time,
            (later).received_at, (later).entry_price, (later).stop_loss, (later).risk_distance, (later).telemetry,
            (later).raw_payload, (later).warnings, (later).confidence_score, (later).reconciliation_timestamp,
            (later).reconciliation_reason, (later).payload_checksum, (later).sequence_number, (later).event_id,
            (later).receipt_id
     FROM (SELECT CASE WHEN (excluded.received_at, excluded.payload_checksum) > (held.received_at, held.payload_checksum)
                       THEN excluded ELSE held END AS later) AS chosen)
RETURNING event_key, source_rank, xmax = 0 AS is_new;

-- name: list_events
-- The event rows of one signal in the order of their receipt, revoked ones too.
SELECT id, stream, trade_id, event_type, event_key, slot, direction, symbol, timeframe, bias, session, session_label,
       event_time, signal_instant, received_at, entry_price, stop_loss, current_price, exit_price, risk_distance, mfe, be_mfe,
       no_be_mfe, mae_global_r, final_be_mfe, final_no_be_mfe, reason, cancelled_by, bars_pending, targets, setup,
       market_state, telemetry, htf_alignment, warnings, data_source, confidence_score, reconciliation_reason,
       payload_checksum, sequence_number, event_id, confirmation_time, bars_to_confirmation, receipt_id, revoked_at
FROM automated_signals
WHERE stream = %(stream)s AND trade_id = %(trade_id)s
ORDER BY received_at, id;

-- name: list_kept_events
-- Rows that no delivery can give again: repairs, the rows of an older table, and those whose raw body has been let go.
SELECT id, stream, trade_id, event_type, event_key, slot, direction, symbol, timeframe, bias, session, session_label,
       event_time, signal_instant, received_at, entry_price, stop_loss, current_price, exit_price, risk_distance, mfe, be_mfe,
       no_be_mfe, mae_global_r, final_be_mfe, final_no_be_mfe, reason, cancelled_by, bars_pending, targets, setup,
       market_state, telemetry, htf_alignment, warnings, data_source, confidence_score, reconciliation_reason,
       payload_checksum, sequence_number, event_id, confirmation_time, bars_to_confirmation, receipt_id, revoked_at
FROM automated_signals
WHERE (receipt_id IS NULL OR NOT EXISTS (
        SELECT FROM telemetry_automated_signals_log AS log
        WHERE log.receipt_id = automated_signals.receipt_id AND log.raw_body IS NOT NULL))
  AND revoked_at IS NULL
  AND event_type IN ('SIGNAL_CREATED', 'ENTRY', 'MFE_UPDATE', 'BE_TRIGGERED', 'EXIT_BE', 'EXIT_SL', 'EXIT_TP', 'CANCELLED')
ORDER BY stream, trade_id, received_at, id;

-- name: lock_for_rebuild
-- Keep every writer out while events and states are derived anew; readers go on.
LOCK TABLE trade_states, automated_signals IN EXCLUSIVE MODE;

-- name: list_checksums
-- What is held of these facts: the same again, or another version?
SELECT event_key, source_rank, payload_checksum, receipt_id
FROM automated_signals
WHERE event_key = ANY(%(event_keys)s::text[]) AND revoked_at IS NULL;
