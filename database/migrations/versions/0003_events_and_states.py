"""Lifecycle events and the state of every signal. An older `automated_signals` is upgraded in place, its rows kept."""

from __future__ import annotations

from database.migrate import run_sql

revision = "0003"
down_revision = "0002"

TABLE = """
CREATE TABLE IF NOT EXISTS automated_signals (
    id bigserial PRIMARY KEY,
    trade_id varchar(100) NOT NULL,
    event_type varchar(20) NOT NULL,
    direction varchar(10),
    entry_price numeric(14,6),
    stop_loss numeric(14,6),
    current_price numeric(14,6),
    exit_price numeric(14,6),
    risk_distance numeric(14,6),
    mfe numeric(10,4),
    be_mfe numeric(10,4),
    no_be_mfe numeric(10,4),
    session text,
    bias text,
    signal_date date,
    signal_time time,
    targets jsonb,
    raw_payload jsonb
);

-- Text that is no JSON becomes a JSON string: nothing is lost.
CREATE FUNCTION pg_temp.as_jsonb(body text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN body::jsonb;
EXCEPTION WHEN others THEN
    RETURN to_jsonb(body);
END $$;

DO $$
DECLARE
    wanted record;
    held text;
BEGIN
    -- What an older table holds under these names keeps its rows and takes our types.
    FOR wanted IN SELECT * FROM (VALUES
        ('entry_price', 'numeric(14,6)'), ('stop_loss', 'numeric(14,6)'), ('current_price', 'numeric(14,6)'),
        ('exit_price', 'numeric(14,6)'), ('risk_distance', 'numeric(14,6)'), ('mfe', 'numeric(10,4)'),
        ('be_mfe', 'numeric(10,4)'), ('no_be_mfe', 'numeric(10,4)'), ('session', 'text'),
        ('bias', 'text'), ('signal_date', 'date'), ('signal_time', 'time'), ('targets', 'jsonb'),
        ('raw_payload', 'jsonb')) AS w (name, type)
    LOOP
        SELECT format_type(a.atttypid, a.atttypmod) INTO held FROM pg_attribute a
        WHERE a.attrelid = 'automated_signals'::regclass AND a.attname = wanted.name AND NOT a.attisdropped;
        IF held IS NULL THEN
            EXECUTE format('ALTER TABLE automated_signals ADD COLUMN %I %s', wanted.name, wanted.type);
        ELSIF held LIKE 'numeric%' OR wanted.type = 'text' THEN
            EXECUTE format('ALTER TABLE automated_signals ALTER COLUMN %I TYPE %s', wanted.name, wanted.type);
        ELSIF wanted.type = 'jsonb' AND held <> 'jsonb' THEN
            EXECUTE format('ALTER TABLE automated_signals ALTER COLUMN %I TYPE jsonb USING pg_temp.as_jsonb(%I::text)',
                           wanted.name, wanted.name);
        END IF;
    END LOOP;
END $$;

ALTER TABLE automated_signals
    ALTER COLUMN id TYPE bigint,
    ALTER COLUMN direction DROP NOT NULL,
    ADD COLUMN IF NOT EXISTS stream text NOT NULL DEFAULT 'main',
    ADD COLUMN IF NOT EXISTS symbol text,
    ADD COLUMN IF NOT EXISTS timeframe text,
    ADD COLUMN IF NOT EXISTS session_label text,
    ADD COLUMN IF NOT EXISTS event_time timestamptz,
    ADD COLUMN IF NOT EXISTS signal_instant timestamptz,
    ADD COLUMN IF NOT EXISTS received_at timestamptz,
    ADD COLUMN IF NOT EXISTS slot timestamptz,
    ADD COLUMN IF NOT EXISTS mae_global_r numeric(10,4),
    ADD COLUMN IF NOT EXISTS final_be_mfe numeric(10,4),
    ADD COLUMN IF NOT EXISTS final_no_be_mfe numeric(10,4),
    ADD COLUMN IF NOT EXISTS reason text,
    ADD COLUMN IF NOT EXISTS cancelled_by text,
    ADD COLUMN IF NOT EXISTS bars_pending integer,
    ADD COLUMN IF NOT EXISTS targets_extended jsonb,
    ADD COLUMN IF NOT EXISTS setup jsonb,
    ADD COLUMN IF NOT EXISTS market_state jsonb,
    ADD COLUMN IF NOT EXISTS telemetry jsonb,
    ADD COLUMN IF NOT EXISTS htf_alignment jsonb,
    ADD COLUMN IF NOT EXISTS warnings text[] NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS data_source text NOT NULL DEFAULT 'live',
    ADD COLUMN IF NOT EXISTS confidence_score numeric(5,4),
    ADD COLUMN IF NOT EXISTS reconciliation_timestamp timestamptz,
    ADD COLUMN IF NOT EXISTS reconciliation_reason text,
    ADD COLUMN IF NOT EXISTS payload_checksum text,
    ADD COLUMN IF NOT EXISTS sequence_number bigint,
    ADD COLUMN IF NOT EXISTS event_id text,
    ADD COLUMN IF NOT EXISTS confirmation_time timestamptz,
    ADD COLUMN IF NOT EXISTS bars_to_confirmation integer,
    ADD COLUMN IF NOT EXISTS event_key text,
    ADD COLUMN IF NOT EXISTS receipt_id uuid,
    ADD COLUMN IF NOT EXISTS revoked_at timestamptz,
    SET (toast_tuple_target = 8160);
"""

# Rows that were there before: their time was UTC without a zone; every first row of a one-shot kind and of an MFE minute
# gets the key of its fact, repeats keep none.
ADOPT = """
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = 'automated_signals'::regclass AND attname = 'timestamp'
               AND NOT attisdropped) THEN
        EXECUTE $sql$UPDATE automated_signals SET received_at = ("timestamp"::timestamp AT TIME ZONE 'UTC')
                     WHERE received_at IS NULL$sql$;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = 'automated_signals'::regclass AND attname = 'created_at'
               AND NOT attisdropped) THEN
        EXECUTE $sql$UPDATE automated_signals SET received_at = created_at::timestamptz WHERE received_at IS NULL$sql$;
    END IF;
END $$;
UPDATE automated_signals SET received_at = now() WHERE received_at IS NULL;
UPDATE automated_signals
SET slot = date_trunc('minute', received_at + interval '10 seconds' - interval '1 minute')
WHERE event_type = 'MFE_UPDATE' AND slot IS NULL;
UPDATE automated_signals SET payload_checksum = md5(id::text) WHERE payload_checksum IS NULL;
UPDATE automated_signals a
SET event_key = encode(sha256(convert_to(concat_ws(E'\\x1f', '1', a.stream, a.trade_id, a.event_type,
        coalesce(to_char(a.slot AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"'), '')), 'UTF8')), 'hex')
FROM (SELECT DISTINCT ON (stream, trade_id, event_type, slot) id
      FROM automated_signals ORDER BY stream, trade_id, event_type, slot, received_at, id) first
WHERE a.id = first.id AND a.event_key IS NULL
  AND a.event_type IN ('SIGNAL_CREATED', 'ENTRY', 'MFE_UPDATE', 'BE_TRIGGERED', 'EXIT_BE', 'EXIT_SL', 'EXIT_TP', 'CANCELLED');

ALTER TABLE automated_signals
    ALTER COLUMN received_at SET NOT NULL,
    ALTER COLUMN received_at SET DEFAULT now(),
    ADD COLUMN source_rank smallint NOT NULL GENERATED ALWAYS AS (
        CASE data_source WHEN 'live' THEN 1 WHEN 'import' THEN 2 WHEN 'reconciled' THEN 3 ELSE 4 END) STORED,
    ADD CONSTRAINT automated_signals_source CHECK (data_source IN ('live', 'import', 'reconciled', 'inferred')) NOT VALID,
    ADD CONSTRAINT automated_signals_kind CHECK (event_type IN ('SIGNAL_CREATED', 'ENTRY', 'MFE_UPDATE', 'BE_TRIGGERED',
        'EXIT_BE', 'EXIT_SL', 'EXIT_TP', 'CANCELLED')) NOT VALID,
    ADD CONSTRAINT automated_signals_prices CHECK (
        coalesce(entry_price, 1) > 0 AND coalesce(stop_loss, 1) > 0 AND coalesce(current_price, 1) > 0
        AND coalesce(exit_price, 1) > 0 AND coalesce(risk_distance, 0) >= 0
        AND greatest(entry_price, stop_loss, current_price, exit_price, risk_distance, 0) < 10000000) NOT VALID,
    ADD CONSTRAINT automated_signals_excursions CHECK (
        least(mfe, be_mfe, no_be_mfe, final_be_mfe, final_no_be_mfe, 0) >= 0
        AND greatest(mfe, be_mfe, no_be_mfe, final_be_mfe, final_no_be_mfe, 0) < 1000000
        AND greatest(mae_global_r, 0) <= 0 AND least(mae_global_r, 0) > -1000000) NOT VALID,
    ADD CONSTRAINT automated_signals_confidence CHECK (confidence_score BETWEEN 0 AND 1) NOT VALID;
CREATE UNIQUE INDEX automated_signals_fact ON automated_signals (event_key, source_rank) WHERE revoked_at IS NULL;
CREATE INDEX automated_signals_trade ON automated_signals (stream, trade_id, received_at);
CREATE INDEX automated_signals_receipt ON automated_signals (receipt_id);
CREATE INDEX idx_automated_signals_telemetry ON automated_signals USING gin (telemetry jsonb_path_ops);
CREATE INDEX idx_automated_signals_telemetry_schema ON automated_signals ((telemetry ->> 'schema_version'));
"""

STATES = """
CREATE TABLE trade_states (
    stream text NOT NULL,
    trade_id text NOT NULL,
    facts jsonb NOT NULL DEFAULT '{}',
    status text NOT NULL DEFAULT 'PENDING' CHECK (status IN
        ('COMPLETED', 'BE_EXITED', 'BE_PROTECTED', 'ACTIVE', 'CANCELLED', 'PENDING')),
    direction text CHECK (direction IN ('long', 'short')),
    symbol text,
    timeframe text,
    bias text,
    session text,
    session_label text,
    signal_time timestamptz,
    signal_time_from text,
    signal_date date,
    signal_time_ny time,
    created_at timestamptz,
    entry_time timestamptz,
    confirmation_time timestamptz,
    confirmation_time_from text,
    bars_to_confirmation integer,
    be_triggered_at timestamptz,
    be_exit_at timestamptz,
    exit_at timestamptz,
    exit_kind text,
    exit_price numeric,
    cancelled_at timestamptz,
    cancel_reason text,
    cancelled_by text,
    bars_pending integer,
    entry_price numeric,
    stop_loss numeric,
    risk_distance numeric,
    targets jsonb,
    targets_extended jsonb,
    be_mfe_r numeric,
    no_be_mfe_r numeric,
    mae_r numeric,
    last_mfe_slot timestamptz,
    be_result_r numeric,
    no_be_result_r numeric,
    setup jsonb,
    market_state jsonb,
    htf_alignment jsonb,
    htf_computed boolean NOT NULL DEFAULT false,
    flags text[] NOT NULL DEFAULT '{}',
    first_received_at timestamptz,
    last_received_at timestamptz,
    last_kind text,
    sources jsonb NOT NULL DEFAULT '{}',
    confidence jsonb NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream, trade_id)
) WITH (fillfactor = 70, toast_tuple_target = 8160);
COMMENT ON TABLE trade_states IS 'the fold of events: facts is the lattice value, all else derives from it';
CREATE INDEX trade_states_time ON trade_states (stream, signal_time DESC NULLS LAST, trade_id DESC);
CREATE INDEX trade_states_status ON trade_states (stream, status, signal_time DESC NULLS LAST, trade_id DESC);
CREATE INDEX trade_states_id ON trade_states (trade_id);
CREATE INDEX trade_states_counts ON trade_states (stream, status) WHERE NOT flags @> ARRAY['phantom'];
"""

DOWN = """
DROP TABLE trade_states;
DROP TABLE automated_signals;
"""


def upgrade() -> None:
    for part in (TABLE, ADOPT, STATES):
        run_sql(part)


def downgrade() -> None:
    run_sql(DOWN)
