"""Which stretches of time the imported alert logs cover: inside them, what was never fired is known."""

from __future__ import annotations

from database.migrate import run_sql

revision = "0015"
down_revision = "0014"

UP = """
CREATE TABLE alert_log_spans (
    stream text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL CHECK (ends_at >= starts_at),
    imported_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream, starts_at, ends_at)
);
COMMENT ON TABLE alert_log_spans IS 'from the first to the last row of each alert log that was imported';
"""

DOWN = """
DROP TABLE alert_log_spans;
"""


def upgrade() -> None:
    run_sql(UP)


def downgrade() -> None:
    run_sql(DOWN)
