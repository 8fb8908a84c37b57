-- name: list_minutes
-- Excursions of trades by minute (since 1970) from a minute of each on, by every source that tells them; the anchor before
-- it, too.
SELECT a.stream, a.trade_id, extract(epoch FROM a.slot)::bigint / 60 AS minute, a.source_rank, a.be_mfe::float8 AS be_mfe,
       coalesce(a.no_be_mfe, a.mfe)::float8 AS no_be_mfe, a.mae_global_r::float8 AS mae, a.current_price::float8 AS price
FROM unnest(%(streams)s::text[], %(trade_ids)s::text[], %(since)s::timestamptz[]) AS wanted (stream, trade_id, since)
JOIN automated_signals a ON a.stream = wanted.stream AND a.trade_id = wanted.trade_id
WHERE a.event_type = 'MFE_UPDATE' AND a.revoked_at IS NULL AND a.slot >= wanted.since - interval '1 minute';

-- name: list_ranges
-- Extremes of a contract's trustworthy one-minute bars inside [start, end): whole ones without a gap.
SELECT extract(epoch FROM "timestamp")::bigint / 60 AS minute, high::float8 AS high, low::float8 AS low
FROM ohlc_bars
WHERE contract_id = %(contract_id)s AND timeframe_unit = 2 AND timeframe_value = 1
  AND "timestamp" >= %(start)s AND "timestamp" < %(end)s AND NOT is_partial AND gap_seconds = 0;

-- name: list_finer_ranges
-- Bars of seconds of these minutes, of the finest timeframe that is stored for each, in time order.
SELECT minute, high, low FROM (
    SELECT extract(epoch FROM "timestamp")::bigint / 60 AS minute, "timestamp" AS at, high::float8 AS high, low::float8 AS low,
           timeframe_value, min(timeframe_value) OVER (PARTITION BY extract(epoch FROM "timestamp")::bigint / 60) AS finest
    FROM ohlc_bars
    WHERE contract_id = %(contract_id)s AND timeframe_unit = 1 AND NOT is_partial AND gap_seconds = 0
      AND date_trunc('minute', "timestamp") = ANY (%(minutes)s::timestamptz[])) AS found
WHERE timeframe_value = finest
ORDER BY minute, at;

-- name: list_quiet_spans
-- Spans of a contract's minutes about which a source has told everything: no bar there means no trade.
SELECT starts_at, ends_at FROM bar_spans
WHERE contract_id = %(contract_id)s AND timeframe_unit = 2 AND timeframe_value = 1
  AND starts_at < %(end)s AND ends_at > %(start)s;

-- name: list_minute_contracts
-- Contracts that have one-minute bars, by jumping through the index.
WITH RECURSIVE found AS (
    (SELECT contract_id FROM ohlc_bars ORDER BY contract_id LIMIT 1)
    UNION ALL
    SELECT (SELECT contract_id FROM ohlc_bars WHERE contract_id > found.contract_id ORDER BY contract_id LIMIT 1)
    FROM found WHERE found.contract_id IS NOT NULL
)
SELECT contract_id FROM found
WHERE contract_id IS NOT NULL AND EXISTS (SELECT FROM ohlc_bars b WHERE b.contract_id = found.contract_id
                                          AND b.timeframe_unit = 2 AND b.timeframe_value = 1);

-- name: list_revoked
-- Repairs of these signals that an operator has taken back: they are not made again.
SELECT a.event_key, a.source_rank
FROM unnest(%(streams)s::text[], %(trade_ids)s::text[]) AS wanted (stream, trade_id)
JOIN automated_signals a ON a.stream = wanted.stream AND a.trade_id = wanted.trade_id
WHERE a.revoked_at IS NOT NULL AND a.source_rank > 2;

-- name: list_held_repairs
-- Which of these facts a repair tells already.
SELECT id, stream, trade_id, event_type, event_key, slot, direction, symbol, timeframe, bias, session, session_label,
       event_time, signal_instant, received_at, entry_price, stop_loss, current_price, exit_price, risk_distance, mfe, be_mfe,
       no_be_mfe, mae_global_r, final_be_mfe, final_no_be_mfe, reason, cancelled_by, bars_pending, targets, setup,
       market_state, telemetry, htf_alignment, warnings, data_source, confidence_score, reconciliation_reason,
       payload_checksum, sequence_number, event_id, confirmation_time, bars_to_confirmation, receipt_id, revoked_at
FROM automated_signals
WHERE event_key = ANY (%(event_keys)s::text[]) AND source_rank > 2 AND revoked_at IS NULL;

-- name: delete_repairs
-- Make room for a repair that says more; the audit log keeps what this one said.
DELETE FROM automated_signals WHERE id = ANY (%(ids)s::bigint[]) AND source_rank > 2;

-- name: revoke_repairs
-- Take repairs back: these ids, or all of a signal. The facts of the stream itself cannot be revoked.
UPDATE automated_signals SET revoked_at = %(now)s
WHERE source_rank > 2 AND revoked_at IS NULL AND stream = %(stream)s AND trade_id = %(trade_id)s
  AND (%(ids)s::bigint[] IS NULL OR id = ANY (%(ids)s::bigint[]))
RETURNING id, event_type, slot, data_source, confidence_score, reconciliation_reason;

-- name: list_repairs
-- The repairs of a signal, revoked ones too.
SELECT id, event_type, slot, event_time, received_at, data_source, confidence_score, reconciliation_reason, revoked_at
FROM automated_signals
WHERE stream = %(stream)s AND trade_id = %(trade_id)s AND source_rank > 2
ORDER BY received_at, id;

-- name: list_contradicted
-- Trades that bars have stopped and whose sender follows them on all the same.
SELECT t.stream, t.trade_id, a.id, a.event_type
FROM unnest(%(streams)s::text[], %(trade_ids)s::text[]) AS wanted (stream, trade_id)
JOIN trade_states t ON t.stream = wanted.stream AND t.trade_id = wanted.trade_id
JOIN automated_signals a ON a.stream = t.stream AND a.trade_id = t.trade_id AND a.revoked_at IS NULL AND a.source_rank > 2
WHERE a.event_type = 'EXIT_SL' AND t.sources ->> 'EXIT_SL' IN ('reconciled', 'inferred')
  AND EXISTS (SELECT FROM automated_signals live
              WHERE live.stream = t.stream AND live.trade_id = t.trade_id AND live.source_rank < 3
                AND live.revoked_at IS NULL AND live.slot > a.event_time + interval '1 minute');

-- name: list_alignments
-- The trends of the higher timeframes as they stood when signals appeared, where own bars tell them all.
SELECT wanted.stream, wanted.trade_id, trend_alignment(wanted.contract_id, wanted.at) AS alignment
FROM unnest(%(streams)s::text[], %(trade_ids)s::text[], %(contracts)s::text[], %(times)s::timestamptz[])
    AS wanted (stream, trade_id, contract_id, at)
WHERE to_regclass('trend_history') IS NOT NULL;

-- name: list_known_trades
-- Trades whose life is told well enough to measure healing by: live excursions, both prices, an exit; newest first.
SELECT t.stream, t.trade_id
FROM trade_states t
WHERE t.status = 'COMPLETED' AND t.entry_time IS NOT NULL AND t.entry_price IS NOT NULL AND t.stop_loss IS NOT NULL
  AND t.updated_at >= %(since)s AND t.exit_at >= %(since)s AND NOT t.flags && ARRAY['phantom', 'exit_be_without_1r', 'bars_ambiguous']
ORDER BY t.exit_at DESC
LIMIT %(limit)s;
