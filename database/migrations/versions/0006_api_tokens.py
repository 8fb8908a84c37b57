"""API tokens; one telemetry row for each event at most; the figures of a day read from an index alone."""

from __future__ import annotations

from database.migrate import run_sql

revision = "0006"
down_revision = "0005"

UP = """
CREATE TABLE api_tokens (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_hash bytea NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    token_end text NOT NULL CHECK (length(token_end) = 4),
    name text NOT NULL CHECK (name ~ '^[0-9a-z_.@-]{1,64}$'),
    role text NOT NULL CHECK (role IN ('viewer', 'operator')),
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    revoked_at timestamptz
);
COMMENT ON COLUMN api_tokens.token_hash IS 'SHA-256 of the token; the token itself is shown once and kept nowhere';

CREATE UNIQUE INDEX telemetry_log_backfill
    ON telemetry_automated_signals_log (((raw_payload ->> 'automated_signals_id')::bigint)) WHERE source = 'backfill';

CREATE INDEX trade_states_days ON trade_states (stream, signal_date) INCLUDE (status, be_result_r, no_be_result_r)
    WHERE NOT flags @> ARRAY['phantom'];
"""

DOWN = """
DROP INDEX trade_states_days;
DROP INDEX telemetry_log_backfill;
DROP TABLE api_tokens;
"""


def upgrade() -> None:
    run_sql(UP)


def downgrade() -> None:
    run_sql(DOWN)
