"""Events and states in the database: outcomes, any order, any repetition, any number of writers."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg2.errors
import pytest

from automated_signals_state import fold
from core.lifecycle import Kind, LifecycleEvent, Source, mfe_slot
from database import events, states
from database.engine import Database
from database.events import Outcome, append_events
from tests.support_signals import hash_of

START = datetime(2025, 12, 11, 14, 30, 5, tzinfo=UTC)


def event(kind: Kind, minute: float = 0, trade: str = "20251211_093000000_BULLISH", **facts: Any) -> LifecycleEvent:
    received_at = START + timedelta(minutes=minute)
    facts.setdefault("receipt_id", uuid4())
    facts.setdefault("content_hash", f"{kind}{minute}{trade}{sorted(facts.items(), key=str)}"[:64])
    slot = mfe_slot(received_at) if kind is Kind.MFE_UPDATE else None
    return LifecycleEvent(stream="main", trade_id=trade, kind=kind, received_at=received_at, slot=slot, **facts)


def life(trade: str) -> list[LifecycleEvent]:
    """A whole life: entry, nine updates, BE, both exits."""
    entry = event(
        Kind.ENTRY, 1, trade, direction="long", entry_price=Decimal("25000"), stop_loss=Decimal("24990"), symbol="MNQ1!"
    )
    updates = [
        event(Kind.MFE_UPDATE, 2 + n, trade, be_mfe_r=Decimal(n) / 4, no_be_mfe_r=Decimal(n) / 4, mae_r=Decimal("-0.1"))
        for n in range(9)
    ]
    exits = [event(Kind.BE_TRIGGERED, 7, trade), event(Kind.EXIT_BE, 12, trade), event(Kind.EXIT_SL, 20, trade)]
    return [event(Kind.SIGNAL_CREATED, 0, trade, direction="long"), entry, *updates, *exits]


def append(db: Database, group: Sequence[LifecycleEvent]) -> list[Outcome]:
    with db.transaction() as cur:
        return append_events(cur, group)


def test_a_new_fact_is_accepted_and_its_repeat_is_a_conflict(db: Database) -> None:
    assert append(db, [event(Kind.ENTRY, 1)]) == [Outcome.NEW]
    assert append(db, [event(Kind.ENTRY, 9)]) == [Outcome.CONFLICT]


def test_the_same_content_again_is_a_duplicate(db: Database) -> None:
    append(db, [event(Kind.BE_TRIGGERED, 1, content_hash="same")])
    assert append(db, [event(Kind.BE_TRIGGERED, 3, content_hash="same")]) == [Outcome.DUPLICATE]


def test_a_second_update_of_a_minute_is_merged(db: Database) -> None:
    first = event(Kind.MFE_UPDATE, 1, no_be_mfe_r=Decimal("0.5"), mae_r=Decimal("-0.2"), current_price=Decimal(10))
    second = event(Kind.MFE_UPDATE, 1.2, no_be_mfe_r=Decimal("0.4"), mae_r=Decimal("-0.3"), current_price=Decimal(11))
    assert append(db, [first]) + append(db, [second]) == [Outcome.NEW, Outcome.MERGED]
    with db.transaction() as cur:
        (row,) = events.list_events(cur, "main", first.trade_id)
    assert (row.no_be_mfe, row.mae_global_r, row.current_price) == (Decimal("0.5"), Decimal("-0.3"), Decimal(11))


def test_what_else_a_minute_says_is_the_word_of_its_latest_receipt_whatever_came_first(db: Database) -> None:
    """One transaction, two, or two the other way round: a rebuild may read them in any of these ways."""
    early, late = (
        event(
            Kind.MFE_UPDATE,
            minute,
            no_be_mfe_r=Decimal(1),
            symbol=symbol,
            telemetry={"symbol": symbol},
            event_id=symbol,
        )
        for minute, symbol in ((1, "A"), (1.2, "B"))
    )
    told = []
    for groups in ([[early, late]], [[early], [late]], [[late], [early]]):
        for group in groups:
            append(db, group)
        with db.transaction() as cur:
            cur.execute("DELETE FROM automated_signals AS row RETURNING to_jsonb(row) - 'id' AS row")
            told += [row.row for row in cur.fetchall()]
    assert told[0]["symbol"] == "B"
    assert told == [told[0]] * 3


def test_the_least_receipt_of_a_one_shot_stays_whatever_came_first(db: Database) -> None:
    late = event(Kind.BE_TRIGGERED, 9, be_mfe_r=Decimal(2))
    early = event(Kind.BE_TRIGGERED, 3, be_mfe_r=Decimal(1))
    append(db, [late])
    append(db, [early])
    with db.transaction() as cur:
        (row,) = events.list_events(cur, "main", late.trade_id)
    assert (row.received_at, row.be_mfe, row.receipt_id) == (early.received_at, Decimal(1), early.receipt_id)


def test_each_source_rank_keeps_a_row_of_its_own(db: Database) -> None:
    append(db, [event(Kind.EXIT_SL, 5, source=source) for source in Source])
    with db.transaction() as cur:
        rows = events.list_events(cur, "main", "20251211_093000000_BULLISH")
    assert sorted(row.data_source for row in rows) == ["import", "inferred", "live", "reconciled"]


def test_state_and_rows_are_the_same_in_any_order_with_any_repeats(db: Database) -> None:
    history = [found for number in range(6) for found in life(f"T{number}")]
    seen = set()
    for seed in range(4):
        shuffled = random.Random(seed).sample(history * 2, len(history) * 2)
        for start in range(0, len(shuffled), 7):
            append(db, shuffled[start : start + 7])
        with db.transaction() as cur:
            cur.execute(
                "SELECT event_key, received_at, be_mfe, no_be_mfe, mae_global_r FROM automated_signals ORDER BY 1"
            )
            seen.add((hash_of(db), tuple(tuple(row) for row in cur.fetchall())))
            cur.execute("DELETE FROM automated_signals")
            cur.execute("DELETE FROM trade_states")
    assert len(seen) == 1


def test_two_hundred_senders_of_overlapping_batches_never_deadlock(db: Database) -> None:
    trades = [f"T{number:02}" for number in range(22)]
    failures: list[BaseException] = []

    def send(seed: int) -> None:
        chosen = random.Random(seed).sample(trades, 15)
        group = [event(Kind.MFE_UPDATE, seed % 40, trade, no_be_mfe_r=Decimal(seed % 40) / 10) for trade in chosen]
        try:
            append(db, group)
        except BaseException as error:
            failures.append(error)
            raise

    for wave in range(20):
        threads = [threading.Thread(target=send, args=(wave * 10 + number,)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
    with db.transaction() as cur:
        assert {state.no_be_mfe_r for state in states.all_states(cur)} <= {Decimal(n) / 10 for n in range(40)}
        assert max(state.no_be_mfe_r or 0 for state in states.all_states(cur)) == Decimal("3.9")


def test_a_stored_event_comes_back_as_it_was(db: Database) -> None:
    sent = event(
        Kind.ENTRY,
        1,
        direction="short",
        symbol="MNQ1!",
        entry_price=Decimal("25000.25"),
        stop_loss=Decimal("25010"),
        event_time=START,
        signal_time=START - timedelta(minutes=3),
        targets={"tp1_price": 24990.5},
        htf_alignment={"h1": "Bearish"},
        telemetry={"a": [1, None]},
        warnings=("repaired",),
        sequence_number=7,
        confirmation_time=START,
        bars_to_confirmation=3,
    )
    append(db, [sent])
    with db.transaction() as cur:
        (row,) = events.list_events(cur, "main", sent.trade_id)
    assert events.event_of(row) == sent


def test_stored_facts_are_read_back_exactly(db: Database) -> None:
    history = life("T1")
    append(db, history)
    with db.transaction() as cur:
        assert states.lock_facts(cur, [("main", "T1")]) == {("main", "T1"): fold(history)}


@pytest.mark.parametrize(
    "assignment", ["entry_price = 'NaN'", "entry_price = -1", "be_mfe = -0.1", "be_mfe = 'NaN'", "mae_global_r = 0.1"]
)
def test_the_table_refuses_what_cannot_be(db: Database, assignment: str) -> None:
    append(db, [event(Kind.ENTRY, 1)])
    with (
        pytest.raises((psycopg2.errors.CheckViolation, psycopg2.errors.NumericValueOutOfRange)),
        db.transaction() as cur,
    ):
        cur.execute(f"UPDATE automated_signals SET {assignment}")


def test_a_repair_reads_back_from_its_row_as_it_was(db: Database) -> None:
    """A rebuild folds repairs from their rows: what a row shows beside them, such as the session, is none of their words."""
    repair = event(
        Kind.ENTRY,
        3,
        source=Source.RECONCILED,
        receipt_id=None,
        event_time=START,
        signal_time=START,
        confidence=Decimal("0.95"),
        reconciliation_reason="entry_received_minus_one_bar",
    )
    append(db, [repair])
    with db.transaction() as cur:
        assert list(events.kept_events(cur)) == [repair]


def test_a_repair_of_an_entry_is_not_stamped_as_if_it_were_the_signal(db: Database) -> None:
    repair = event(Kind.ENTRY, 3, source=Source.RECONCILED, receipt_id=None, event_time=START)
    append(db, [repair, event(Kind.ENTRY, 1, event_time=START)])
    with db.transaction() as cur:
        cur.execute("SELECT data_source, signal_date IS NOT NULL AS is_stamped FROM automated_signals")
        assert {row.data_source: row.is_stamped for row in cur.fetchall()} == {"live": True, "reconciled": False}


def test_kept_events_and_states_are_read_some_at_a_time(db: Database) -> None:
    """There may be more of them than memory holds."""
    append(db, [event(Kind.EXIT_SL, 5, f"T{number}", receipt_id=None) for number in range(3)])
    for read in (events.kept_events, states.all_states):
        with db.transaction() as cur:
            rows = iter(read(cur))
            next(rows)
            cur.execute("SELECT count(*) AS open FROM pg_cursors WHERE statement LIKE %s", ["DECLARE%"])
            assert cur.fetchone().open == 1
            assert len(list(rows)) == 2


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("""telemetry @> '{"schema_version": "1.0.0"}'""", "idx_automated_signals_telemetry"),
        ("telemetry ->> 'schema_version' = '1.0.0'", "idx_automated_signals_telemetry_schema"),
    ],
)
def test_what_was_sent_as_telemetry_is_found_by_its_index(condition: str, index: str, untouched: Database) -> None:
    """The indexes hold only rows that have telemetry; a question about it needs no word of that."""
    with untouched.transaction() as cur:
        cur.execute("SET LOCAL enable_seqscan = off")
        cur.execute(f"EXPLAIN SELECT id FROM automated_signals WHERE {condition}")
        assert f"{index} " in "\n".join(row[0] for row in cur.fetchall()) + " "
