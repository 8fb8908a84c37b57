-- name: list_pathless
-- Stopped trades whose path is not computed, is that of other prices or times, or was not to be had when it was tried last.
SELECT t.stream, t.trade_id, t.symbol, t.entry_price, t.stop_loss, t.entry_time, t.exit_at
FROM trade_states AS t
LEFT JOIN trade_paths AS p ON p.stream = t.stream AND p.trade_id = t.trade_id
WHERE t.status = 'COMPLETED' AND t.exit_kind = 'EXIT_SL' AND t.targets_extended IS NOT NULL AND NOT t.flags @> ARRAY['phantom']
  AND t.entry_time IS NOT NULL AND t.exit_at >= t.entry_time AND t.exit_at < %(ended_before)s
  AND (p.trade_id IS NULL OR (p.why_not IS NOT NULL AND p.computed_at < %(retry_before)s)
       OR (p.entry_price, p.stop_loss, p.entry_time, p.exit_at) <> (t.entry_price, t.stop_loss, t.entry_time, t.exit_at))
ORDER BY p.computed_at NULLS FIRST, t.exit_at DESC
LIMIT %(limit)s;

-- name: save_paths
-- What the bars say of trades, or why they say nothing; rows come as one JSON array.
INSERT INTO trade_paths (stream, trade_id, entry_price, stop_loss, entry_time, exit_at, contract_id, worst_r, best_r, why_not,
                         computed_at)
SELECT stream, trade_id, entry_price, stop_loss, entry_time, exit_at, contract_id, worst_r, best_r, why_not, %(now)s
FROM jsonb_populate_recordset(NULL::trade_paths, %(rows)s::jsonb)
ON CONFLICT (stream, trade_id) DO UPDATE SET
    (entry_price, stop_loss, entry_time, exit_at, contract_id, worst_r, best_r, why_not, computed_at) =
    (excluded.entry_price, excluded.stop_loss, excluded.entry_time, excluded.exit_at, excluded.contract_id, excluded.worst_r,
     excluded.best_r, excluded.why_not, excluded.computed_at);
