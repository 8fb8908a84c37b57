"""A preparing connection answers as any other does, and plans each statement once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import psycopg2
import pytest

from automated_signals_state import Facts
from database import states
from database.engine import Connection, Database

KEYS = [("main", "T2"), ("main", "T1")]


@pytest.fixture
def preparing(db: Database) -> Iterator[Connection]:
    with closing(db.direct("test", is_preparing=True)) as connection:
        yield connection


def count_prepared(connection: Connection) -> int:
    """How many statements were prepared since the session was set up, which takes one."""
    with connection.cursor() as cur:
        cur.execute("SELECT count(*) AS total FROM pg_prepared_statements")
        return int(cur.fetchone().total) - 1


def test_values_come_back_as_from_a_plain_cursor(preparing: Connection) -> None:
    given = {"name": "it's 100 % \\ ü", "number": 7, "at": datetime(2025, 11, 20, tzinfo=UTC), "none": None}
    with preparing.cursor() as cur:
        cur.execute(
            "SELECT %(name)s::text AS name, %(number)s::int AS number, %(at)s::timestamptz AS at, %(none)s::text AS none,"
            " %(name)s::text LIKE '%%100 %%' AS is_like",
            given,
        )
        assert cur.fetchone()._asdict() == given | {"is_like": True}


def test_a_statement_is_prepared_once_and_outlives_a_rollback(preparing: Connection) -> None:
    for _ in range(3):
        with preparing.cursor() as cur:
            cur.execute("SELECT %(number)s::int + 1 AS more", {"number": 1})
            assert cur.fetchone().more == 2
        preparing.rollback()
    assert count_prepared(preparing) == 1


def test_two_statements_in_one_string_are_prepared_apart_and_the_last_answers(preparing: Connection) -> None:
    with preparing.cursor() as cur:
        assert states.lock_facts(cur, KEYS).keys() == set(KEYS)
        assert states.lock_facts(cur, KEYS[:1]).keys() == set(KEYS[:1])
    assert count_prepared(preparing) == 2


def test_a_statement_that_cannot_be_prepared_says_why_each_time(preparing: Connection) -> None:
    for _ in range(2):
        with preparing.cursor() as cur, pytest.raises(psycopg2.errors.UndefinedTable):
            cur.execute("SELECT %(number)s::int FROM no_such_table", {"number": 1})
        preparing.rollback()
    assert count_prepared(preparing) == 0


def test_queries_without_named_values_are_not_prepared(preparing: Connection) -> None:
    with preparing.cursor() as cur:
        cur.execute("SELECT 1 AS one")
        assert cur.fetchone().one == 1
    assert count_prepared(preparing) == 0


def test_a_signal_is_changed_without_reading_the_table_of_signals(preparing: Connection) -> None:
    rows_read = "SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'trade_states'"
    with preparing.cursor() as cur:
        cur.execute(
            "INSERT INTO trade_states (stream, trade_id, facts)"
            " SELECT 'main', 'T' || n, '{}' FROM generate_series(1, 3000) AS n"
        )
        cur.execute("ANALYZE trade_states")
        cur.execute(rows_read)
        before = cur.fetchone().seq_tup_read
        states.save_facts(cur, {("main", "T7"): Facts()})
        cur.execute(rows_read)
        assert cur.fetchone().seq_tup_read == before
