-- name: upsert_bars
-- Store bars, each key once; a stored bar gives way to one of higher provenance, or to a correction of its own kind. Of each
-- series how many have changed, the first of them, and the highest revision. (The arrays are unnested among the columns, because
-- as a table they would be written down once more; times are microseconds since 1970.)
WITH changed AS (
INSERT INTO ohlc_bars AS held
    (contract_id, "timestamp", timeframe_unit, timeframe_value, open, high, low, close, volume, source, is_partial, revision,
     tick_count, gap_seconds)
SELECT unnest(%(contract_ids)s::text[]), timestamptz 'epoch' + unnest(%(starts)s::bigint[]) * interval '1 microsecond',
       unnest(%(units)s::integer[]), unnest(%(values)s::integer[]), unnest(%(opens)s::numeric[]), unnest(%(highs)s::numeric[]),
       unnest(%(lows)s::numeric[]), unnest(%(closes)s::numeric[]), unnest(%(volumes)s::bigint[]), unnest(%(sources)s::text[]),
       unnest(%(partials)s::boolean[]), unnest(%(revisions)s::integer[]), unnest(%(tick_counts)s::bigint[]),
       unnest(%(gaps)s::double precision[])
ON CONFLICT (contract_id, "timestamp", timeframe_unit, timeframe_value) DO UPDATE SET
    (open, high, low, close, volume, source, is_partial, tick_count, gap_seconds, revision, updated_at) =
    (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume, excluded.source, excluded.is_partial,
     excluded.tick_count, excluded.gap_seconds,
     greatest(excluded.revision, held.revision + ((held.open, held.high, held.low, held.close, held.volume)
              <> (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume))::integer), now())
WHERE bar_rank(excluded.source, excluded.is_partial, excluded.gap_seconds)
    > bar_rank(held.source, held.is_partial, held.gap_seconds)
   OR (bar_rank(excluded.source, excluded.is_partial, excluded.gap_seconds)
    = bar_rank(held.source, held.is_partial, held.gap_seconds)
       AND CASE WHEN bar_rank(held.source, held.is_partial, held.gap_seconds) > 3
                THEN (held.open, held.high, held.low, held.close, held.volume)
                     <> (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume)
                ELSE (excluded.revision, excluded.tick_count) > (held.revision, held.tick_count) END)
RETURNING contract_id, timeframe_unit, timeframe_value, "timestamp", revision)
SELECT contract_id, timeframe_unit, timeframe_value, count(*) AS bars, min("timestamp") AS first_at, max(revision) AS revision
FROM changed GROUP BY 1, 2, 3;

-- name: notify_bars
-- Tell every process which bars have changed.
SELECT pg_notify('bars', %(payload)s);

-- name: notify_forming
-- Tell every process how far the open bars of a contract have got.
SELECT pg_notify('forming', %(payload)s);
-- name: note_changes
-- Remember, in the same transaction, from which label on analysis has to read each series.
INSERT INTO bar_changes (contract_id, timeframe_unit, timeframe_value, first_at)
SELECT unnest(%(contract_ids)s::text[]), unnest(%(units)s::integer[]), unnest(%(values)s::integer[]),
       timestamptz 'epoch' + unnest(%(firsts)s::bigint[]) * interval '1 microsecond';

-- name: list_bars
-- The newest bars of a series before an instant, at most so many, oldest first.
SELECT * FROM (
    SELECT "timestamp" AS starts_at, open, high, low, close, volume, source, is_partial, revision, tick_count, gap_seconds
    FROM ohlc_bars
    WHERE contract_id = %(contract_id)s AND timeframe_unit = %(unit)s AND timeframe_value = %(value)s
      AND "timestamp" < %(before)s
    ORDER BY "timestamp" DESC
    LIMIT %(limit)s) AS newest
ORDER BY starts_at;

-- name: list_bars_between
-- The bars of a series labelled inside [start, end), oldest first.
SELECT "timestamp" AS starts_at, open, high, low, close, volume, source, is_partial, revision, tick_count, gap_seconds
FROM ohlc_bars
WHERE contract_id = %(contract_id)s AND timeframe_unit = %(unit)s AND timeframe_value = %(value)s
  AND "timestamp" >= %(start)s AND "timestamp" < %(end)s
ORDER BY "timestamp";

-- name: list_changed_bars
-- The bars of a series that were stored or corrected after an instant, oldest first.
SELECT "timestamp" AS starts_at, open, high, low, close, volume, source, is_partial, revision, tick_count, gap_seconds
FROM ohlc_bars
WHERE contract_id = %(contract_id)s AND timeframe_unit = %(unit)s AND timeframe_value = %(value)s
  AND "timestamp" >= %(start)s AND updated_at >= %(changed_since)s
ORDER BY "timestamp"
LIMIT %(limit)s;

-- name: list_series
-- Every series of bars with its first and last label.
SELECT contract_id, timeframe_unit, timeframe_value, min("timestamp") AS first_at, max("timestamp") AS last_at, count(*) AS bars
FROM ohlc_bars GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- name: count_bars_by_hour
-- How many bars of a series each hour holds, for the coverage map.
SELECT date_trunc('hour', "timestamp") AS hour, count(*) AS bars, count(*) FILTER (WHERE source <> 'live') AS filled
FROM ohlc_bars
WHERE contract_id = %(contract_id)s AND timeframe_unit = %(unit)s AND timeframe_value = %(value)s
  AND "timestamp" >= %(start)s AND "timestamp" < %(end)s
GROUP BY 1 ORDER BY 1;

-- name: take_spans
-- Remove the covered spans of a source that touch [start, end], to be joined with it.
DELETE FROM bar_spans
WHERE contract_id = %(contract_id)s AND timeframe_unit = %(unit)s AND timeframe_value = %(value)s AND source = %(source)s
  AND starts_at <= %(end)s AND ends_at >= %(start)s
RETURNING starts_at, ends_at;

-- name: add_span
-- Remember that a source has told everything about a span.
INSERT INTO bar_spans AS held (contract_id, timeframe_unit, timeframe_value, source, starts_at, ends_at)
VALUES (%(contract_id)s, %(unit)s, %(value)s, %(source)s, %(start)s, %(end)s)
ON CONFLICT (contract_id, timeframe_unit, timeframe_value, source, starts_at) DO UPDATE
SET ends_at = greatest(held.ends_at, excluded.ends_at);

-- name: list_spans
-- The covered spans of a series that overlap [start, end).
SELECT source, starts_at, ends_at FROM bar_spans
WHERE contract_id = %(contract_id)s AND timeframe_unit = %(unit)s AND timeframe_value = %(value)s
  AND starts_at < %(end)s AND ends_at > %(start)s
ORDER BY starts_at;

-- name: save_contract
-- What the gateway says about a contract, now.
INSERT INTO contracts (contract_id, name, description, tick_size, tick_value, is_active)
VALUES (%(contract_id)s, %(name)s, %(description)s, %(tick_size)s, %(tick_value)s, %(is_active)s)
ON CONFLICT (contract_id) DO UPDATE SET
    (name, description, tick_size, tick_value, is_active, seen_at) =
    (excluded.name, excluded.description, excluded.tick_size, excluded.tick_value, excluded.is_active, now());

-- name: list_contracts
-- Every contract that was ever followed.
SELECT contract_id, name, description, tick_size, tick_value, is_active, seen_at FROM contracts ORDER BY name, contract_id;

-- name: save_feed_state
-- What the feed says about itself.
INSERT INTO feed_states (name, state) VALUES (%(name)s, %(state)s::jsonb)
ON CONFLICT (name) DO UPDATE SET state = excluded.state, updated_at = now();

-- name: get_feed_state
-- The last that a feed has said about itself.
SELECT state, updated_at FROM feed_states WHERE name = %(name)s;

-- name: make_hypertable
-- Make the bars a hypertable where TimescaleDB is at hand; says what became of it.
SELECT make_bars_hypertable() AS result;

-- name: count_series_between
-- How many bars each series of these contracts holds inside [start, end).
SELECT contract_id, timeframe_unit, timeframe_value, count(*) AS bars
FROM ohlc_bars
WHERE contract_id = ANY(%(contract_ids)s::text[]) AND "timestamp" >= %(start)s AND "timestamp" < %(end)s
GROUP BY 1, 2, 3;
