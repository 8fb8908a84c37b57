"""Indexes for sorted and filtered lists of signals.

None names a column that an MFE update changes, so that the updates of every minute stay cheap (heap-only).
"""

from __future__ import annotations

from database.migrate import run_sql

revision = "0004"
down_revision = "0003"

UP = """
CREATE INDEX trade_states_page ON trade_states (stream, signal_time DESC NULLS LAST, trade_id DESC)
    INCLUDE (status, session, direction, symbol);
DROP INDEX trade_states_time;
DROP INDEX trade_states_counts;
CREATE INDEX trade_states_counts ON trade_states (stream, status)
    INCLUDE (signal_time, session, direction, symbol, trade_id) WHERE NOT flags @> ARRAY['phantom'];
CREATE INDEX trade_states_entered ON trade_states (stream, entry_time DESC NULLS LAST, trade_id DESC);
CREATE INDEX trade_states_ended ON trade_states (stream, (coalesce(exit_at, cancelled_at)) DESC NULLS LAST, trade_id DESC);
"""

DOWN = """
DROP INDEX trade_states_ended;
DROP INDEX trade_states_entered;
DROP INDEX trade_states_counts;
CREATE INDEX trade_states_counts ON trade_states (stream, status) WHERE NOT flags @> ARRAY['phantom'];
CREATE INDEX trade_states_time ON trade_states (stream, signal_time DESC NULLS LAST, trade_id DESC);
DROP INDEX trade_states_page;
"""


def upgrade() -> None:
    run_sql(UP)


def downgrade() -> None:
    run_sql(DOWN)
