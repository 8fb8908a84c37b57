"""Detected and coordinated signals, the trend of each timeframe at any instant, and how far each analyzer has got.

Older tables of these names are adopted: their rows and unknown columns stay.
"""

from __future__ import annotations

from database.migrate import run_sql

revision = "0011"
down_revision = "0010"

UP = """
CREATE SEQUENCE detected_signal_changes;

CREATE TABLE IF NOT EXISTS analyzer_watermarks (
    analyzer_id text NOT NULL,
    contract_id text NOT NULL,
    timeframe text NOT NULL,
    last_processed_timestamp timestamptz,
    PRIMARY KEY (analyzer_id, contract_id, timeframe)
);
CREATE TABLE IF NOT EXISTS coordinator_watermarks (
    coordinator_id text PRIMARY KEY,
    last_processed_signal_id bigint NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS detected_signals (
    signal_id bigserial PRIMARY KEY,
    analyzer_id text NOT NULL,
    "timestamp" timestamptz NOT NULL,
    trigger_timestamp timestamptz,
    contract_id text NOT NULL,
    timeframe text NOT NULL,
    signal_type text NOT NULL,
    signal_price numeric,
    details jsonb
);

-- An older table may lack columns, and its times may lack a zone: they were UTC.
DO $$
DECLARE
    wanted record;
    held text;
BEGIN
    FOR wanted IN SELECT * FROM (VALUES
        ('analyzer_watermarks', 'analyzer_id', 'text'), ('analyzer_watermarks', 'contract_id', 'text'),
        ('analyzer_watermarks', 'timeframe', 'text'),
        ('analyzer_watermarks', 'last_processed_timestamp', 'timestamp with time zone'),
        ('coordinator_watermarks', 'coordinator_id', 'text'),
        ('coordinator_watermarks', 'last_processed_signal_id', 'bigint'),
        ('detected_signals', 'analyzer_id', 'text'), ('detected_signals', 'timestamp', 'timestamp with time zone'),
        ('detected_signals', 'trigger_timestamp', 'timestamp with time zone'),
        ('detected_signals', 'contract_id', 'text'), ('detected_signals', 'timeframe', 'text'),
        ('detected_signals', 'signal_type', 'text'), ('detected_signals', 'signal_price', 'numeric'),
        ('detected_signals', 'details', 'jsonb')) AS w (relation, name, type)
    LOOP
        SELECT format_type(atttypid, atttypmod) INTO held FROM pg_attribute
        WHERE attrelid = wanted.relation::regclass AND attname = wanted.name AND NOT attisdropped;
        IF held IS NULL THEN
            EXECUTE format('ALTER TABLE %I ADD COLUMN %I %s', wanted.relation, wanted.name, wanted.type);
        ELSIF held = 'timestamp without time zone' THEN
            EXECUTE format('ALTER TABLE %I ALTER COLUMN %I TYPE timestamptz USING %I AT TIME ZONE ''UTC''',
                           wanted.relation, wanted.name, wanted.name);
        ELSIF held <> wanted.type THEN
            EXECUTE format('ALTER TABLE %I ALTER COLUMN %I TYPE %s USING %I::text::%s',
                           wanted.relation, wanted.name, wanted.type, wanted.name, wanted.type);
        END IF;
    END LOOP;
END $$;

ALTER TABLE analyzer_watermarks
    ALTER COLUMN last_processed_timestamp DROP NOT NULL,
    ADD COLUMN state jsonb,
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now();
CREATE UNIQUE INDEX analyzer_watermarks_series ON analyzer_watermarks (analyzer_id, contract_id, timeframe);
COMMENT ON COLUMN analyzer_watermarks.state IS 'what the analyzer knows after that bar; without it the series is read anew';
ALTER TABLE coordinator_watermarks
    ALTER COLUMN last_processed_signal_id SET DEFAULT 0,
    ADD COLUMN last_change_id bigint NOT NULL DEFAULT 0;
ALTER TABLE detected_signals
    ALTER COLUMN signal_price DROP NOT NULL,
    ADD COLUMN known_at timestamptz,
    ADD COLUMN trend text NOT NULL DEFAULT 'neutral',
    ADD COLUMN rule text NOT NULL DEFAULT '',
    ADD COLUMN position smallint NOT NULL DEFAULT 0,
    ADD COLUMN revision integer NOT NULL DEFAULT 0,
    ADD COLUMN superseded_at timestamptz,
    ADD COLUMN change_id bigint NOT NULL DEFAULT nextval('detected_signal_changes'),
    ADD COLUMN affects_from timestamptz,
    ADD COLUMN created_at timestamptz NOT NULL DEFAULT now();
UPDATE detected_signals SET trigger_timestamp = coalesce(trigger_timestamp, "timestamp"),
    known_at = coalesce(trigger_timestamp, "timestamp"), affects_from = coalesce(trigger_timestamp, "timestamp"),
    trend = CASE WHEN signal_type ILIKE '%up%' OR signal_type ILIKE '%bull%' OR signal_type = 'CUS' THEN 'bullish'
                 WHEN signal_type ILIKE '%down%' OR signal_type ILIKE '%bear%' OR signal_type = 'CDS' THEN 'bearish'
                 ELSE 'neutral' END;
ALTER TABLE detected_signals
    ALTER COLUMN trigger_timestamp SET NOT NULL, ALTER COLUMN known_at SET NOT NULL,
    ALTER COLUMN affects_from SET NOT NULL,
    ADD CHECK (trend IN ('bullish', 'bearish', 'neutral'));
COMMENT ON COLUMN detected_signals.known_at IS 'close of the trigger bar: from then on the signal is known';
COMMENT ON COLUMN detected_signals.position IS 'place among the signals of one trigger bar; the last one holds after it';
COMMENT ON COLUMN detected_signals.superseded_at IS 'when corrected bars took the signal back; empty while it stands';
COMMENT ON COLUMN detected_signals.change_id IS 'new at each change, in the order of commits: the coordinator''s cursor';
COMMENT ON COLUMN detected_signals.affects_from IS 'the earlier of the instants at which it was known before and after a change';

-- The key, where an older table has none: of repeated rows the first stays.
DELETE FROM detected_signals AS newer USING detected_signals AS older
WHERE older.signal_id < newer.signal_id AND older.analyzer_id = newer.analyzer_id
  AND older.contract_id = newer.contract_id AND older.timeframe = newer.timeframe
  AND older."timestamp" = newer."timestamp" AND older.signal_type = newer.signal_type;
CREATE UNIQUE INDEX detected_signals_once ON detected_signals
    (analyzer_id, contract_id, timeframe, "timestamp", signal_type);
CREATE INDEX detected_signals_trigger ON detected_signals (contract_id, timeframe, analyzer_id, trigger_timestamp);
CREATE INDEX detected_signals_known ON detected_signals (contract_id, known_at, signal_id);
CREATE INDEX detected_signals_newest ON detected_signals (known_at, signal_id);
CREATE INDEX detected_signals_change ON detected_signals (change_id);

CREATE TABLE analyzer_checkpoints (
    analyzer_id text NOT NULL,
    contract_id text NOT NULL,
    timeframe text NOT NULL,
    at timestamptz NOT NULL,
    state jsonb NOT NULL,
    PRIMARY KEY (analyzer_id, contract_id, timeframe, at)
);
COMMENT ON TABLE analyzer_checkpoints IS 'states on the way, from which a corrected bar is read again';

CREATE TABLE bar_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    contract_id text NOT NULL,
    timeframe_unit integer NOT NULL,
    timeframe_value integer NOT NULL,
    first_at timestamptz NOT NULL
);
CREATE INDEX bar_changes_series ON bar_changes (contract_id, timeframe_unit, timeframe_value);
COMMENT ON TABLE bar_changes IS 'series with bars that analysis has not seen, from which label on; taken away with the results';

CREATE TABLE IF NOT EXISTS coordinated_signals (coordinated_id bigserial PRIMARY KEY);
ALTER TABLE coordinated_signals
    ADD COLUMN IF NOT EXISTS coordinated_id bigserial UNIQUE,
    ADD COLUMN IF NOT EXISTS rule text NOT NULL DEFAULT 'older',
    ADD COLUMN IF NOT EXISTS contract_id text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS signal_type text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS trend text NOT NULL DEFAULT 'neutral',
    ADD COLUMN IF NOT EXISTS primary_signal_id bigint,
    ADD COLUMN IF NOT EXISTS confirming_signal_id bigint,
    ADD COLUMN IF NOT EXISTS primary_known_at timestamptz NOT NULL DEFAULT '1970-01-01 00:00+00',
    ADD COLUMN IF NOT EXISTS decided_at timestamptz NOT NULL DEFAULT '1970-01-01 00:00+00',
    ADD COLUMN IF NOT EXISTS score numeric NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS details jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS superseded_at timestamptz,
    ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now();
CREATE UNIQUE INDEX coordinated_signals_once ON coordinated_signals (rule, primary_signal_id, confirming_signal_id);
CREATE INDEX coordinated_signals_primary ON coordinated_signals (contract_id, rule, primary_known_at);
CREATE INDEX coordinated_signals_newest ON coordinated_signals (decided_at, coordinated_id);
COMMENT ON COLUMN coordinated_signals.decided_at IS 'event time: when the score was reached, by the closes of the trigger bars';

CREATE TABLE IF NOT EXISTS trend_history (
    contract_id text NOT NULL,
    timeframe text NOT NULL,
    analyzer text NOT NULL,
    at timestamptz NOT NULL
);
ALTER TABLE trend_history
    ADD COLUMN IF NOT EXISTS trend text NOT NULL DEFAULT 'neutral' CHECK (trend IN ('bullish', 'bearish', 'neutral')),
    ADD COLUMN IF NOT EXISTS bar_timestamp timestamptz;
UPDATE trend_history SET bar_timestamp = at WHERE bar_timestamp IS NULL;
ALTER TABLE trend_history ALTER COLUMN bar_timestamp SET NOT NULL;
CREATE UNIQUE INDEX trend_history_once ON trend_history (contract_id, timeframe, analyzer, at);
COMMENT ON TABLE trend_history IS 'the trend of a timeframe from an instant (the close of bar_timestamp) on, until the next row';
"""

DOWN = """
DROP TABLE trend_history;
DROP TABLE coordinated_signals;
DROP TABLE bar_changes;
DROP TABLE analyzer_checkpoints;
DROP TABLE detected_signals;
DROP TABLE coordinator_watermarks;
DROP TABLE analyzer_watermarks;
DROP SEQUENCE detected_signal_changes;
"""


def upgrade() -> None:
    run_sql(UP)


def downgrade() -> None:
    run_sql(DOWN)
