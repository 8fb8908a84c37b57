-- name: lock_series
-- One pass over a series at a time, over all processes; ends with the transaction.
SELECT pg_advisory_xact_lock(%(lock)s, hashtext(%(series)s)) AS locked;

-- name: lock_signals
-- Writers of detected signals commit one after the other, so that change ids follow the order of commits.
SELECT pg_advisory_xact_lock(%(lock)s, 0) AS locked;

-- name: list_pending
-- The series whose bars have changed since they were last analysed.
SELECT DISTINCT contract_id, timeframe_unit, timeframe_value FROM bar_changes ORDER BY 1, 2, 3;

-- name: list_series
-- Every series of bars, by hopping from one to the next in the index.
WITH RECURSIVE hop AS (
    (SELECT contract_id, timeframe_unit, timeframe_value FROM ohlc_bars ORDER BY 1, 2, 3 LIMIT 1)
    UNION ALL
    SELECT following.* FROM hop, LATERAL (
        SELECT contract_id, timeframe_unit, timeframe_value FROM ohlc_bars AS bars
        WHERE (bars.contract_id, bars.timeframe_unit, bars.timeframe_value)
            > (hop.contract_id, hop.timeframe_unit, hop.timeframe_value)
        ORDER BY 1, 2, 3 LIMIT 1) AS following
)
SELECT contract_id, timeframe_unit, timeframe_value FROM hop;

-- name: note_change
-- A series is to be read again from a bar on.
INSERT INTO bar_changes (contract_id, timeframe_unit, timeframe_value, first_at)
VALUES (%(contract_id)s, %(unit)s, %(value)s, %(first_at)s);

-- name: take_changes
-- Take away what is noted about a series: the earliest bar that has changed.
WITH taken AS (
    DELETE FROM bar_changes
    WHERE contract_id = %(contract_id)s AND timeframe_unit = %(unit)s AND timeframe_value = %(value)s
    RETURNING first_at)
SELECT min(first_at) AS first_at FROM taken;

-- name: get_watermark
-- How far an analyzer has got with a series, and its state there.
SELECT last_processed_timestamp AS at, state FROM analyzer_watermarks
WHERE analyzer_id = %(analyzer_id)s AND contract_id = %(contract_id)s AND timeframe = %(timeframe)s;

-- name: save_watermark
-- How far an analyzer has got with a series, and its state there.
INSERT INTO analyzer_watermarks (analyzer_id, contract_id, timeframe, last_processed_timestamp, state)
VALUES (%(analyzer_id)s, %(contract_id)s, %(timeframe)s, %(at)s, %(state)s::jsonb)
ON CONFLICT (analyzer_id, contract_id, timeframe) DO UPDATE SET
    (last_processed_timestamp, state, updated_at) = (excluded.last_processed_timestamp, excluded.state, now());

-- name: get_checkpoint
-- The newest kept state before a bar.
SELECT at, state FROM analyzer_checkpoints
WHERE analyzer_id = %(analyzer_id)s AND contract_id = %(contract_id)s AND timeframe = %(timeframe)s AND at < %(before)s
ORDER BY at DESC LIMIT 1;

-- name: drop_checkpoints
-- Forget the kept states from a bar on.
DELETE FROM analyzer_checkpoints
WHERE analyzer_id = %(analyzer_id)s AND contract_id = %(contract_id)s AND timeframe = %(timeframe)s AND at >= %(start)s;

-- name: save_checkpoints
-- Keep states on the way.
INSERT INTO analyzer_checkpoints (analyzer_id, contract_id, timeframe, at, state)
SELECT %(analyzer_id)s, %(contract_id)s, %(timeframe)s, at, state
FROM jsonb_to_recordset(%(rows)s::jsonb) AS given (at timestamptz, state jsonb)
ON CONFLICT (analyzer_id, contract_id, timeframe, at) DO UPDATE SET state = excluded.state;

-- name: list_final_bars
-- The next bars of a series after a label, whole ones only, oldest first.
SELECT "timestamp" AS starts_at, open, high, low, close, volume
FROM ohlc_bars
WHERE contract_id = %(contract_id)s AND timeframe_unit = %(unit)s AND timeframe_value = %(value)s
  AND "timestamp" > %(after)s AND "timestamp" < %(until)s AND NOT is_partial
ORDER BY "timestamp" LIMIT %(limit)s;

-- name: list_triggered
-- The standing signals of a series that bars inside (after, until] have confirmed.
SELECT signal_id, "timestamp" AS at, trigger_timestamp AS trigger_at, known_at, signal_type, trend, signal_price AS price, rule,
       position
FROM detected_signals
WHERE analyzer_id = %(analyzer_id)s AND contract_id = %(contract_id)s AND timeframe = %(timeframe)s
  AND trigger_timestamp > %(after)s AND trigger_timestamp <= %(until)s AND superseded_at IS NULL;

-- name: supersede_signals
-- Corrected bars take signals back.
UPDATE detected_signals SET superseded_at = now(), change_id = nextval('detected_signal_changes'), affects_from = known_at
WHERE signal_id = ANY(%(signal_ids)s::bigint[]);

-- name: upsert_signals
-- Store signals once; one that was taken back stands again, and of two confirmations of one start the earlier counts.
INSERT INTO detected_signals AS held
    (analyzer_id, contract_id, timeframe, signal_type, trend, "timestamp", trigger_timestamp, known_at, affects_from,
     signal_price, rule, position, details)
SELECT %(analyzer_id)s, %(contract_id)s, %(timeframe)s, signal_type, trend, at, trigger_at, known_at, known_at, price, rule,
       position, jsonb_build_object('rule', rule)
FROM jsonb_to_recordset(%(rows)s::jsonb) AS given
    (signal_type text, trend text, at timestamptz, trigger_at timestamptz, known_at timestamptz, price numeric, rule text,
     position smallint)
ON CONFLICT (analyzer_id, contract_id, timeframe, "timestamp", signal_type) DO UPDATE SET
    (trend, trigger_timestamp, known_at, affects_from, signal_price, rule, position, details, superseded_at, revision,
     change_id) =
    (excluded.trend, excluded.trigger_timestamp, excluded.known_at, least(held.affects_from, excluded.known_at),
     excluded.signal_price, excluded.rule, excluded.position, excluded.details, NULL, held.revision + 1,
     nextval('detected_signal_changes'))
WHERE held.superseded_at IS NOT NULL OR held.trigger_timestamp > excluded.trigger_timestamp
RETURNING signal_id;

-- name: drop_turns
-- Forget the trend of a series as bars inside (after, until] have set it.
DELETE FROM trend_history
WHERE analyzer = %(analyzer_id)s AND contract_id = %(contract_id)s AND timeframe = %(timeframe)s
  AND bar_timestamp > %(after)s AND bar_timestamp <= %(until)s;

-- name: save_turns
-- From when on a trend holds.
INSERT INTO trend_history (analyzer, contract_id, timeframe, at, trend, bar_timestamp)
SELECT %(analyzer_id)s, %(contract_id)s, %(timeframe)s, at, trend, bar_at
FROM jsonb_to_recordset(%(rows)s::jsonb) AS given (at timestamptz, trend text, bar_at timestamptz)
ON CONFLICT (contract_id, timeframe, analyzer, at) DO UPDATE SET
    (trend, bar_timestamp) = (excluded.trend, excluded.bar_timestamp);

-- name: get_trends
-- The trend of each timeframe of a contract at an instant, as the bars closed by then tell it.
SELECT DISTINCT ON (timeframe) timeframe, trend, at AS since, bar_timestamp
FROM trend_history
WHERE contract_id = %(contract_id)s AND analyzer = %(analyzer_id)s AND at <= %(at)s
ORDER BY timeframe, at DESC;

-- name: lock_coordinator
-- The cursor of the coordinator; one pass at a time.
INSERT INTO coordinator_watermarks AS held (coordinator_id) VALUES (%(coordinator_id)s)
ON CONFLICT (coordinator_id) DO UPDATE SET coordinator_id = held.coordinator_id
RETURNING last_change_id;

-- name: save_cursor
-- The coordinator has got so far.
UPDATE coordinator_watermarks SET last_change_id = %(change_id)s,
    last_processed_signal_id = greatest(last_processed_signal_id, %(signal_id)s)
WHERE coordinator_id = %(coordinator_id)s;

-- name: list_changes
-- Signals that have come or changed since a cursor, in the order of their commits.
SELECT change_id, signal_id, contract_id, analyzer_id, timeframe, affects_from
FROM detected_signals WHERE change_id > %(after)s ORDER BY change_id LIMIT %(limit)s;

-- name: list_for_rule
-- The standing signals of some timeframes known from an instant on, and the last one of each before it.
SELECT signal_id, timeframe, signal_type, trend, "timestamp" AS at, known_at, position
FROM detected_signals
WHERE contract_id = %(contract_id)s AND analyzer_id = %(analyzer_id)s AND timeframe = ANY(%(timeframes)s::text[])
  AND known_at >= %(since)s AND superseded_at IS NULL
UNION ALL
SELECT earlier.* FROM unnest(%(timeframes)s::text[]) AS wanted (timeframe), LATERAL (
    SELECT signal_id, timeframe, signal_type, trend, "timestamp" AS at, known_at, position
    FROM detected_signals
    WHERE contract_id = %(contract_id)s AND analyzer_id = %(analyzer_id)s AND timeframe = wanted.timeframe
      AND known_at < %(since)s AND superseded_at IS NULL
    ORDER BY known_at DESC, position DESC LIMIT 1) AS earlier;

-- name: list_decided
-- The standing decisions of a rule on a contract whose primary signal is known from an instant on.
SELECT coordinated_id, primary_signal_id, confirming_signal_id, decided_at, score
FROM coordinated_signals
WHERE rule = %(rule)s AND contract_id = %(contract_id)s AND primary_known_at >= %(since)s AND superseded_at IS NULL;

-- name: supersede_decisions
-- Decisions that the signals no longer bear out.
UPDATE coordinated_signals SET superseded_at = now() WHERE coordinated_id = ANY(%(coordinated_ids)s::bigint[]);

-- name: save_decision
-- Store a decision once; one that was taken back stands again.
INSERT INTO coordinated_signals
    (rule, contract_id, signal_type, trend, primary_signal_id, confirming_signal_id, primary_known_at, decided_at, score,
     details)
VALUES (%(rule)s, %(contract_id)s, %(signal_type)s, %(trend)s, %(primary_id)s, %(confirming_id)s, %(primary_known_at)s,
        %(decided_at)s, %(score)s, %(details)s::jsonb)
ON CONFLICT (rule, primary_signal_id, confirming_signal_id) DO UPDATE SET
    (signal_type, trend, primary_known_at, decided_at, score, details, superseded_at) =
    (excluded.signal_type, excluded.trend, excluded.primary_known_at, excluded.decided_at, excluded.score, excluded.details,
     NULL)
RETURNING coordinated_id;

-- name: notify
-- Tell every process that signals of a contract have come or changed.
SELECT pg_notify('analysis', %(payload)s);

-- name: list_signals
-- A page of standing signals, newest first; each filter may be null.
SELECT signal_id, analyzer_id, contract_id, timeframe, signal_type, trend, "timestamp" AS at, trigger_timestamp AS trigger_at,
       known_at, signal_price AS price, rule, revision
FROM detected_signals
WHERE superseded_at IS NULL
  AND (%(contract_id)s::text IS NULL OR contract_id = %(contract_id)s)
  AND (%(timeframe)s::text IS NULL OR timeframe = %(timeframe)s)
  AND (%(analyzer_id)s::text IS NULL OR analyzer_id = %(analyzer_id)s)
  AND (%(trend)s::text IS NULL OR trend = %(trend)s)
  AND (%(since)s::timestamptz IS NULL OR known_at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR known_at < %(until)s)
  AND (%(place_at)s::timestamptz IS NULL OR (known_at, signal_id) < (%(place_at)s, %(place_id)s::bigint))
ORDER BY known_at DESC, signal_id DESC
LIMIT %(limit)s;

-- name: list_coordinated
-- A page of standing decisions with their primary signal, newest first; each filter may be null.
SELECT c.coordinated_id, c.rule, c.contract_id, c.signal_type, c.trend, c.decided_at, c.score, c.details,
       c.primary_signal_id, c.confirming_signal_id, p."timestamp" AS at, p.timeframe, p.signal_price AS price
FROM coordinated_signals AS c LEFT JOIN detected_signals AS p ON p.signal_id = c.primary_signal_id
WHERE c.superseded_at IS NULL
  AND (%(contract_id)s::text IS NULL OR c.contract_id = %(contract_id)s)
  AND (%(rule)s::text IS NULL OR c.rule = %(rule)s)
  AND (%(trend)s::text IS NULL OR c.trend = %(trend)s)
  AND (%(since)s::timestamptz IS NULL OR c.decided_at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR c.decided_at < %(until)s)
  AND (%(place_at)s::timestamptz IS NULL OR (c.decided_at, c.coordinated_id) < (%(place_at)s, %(place_id)s::bigint))
ORDER BY c.decided_at DESC, c.coordinated_id DESC
LIMIT %(limit)s;

-- name: list_states
-- How far every analyzer has got with every series, and what holds there now.
SELECT w.analyzer_id, w.contract_id, w.timeframe, w.last_processed_timestamp AS last_bar_at, w.updated_at,
       t.trend, t.at AS since
FROM analyzer_watermarks AS w
LEFT JOIN LATERAL (
    SELECT trend, at FROM trend_history
    WHERE contract_id = w.contract_id AND timeframe = w.timeframe AND analyzer = w.analyzer_id
    ORDER BY at DESC LIMIT 1) AS t ON true
WHERE %(contract_id)s::text IS NULL OR w.contract_id = %(contract_id)s
ORDER BY w.contract_id, w.analyzer_id, w.timeframe;

-- name: list_last_decisions
-- The last standing decision of each contract.
SELECT DISTINCT ON (contract_id) contract_id, coordinated_id, rule, signal_type, trend, decided_at, score
FROM coordinated_signals WHERE superseded_at IS NULL ORDER BY contract_id, decided_at DESC, coordinated_id DESC;

-- name: list_watched
-- The series that an analyzer has begun.
SELECT contract_id, timeframe FROM analyzer_watermarks WHERE analyzer_id = %(analyzer_id)s ORDER BY 1, 2;

-- name: reset_series
-- Forget all that an analyzer has found in a series, decisions on it included; how many signals that were.
WITH gone AS (
    DELETE FROM detected_signals
    WHERE analyzer_id = %(analyzer_id)s AND contract_id = %(contract_id)s AND timeframe = %(timeframe)s
    RETURNING signal_id),
decided AS (
    DELETE FROM coordinated_signals AS c USING gone
    WHERE c.primary_signal_id = gone.signal_id OR c.confirming_signal_id = gone.signal_id),
turns AS (
    DELETE FROM trend_history
    WHERE analyzer = %(analyzer_id)s AND contract_id = %(contract_id)s AND timeframe = %(timeframe)s),
kept AS (
    DELETE FROM analyzer_checkpoints
    WHERE analyzer_id = %(analyzer_id)s AND contract_id = %(contract_id)s AND timeframe = %(timeframe)s),
marks AS (
    DELETE FROM analyzer_watermarks
    WHERE analyzer_id = %(analyzer_id)s AND contract_id = %(contract_id)s AND timeframe = %(timeframe)s)
SELECT count(*) AS signals FROM gone;
