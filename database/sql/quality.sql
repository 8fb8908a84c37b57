-- name: count_deliveries
-- What became of the deliveries since an instant, for each stream and source.
SELECT stream, source, status, count(*) AS deliveries, max(received_at) AS last_at
FROM telemetry_automated_signals_log
WHERE stream = ANY(%(streams)s) AND received_at > %(since)s
GROUP BY stream, source, status
ORDER BY stream, source, status;

-- name: count_flags
-- How many signals since an instant carry each flag, and how many there are.
SELECT NULL AS flag, count(*) AS signals FROM trade_states WHERE stream = ANY(%(streams)s) AND signal_time > %(since)s
UNION ALL
SELECT flag, count(*) FROM trade_states, unnest(flags) AS flag WHERE stream = ANY(%(streams)s) AND signal_time > %(since)s
GROUP BY flag;

-- name: count_quarantined
-- How many deliveries wait for being understood.
SELECT count(*) AS deliveries FROM telemetry_automated_signals_log WHERE status = 'quarantined';
