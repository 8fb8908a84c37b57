"""A second factor for each login that wants one, and what operators did."""

from __future__ import annotations

from database.migrate import run_sql

revision = "0012"
down_revision = "0011"

UP = """
ALTER TABLE users
    ADD COLUMN totp_secret text,
    ADD COLUMN totp_confirmed_at timestamptz,
    ADD COLUMN totp_last_step bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN users.totp_confirmed_at IS 'from then on a login needs a code; before, the secret is only proposed';
COMMENT ON COLUMN users.totp_last_step IS 'the 30-second step of the last code that was used: no code counts twice';

CREATE TABLE operator_actions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    done_at timestamptz NOT NULL,
    login text NOT NULL,
    role text NOT NULL,
    action text NOT NULL,
    arguments jsonb NOT NULL DEFAULT '{}',
    status integer,
    address text NOT NULL DEFAULT '',
    request_id text NOT NULL DEFAULT ''
);
COMMENT ON TABLE operator_actions IS 'every change that somebody asked for, and every login; rows are only ever added';
COMMENT ON COLUMN operator_actions.status IS 'the HTTP status of the answer; null for a command on the server';
"""

DOWN = """
DROP TABLE operator_actions;
ALTER TABLE users DROP COLUMN totp_secret, DROP COLUMN totp_confirmed_at, DROP COLUMN totp_last_step;
"""


def upgrade() -> None:
    run_sql(UP)


def downgrade() -> None:
    run_sql(DOWN)
