"""Contracts, bars with their provenance, what time is covered, the state of the feed, and who leads it.

An older `ohlc_bars` is adopted: its rows and unknown columns stay. Where TimescaleDB is preloaded and permitted the bars
become a hypertable; `flask db hypertable` does the same for a table that was filled before.
"""

from __future__ import annotations

from database.migrate import run_sql

revision = "0007"
down_revision = "0006"

BARS = """
CREATE TABLE IF NOT EXISTS ohlc_bars (
    contract_id text NOT NULL,
    "timestamp" timestamptz NOT NULL,
    open numeric NOT NULL,
    high numeric NOT NULL,
    low numeric NOT NULL,
    close numeric NOT NULL,
    volume bigint NOT NULL,
    timeframe_unit integer NOT NULL,
    timeframe_value integer NOT NULL,
    source text NOT NULL DEFAULT 'import',
    is_partial boolean NOT NULL DEFAULT false,
    revision integer NOT NULL DEFAULT 0,
    tick_count bigint NOT NULL DEFAULT 0,
    gap_seconds double precision NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (contract_id, "timestamp", timeframe_unit, timeframe_value)
);

DO $$
DECLARE
    wanted record;
    held text;
BEGIN
    -- An older table kept UTC in a timestamp without zone, and prices in floats.
    FOR wanted IN SELECT * FROM (VALUES
        ('contract_id', 'text', 'contract_id::text'), ('timestamp', 'timestamp with time zone', NULL),
        ('open', 'numeric', 'open::numeric'), ('high', 'numeric', 'high::numeric'), ('low', 'numeric', 'low::numeric'),
        ('close', 'numeric', 'close::numeric'), ('volume', 'bigint', 'volume::bigint'),
        ('timeframe_unit', 'integer', 'timeframe_unit::integer'),
        ('timeframe_value', 'integer', 'timeframe_value::integer')) AS w (name, type, as_type)
    LOOP
        SELECT format_type(atttypid, atttypmod) INTO held FROM pg_attribute
        WHERE attrelid = 'ohlc_bars'::regclass AND attname = wanted.name AND NOT attisdropped;
        IF held IS DISTINCT FROM wanted.type THEN
            EXECUTE format('ALTER TABLE ohlc_bars ALTER COLUMN %I TYPE %s USING %s', wanted.name, wanted.type,
                coalesce(wanted.as_type, CASE WHEN held LIKE 'timestamp%' THEN '"timestamp" AT TIME ZONE ''UTC'''
                                              ELSE '"timestamp"::timestamptz' END));
        END IF;
    END LOOP;
END $$;
ALTER TABLE ohlc_bars
    ADD COLUMN IF NOT EXISTS source text NOT NULL DEFAULT 'import',
    ADD COLUMN IF NOT EXISTS is_partial boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS revision integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS tick_count bigint NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS gap_seconds double precision NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS updated_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE ohlc_bars ADD CONSTRAINT ohlc_bars_sane CHECK (
    low > 0 AND low < 1e9 AND high < 1e9 AND low <= open AND low <= close AND high >= open AND high >= close
    AND volume >= 0) NOT VALID;
COMMENT ON COLUMN ohlc_bars.source IS 'history, import, rollup or live; with is_partial and gap_seconds what a bar is worth';

-- The key, where an older table has another one: of repeated rows the last stored stays.
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_index WHERE indrelid = 'ohlc_bars'::regclass AND indisunique AND indnkeyatts = 4
        AND (SELECT array_agg(attname::text ORDER BY attname) FROM pg_attribute
             WHERE attrelid = indrelid AND attnum = ANY (indkey::smallint[]))
            = ARRAY['contract_id', 'timeframe_unit', 'timeframe_value', 'timestamp'])
    THEN
        DELETE FROM ohlc_bars AS older USING ohlc_bars AS newer
        WHERE older.ctid < newer.ctid AND older.contract_id = newer.contract_id
          AND older."timestamp" = newer."timestamp" AND older.timeframe_unit = newer.timeframe_unit
          AND older.timeframe_value = newer.timeframe_value;
        CREATE UNIQUE INDEX ohlc_bars_bar ON ohlc_bars (contract_id, "timestamp", timeframe_unit, timeframe_value);
    END IF;
END $$;
CREATE INDEX ohlc_bars_series ON ohlc_bars (contract_id, timeframe_unit, timeframe_value, "timestamp" DESC);

CREATE FUNCTION bar_rank(source text, is_partial boolean, gap_seconds double precision) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN is_partial THEN 1 WHEN gap_seconds > 0 THEN 2 WHEN source = 'history' THEN 5
                WHEN source IN ('import', 'rollup') THEN 4 ELSE 3 END
$$;
"""

OTHERS = """
CREATE TABLE contracts (
    contract_id text PRIMARY KEY,
    name text NOT NULL,
    description text NOT NULL DEFAULT '',
    tick_size numeric NOT NULL CHECK (tick_size > 0 AND tick_size < 1e6),
    tick_value numeric CHECK (tick_value > 0 AND tick_value < 1e9),
    is_active boolean NOT NULL DEFAULT true,
    seen_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE contracts IS 'what the gateway says about the contracts that are followed';

CREATE TABLE bar_spans (
    contract_id text NOT NULL,
    timeframe_unit integer NOT NULL,
    timeframe_value integer NOT NULL,
    source text NOT NULL CHECK (source IN ('history', 'import', 'live')),
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL CHECK (ends_at > starts_at),
    PRIMARY KEY (contract_id, timeframe_unit, timeframe_value, source, starts_at)
);
COMMENT ON TABLE bar_spans IS 'time in which no bar means no trade, because the source has told everything';

CREATE TABLE feed_states (
    name text PRIMARY KEY,
    state jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE TABLE leaders (
    name text PRIMARY KEY,
    epoch bigint NOT NULL,
    owner text NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN leaders.epoch IS 'raised at each take-over; a write of an older epoch is refused';
"""

HYPERTABLE = """
CREATE FUNCTION make_bars_hypertable() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    is_preloaded boolean;
    hindering text;
BEGIN
    -- Creating an extension that is not preloaded kills the connection, so ask for that first.
    BEGIN
        is_preloaded := current_setting('shared_preload_libraries') LIKE '%timescaledb%';
    EXCEPTION WHEN insufficient_privilege THEN -- an ordinary user sees only what the loaded library brought with it
        is_preloaded := current_setting('timescaledb.max_background_workers', true) IS NOT NULL;
    END;
    IF NOT is_preloaded THEN
        RETURN 'plain table: TimescaleDB is not in shared_preload_libraries';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        BEGIN
            CREATE EXTENSION timescaledb;
        EXCEPTION WHEN insufficient_privilege OR undefined_file THEN
            RETURN 'plain table: ask an administrator to run CREATE EXTENSION timescaledb, then flask db hypertable';
        END;
    END IF;
    SELECT string_agg(indexrelid::regclass::text, ', ') INTO hindering FROM pg_index
    WHERE indrelid = 'ohlc_bars'::regclass AND indisunique
      AND (SELECT attnum FROM pg_attribute WHERE attrelid = indrelid AND attname = 'timestamp') <> ALL (indkey::smallint[]);
    IF hindering IS NOT NULL THEN -- an older table's own; who uses it is not known here
        RETURN format('plain table: drop what is unique without "timestamp" (%s), then flask db hypertable', hindering);
    END IF;
    EXECUTE $sql$SELECT create_hypertable('ohlc_bars', by_range('timestamp', interval '30 days'),
                                          migrate_data => true, if_not_exists => true)$sql$;
    EXECUTE $sql$ALTER TABLE ohlc_bars SET (timescaledb.compress,
        timescaledb.compress_segmentby = 'contract_id, timeframe_unit, timeframe_value',
        timescaledb.compress_orderby = '"timestamp"')$sql$;
    EXECUTE $sql$SELECT add_compression_policy('ohlc_bars', interval '60 days', if_not_exists => true)$sql$;
    RETURN 'hypertable';
END $$;
SELECT make_bars_hypertable();
"""

DOWN = """
DROP FUNCTION make_bars_hypertable();
DROP TABLE leaders;
DROP TABLE feed_states;
DROP TABLE bar_spans;
DROP TABLE contracts;
DROP TABLE ohlc_bars;
DROP FUNCTION bar_rank(text, boolean, double precision);
"""


def upgrade() -> None:
    for part in (BARS, OTHERS, HYPERTABLE):
        run_sql(part)


def downgrade() -> None:
    run_sql(DOWN)
