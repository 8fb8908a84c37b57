-- name: create_rebuilt
-- Where events are made anew, beside those that are stored. Gone with the transaction.
CREATE TEMP TABLE rebuilt (
    LIKE automated_signals INCLUDING DEFAULTS INCLUDING GENERATED, UNIQUE (event_key, source_rank)
) ON COMMIT DROP;
-- Ids of its own: an adopted table may count in 31 bits, which events that are written nowhere must not use up.
ALTER TABLE rebuilt ALTER COLUMN id DROP DEFAULT, ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY;

-- name: create_changed
-- Pairs of a stored row and the same made anew that differ; one of the two may be missing.
CREATE TEMP TABLE changed (held_id bigint, rebuilt_id bigint) ON COMMIT DROP;

-- name: allow_memory
-- For the one join of two large tables.
SET LOCAL work_mem = '64MB';

-- name: find_changed
-- What of the stored rows that the deliveries give again is not as it was made anew: more, less, or other. As jsonb: an
-- adopted table may hold documents as json, which nothing compares.
INSERT INTO changed
SELECT held.id, rebuilt.id
FROM (SELECT * FROM automated_signals
      WHERE EXISTS (SELECT FROM telemetry_automated_signals_log AS log
                    WHERE log.receipt_id = automated_signals.receipt_id AND log.raw_body IS NOT NULL)) AS held
FULL JOIN rebuilt ON rebuilt.event_key = held.event_key AND rebuilt.source_rank = held.source_rank
WHERE (held.stream, held.trade_id, held.event_type, held.slot, held.direction, held.symbol, held.timeframe, held.bias,
       held.session, held.session_label, held.signal_date, held.signal_time, held.event_time, held.signal_instant,
       held.received_at, held.entry_price, held.stop_loss, held.current_price, held.exit_price, held.risk_distance, held.mfe,
       held.be_mfe, held.no_be_mfe, held.mae_global_r, held.final_be_mfe, held.final_no_be_mfe, held.reason, held.cancelled_by,
       held.bars_pending, held.targets, held.targets_extended::jsonb, held.setup::jsonb, held.market_state::jsonb,
       held.telemetry, held.htf_alignment::jsonb, held.raw_payload, held.warnings, held.data_source, held.confidence_score,
       held.reconciliation_timestamp, held.reconciliation_reason, held.payload_checksum, held.sequence_number, held.event_id,
       held.confirmation_time, held.bars_to_confirmation, held.receipt_id)
      IS DISTINCT FROM
      (rebuilt.stream, rebuilt.trade_id, rebuilt.event_type, rebuilt.slot, rebuilt.direction, rebuilt.symbol,
       rebuilt.timeframe, rebuilt.bias, rebuilt.session, rebuilt.session_label, rebuilt.signal_date, rebuilt.signal_time,
       rebuilt.event_time, rebuilt.signal_instant, rebuilt.received_at, rebuilt.entry_price, rebuilt.stop_loss,
       rebuilt.current_price, rebuilt.exit_price, rebuilt.risk_distance, rebuilt.mfe, rebuilt.be_mfe, rebuilt.no_be_mfe,
       rebuilt.mae_global_r, rebuilt.final_be_mfe, rebuilt.final_no_be_mfe, rebuilt.reason, rebuilt.cancelled_by,
       rebuilt.bars_pending, rebuilt.targets, rebuilt.targets_extended::jsonb, rebuilt.setup::jsonb,
       rebuilt.market_state::jsonb, rebuilt.telemetry, rebuilt.htf_alignment::jsonb, rebuilt.raw_payload, rebuilt.warnings,
       rebuilt.data_source, rebuilt.confidence_score, rebuilt.reconciliation_timestamp, rebuilt.reconciliation_reason,
       rebuilt.payload_checksum, rebuilt.sequence_number, rebuilt.event_id, rebuilt.confirmation_time,
       rebuilt.bars_to_confirmation, rebuilt.receipt_id);

-- name: delete_changed
-- The rows that are no longer so.
DELETE FROM automated_signals WHERE id IN (SELECT held_id FROM changed);
