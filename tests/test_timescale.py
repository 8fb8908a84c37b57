"""Bars on TimescaleDB: the migration, an older table, the conversion of a filled one, compression and corrections.

They need a server that preloads it: TEST_DATABASE_URL names one (started with timescaledb.max_background_workers=0, because
the extension's own workers use the database that the tests copy); skipped with that reason elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from decimal import Decimal

import psycopg2
import pytest

from core.records import Bar, Timeframe
from database import bars, migrate
from database.engine import Database
from tests.support_market import CONTRACT, at, bar_at

START = at("2025-05-13 14:30")
MINUTE = Timeframe.parse("1m")
MINUTES = 20_000


@pytest.fixture(scope="module", autouse=True)
def timescale(postgres: str) -> None:
    with closing(psycopg2.connect(postgres)) as conn, conn.cursor() as cur:
        cur.execute("SELECT current_setting('timescaledb.max_background_workers', true)")
        if cur.fetchone() in (None, (None,), ("",)):
            pytest.skip("this PostgreSQL does not preload TimescaleDB")


@pytest.fixture
def old(empty_database_url: str) -> Iterator[Database]:
    """A database that is not migrated."""
    db = Database(empty_database_url)
    yield db
    db.close()


def ask(db: Database, query: str) -> list[tuple[object, ...]]:
    with db.transaction(statement_timeout_ms=0) as cur:
        cur.execute(query)
        return [tuple(row) for row in cur.fetchall()]


def hypertables(db: Database) -> list[tuple[object, ...]]:
    return ask(db, "SELECT hypertable_name, compression_enabled FROM timescaledb_information.hypertables")


def some_bars(count: int = MINUTES) -> list[Bar]:
    """Minutes whose price wanders by whole ticks."""
    price = [Decimal(5800) + Decimal(number * number % 97 - 48) / 4 for number in range(count)]
    return [
        Bar(
            contract_id=CONTRACT, timeframe=MINUTE, starts_at=START + timedelta(minutes=number), open=open_,
            high=open_ + 2, low=open_ - 1, close=open_ + 1, volume=100 + number % 400, tick_count=50, source="history",
        )
        for number, open_ in enumerate(price)
    ]  # fmt: skip


def make_old_table(db: Database, key: str) -> None:
    with db.transaction() as cur:
        cur.execute(
            "CREATE TABLE ohlc_bars (id serial, contract_id varchar(50), timestamp timestamptz, open float, high float,"
            f" low float, close float, volume integer, timeframe_unit integer, timeframe_value integer, {key})"
        )
        cur.execute(
            "INSERT INTO ohlc_bars (contract_id, timestamp, open, high, low, close, volume, timeframe_unit, timeframe_value)"
            " SELECT %s, %s + n * interval '1 day', 5800.25, 5801, 5800, 5800.5, n, 2, 1 FROM generate_series(1, 100) AS n",
            (CONTRACT, START),
        )


def test_the_migration_makes_bars_a_hypertable_that_is_compressed_after_60_days(db: Database) -> None:
    assert hypertables(db) == [("ohlc_bars", True)]
    after = "SELECT config ->> 'compress_after' FROM timescaledb_information.jobs WHERE hypertable_name = 'ohlc_bars'"
    assert ask(db, after) == [("60 days",)]


def test_an_older_table_becomes_a_hypertable_with_its_rows(old: Database) -> None:
    make_old_table(old, "PRIMARY KEY (contract_id, timestamp, timeframe_unit, timeframe_value)")
    migrate.upgrade(old)
    assert hypertables(old) == [("ohlc_bars", True)]
    assert ask(
        old, "SELECT count(*) AS bars, count(id) AS ids, count(DISTINCT tableoid) > 2 AS many FROM ohlc_bars"
    ) == [(100, 100, True)]


def test_an_older_hypertable_is_adopted_as_one(old: Database) -> None:
    with old.transaction() as cur:
        cur.execute("CREATE EXTENSION timescaledb")
    make_old_table(old, "PRIMARY KEY (contract_id, timestamp, timeframe_unit, timeframe_value)")
    ask(old, "SELECT create_hypertable('ohlc_bars', 'timestamp', migrate_data => true)")
    migrate.upgrade(old)
    assert hypertables(old) == [("ohlc_bars", True)]
    assert ask(old, "SELECT count(*) AS bars, count(id) AS ids, sum(open) AS sum FROM ohlc_bars") == [
        (100, 100, Decimal("580025.00"))
    ]


def test_an_older_table_that_has_a_key_without_the_time_stays_plain_and_it_is_said_what_to_do(old: Database) -> None:
    make_old_table(old, "PRIMARY KEY (id)")
    migrate.upgrade(old)
    with old.transaction() as cur:
        assert "(ohlc_bars_pkey), then flask db hypertable" in bars.make_hypertable(cur)
    assert ask(old, "ALTER TABLE ohlc_bars DROP CONSTRAINT ohlc_bars_pkey; SELECT make_bars_hypertable()") == [
        ("hypertable",)
    ]
    assert ask(old, "SELECT count(*) AS bars, count(id) AS ids FROM ohlc_bars") == [(100, 100)]


def test_a_filled_plain_table_is_converted_with_all_its_rows(db: Database) -> None:
    with db.transaction(statement_timeout_ms=0) as cur:
        cur.execute("CREATE TABLE plain (LIKE ohlc_bars INCLUDING ALL); DROP TABLE ohlc_bars")
        cur.execute("ALTER TABLE plain RENAME TO ohlc_bars")
        assert bars.upsert_bars(cur, some_bars()) == MINUTES
    assert hypertables(db) == []
    with db.transaction(statement_timeout_ms=0) as cur:
        assert bars.make_hypertable(cur) == "hypertable"
        assert bars.make_hypertable(cur) == "hypertable"
        assert bars.list_bars(cur, CONTRACT, MINUTE, before=at("2030-01-01"), limit=2 * MINUTES) == some_bars()
    assert hypertables(db) == [("ohlc_bars", True)]


def test_a_user_who_may_not_create_the_extension_is_told_whom_to_ask(db: Database) -> None:
    role = f"nobody_{os.getpid()}"
    with db.transaction() as cur:
        cur.execute("DROP EXTENSION timescaledb CASCADE")
        cur.execute(f"CREATE ROLE {role}; GRANT USAGE ON SCHEMA public TO {role}")
        cur.execute(f"SET LOCAL ROLE {role}")
        assert "ask an administrator" in bars.make_hypertable(cur)
        cur.execute(f"RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_compressed_bar_can_still_be_corrected_and_compression_saves_nine_tenths(db: Database) -> None:
    with db.transaction(statement_timeout_ms=0) as cur:
        bars.upsert_bars(cur, some_bars())
    ask(db, "SELECT compress_chunk(chunk) FROM show_chunks('ohlc_bars') AS chunk")
    ((saved,),) = ask(
        db,
        "SELECT sum(before_compression_total_bytes) / sum(after_compression_total_bytes)"
        " FROM chunk_compression_stats('ohlc_bars')",
    )
    assert saved > 10  # type: ignore[operator]
    better = bar_at("2025-05-13 14:30", 5850, 7)
    with db.transaction() as cur:
        assert bars.upsert_bars(cur, [better]) == 1
        (first, second) = bars.list_bars_between(cur, CONTRACT, MINUTE, START, START + timedelta(minutes=2))
    assert (first.volume, first.revision, second) == (7, 1, some_bars(2)[1])
