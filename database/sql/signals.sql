-- name: list_signals
-- A page of signals as programs read them, newest first, those without a signal time last; keyset as in list_states.
SELECT stream, trade_id, status, direction, symbol, timeframe, session, session_label, signal_time, signal_time_from,
       signal_date, confirmation_time, confirmation_time_from, bars_to_confirmation, entry_time, be_triggered_at,
       be_exit_at, exit_at, exit_kind, exit_price, cancelled_at, cancel_reason, cancelled_by, bars_pending, entry_price,
       stop_loss, risk_distance, be_mfe_r, no_be_mfe_r, mae_r, be_result_r, no_be_result_r, htf_alignment, htf_computed,
       flags, last_kind, last_received_at,
       (SELECT health_score FROM signal_health_metrics AS h WHERE h.stream = t.stream AND h.trade_id = t.trade_id) AS health_score
FROM trade_states AS t
WHERE (%(stream)s::text IS NULL OR stream = %(stream)s)
  AND (%(statuses)s::text[] IS NULL OR status = ANY(%(statuses)s))
  AND (%(before_id)s::text IS NULL
       OR (signal_time, trade_id, stream) < (%(before_time)s::timestamptz, %(before_id)s::text, %(before_stream)s::text)
       OR (signal_time IS NULL AND (%(before_time)s::timestamptz IS NOT NULL
                                    OR (trade_id, stream) < (%(before_id)s::text, %(before_stream)s::text))))
ORDER BY signal_time DESC NULLS LAST, trade_id DESC, stream DESC
LIMIT %(limit)s;

-- name: sum_statuses
-- Counts and R totals of every status, phantoms left out; `today` counts the signals of one New York day.
SELECT status, count(*) AS signals, count(*) FILTER (WHERE signal_date = %(today)s::date) AS today,
       count(be_result_r) AS be_results, sum(be_result_r) AS be_total_r,
       count(no_be_result_r) AS no_be_results, sum(no_be_result_r) AS no_be_total_r
FROM trade_states
WHERE (%(stream)s::text IS NULL OR stream = %(stream)s) AND NOT flags @> ARRAY['phantom']
GROUP BY status
ORDER BY status;

-- name: sum_days
-- Counts and R totals of each New York day of a span, by the day of the signal; phantoms left out.
SELECT signal_date, count(*) AS signals, count(*) FILTER (WHERE status NOT IN ('PENDING', 'CANCELLED')) AS trades,
       count(*) FILTER (WHERE status = 'COMPLETED') AS completed, count(*) FILTER (WHERE status = 'CANCELLED') AS cancelled,
       count(be_result_r) AS be_results, sum(be_result_r) AS be_total_r,
       count(no_be_result_r) AS no_be_results, sum(no_be_result_r) AS no_be_total_r
FROM trade_states
WHERE (%(stream)s::text IS NULL OR stream = %(stream)s) AND NOT flags @> ARRAY['phantom']
  AND signal_date >= %(first)s::date AND signal_date < %(after)s::date
GROUP BY signal_date
ORDER BY signal_date;
