"""Alarms, what was sent about them, and the drills that were run."""

from __future__ import annotations

from database.migrate import run_sql

revision = "0013"
down_revision = "0012"

UP = """
CREATE TABLE alarms (
    cause text PRIMARY KEY,
    rule text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('warning', 'critical')),
    is_raised boolean NOT NULL,
    seen_at timestamptz NOT NULL,
    raised_at timestamptz CHECK ((raised_at IS NOT NULL) = is_raised),
    detail text NOT NULL,
    updated_at timestamptz NOT NULL
);
COMMENT ON TABLE alarms IS 'what is wrong now, a row a cause; one that is not raised has been seen too briefly';

CREATE TABLE alarm_notices (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cause text NOT NULL,
    rule text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('raised', 'recovered')),
    severity text NOT NULL CHECK (severity IN ('warning', 'critical')),
    at timestamptz NOT NULL,
    detail text NOT NULL,
    delivery text NOT NULL DEFAULT 'pending' CHECK (delivery IN ('pending', 'delivered', 'failed', 'nowhere')),
    attempts integer NOT NULL DEFAULT 0,
    delivered_at timestamptz
);
COMMENT ON COLUMN alarm_notices.delivery IS 'nowhere: no address was set when it was due; failed: given up';
CREATE INDEX alarm_notices_pending ON alarm_notices (id) WHERE delivery = 'pending';
CREATE INDEX alarm_notices_at ON alarm_notices (at DESC, id DESC);

CREATE TABLE drills (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('database', 'feed', 'restore')),
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    is_passed boolean NOT NULL,
    figures jsonb NOT NULL
);
COMMENT ON TABLE drills IS 'outages and restores that were rehearsed, and what came of them';
CREATE INDEX drills_kind ON drills (kind, started_at DESC);
"""

DOWN = """
DROP TABLE drills;
DROP TABLE alarm_notices;
DROP TABLE alarms;
"""


def upgrade() -> None:
    run_sql(UP)


def downgrade() -> None:
    run_sql(DOWN)
