-- name: last_scan
-- Up to which moment of the database's clock a finished cycle has looked; NULL before the first.
SELECT max(scanned_until) AS scanned_until FROM sync_cycles WHERE finished_at IS NOT NULL;

-- name: server_time
-- The database's clock: states are stamped by it, so scans are measured by it.
SELECT now() AS at;

-- name: list_candidates
-- Signals that may have a gap: open or pending ones, ones that have changed, ones with an open gap that may still be mended.
SELECT stream, trade_id FROM trade_states WHERE status IN ('ACTIVE', 'BE_PROTECTED', 'BE_EXITED', 'PENDING')
UNION
SELECT stream, trade_id FROM trade_states WHERE updated_at >= %(since)s::timestamptz
UNION
SELECT stream, trade_id FROM sync_gaps
WHERE resolved_at IS NULL AND first_seen_at >= %(mendable_since)s::timestamptz
  AND (gap_type IN ('no_exit', 'no_be_trigger', 'no_mae')
       OR (gap_type = 'no_htf_alignment' AND to_regclass('trend_history') IS NOT NULL))
UNION
SELECT stream, trade_id FROM signal_health_metrics
WHERE missing_minutes > 0 AND complete_until >= %(mendable_since)s::timestamptz
ORDER BY stream, trade_id;

-- name: list_signals
-- What the rules need to know of these signals, and what was last concluded about them.
SELECT t.stream, t.trade_id, t.status, t.direction, t.symbol, t.session, t.signal_date, t.signal_time, t.signal_time_from,
       t.created_at, t.entry_time, t.confirmation_time, t.confirmation_time_from, t.be_triggered_at, t.be_exit_at, t.exit_at, t.exit_kind,
       t.cancelled_at, t.entry_price, t.stop_loss, (t.targets_extended IS NOT NULL) AS targets_extended, t.be_mfe_r,
       t.no_be_mfe_r, t.mae_r, t.last_mfe_slot, t.htf_computed, t.htf_alignment, t.flags, t.sources, t.confidence,
       t.last_received_at, h.gap_flags, h.health_score, h.complete_until, h.missing_minutes
FROM unnest(%(streams)s::text[], %(trade_ids)s::text[]) AS wanted (stream, trade_id)
JOIN trade_states t ON t.stream = wanted.stream AND t.trade_id = wanted.trade_id
LEFT JOIN signal_health_metrics h ON h.stream = t.stream AND h.trade_id = t.trade_id
ORDER BY t.stream, t.trade_id;

-- name: list_superseded
-- Pending signals whose opposite was confirmed later: the first such opposite.
SELECT p.stream, p.trade_id, later.trade_id AS by_trade_id, later.signal_time AS at
FROM unnest(%(streams)s::text[], %(trade_ids)s::text[]) AS wanted (stream, trade_id)
JOIN trade_states p ON p.stream = wanted.stream AND p.trade_id = wanted.trade_id
CROSS JOIN LATERAL (
    SELECT o.trade_id, o.signal_time FROM trade_states o
    WHERE o.stream = p.stream AND o.signal_time > p.signal_time AND o.signal_time < p.signal_time + interval '7 days'
      AND o.direction <> p.direction AND o.entry_time IS NOT NULL AND NOT o.flags @> ARRAY['phantom']
      AND o.symbol IS NOT DISTINCT FROM p.symbol
    ORDER BY o.signal_time, o.trade_id LIMIT 1) AS later
WHERE p.status = 'PENDING' AND NOT p.flags @> ARRAY['phantom'];

-- name: list_open_gaps
-- The open gaps of these signals.
SELECT g.stream, g.trade_id, g.gap_type
FROM unnest(%(streams)s::text[], %(trade_ids)s::text[]) AS wanted (stream, trade_id)
JOIN sync_gaps g ON g.stream = wanted.stream AND g.trade_id = wanted.trade_id AND g.resolved_at IS NULL;

-- name: open_gaps
-- Gaps that were not open until now; rows come as one JSON array.
INSERT INTO sync_gaps (stream, trade_id, gap_type, first_seen_at)
SELECT stream, trade_id, gap_type, %(now)s
FROM jsonb_to_recordset(%(rows)s::jsonb) AS fresh (stream text, trade_id text, gap_type text)
ON CONFLICT (stream, trade_id, gap_type) WHERE resolved_at IS NULL DO NOTHING
RETURNING stream, trade_id, gap_type;

-- name: resolve_gaps
-- Gaps that are none any more, with what ended them.
UPDATE sync_gaps g SET resolved_at = greatest(%(now)s, g.first_seen_at), resolved_by = done.resolved_by
FROM jsonb_to_recordset(%(rows)s::jsonb) AS done (stream text, trade_id text, gap_type text, resolved_by text)
WHERE g.stream = done.stream AND g.trade_id = done.trade_id AND g.gap_type = done.gap_type AND g.resolved_at IS NULL;

-- name: save_health
-- What was concluded about signals; a row that says the same again is left alone. The function scores it.
INSERT INTO signal_health_metrics AS held (stream, trade_id, gap_flags, health_score, complete_until, missing_minutes, checked_at)
SELECT stream, trade_id, gap_flags, calculate_signal_health_score(gap_flags), complete_until, missing_minutes, %(now)s
FROM jsonb_to_recordset(%(rows)s::jsonb)
    AS fresh (stream text, trade_id text, gap_flags jsonb, complete_until timestamptz, missing_minutes integer)
ON CONFLICT (stream, trade_id) DO UPDATE SET
    (gap_flags, health_score, complete_until, missing_minutes, checked_at) =
    (excluded.gap_flags, excluded.health_score, excluded.complete_until, excluded.missing_minutes, excluded.checked_at)
WHERE (held.gap_flags, held.complete_until, held.missing_minutes)
    IS DISTINCT FROM (excluded.gap_flags, excluded.complete_until, excluded.missing_minutes);

-- name: add_audit
-- What was found, tried and filled; rows come as one JSON array.
INSERT INTO sync_audit_log (stream, trade_id, action_type, action_timestamp, gap_type, field, old_value, new_value, data_source,
                            confidence_score, reason, evidence, tier, actor)
SELECT stream, trade_id, action_type, %(now)s, gap_type, field, old_value, new_value, data_source, confidence_score, reason,
       evidence, tier, %(actor)s
FROM jsonb_to_recordset(%(rows)s::jsonb)
    AS fresh (stream text, trade_id text, action_type text, gap_type text, field text, old_value jsonb, new_value jsonb,
              data_source text, confidence_score numeric, reason text, evidence jsonb, tier smallint);

-- name: start_cycle
-- The report row of a cycle, before its work.
INSERT INTO sync_cycles (started_at, actor, tiers) VALUES (%(now)s, %(actor)s, %(tiers)s::smallint[]) RETURNING id;

-- name: finish_cycle
-- The end of a cycle with its report.
UPDATE sync_cycles SET finished_at = %(now)s, scanned_until = %(scanned_until)s, report = %(report)s::jsonb,
                       health_after = %(health_after)s
WHERE id = %(cycle_id)s;

-- name: delete_old_cycles
-- Forget old reports, except one an hour.
DELETE FROM sync_cycles old
WHERE started_at < %(before)s
  AND EXISTS (SELECT FROM sync_cycles newer WHERE newer.started_at > old.started_at
              AND date_trunc('hour', newer.started_at) = date_trunc('hour', old.started_at));

-- name: system_health
-- Mean score, and how many, of signals that are open or have changed in the window and have been looked at; phantoms do
-- not count.
SELECT round(avg(h.health_score))::integer AS score, count(h.health_score) AS signals,
       count(*) FILTER (WHERE h.health_score < %(warning)s) AS warnings,
       count(*) FILTER (WHERE h.health_score < %(critical)s) AS critical
FROM (SELECT stream, trade_id FROM trade_states
      WHERE status IN ('ACTIVE', 'BE_PROTECTED', 'BE_EXITED', 'PENDING') AND NOT flags @> ARRAY['phantom']
      UNION
      SELECT stream, trade_id FROM trade_states
      WHERE updated_at >= %(since)s::timestamptz AND last_received_at >= %(since)s::timestamptz
        AND NOT flags @> ARRAY['phantom']) AS t
JOIN signal_health_metrics h ON h.stream = t.stream AND h.trade_id = t.trade_id
WHERE %(stream)s::text IS NULL OR t.stream = %(stream)s;

-- name: count_gaps
-- Open gaps by type, and since when the oldest is open; those of phantoms left out.
SELECT g.gap_type, count(*) AS total, min(g.first_seen_at) AS oldest_at,
       count(*) FILTER (WHERE g.first_seen_at >= %(now)s::timestamptz - interval '10 minutes') AS fresh,
       count(*) FILTER (WHERE g.first_seen_at < %(now)s::timestamptz - interval '10 minutes'
                          AND g.first_seen_at >= %(now)s::timestamptz - interval '1 hour') AS within_hour,
       count(*) FILTER (WHERE g.first_seen_at < %(now)s::timestamptz - interval '1 hour'
                          AND g.first_seen_at >= %(now)s::timestamptz - interval '1 day') AS within_day,
       count(*) FILTER (WHERE g.first_seen_at < %(now)s::timestamptz - interval '1 day') AS older
FROM sync_gaps g
JOIN trade_states t ON t.stream = g.stream AND t.trade_id = g.trade_id
WHERE g.resolved_at IS NULL AND NOT t.flags @> ARRAY['phantom'] AND (%(stream)s::text IS NULL OR g.stream = %(stream)s)
GROUP BY g.gap_type;

-- name: sum_missing_minutes
-- Open-market minutes of followed trades without excursions, and of how many trades.
SELECT coalesce(sum(missing_minutes), 0)::integer AS minutes, count(*) AS signals
FROM signal_health_metrics
WHERE missing_minutes > 0 AND (%(stream)s::text IS NULL OR stream = %(stream)s);

-- name: list_gaps
-- A page of open gaps, or of resolved ones, newest first.
SELECT g.id, g.stream, g.trade_id, g.gap_type, g.first_seen_at, g.resolved_at, g.resolved_by, t.status, h.health_score
FROM sync_gaps g
LEFT JOIN trade_states t ON t.stream = g.stream AND t.trade_id = g.trade_id
LEFT JOIN signal_health_metrics h ON h.stream = g.stream AND h.trade_id = g.trade_id
WHERE (g.resolved_at IS NOT NULL) = %(is_resolved)s::boolean AND (%(stream)s::text IS NULL OR g.stream = %(stream)s)
  AND (%(gap_type)s::text IS NULL OR g.gap_type = %(gap_type)s)
  AND (%(before_id)s::bigint IS NULL OR g.id < %(before_id)s)
ORDER BY g.id DESC
LIMIT %(limit)s;

-- name: list_audit
-- A page of the audit log, newest first.
SELECT id, action_timestamp, stream, trade_id, action_type, gap_type, field, old_value, new_value, data_source,
       confidence_score, reason, evidence, tier, actor
FROM sync_audit_log
WHERE (%(stream)s::text IS NULL OR stream = %(stream)s)
  AND (%(action_type)s::text IS NULL OR action_type = %(action_type)s)
  AND (%(trade_id)s::text IS NULL OR trade_id = %(trade_id)s)
  AND (%(before_id)s::bigint IS NULL OR id < %(before_id)s)
ORDER BY id DESC
LIMIT %(limit)s;

-- name: list_cycles
-- The newest cycles with their reports.
SELECT id, started_at, finished_at, actor, tiers, report, health_after
FROM sync_cycles WHERE finished_at IS NOT NULL
ORDER BY started_at DESC, id DESC
LIMIT %(limit)s;

-- name: list_trend
-- The score of each hour since an instant: its lowest and its last.
SELECT date_trunc('hour', started_at) AS hour, min(health_after) AS lowest,
       (array_agg(health_after ORDER BY started_at DESC))[1] AS last
FROM sync_cycles WHERE finished_at IS NOT NULL AND health_after IS NOT NULL AND started_at >= %(since)s
GROUP BY 1 ORDER BY 1;

-- name: list_arrivals
-- When deliveries of a stream came in, and of what kind, oldest first; imports and backfills are not arrivals.
SELECT received_at, dialect, coalesce(fused_event ->> 'event_type', raw_payload ->> 'event_type') AS event_type
FROM telemetry_automated_signals_log
WHERE stream = %(stream)s AND source = 'webhook' AND received_at >= %(since)s AND received_at <= %(until)s
ORDER BY received_at;

-- name: list_streams
-- Streams that have been heard since an instant.
SELECT DISTINCT stream FROM telemetry_automated_signals_log WHERE received_at >= %(since)s AND source = 'webhook' ORDER BY stream;

-- name: list_followed
-- When the trades of a stream were followed: from entry to exit, or to the last word about them (is_over tells which).
SELECT entry_time AS starts_at, coalesce(exit_at, last_mfe_slot, entry_time) AS ends_at, exit_at IS NOT NULL AS is_over
FROM trade_states
WHERE stream = %(stream)s AND entry_time IS NOT NULL AND updated_at >= %(since)s AND last_received_at >= %(since)s;

-- name: save_outage
-- A silence or a danger as it is known now; a later look lengthens or ends it.
INSERT INTO stream_outages AS held (stream, kind, detail, starts_at, ends_at, first_seen_at, resolved_at, open_minutes)
VALUES (%(stream)s, %(kind)s, %(detail)s, %(starts_at)s, %(ends_at)s::timestamptz, %(now)s::timestamptz,
        CASE WHEN %(ends_at)s::timestamptz IS NOT NULL THEN %(now)s::timestamptz END, %(open_minutes)s)
ON CONFLICT (stream, kind, detail, starts_at) DO UPDATE
SET ends_at = excluded.ends_at, resolved_at = excluded.resolved_at, open_minutes = excluded.open_minutes
WHERE (held.ends_at, held.ends_at IS NULL) IS DISTINCT FROM (excluded.ends_at, excluded.ends_at IS NULL)
RETURNING id;

-- name: list_unresolved_outages
-- Outages of a stream that were not over at the last look.
SELECT id, kind, detail, starts_at FROM stream_outages WHERE stream = %(stream)s AND resolved_at IS NULL ORDER BY id;

-- name: end_outage
-- An outage that a later look no longer finds.
UPDATE stream_outages SET resolved_at = %(now)s, ends_at = coalesce(ends_at, greatest(%(now)s, starts_at)) WHERE id = %(id)s;

-- name: list_outages
-- The newest outages.
SELECT stream, kind, detail, starts_at, ends_at, first_seen_at, resolved_at, open_minutes
FROM stream_outages
WHERE starts_at >= %(since)s AND (%(stream)s::text IS NULL OR stream = %(stream)s)
ORDER BY starts_at DESC, id DESC
LIMIT %(limit)s;

-- name: add_calibration
-- What healing known values has shown.
INSERT INTO heal_calibrations (measured_at, method, gap_minutes, hidden, healed, median_error_r, p95_error_r,
                               median_error_ticks, p95_error_ticks, coverage, confidence)
VALUES (%(measured_at)s, %(method)s, %(gap_minutes)s, %(hidden)s, %(healed)s, %(median_error_r)s, %(p95_error_r)s,
        %(median_error_ticks)s, %(p95_error_ticks)s, %(coverage)s, %(confidence)s)
ON CONFLICT (measured_at, method, gap_minutes) DO NOTHING;

-- name: list_calibrations
-- The newest figures of each method and gap length.
SELECT DISTINCT ON (method, gap_minutes) method, gap_minutes, measured_at, hidden, healed, median_error_r, p95_error_r,
       median_error_ticks, p95_error_ticks, coverage, confidence
FROM heal_calibrations
ORDER BY method, gap_minutes, measured_at DESC;

-- name: ledger
-- What became of the update of each minute (since 1970) of the trades: by its best source, and how it came.
SELECT stream, trade_id, extract(epoch FROM slot)::bigint / 60 AS minute,
       CASE WHEN best > 2 THEN 'healed' WHEN best = 2 THEN 'imported' WHEN is_late THEN 'late' WHEN is_mended THEN 'mended'
            ELSE 'delivered' END AS fate
FROM (SELECT a.stream, a.trade_id, a.slot, min(a.source_rank) AS best, bool_or(log.repair IS NOT NULL) AS is_mended,
             bool_or(a.source_rank = 1 AND a.received_at - a.slot > interval '80 seconds') AS is_late
      FROM automated_signals a
      LEFT JOIN telemetry_automated_signals_log log ON log.receipt_id = a.receipt_id
      WHERE a.event_type = 'MFE_UPDATE' AND a.revoked_at IS NULL AND a.slot >= %(since)s AND a.received_at >= %(since)s
        AND (%(stream)s::text IS NULL OR a.stream = %(stream)s)
      GROUP BY a.stream, a.trade_id, a.slot) AS told;

-- name: ledger_repeated
-- Minutes (since 1970) of whose updates more came than the first: alone, or as members of a batch.
SELECT DISTINCT stream, update #>> '{}' AS trade_id,
       extract(epoch FROM date_trunc('minute', received_at - interval '50 seconds'))::bigint / 60 AS minute
FROM telemetry_automated_signals_log
CROSS JOIN LATERAL jsonb_path_query(
    fused_event, 'strict $.**{0 to 2} ? (@.event_type == "MFE_UPDATE" && exists (@.trade_id)).trade_id') AS update
WHERE source = 'webhook' AND received_at >= %(since)s AND (%(stream)s::text IS NULL OR stream = %(stream)s)
  AND (duplicate_of IS NOT NULL OR status IN ('duplicate', 'merged')) AND status <> 'quarantined';

-- name: ledger_rejected
-- Minutes (since 1970) of whose updates something came that was not understood.
SELECT DISTINCT stream, extract(epoch FROM date_trunc('minute', received_at - interval '50 seconds'))::bigint / 60 AS minute
FROM telemetry_automated_signals_log
WHERE status = 'quarantined' AND received_at >= %(since)s AND (%(stream)s::text IS NULL OR stream = %(stream)s);

-- name: ledger_log_spans
-- What imported alert logs cover: there, an alert that is not in them was never fired.
SELECT stream, starts_at, ends_at FROM alert_log_spans
WHERE ends_at >= %(since)s AND (%(stream)s::text IS NULL OR stream = %(stream)s);

-- name: ledger_trades
-- Trades that were followed in a window, with what bounds their expected minutes.
SELECT t.stream, t.trade_id, t.entry_time, t.exit_at, coalesce(h.missing_minutes, 0) AS missing_minutes
FROM trade_states t
LEFT JOIN signal_health_metrics h ON h.stream = t.stream AND h.trade_id = t.trade_id
WHERE t.entry_time IS NOT NULL AND t.updated_at >= %(since)s AND (t.exit_at IS NULL OR t.exit_at >= %(since)s)
  AND (%(stream)s::text IS NULL OR t.stream = %(stream)s);

-- name: ledger_deliveries
-- Deliveries since an instant that were more, or less, than one good alert.
SELECT count(*) AS deliveries, count(*) FILTER (WHERE source = 'import') AS imported,
       count(*) FILTER (WHERE duplicate_of IS NOT NULL OR status IN ('duplicate', 'conflict')) AS duplicate,
       count(*) FILTER (WHERE status = 'quarantined') AS rejected, count(*) FILTER (WHERE repair IS NOT NULL) AS repaired
FROM telemetry_automated_signals_log
WHERE received_at >= %(since)s AND source <> 'backfill' AND (%(stream)s::text IS NULL OR stream = %(stream)s);

-- name: count_created
-- What SIGNAL_CREATED events there are, what alignment they brought themselves, and for what they were needed.
SELECT count(*) FILTER (WHERE created_at IS NOT NULL) AS created,
       count(*) FILTER (WHERE entry_time IS NOT NULL) AS confirmed,
       count(*) FILTER (WHERE entry_time IS NOT NULL AND created_at IS NULL) AS confirmed_without_created,
       count(*) FILTER (WHERE created_at IS NOT NULL AND told.is_computed) AS htf_computed,
       count(*) FILTER (WHERE created_at IS NOT NULL AND NOT told.is_computed) AS htf_not_computed,
       count(*) FILTER (WHERE created_at IS NOT NULL AND told.is_computed IS NULL) AS htf_absent,
       count(*) FILTER (WHERE created_at IS NOT NULL AND sources ->> 'htf_alignment' IN ('reconciled', 'inferred')) AS htf_healed,
       count(*) FILTER (WHERE status = 'PENDING') AS pending, count(*) FILTER (WHERE status = 'CANCELLED') AS cancelled,
       count(*) FILTER (WHERE flags @> ARRAY['phantom']) AS phantoms
FROM trade_states AS state
LEFT JOIN (SELECT stream, trade_id, bool_or(NOT (htf @> '{"all_bullish": true, "all_bearish": true}')) AS is_computed
           FROM (SELECT stream, trade_id, coalesce(telemetry -> 'htf_alignment', htf_alignment) AS htf FROM automated_signals
                 WHERE event_type = 'SIGNAL_CREATED' AND source_rank <= 2 AND revoked_at IS NULL) AS sent
           WHERE jsonb_typeof(htf) = 'object' AND htf <> '{}'
           GROUP BY stream, trade_id) AS told USING (stream, trade_id)
WHERE %(stream)s::text IS NULL OR stream = %(stream)s;

-- name: sum_audit
-- Audit actions of a window with their mean confidence.
SELECT action_type, count(*) AS count, avg(confidence_score) AS avg_confidence
FROM sync_audit_log WHERE action_timestamp > %(since)s AND (%(stream)s::text IS NULL OR stream = %(stream)s)
GROUP BY action_type ORDER BY action_type;

-- name: get_health
-- What was concluded last about one signal.
SELECT health_score, missing_minutes, checked_at FROM signal_health_metrics WHERE stream = %(stream)s AND trade_id = %(trade_id)s;

-- name: list_gaps_of
-- The gaps of one signal, open and closed, newest first.
SELECT gap_type, first_seen_at, resolved_at, resolved_by
FROM sync_gaps WHERE stream = %(stream)s AND trade_id = %(trade_id)s
ORDER BY id DESC
LIMIT %(limit)s;

-- name: list_repairs_of
-- What was done about the gaps of one signal, newest first; that they were found stands with the gaps.
SELECT action_timestamp, action_type, field, old_value, new_value, data_source, confidence_score, reason
FROM sync_audit_log
WHERE stream = %(stream)s AND trade_id = %(trade_id)s AND action_type NOT IN ('gap_detected', 'reconciliation_attempted')
ORDER BY id DESC
LIMIT %(limit)s;
