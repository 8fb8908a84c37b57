-- name: sum_trades
-- Everything that the analytics page computes from, in one pass over the completed trades of a selection; phantoms left out.
-- `be` and `no_be` are the results in R under the exit rule: as recorded (target 0), or out at the target if it was reached.
WITH chosen AS MATERIALIZED (
    SELECT t.exit_at, t.trade_id, session, direction, be_mfe_r, no_be_mfe_r, mae_r, be_result_r, no_be_result_r, sources, confidence, flags,
           p.worst_r, p.best_r,
           extract(hour FROM signal_time_ny)::integer AS hour, extract(isodow FROM signal_date)::integer AS weekday,
           coalesce(setup ->> 'setup_variant', setup ->> 'setup_family', 'not told') AS setup,
           CASE WHEN NOT htf_computed OR direction IS NULL OR told.known = 0 THEN 'not computed'
                WHEN told.bullish = told.bearish THEN 'balanced'
                WHEN (told.bullish > told.bearish) = (direction = 'long') THEN 'with the signal' ELSE 'against the signal' END AS htf,
           round(CASE WHEN %(target)s::integer > 0 AND be_mfe_r >= %(target)s::integer THEN %(target)s::integer
                      WHEN %(target)s::integer > 0 AND be_mfe_r IS NULL THEN NULL ELSE be_result_r END, 2) AS be,
           round(CASE WHEN %(target)s::integer > 0 AND no_be_mfe_r >= %(target)s::integer THEN %(target)s::integer
                      WHEN %(target)s::integer > 0 AND no_be_mfe_r IS NULL THEN NULL ELSE no_be_result_r END, 2) AS no_be
    FROM trade_states AS t
    LEFT JOIN trade_paths AS p
        ON p.stream = t.stream AND p.trade_id = t.trade_id AND p.why_not IS NULL AND p.entry_price = t.entry_price
       AND p.stop_loss = t.stop_loss AND p.entry_time = t.entry_time AND p.exit_at = t.exit_at
    CROSS JOIN LATERAL (
        SELECT count(*) AS known, count(*) FILTER (WHERE value = 'Bullish') AS bullish, count(*) FILTER (WHERE value = 'Bearish') AS bearish
        FROM jsonb_each_text(CASE WHEN jsonb_typeof(htf_alignment) = 'object' THEN htf_alignment ELSE '{}' END)
        WHERE key IN ('daily', 'h4', 'h1', 'm15', 'm5')) AS told
    WHERE t.stream = ANY(%(streams)s) AND status = 'COMPLETED' AND NOT flags @> ARRAY['phantom']
      AND (%(sessions)s::text[] IS NULL OR session = ANY(%(sessions)s))
      AND (%(direction)s::text IS NULL OR direction = %(direction)s)
      AND (%(since)s::timestamptz IS NULL OR signal_time >= %(since)s)
      AND (%(until)s::timestamptz IS NULL OR signal_time < %(until)s)
      AND (%(text)s::text IS NULL
           OR strpos(lower(t.trade_id COLLATE "C"), lower(%(text)s)) > 0
           OR strpos(lower(symbol COLLATE "C"), lower(%(text)s)) > 0)
), newest AS (
    SELECT exit_at, trade_id, be, no_be FROM chosen WHERE exit_at IS NOT NULL ORDER BY exit_at DESC, trade_id DESC LIMIT %(most)s
), histories AS (
    SELECT array_agg(extract(epoch FROM exit_at)::bigint) AS times, array_agg(be::float8) AS be, array_agg(no_be::float8) AS no_be
    FROM (SELECT * FROM newest ORDER BY exit_at, trade_id) AS ordered
)
SELECT (SELECT coalesce(jsonb_agg(jsonb_build_array(
                   CASE dimension WHEN 31 THEN 'session' WHEN 47 THEN 'hour' WHEN 55 THEN 'weekday' WHEN 59 THEN 'direction'
                                  WHEN 61 THEN 'setup' WHEN 62 THEN 'htf' ELSE 'all' END, name, be, no_be, trades)), '[]')
        FROM (SELECT grouping(session, hour, weekday, direction, setup, htf) AS dimension,
                     coalesce(session, hour::text, weekday::text, direction, setup, htf) AS name, be, no_be, count(*) AS trades
              FROM chosen
              GROUP BY GROUPING SETS ((be, no_be), (session, be, no_be), (hour, be, no_be), (weekday, be, no_be),
                                      (direction, be, no_be), (setup, be, no_be), (htf, be, no_be))) AS grouped) AS groups,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(no_be_reach, be_reach, be, no_be, trades, has_path)), '[]')
        FROM (SELECT width_bucket(no_be_mfe_r::float8, %(edges)s::float8[]) AS no_be_reach, width_bucket(be_mfe_r::float8, %(edges)s::float8[]) AS be_reach,
                     round(be_result_r, 2) AS be, round(no_be_result_r, 2) AS no_be, worst_r IS NOT NULL AS has_path, count(*) AS trades
              FROM chosen GROUP BY 1, 2, 3, 4, 5) AS reached) AS reaches,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(place, worst, best, no_be_reach, be_reach, no_be, trades)), '[]')
        FROM (SELECT place - 1 AS place, width_bucket(worst::float8, %(edges)s::float8[]) AS worst,
                     width_bucket(best::float8, %(edges)s::float8[]) AS best,
                     width_bucket(no_be_mfe_r::float8, %(edges)s::float8[]) AS no_be_reach, width_bucket(be_mfe_r::float8, %(edges)s::float8[]) AS be_reach,
                     round(no_be_result_r, 2) AS no_be, count(*) AS trades
              FROM chosen, unnest(worst_r, best_r) WITH ORDINALITY AS at (worst, best, place)
              WHERE no_be_result_r IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6) AS followed) AS paths,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(depth, went_far, trades)), '[]')
        FROM (SELECT width_bucket(-mae_r::float8, %(depths)s::float8[]) AS depth, no_be_mfe_r >= 1 AS went_far, count(*) AS trades
              FROM chosen WHERE mae_r IS NOT NULL GROUP BY 1, 2) AS fallen) AS falls,
       (SELECT times FROM histories) AS times, (SELECT be FROM histories) AS be, (SELECT no_be FROM histories) AS no_be,
       count(*) AS trades, count(be_result_r) AS be_known, count(no_be_result_r) AS no_be_known, count(be_mfe_r) AS be_mfe_known,
       count(no_be_mfe_r) AS no_be_mfe_known, count(mae_r) AS mae_known, count(*) FILTER (WHERE sources = '{}') AS all_live,
       count(*) FILTER (WHERE sources::text ~ '"(reconciled|inferred)"') AS repaired,
       avg(CASE WHEN confidence <> '{}' THEN (SELECT min(value::numeric) FROM jsonb_each_text(confidence)) END)::float8 AS confidence,
       count(worst_r) AS followed, count(*) FILTER (WHERE flags <> '{}') AS flagged, count(*) FILTER (WHERE flags @> ARRAY['orphan']) AS orphans,
       count(*) FILTER (WHERE flags @> ARRAY['exit_be_without_1r']) AS doubtful_be
FROM chosen;
