"""What each process says of its own journal and disk, for the alarms, which one process judges for all."""

from __future__ import annotations

from database.migrate import run_sql

revision = "0016"
down_revision = "0015"

UP = """
CREATE TABLE process_reports (
    owner text PRIMARY KEY,
    said_at timestamptz NOT NULL,
    journal_ok boolean NOT NULL,
    pending bigint NOT NULL,
    oldest_age_seconds double precision NOT NULL,
    is_persistent boolean,
    disk_free double precision
);
COMMENT ON TABLE process_reports IS 'what each process last said of its own journal and disk';
"""

DOWN = """
DROP TABLE process_reports;
"""


def upgrade() -> None:
    run_sql(UP)


def downgrade() -> None:
    run_sql(DOWN)
