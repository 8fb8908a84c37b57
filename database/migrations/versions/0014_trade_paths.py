"""What one-minute bars say of completed trades, for the analytics; an index for the gaps of one signal."""

from __future__ import annotations

from database.migrate import run_sql

revision = "0014"
down_revision = "0013"

UP = """
CREATE TABLE trade_paths (
    stream text NOT NULL,
    trade_id varchar(100) NOT NULL,
    entry_price numeric NOT NULL,
    stop_loss numeric NOT NULL,
    entry_time timestamptz NOT NULL,
    exit_at timestamptz NOT NULL,
    contract_id text,
    worst_r numeric(10,4)[],
    best_r numeric(10,4)[],
    why_not text,
    computed_at timestamptz NOT NULL,
    PRIMARY KEY (stream, trade_id),
    CHECK ((worst_r IS NULL) = (best_r IS NULL) AND (worst_r IS NULL) = (why_not IS NOT NULL))
);
COMMENT ON COLUMN trade_paths.worst_r IS
    'for each break-even trigger: how far the trade surely went before it came back to its entry; null: never triggered';
COMMENT ON COLUMN trade_paths.best_r IS 'the same, as far as it can have gone where one bar touches both levels';
COMMENT ON COLUMN trade_paths.why_not IS 'why the bars do not tell it';

CREATE INDEX sync_gaps_signal ON sync_gaps (stream, trade_id, id DESC);
"""

DOWN = """
DROP INDEX sync_gaps_signal;
DROP TABLE trade_paths;
"""


def upgrade() -> None:
    run_sql(UP)


def downgrade() -> None:
    run_sql(DOWN)
