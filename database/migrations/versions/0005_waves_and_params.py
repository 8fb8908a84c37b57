"""Waves, their signals, and the parameters of each exchange. Older tables of the schema monitoring keep their rows."""

from __future__ import annotations

from database.migrate import run_sql

revision = "0005"
down_revision = "0004"

WAVES = """
CREATE TABLE waves (
    wave_time timestamptz PRIMARY KEY,
    status text NOT NULL CHECK (status IN ('collecting', 'completed', 'not_found')),
    first_received_at timestamptz,
    last_received_at timestamptz,
    settles_at timestamptz,
    completed_at timestamptz,
    needs_processing boolean NOT NULL DEFAULT false,
    failures integer NOT NULL DEFAULT 0,
    repeats integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (status = 'not_found' OR first_received_at IS NOT NULL)
);
COMMENT ON COLUMN waves.wave_time IS 'open of the 15-minute candle that the signals were computed from';
COMMENT ON COLUMN waves.settles_at IS 'signals pushed one by one belong together until then';
COMMENT ON COLUMN waves.needs_processing IS 'signals have come in that the parameters and the selection do not know yet';
CREATE INDEX waves_unprocessed ON waves (settles_at) WHERE needs_processing;

CREATE TABLE wave_signals (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    wave_time timestamptz NOT NULL REFERENCES waves,
    signal_key text NOT NULL,
    signal_id bigint,
    exchange_id integer CHECK (exchange_id > 0),
    symbol text,
    action text CHECK (action IN ('BUY', 'SELL')),
    score_week numeric(10,4),
    score_month numeric(10,4),
    created_at timestamptz,
    filter_params jsonb,
    faults text[] NOT NULL DEFAULT '{}',
    warnings text[] NOT NULL DEFAULT '{}',
    raw jsonb NOT NULL,
    received_at timestamptz NOT NULL,
    rank integer,
    verdict text CHECK (verdict IN ('selected', 'skipped')),
    reason text NOT NULL DEFAULT ''
);
COMMENT ON COLUMN wave_signals.faults IS 'why the signal is not valid; empty for a valid one';
CREATE UNIQUE INDEX wave_signals_key ON wave_signals (wave_time, coalesce(exchange_id, 0), signal_key);

CREATE TABLE wave_feed (
    id integer PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    state text NOT NULL,
    detail text NOT NULL DEFAULT '',
    owner text NOT NULL,
    since timestamptz NOT NULL,
    last_heard_at timestamptz,
    updated_at timestamptz NOT NULL
);
COMMENT ON TABLE wave_feed IS 'what the one process that holds the feed says of itself';
"""

PARAMS = """
CREATE SCHEMA IF NOT EXISTS monitoring;

CREATE TABLE IF NOT EXISTS monitoring.params (
    exchange_id integer PRIMARY KEY CHECK (exchange_id > 0),
    max_trades_filter integer CHECK (max_trades_filter > 0),
    stop_loss_filter numeric(10,4) CHECK (stop_loss_filter > 0),
    trailing_activation_filter numeric(10,4) CHECK (trailing_activation_filter > 0),
    trailing_distance_filter numeric(10,4) CHECK (trailing_distance_filter > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS monitoring.params_history (
    id bigserial PRIMARY KEY,
    exchange_id integer NOT NULL,
    max_trades_filter integer,
    stop_loss_filter numeric(10,4),
    trailing_activation_filter numeric(10,4),
    trailing_distance_filter numeric(10,4),
    changed_at timestamptz,
    wave_timestamp timestamptz
);
CREATE TABLE IF NOT EXISTS monitoring.events (
    id bigserial PRIMARY KEY,
    event_type varchar(50) NOT NULL,
    event_data jsonb,
    correlation_id varchar(100),
    position_id varchar(100),
    order_id varchar(100),
    symbol varchar(50),
    exchange varchar(50),
    severity varchar(20) DEFAULT 'INFO',
    error_message text,
    stack_trace text,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- An older table may lack columns, and its times may lack a zone: they were UTC.
DO $$
DECLARE
    wanted record;
    held text;
BEGIN
    FOR wanted IN SELECT * FROM (VALUES
        ('params', 'max_trades_filter', 'integer'), ('params', 'stop_loss_filter', 'numeric(10,4)'),
        ('params', 'trailing_activation_filter', 'numeric(10,4)'), ('params', 'trailing_distance_filter', 'numeric(10,4)'),
        ('params', 'created_at', 'timestamptz'), ('params', 'updated_at', 'timestamptz'),
        ('params_history', 'max_trades_filter', 'integer'), ('params_history', 'stop_loss_filter', 'numeric(10,4)'),
        ('params_history', 'trailing_activation_filter', 'numeric(10,4)'),
        ('params_history', 'trailing_distance_filter', 'numeric(10,4)'),
        ('params_history', 'changed_at', 'timestamptz'), ('params_history', 'wave_timestamp', 'timestamptz'),
        ('events', 'event_data', 'jsonb'), ('events', 'correlation_id', 'varchar(100)'),
        ('events', 'position_id', 'varchar(100)'), ('events', 'order_id', 'varchar(100)'),
        ('events', 'symbol', 'varchar(50)'), ('events', 'stack_trace', 'text'),
        ('events', 'exchange', 'varchar(50)'), ('events', 'severity', 'varchar(20)'), ('events', 'error_message', 'text'),
        ('events', 'created_at', 'timestamptz')) AS w (relation, name, type)
    LOOP
        SELECT format_type(atttypid, atttypmod) INTO held FROM pg_attribute
        WHERE attrelid = ('monitoring.' || wanted.relation)::regclass AND attname = wanted.name AND NOT attisdropped;
        IF held IS NULL THEN
            EXECUTE format('ALTER TABLE monitoring.%I ADD COLUMN %I %s', wanted.relation, wanted.name, wanted.type);
        ELSIF wanted.type = 'timestamptz' AND held NOT LIKE '% with time zone' THEN
            EXECUTE format('ALTER TABLE monitoring.%I ALTER COLUMN %I TYPE timestamptz USING %I::timestamp AT TIME ZONE ''UTC''',
                           wanted.relation, wanted.name, wanted.name);
        ELSIF wanted.type IN ('integer', 'numeric(10,4)', 'jsonb') AND held <> wanted.type THEN
            EXECUTE format('ALTER TABLE monitoring.%I ALTER COLUMN %I TYPE %s USING %I::text::%s',
                           wanted.relation, wanted.name, wanted.type, wanted.name, wanted.type);
        END IF;
    END LOOP;
END $$;

-- A value of unknown age must not be newer than any wave.
UPDATE monitoring.params SET updated_at = coalesce(created_at, '2000-01-01 00:00+00') WHERE updated_at IS NULL;
UPDATE monitoring.events SET created_at = now() WHERE created_at IS NULL;
ALTER TABLE monitoring.params
    ALTER COLUMN created_at SET DEFAULT now(),
    ALTER COLUMN updated_at SET DEFAULT now(), ALTER COLUMN updated_at SET NOT NULL,
    ADD COLUMN IF NOT EXISTS score_week_filter numeric(10,4),
    ADD COLUMN IF NOT EXISTS score_month_filter numeric(10,4);
ALTER TABLE monitoring.events ALTER COLUMN severity SET DEFAULT 'INFO', ALTER COLUMN created_at SET DEFAULT now();
CREATE INDEX IF NOT EXISTS params_updated_at ON monitoring.params (updated_at);
CREATE INDEX IF NOT EXISTS events_type ON monitoring.events (event_type, created_at DESC);
CREATE OR REPLACE FUNCTION monitoring.set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER params_set_updated_at BEFORE UPDATE ON monitoring.params
    FOR EACH ROW EXECUTE FUNCTION monitoring.set_updated_at();
INSERT INTO monitoring.params (exchange_id) VALUES (1), (2) ON CONFLICT DO NOTHING;
"""

# `superseded_at` makes the history bitemporal: a correction is a new row, and what was believed before stays readable.
HISTORY = """
ALTER TABLE monitoring.params_history
    ADD COLUMN IF NOT EXISTS score_week_filter numeric(10,4),
    ADD COLUMN IF NOT EXISTS score_month_filter numeric(10,4),
    ADD COLUMN IF NOT EXISTS wave_signal_id bigint REFERENCES wave_signals,
    ADD COLUMN IF NOT EXISTS applied jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS changed_fields text[] NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS max_relative_change numeric,
    ADD COLUMN IF NOT EXISTS source text NOT NULL DEFAULT 'wave',
    ADD COLUMN IF NOT EXISTS superseded_at timestamptz;

UPDATE monitoring.params_history SET changed_at = coalesce(wave_timestamp, now()) WHERE changed_at IS NULL;
UPDATE monitoring.params_history
SET wave_timestamp = to_timestamp(floor(extract(epoch FROM changed_at) / 900) * 900) WHERE wave_timestamp IS NULL;
UPDATE monitoring.params_history SET source = 'adopted' WHERE wave_signal_id IS NULL;
UPDATE monitoring.params_history older SET superseded_at = newer.changed_at
FROM (SELECT id, lead(changed_at) OVER (PARTITION BY exchange_id, wave_timestamp ORDER BY changed_at, id) AS changed_at
      FROM monitoring.params_history) newer
WHERE newer.id = older.id AND newer.changed_at IS NOT NULL;

INSERT INTO monitoring.params (exchange_id) SELECT DISTINCT exchange_id FROM monitoring.params_history WHERE exchange_id > 0
ON CONFLICT DO NOTHING;

-- What an older table of parameters holds without a history begins one.
INSERT INTO monitoring.params_history
    (exchange_id, max_trades_filter, stop_loss_filter, trailing_activation_filter, trailing_distance_filter, changed_at,
     wave_timestamp, source)
SELECT exchange_id, max_trades_filter, stop_loss_filter, trailing_activation_filter, trailing_distance_filter, updated_at,
       to_timestamp(floor(extract(epoch FROM updated_at) / 900) * 900), 'adopted'
FROM monitoring.params p
WHERE num_nonnulls(max_trades_filter, stop_loss_filter, trailing_activation_filter, trailing_distance_filter) > 0
  AND NOT EXISTS (SELECT 1 FROM monitoring.params_history h WHERE h.exchange_id = p.exchange_id);

ALTER TABLE monitoring.params_history
    ALTER COLUMN changed_at SET NOT NULL, ALTER COLUMN changed_at SET DEFAULT now(),
    ALTER COLUMN wave_timestamp SET NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS params_history_current
    ON monitoring.params_history (exchange_id, wave_timestamp) WHERE superseded_at IS NULL;
CREATE INDEX IF NOT EXISTS params_history_known ON monitoring.params_history (exchange_id, wave_timestamp, changed_at);

CREATE TABLE monitoring.param_overrides (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    exchange_id integer NOT NULL REFERENCES monitoring.params,
    field text NOT NULL CHECK (field IN ('max_trades_filter', 'stop_loss_filter', 'trailing_activation_filter',
                                         'trailing_distance_filter', 'score_week_filter', 'score_month_filter')),
    value numeric(10,4) NOT NULL,
    reason text NOT NULL CHECK (reason <> ''),
    set_by text NOT NULL,
    set_at timestamptz NOT NULL,
    expires_at timestamptz CHECK (expires_at > set_at),
    ended_at timestamptz,
    ended_by text,
    end_reason text
);
COMMENT ON TABLE monitoring.param_overrides IS 'a value that masks the recorded one; rows are ended, never deleted';
CREATE UNIQUE INDEX param_overrides_one ON monitoring.param_overrides (exchange_id, field) WHERE ended_at IS NULL;
"""

DOWN = """
DROP TABLE monitoring.param_overrides;
DROP TABLE monitoring.params_history;
DROP TABLE monitoring.events;
DROP TABLE monitoring.params;
DROP FUNCTION monitoring.set_updated_at();
DROP TABLE wave_feed;
DROP TABLE wave_signals;
DROP TABLE waves;
DO $$
BEGIN
    DROP SCHEMA monitoring;
EXCEPTION WHEN dependent_objects_still_exist THEN
    NULL; -- an older installation keeps tables of its own there
END $$;
"""


def upgrade() -> None:
    for part in (WAVES, PARAMS, HISTORY):
        run_sql(part)


def downgrade() -> None:
    run_sql(DOWN)
