"""Stored bars: higher provenance replaces lower, everything may come twice, an older table is adopted."""

from __future__ import annotations

import itertools
import json
import random
import select
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import psycopg2.errors
import pytest

from core.errors import ConflictError, DatabaseUnavailableError
from core.records import Bar, Timeframe, replaces
from database import bars, migrate
from database.bars import Contract
from database.engine import Database
from database.leader import LeaderDatabase, Leadership, try_to_lead
from tests.support_market import CONTRACT, at, bar_at

MINUTE = Timeframe.parse("1m")
START = at("2025-05-13 14:30")


def stored(db: Database) -> list[Bar]:
    with db.transaction() as cur:
        return bars.list_bars(cur, CONTRACT, MINUTE, before=at("2030-01-01"), limit=1000)


def save(db: Database, *given: Bar) -> int:
    with db.transaction() as cur:
        return bars.upsert_bars(cur, given)


def kinds() -> list[Bar]:
    history = bar_at("2025-05-13 14:30", 5800, 10)
    live = replace(history, source="live", tick_count=4, volume=9)
    return [
        replace(live, is_partial=True, gap_seconds=30.0, tick_count=2),
        replace(live, gap_seconds=3.0, tick_count=3),
        live,
        replace(live, revision=1, tick_count=5, volume=10),
        replace(history, source="rollup", volume=11),
        replace(history, source="import", volume=12),
        history,
        replace(history, volume=13),
    ]


def test_the_database_replaces_bars_by_the_same_rule_as_the_code(db: Database) -> None:
    for held, new in itertools.product(kinds(), kinds()):
        with db.transaction() as cur:
            cur.execute("DELETE FROM ohlc_bars")
        save(db, held)
        changed = save(db, new)
        assert bool(changed) == replaces(new, held), (held, new)
        (row,) = stored(db)
        assert row.volume == (new if replaces(new, held) else held).volume


def test_the_order_in_which_bars_of_different_worth_come_does_not_matter(db: Database) -> None:
    dice = random.Random(1)
    partial, gap, live, *_, history, _ = kinds()
    for _ in range(20):
        order = [partial, gap, live, history]
        dice.shuffle(order)
        save(db, *order[:2])
        for bar in order:
            save(db, bar)
        (row,) = stored(db)
        assert (row.source, row.volume) == ("history", 10)


def test_the_same_bars_again_change_nothing(db: Database) -> None:
    given = [bar_at(f"2025-05-13 14:{minute}", 5800 + minute, minute) for minute in range(10, 40)]
    assert save(db, *given, *given) == 30
    before = stored(db)
    assert save(db, *given) == 0
    assert stored(db) == before


def test_a_replaced_bar_counts_a_revision_so_that_readers_see_the_correction(db: Database) -> None:
    live = replace(bar_at("2025-05-13 14:30", 5800, 9), source="live", tick_count=4)
    save(db, live)
    save(db, bar_at("2025-05-13 14:30", 5800, 10))
    (row,) = stored(db)
    assert row.revision == 1


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a,b{}", "null", "ü'"])
def test_a_contract_of_any_name_is_stored_as_it_is(db: Database, name: str) -> None:
    save(db, replace(bar_at("2025-05-13 14:30", 5800, 1), contract_id=name))
    with db.transaction() as cur:
        assert [row.contract_id for row in bars.list_series(cur)] == [name]


@pytest.mark.parametrize("price", ["NaN", "0", "-1", "1000000000"])
def test_a_price_that_cannot_be_is_refused_by_the_table(db: Database, price: str) -> None:
    value = Decimal(price)
    with pytest.raises(psycopg2.errors.CheckViolation):
        save(db, replace(bar_at("2025-05-13 14:30", 5800, 1), open=value, high=value, low=value, close=value))


def test_every_process_is_told_which_bars_have_changed(db: Database) -> None:
    connection = db.direct("test")
    connection.autocommit = True
    with connection.cursor() as cur:
        cur.execute("LISTEN bars")
    given = [bar_at(f"2025-05-13 14:{minute}", 5800, 1) for minute in (31, 30)]
    save(db, *given, replace(given[0], timeframe=Timeframe.parse("5m"), starts_at=START))
    assert select.select([connection], [], [], 10)[0]
    connection.poll()
    told = json.loads(connection.notifies[0].payload)
    connection.close()
    start = START.isoformat()
    assert told["contract_id"] == CONTRACT
    assert sorted(told["bars"]) == [["1m", start, 0], ["5m", start, 0]]


def test_covered_spans_that_touch_become_one(db: Database) -> None:
    hour = timedelta(hours=1)
    with db.transaction() as cur:
        for first, last in ((0, 1), (3, 4), (1, 2), (2, 3)):
            bars.add_span(cur, CONTRACT, MINUTE, source="history", start=START + first * hour, end=START + last * hour)
        bars.add_span(cur, CONTRACT, MINUTE, source="live", start=START + 4 * hour, end=START + 5 * hour)
        found = bars.list_spans(cur, CONTRACT, MINUTE, START, START + 9 * hour)
    assert [(each.source, each.starts_at, each.ends_at) for each in found] == [
        ("history", START, START + 4 * hour),
        ("live", START + 4 * hour, START + 5 * hour),
    ]


def test_a_contract_and_the_state_of_the_feed_read_back(db: Database) -> None:
    contract = Contract(CONTRACT, "MESM5", "Micro E-mini S&P 500", Decimal("0.25"), Decimal("1.25"))
    with db.transaction() as cur:
        bars.save_contract(cur, contract)
        bars.save_contract(cur, replace(contract, is_active=False))
        bars.save_feed_state(cur, "market", {"is_connected": True})
        assert bars.list_contracts(cur) == [replace(contract, is_active=False)]
        found = bars.get_feed_state(cur, "market")
        assert found is not None
        assert found[0] == {"is_connected": True}
        assert bars.get_feed_state(cur, "other") is None


def test_without_timescaledb_the_bars_stay_a_plain_table_and_it_is_said_why(db: Database) -> None:
    with db.transaction() as cur:
        cur.execute("SELECT current_setting('timescaledb.max_background_workers', true) AS workers")
        if cur.fetchone().workers is not None:
            pytest.skip("TimescaleDB is preloaded here")
        assert "shared_preload_libraries" in bars.make_hypertable(cur)


def test_an_older_table_is_adopted_with_its_rows_and_unknown_columns(empty_database_url: str) -> None:
    db = Database(empty_database_url)
    with db.transaction() as cur:
        cur.execute(
            "CREATE TABLE ohlc_bars (id serial PRIMARY KEY, contract_id varchar(50), timestamp timestamp, open float,"
            " high float, low float, close float, volume integer, timeframe_unit smallint, timeframe_value smallint,"
            " remark text)"
        )
        for volume in (7, 8):
            cur.execute(
                "INSERT INTO ohlc_bars (contract_id, timestamp, open, high, low, close, volume, timeframe_unit,"
                " timeframe_value, remark) VALUES (%s, '2025-05-13 14:30', 5800.25, 5801, 5800, 5800.5, %s, 2, 1, 'kept')",
                (CONTRACT, volume),
            )
    migrate.upgrade(db)
    (row,) = stored(db)
    assert (row.starts_at, row.open, row.volume, row.source) == (START, Decimal("5800.25"), 8, "import")
    save(db, bar_at("2025-05-13 14:30", 5800, 10))
    with db.transaction() as cur:
        cur.execute("SELECT remark, volume FROM ohlc_bars")
        assert [tuple(found) for found in cur.fetchall()] == [("kept", 10)]
    db.close()


# --- who leads ---------------------------------------------------------------------------------------------------


def test_only_one_process_leads_and_the_next_takes_over_when_it_steps_down(db: Database) -> None:
    first = try_to_lead(db, "feed")
    assert first is not None
    assert try_to_lead(db, "feed") is None
    other = try_to_lead(db, "another feed")
    assert other is not None
    first.release()
    second = try_to_lead(db, "feed")
    assert second is not None
    assert second.epoch == first.epoch + 1
    second.release()
    other.release()


def test_a_frozen_leader_is_replaced_and_its_later_writes_are_refused(db: Database) -> None:
    frozen = try_to_lead(db, "feed")
    assert frozen is not None
    fresh = try_to_lead(db, "feed", stale_seconds=0.0)
    assert fresh is not None
    assert not frozen.beat()
    assert fresh.beat()
    with pytest.raises(ConflictError), LeaderDatabase(db, frozen).transaction() as cur:
        bars.upsert_bars(cur, kinds())
    with LeaderDatabase(db, fresh).transaction() as cur:
        bars.upsert_bars(cur, kinds()[:1])
    assert len(stored(db)) == 1
    fresh.release()
    frozen.release()


def test_a_new_leader_waits_for_the_last_write_of_the_old_one(db: Database) -> None:
    old = try_to_lead(db, "feed")
    assert old is not None
    with LeaderDatabase(db, old).transaction() as cur:
        bars.upsert_bars(cur, kinds()[:1])
        old.release()
        with pytest.raises(DatabaseUnavailableError):  # it waits, up to its time limit
            try_to_lead(db, "feed")
    fresh = try_to_lead(db, "feed")
    assert fresh is not None
    assert fresh.epoch == old.epoch + 1
    assert len(stored(db)) == 1
    fresh.release()
    old.release()


def test_a_transaction_that_a_leader_was_frozen_in_ends_with_it(db: Database) -> None:
    frozen = try_to_lead(db, "feed")
    assert frozen is not None
    with pytest.raises(DatabaseUnavailableError):
        _write_and_be_replaced(db, frozen)
    assert stored(db) == []
    frozen.release()


def _write_and_be_replaced(db: Database, frozen: Leadership) -> None:
    with LeaderDatabase(db, frozen).transaction() as cur:
        bars.upsert_bars(cur, kinds()[:1])
        fresh = try_to_lead(db, "feed", stale_seconds=0.0)
        assert fresh is not None
        fresh.release()
