"""The indexes on telemetry hold the events that have some: most minutes have none, and each cost both indexes an entry."""

from __future__ import annotations

from database.migrate import run_sql

revision = "0017"
down_revision = "0016"

DROP = """
DROP INDEX idx_automated_signals_telemetry;
DROP INDEX idx_automated_signals_telemetry_schema;
"""
UP = """
CREATE INDEX idx_automated_signals_telemetry ON automated_signals USING gin (telemetry jsonb_path_ops)
    WHERE telemetry IS NOT NULL;
CREATE INDEX idx_automated_signals_telemetry_schema ON automated_signals ((telemetry ->> 'schema_version'))
    WHERE telemetry IS NOT NULL;
"""
DOWN = """
CREATE INDEX idx_automated_signals_telemetry ON automated_signals USING gin (telemetry jsonb_path_ops);
CREATE INDEX idx_automated_signals_telemetry_schema ON automated_signals ((telemetry ->> 'schema_version'));
"""


def upgrade() -> None:
    run_sql(DROP + UP)


def downgrade() -> None:
    run_sql(DROP + DOWN)
