"""The delivery log: one row for every delivery, raw bytes first. An older installation's table is adopted."""

from __future__ import annotations

from database.migrate import run_sql

revision = "0002"
down_revision = "0001"

UP = """
CREATE TABLE IF NOT EXISTS telemetry_automated_signals_log (
    id bigserial PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT now(),
    raw_payload jsonb,
    fused_event jsonb,
    validation_error text,
    handler_result jsonb,
    processing_time_ms numeric(12,3)
);

-- An older table kept UTC in a timestamp without zone, and ids in a serial.
DO $$
BEGIN
    IF (SELECT data_type FROM information_schema.columns WHERE table_schema = current_schema()
        AND table_name = 'telemetry_automated_signals_log' AND column_name = 'received_at') <> 'timestamp with time zone'
    THEN
        ALTER TABLE telemetry_automated_signals_log
            ALTER COLUMN received_at TYPE timestamptz USING received_at AT TIME ZONE 'UTC';
    END IF;
END $$;
ALTER TABLE telemetry_automated_signals_log
    ALTER COLUMN id TYPE bigint,
    ALTER COLUMN processing_time_ms TYPE numeric(12,3),
    ADD COLUMN stream text NOT NULL DEFAULT 'main',
    ADD COLUMN receipt_id uuid UNIQUE,
    ADD COLUMN delivery_key bytea CHECK (length(delivery_key) = 32),
    ADD COLUMN raw_body bytea,
    ADD COLUMN content_type text,
    ADD COLUMN source_ip text,
    ADD COLUMN source text NOT NULL DEFAULT 'webhook' CHECK (source IN ('webhook', 'import', 'backfill')),
    ADD COLUMN status text NOT NULL DEFAULT 'accepted',
    ADD COLUMN duplicate_of uuid,
    ADD COLUMN dialect text,
    ADD COLUMN repair jsonb,
    ADD COLUMN stored_at timestamptz NOT NULL DEFAULT now(),
    SET (toast_tuple_target = 8160); -- a row of an alert fits its page: compressing it would cost more than it saves
COMMENT ON COLUMN telemetry_automated_signals_log.raw_body IS 'the bytes as they came, a known token masked';
COMMENT ON COLUMN telemetry_automated_signals_log.delivery_key IS 'SHA-256 of stream and body: the same bytes again?';
COMMENT ON COLUMN telemetry_automated_signals_log.duplicate_of IS 'receipt of the first delivery of the same bytes';
CREATE INDEX telemetry_log_key ON telemetry_automated_signals_log (delivery_key, received_at);
CREATE INDEX telemetry_log_received ON telemetry_automated_signals_log (stream, received_at DESC, id DESC);
CREATE INDEX telemetry_log_not_understood ON telemetry_automated_signals_log (id) WHERE status = 'quarantined';
"""

DOWN = """
DROP TABLE telemetry_automated_signals_log;
"""


def upgrade() -> None:
    run_sql(UP)


def downgrade() -> None:
    run_sql(DOWN)
