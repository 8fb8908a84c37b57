"""Tables of an older installation in the schema monitoring are taken over: rows, values and unknown columns kept."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from database import migrate, params
from database.engine import Database
from tests.support_postgres import older_installation
from tests.support_waves import FOUR, RECEIVED, RULES, WAVE, signal
from waves.processor import process_due, receive

OLDER = """
CREATE SCHEMA monitoring;
CREATE TABLE monitoring.params (
    exchange_id integer PRIMARY KEY,
    max_trades_filter integer,
    stop_loss_filter numeric(10,4),
    trailing_activation_filter double precision,
    trailing_distance_filter numeric(8,2),
    created_at timestamp DEFAULT now(),
    updated_at timestamp DEFAULT now(),
    lucky_number integer
);
INSERT INTO monitoring.params VALUES
    (1, 6, 4, 2, 0.5, '2025-10-01', '2025-10-02 10:20', 7), (3, 9, NULL, NULL, NULL, NULL, NULL, 8);
CREATE TABLE monitoring.params_history (
    id serial PRIMARY KEY,
    exchange_id integer NOT NULL,
    max_trades_filter integer,
    stop_loss_filter numeric(10,4),
    trailing_activation_filter numeric(10,4),
    trailing_distance_filter numeric(10,4),
    changed_at timestamp DEFAULT now(),
    wave_timestamp timestamp
);
INSERT INTO monitoring.params_history (exchange_id, stop_loss_filter, changed_at, wave_timestamp) VALUES
    (1, 3, '2025-10-02 10:20', '2025-10-02 10:00'), (1, 4, '2025-10-02 10:21', '2025-10-02 10:00'),
    (1, 5, '2025-10-02 10:40', NULL);
CREATE TABLE monitoring.events (
    id serial PRIMARY KEY,
    event_type varchar(50) NOT NULL,
    event_data text,
    created_at timestamp DEFAULT now()
);
INSERT INTO monitoring.events (event_type, event_data, created_at) VALUES ('wave_detected', '{"n": 1}', '2025-10-02 10:20');
CREATE TABLE monitoring.positions (id serial PRIMARY KEY);
"""


@pytest.fixture
def older(empty_database_url: str) -> Iterator[Database]:
    with older_installation(empty_database_url, OLDER) as db:
        yield db


def test_rows_and_unknown_columns_are_kept_and_the_known_exchanges_added(older: Database) -> None:
    with older.transaction() as cur:
        found = params.get_all_params(cur)
    assert {key: (row.max_trades_filter, row.lucky_number) for key, row in found.items()} == {
        1: (6, 7),
        2: (None, None),
        3: (9, 8),
    }
    assert found[1].updated_at == datetime(2025, 10, 2, 10, 20, tzinfo=UTC)
    assert found[1].trailing_activation_filter == Decimal(2)


def test_of_two_older_rows_of_a_wave_the_later_is_believed(older: Database) -> None:
    with older.transaction() as cur:
        believed = params.list_history(cur, 1, limit=9)
        every = params.list_history(cur, 1, limit=9, is_all=True)
    assert [row.stop_loss_filter for row in believed] == [5, 4]
    assert believed[0].wave_timestamp == datetime(2025, 10, 2, 10, 30, tzinfo=UTC)
    assert len(every) == 3
    assert {row.source for row in every} == {"adopted"}


def test_values_without_a_history_begin_one(older: Database) -> None:
    with older.transaction() as cur:
        (row,) = params.list_history(cur, 3, limit=9)
    assert (row.max_trades_filter, row.source) == (9, "adopted")


def test_a_wave_goes_on_from_the_older_values(older: Database) -> None:
    fields = {name: value for name, value in FOUR.items() if name != "max_trades_filter"}
    receive(older, [signal(1, 1, **fields), signal(2, 3, **fields)], is_whole=True, now=RECEIVED)
    process_due(older, RECEIVED, RULES)
    with older.transaction() as cur:
        assert params.get_params(cur, 1).max_trades_filter == 6
        assert params.get_params(cur, 3).max_trades_filter == 9
        assert params.list_history(cur, 3, limit=1)[0].wave_timestamp == WAVE


def test_older_events_stay(older: Database) -> None:
    with older.transaction() as cur:
        (event,) = params.list_events(cur, limit=9)
    assert (event.event_data, event.created_at) == ({"n": 1}, datetime(2025, 10, 2, 10, 20, tzinfo=UTC))


def test_tables_that_are_not_ours_survive_a_downgrade(older: Database) -> None:
    migrate.downgrade(older, "0003")
    with older.transaction() as cur:
        cur.execute("SELECT to_regclass('monitoring.positions') IS NOT NULL AS is_there")
        assert cur.fetchone().is_there
