"""Deleted signals with who, when and why; indexes for lists sorted by excursions.

A deleted signal has no row in `trade_states` and keeps its events. The indexes name columns that an MFE update changes, so
that update is no longer heap-only: a list sorted by MFE would otherwise read every signal.
"""

from __future__ import annotations

from database.migrate import run_sql

revision = "0008"
down_revision = "0007"

UP = """
CREATE TABLE deleted_signals (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream text NOT NULL,
    trade_id text NOT NULL,
    was jsonb NOT NULL,
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 300),
    deleted_by text NOT NULL,
    deleted_at timestamptz NOT NULL,
    restored_by text,
    restored_at timestamptz,
    CHECK ((restored_by IS NULL) = (restored_at IS NULL))
);
COMMENT ON COLUMN deleted_signals.was IS 'status, direction, symbol and signal_time at the deletion';
CREATE UNIQUE INDEX deleted_signals_now ON deleted_signals (stream, trade_id) WHERE restored_at IS NULL;

CREATE INDEX trade_states_no_be_mfe ON trade_states (stream, no_be_mfe_r DESC, trade_id DESC) WHERE no_be_mfe_r IS NOT NULL;
CREATE INDEX trade_states_be_mfe ON trade_states (stream, be_mfe_r DESC, trade_id DESC) WHERE be_mfe_r IS NOT NULL;
CREATE INDEX trade_states_mae ON trade_states (stream, mae_r DESC, trade_id DESC) WHERE mae_r IS NOT NULL;
"""

DOWN = """
DROP INDEX trade_states_mae;
DROP INDEX trade_states_be_mfe;
DROP INDEX trade_states_no_be_mfe;
DROP TABLE deleted_signals;
"""


def upgrade() -> None:
    run_sql(UP)


def downgrade() -> None:
    run_sql(DOWN)
