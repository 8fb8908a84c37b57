"""Hybrid sync: gaps with their times, health of each signal, the audit log, cycles, stream outages, measured confidence.

The formula of the health score lives here, in `calculate_signal_health_score`, and nowhere else. Older tables of the same
names are adopted: their rows and unknown columns stay.
"""

from __future__ import annotations

from database.migrate import run_sql

revision = "0010"
down_revision = "0008"

ADOPTED = """
CREATE TABLE IF NOT EXISTS signal_health_metrics (
    id bigserial PRIMARY KEY,
    trade_id varchar(100) NOT NULL
);
CREATE TABLE IF NOT EXISTS sync_audit_log (
    id bigserial PRIMARY KEY,
    trade_id varchar(100),
    action_type varchar(50) NOT NULL,
    action_timestamp timestamptz NOT NULL DEFAULT now()
);

DO $$
DECLARE
    wanted record;
    held text;
BEGIN
    -- What older tables hold under these names keeps its rows and takes our types; their times were UTC without a zone.
    FOR wanted IN SELECT * FROM (VALUES
        ('signal_health_metrics', 'health_score', 'integer', 'round(%I::numeric)::integer'),
        ('signal_health_metrics', 'gap_flags', 'jsonb', '%I::text::jsonb'),
        ('sync_audit_log', 'action_timestamp', 'timestamp with time zone', '%I AT TIME ZONE ''UTC'''),
        ('sync_audit_log', 'action_type', 'character varying(50)', '%I::varchar(50)'),
        ('sync_audit_log', 'confidence_score', 'numeric(5,4)', '%I::numeric(5,4)'),
        ('sync_audit_log', 'data_source', 'text', '%I::text')) AS w (relation, name, type, as_type)
    LOOP
        SELECT format_type(atttypid, atttypmod) INTO held FROM pg_attribute
        WHERE attrelid = wanted.relation::regclass AND attname = wanted.name AND NOT attisdropped;
        IF held IS NULL THEN
            EXECUTE format('ALTER TABLE %I ADD COLUMN %I %s', wanted.relation, wanted.name, wanted.type);
        ELSIF held <> wanted.type THEN
            EXECUTE format('ALTER TABLE %I ALTER COLUMN %I DROP DEFAULT, ALTER COLUMN %I TYPE %s USING ' || wanted.as_type,
                           wanted.relation, wanted.name, wanted.name, wanted.type, wanted.name);
        END IF;
    END LOOP;
    -- A trade id names a signal within its stream only.
    FOR wanted IN SELECT conname AS name FROM pg_constraint
        WHERE conrelid = 'signal_health_metrics'::regclass AND contype = 'u' LOOP
        EXECUTE format('ALTER TABLE signal_health_metrics DROP CONSTRAINT %I', wanted.name);
    END LOOP;
END $$;

ALTER TABLE signal_health_metrics
    ADD COLUMN IF NOT EXISTS stream text NOT NULL DEFAULT 'main',
    ADD COLUMN IF NOT EXISTS complete_until timestamptz,
    ADD COLUMN IF NOT EXISTS missing_minutes integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS checked_at timestamptz NOT NULL DEFAULT now(),
    ALTER COLUMN health_score SET DEFAULT 100,
    ALTER COLUMN gap_flags SET DEFAULT '{"applies": [], "gaps": []}',
    SET (fillfactor = 80);
UPDATE signal_health_metrics SET gap_flags = '{"applies": [], "gaps": []}'
WHERE gap_flags IS NULL OR jsonb_typeof(gap_flags -> 'gaps') IS DISTINCT FROM 'array';
UPDATE signal_health_metrics SET health_score = least(100, greatest(0, coalesce(health_score, 100)));
DELETE FROM signal_health_metrics AS older USING signal_health_metrics AS newer
WHERE older.ctid < newer.ctid AND older.stream = newer.stream AND older.trade_id = newer.trade_id;
ALTER TABLE signal_health_metrics
    ALTER COLUMN health_score SET NOT NULL,
    ALTER COLUMN gap_flags SET NOT NULL,
    ADD CONSTRAINT signal_health_score CHECK (health_score BETWEEN 0 AND 100);
CREATE UNIQUE INDEX signal_health_signal ON signal_health_metrics (stream, trade_id);
CREATE INDEX signal_health_imperfect ON signal_health_metrics (health_score, stream, trade_id) WHERE health_score < 100;
COMMENT ON COLUMN signal_health_metrics.gap_flags IS 'which facts should be known by now (applies) and which are not (gaps)';
COMMENT ON COLUMN signal_health_metrics.complete_until IS 'every open-market minute before it has its excursions';

ALTER TABLE sync_audit_log
    ADD COLUMN IF NOT EXISTS stream text NOT NULL DEFAULT 'main',
    ADD COLUMN IF NOT EXISTS gap_type text,
    ADD COLUMN IF NOT EXISTS field text,
    ADD COLUMN IF NOT EXISTS old_value jsonb,
    ADD COLUMN IF NOT EXISTS new_value jsonb,
    ADD COLUMN IF NOT EXISTS reason text,
    ADD COLUMN IF NOT EXISTS evidence jsonb,
    ADD COLUMN IF NOT EXISTS tier smallint,
    ADD COLUMN IF NOT EXISTS actor text NOT NULL DEFAULT 'service',
    ALTER COLUMN trade_id DROP NOT NULL,
    ALTER COLUMN action_timestamp SET DEFAULT now();
UPDATE sync_audit_log SET action_timestamp = now() WHERE action_timestamp IS NULL;
ALTER TABLE sync_audit_log ALTER COLUMN action_timestamp SET NOT NULL;
CREATE INDEX sync_audit_time ON sync_audit_log (action_timestamp DESC, id DESC);
CREATE INDEX sync_audit_action ON sync_audit_log (action_type, action_timestamp DESC);
CREATE INDEX sync_audit_trade ON sync_audit_log (stream, trade_id, id DESC);
"""

TABLES = """
CREATE TABLE sync_gaps (
    id bigserial PRIMARY KEY,
    stream text NOT NULL,
    trade_id varchar(100) NOT NULL,
    gap_type text NOT NULL,
    first_seen_at timestamptz NOT NULL,
    resolved_at timestamptz CHECK (resolved_at >= first_seen_at),
    resolved_by text
);
CREATE UNIQUE INDEX sync_gaps_open ON sync_gaps (stream, trade_id, gap_type) WHERE resolved_at IS NULL;
CREATE INDEX sync_gaps_resolved ON sync_gaps (resolved_at DESC) WHERE resolved_at IS NOT NULL;
CREATE INDEX sync_gaps_type ON sync_gaps (gap_type, first_seen_at) WHERE resolved_at IS NULL;

CREATE TABLE stream_outages (
    id bigserial PRIMARY KEY,
    stream text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('silence', 'kind_silence', 'throttle')),
    detail text NOT NULL DEFAULT '',
    starts_at timestamptz NOT NULL,
    ends_at timestamptz CHECK (ends_at >= starts_at),
    first_seen_at timestamptz NOT NULL,
    resolved_at timestamptz,
    open_minutes numeric(10,1) NOT NULL DEFAULT 0,
    UNIQUE (stream, kind, detail, starts_at)
);
CREATE INDEX stream_outages_time ON stream_outages (stream, starts_at DESC);
COMMENT ON TABLE stream_outages IS 'market time in which the sender was silent, a kind of event stayed away, or a limit was near';

CREATE TABLE sync_cycles (
    id bigserial PRIMARY KEY,
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    scanned_until timestamptz,
    actor text NOT NULL DEFAULT 'service',
    tiers smallint[] NOT NULL DEFAULT '{}',
    report jsonb NOT NULL DEFAULT '{}',
    health_after integer
);
CREATE INDEX sync_cycles_time ON sync_cycles (started_at DESC, id DESC);

CREATE TABLE heal_calibrations (
    id bigserial PRIMARY KEY,
    measured_at timestamptz NOT NULL,
    method text NOT NULL,
    gap_minutes integer NOT NULL CHECK (gap_minutes > 0),
    hidden integer NOT NULL,
    healed integer NOT NULL,
    median_error_r numeric(10,4),
    p95_error_r numeric(10,4),
    median_error_ticks numeric(12,2),
    p95_error_ticks numeric(12,2),
    coverage numeric(5,4) NOT NULL,
    confidence numeric(5,4) NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    UNIQUE (measured_at, method, gap_minutes)
);

CREATE INDEX trade_states_open ON trade_states (stream, trade_id)
    WHERE status IN ('ACTIVE', 'BE_PROTECTED', 'BE_EXITED', 'PENDING');
-- Block ranges cost a state nothing when it is saved, and old signals no longer change.
CREATE INDEX trade_states_changed ON trade_states USING brin (updated_at) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX automated_signals_repairs ON automated_signals (received_at DESC) WHERE source_rank > 2;
CREATE INDEX automated_signals_revoked ON automated_signals (stream, trade_id) WHERE revoked_at IS NOT NULL;
"""

FUNCTIONS = """
CREATE FUNCTION calculate_signal_health_score(flags jsonb) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    WITH weights (gap, weight) AS (VALUES
        ('no_mfe_update', 20), ('no_entry_price', 15), ('no_stop_loss', 15), ('no_mae', 10), ('no_session', 8),
        ('no_signal_date', 8), ('no_htf_alignment', 5), ('no_targets', 5), ('no_confirmation_time', 3), ('no_entry', 15),
        ('no_signal_created', 3), ('no_be_trigger', 10), ('no_exit', 15), ('stale_pending', 5), ('invalid_values', 10))
    SELECT coalesce(round(100 * (1 - coalesce(sum(weight) FILTER (WHERE flags -> 'gaps' ? gap), 0)::numeric
                    / sum(weight) FILTER (WHERE flags -> 'applies' ? gap OR flags -> 'gaps' ? gap)))::integer, 100)
    FROM weights
$$;
COMMENT ON FUNCTION calculate_signal_health_score(jsonb) IS
    '0 to 100 from {"applies": [...], "gaps": [...]}: the one home of weights and formula';

CREATE FUNCTION update_signal_health(of_trade varchar, of_stream varchar DEFAULT 'main') RETURNS integer
LANGUAGE sql AS $$
    UPDATE signal_health_metrics SET health_score = calculate_signal_health_score(gap_flags)
    WHERE stream = of_stream AND trade_id = of_trade
    RETURNING health_score
$$;

-- The analysis keeps its own table, which need not be there: so the query is made when it is asked.
CREATE FUNCTION trend_alignment(of_contract text, at_time timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found jsonb;
BEGIN
    IF to_regclass('trend_history') IS NULL THEN
        RETURN NULL;
    END IF;
    EXECUTE $sql$
        SELECT jsonb_object_agg(key, side) FROM (
            SELECT DISTINCT ON (names.key) names.key,
                   CASE lower(h.trend::text) WHEN 'bullish' THEN 'Bullish' WHEN '1' THEN 'Bullish' WHEN 'bearish' THEN 'Bearish'
                                             WHEN '-1' THEN 'Bearish' ELSE 'Neutral' END AS side
            FROM (VALUES ('daily', '1d'), ('h4', '4h'), ('h1', '1h'), ('m15', '15m'), ('m5', '5m')) AS names (key, timeframe)
            JOIN trend_history h ON h.timeframe = names.timeframe
            WHERE h.contract_id = $1 AND h.analyzer = 'trend' AND h.at <= $2 AND h.at > $2 - interval '10 days'
            ORDER BY names.key, h.at DESC) AS latest
        HAVING count(*) = 5 $sql$ INTO found USING of_contract, at_time;
    RETURN found;
END $$;
COMMENT ON FUNCTION trend_alignment(text, timestamptz) IS
    'the trend of each higher timeframe as it stood at an instant; NULL unless all five are known';
COMMENT ON FUNCTION update_signal_health(varchar, varchar) IS 'score a signal again from its stored flags; NULL if it has none';
"""

VIEWS = """
CREATE VIEW signals_with_health AS
SELECT t.stream, t.trade_id, t.status, t.direction, t.symbol, t.session, t.signal_date, t.signal_time_ny AS signal_time,
       t.entry_price, t.stop_loss, t.risk_distance, t.confirmation_time, t.bars_to_confirmation, t.be_mfe_r AS be_mfe,
       t.no_be_mfe_r AS no_be_mfe, t.mae_r AS mae_global_r, t.last_mfe_slot, t.entry_time, t.be_triggered_at, t.be_exit_at,
       t.exit_at, t.exit_kind, t.cancelled_at, t.htf_alignment, t.htf_computed, t.targets_extended, t.sources, t.confidence,
       t.flags, coalesce(h.health_score, 100) AS health_score, h.gap_flags, coalesce(h.missing_minutes, 0) AS missing_minutes,
       h.checked_at
FROM trade_states t
LEFT JOIN signal_health_metrics h ON h.stream = t.stream AND h.trade_id = t.trade_id;
COMMENT ON VIEW signals_with_health IS 'every signal with its merged values, repairs included, and its health';

CREATE VIEW signals_with_gaps AS
SELECT g.stream, g.trade_id, t.status, h.health_score, array_agg(g.gap_type ORDER BY g.first_seen_at, g.gap_type) AS gaps,
       min(g.first_seen_at) AS first_seen_at, coalesce(h.missing_minutes, 0) AS missing_minutes
FROM sync_gaps g
LEFT JOIN signal_health_metrics h ON h.stream = g.stream AND h.trade_id = g.trade_id
LEFT JOIN trade_states t ON t.stream = g.stream AND t.trade_id = g.trade_id
WHERE g.resolved_at IS NULL
GROUP BY g.stream, g.trade_id, t.status, h.health_score, h.missing_minutes;
COMMENT ON VIEW signals_with_gaps IS 'signals of which something should be known by now and is not';
"""

DOWN = """
DROP VIEW signals_with_gaps;
DROP VIEW signals_with_health;
DROP FUNCTION trend_alignment(text, timestamptz);
DROP FUNCTION update_signal_health(varchar, varchar);
DROP FUNCTION calculate_signal_health_score(jsonb);
DROP INDEX automated_signals_revoked;
DROP INDEX automated_signals_repairs;
DROP INDEX trade_states_changed;
DROP INDEX trade_states_open;
DROP TABLE heal_calibrations;
DROP TABLE sync_cycles;
DROP TABLE stream_outages;
DROP TABLE sync_gaps;
DROP TABLE sync_audit_log;
DROP TABLE signal_health_metrics;
"""


def upgrade() -> None:
    for part in (ADOPTED, TABLES, FUNCTIONS, VIEWS):
        run_sql(part)


def downgrade() -> None:
    run_sql(DOWN)
