"""Logins, webhook tokens and job runs."""

from __future__ import annotations

from database.migrate import run_sql

revision = "0001"
down_revision = None

UP = """
CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name ~ '^[0-9a-z_.@-]{1,64}$'),
    password_hash text NOT NULL,
    role text NOT NULL DEFAULT 'operator' CHECK (role IN ('viewer', 'operator')),
    session_version integer NOT NULL DEFAULT 1,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_login_at timestamptz
);
COMMENT ON COLUMN users.session_version IS 'raised at logout and password change: older cookies are dead';

CREATE TABLE webhook_tokens (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_hash bytea NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    token_end text NOT NULL CHECK (length(token_end) = 4),
    stream text NOT NULL CHECK (stream ~ '^[0-9a-z_.-]{1,64}$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz
);
COMMENT ON COLUMN webhook_tokens.token_hash IS 'SHA-256 of the token; the token itself is shown once and kept nowhere';
CREATE INDEX webhook_tokens_stream ON webhook_tokens (stream, created_at);

CREATE TABLE job_runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job text NOT NULL,
    slot timestamptz NOT NULL,
    status text NOT NULL CHECK (status IN ('running', 'succeeded', 'failed', 'missed', 'abandoned')),
    owner text NOT NULL,
    attempt integer NOT NULL DEFAULT 1,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    counts jsonb NOT NULL DEFAULT '{}',
    message text NOT NULL DEFAULT '',
    UNIQUE (job, slot)
);
COMMENT ON COLUMN job_runs.attempt IS 'raised when a slot is run again after its runner died; fences the older run';
CREATE INDEX job_runs_success ON job_runs (job, finished_at DESC) WHERE status = 'succeeded';
CREATE INDEX job_runs_running ON job_runs (job) WHERE status = 'running';
"""

DOWN = """
DROP TABLE job_runs;
DROP TABLE webhook_tokens;
DROP TABLE users;
"""


def upgrade() -> None:
    run_sql(UP)


def downgrade() -> None:
    run_sql(DOWN)
