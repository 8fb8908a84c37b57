"""The cycle on a simulated stream with parts taken away: what is healed, how well, and that nothing sent is outvoted."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import permutations
from random import Random
from statistics import quantiles
from typing import Any

import pytest

from automated_signals_state import derive, fold, state_hash
from core.errors import NotFoundError
from core.lifecycle import Kind, LifecycleEvent, Source, mfe_slot
from core.records import instant_of, minute_of, open_minutes
from core.trading_calendar import cme_equity_calendar
from database import repairs, states
from database.engine import Database
from database.events import append_events
from hybrid_sync.cycle import CycleReport, run_cycle
from telemetry.history.rebuild import rebuild
from tests.support_signals import START as NINE_THIRTY_ONE
from tests.support_signals import add, event, mfe
from tests.support_sync import (
    AGO,
    LOST,
    World,
    deliver,
    rows,
    state_of,
    store_bars,
    store_torn,
    sync_settings,
    without,
    world,
)

TICK = 0.25


def cycle(db: Database, now: datetime, **given: Any) -> CycleReport:
    return run_cycle(db, sync_settings(), now, **given)


@pytest.fixture
def stream() -> World:
    """Five hours of alerts."""
    return world(minutes=300)


@pytest.fixture
def torn(db: Database, stream: World) -> World:
    """The stream of which half the events and most batches never arrived, beside whole bars."""
    store_torn(db, stream)
    return stream


def entered(stream: World) -> dict[str, Any]:
    return {trade_id: trade for trade_id, trade in stream.truth.items() if trade.confirmation_time is not None}


def test_one_cycle_covers_every_open_market_minute(db: Database, torn: World) -> None:
    report = cycle(db, torn.end + AGO)
    calendar = cme_equity_calendar()
    held = rows(db, "SELECT trade_id, slot FROM automated_signals WHERE event_type = 'MFE_UPDATE'")
    slots = {(row.trade_id, minute_of(row.slot)) for row in held}
    for trade_id, trade in entered(torn).items():
        end = minute_of(trade.exit_sl_time or torn.end)
        expected = open_minutes(minute_of(trade.confirmation_time) + 1, end, calendar)
        assert [instant_of(minute) for minute in expected if (trade_id, minute) not in slots] == []
    assert report.minutes_healed > 300
    assert rows(db, "SELECT * FROM signal_health_metrics WHERE missing_minutes > 0") == []


def test_healed_excursions_are_within_a_tick_of_the_truth(db: Database, torn: World) -> None:
    cycle(db, torn.end + AGO)
    healed = rows(
        db,
        "SELECT trade_id, slot, be_mfe, no_be_mfe, mae_global_r, confidence_score, reconciliation_reason"
        " FROM automated_signals WHERE event_type = 'MFE_UPDATE' AND data_source = 'reconciled'",
    )
    errors = []
    for row in healed:
        trade = torn.truth[row.trade_id]
        true = next(one for one in trade.excursions if one.opens_at == row.slot)
        pairs = ((row.no_be_mfe, true.no_be_mfe_r), (row.be_mfe, true.be_mfe_r), (row.mae_global_r, true.mae_r))
        errors += [abs(float(value) - truth) * trade.risk / TICK for value, truth in pairs]
        assert (row.confidence_score, row.reconciliation_reason) == (Decimal("0.8"), "own_bars")
    assert quantiles(errors, n=100)[94] <= 1


def test_every_hidden_exit_and_trigger_is_found_or_marked_ambiguous(db: Database, torn: World) -> None:
    cycle(db, torn.end + AGO)
    hidden = 0
    for trade_id, trade in entered(torn).items():
        found = state_of(db, trade_id)
        hidden += len([name for name in ("BE_TRIGGERED", "EXIT_BE", "EXIT_SL") if name in found.sources])
        truth = (trade.be_time, trade.exit_be_time, trade.exit_sl_time)
        if "bars_ambiguous" not in found.flags:
            assert (found.be_triggered_at, found.be_exit_at, found.exit_at) == truth, trade_id
        assert found.exit_kind != "EXIT_SL" or found.mae_r <= -1, trade_id  # at the stop the whole risk was lost
    assert hidden > 10


def test_health_rises_and_the_report_says_from_where(db: Database, torn: World) -> None:
    report = cycle(db, torn.end + AGO).as_json()
    assert report["health_before"] < 90 < report["health_after"]
    assert report["gaps_before"] > report["gaps_after"]
    assert set(report["by_type_after"]) <= {"no_signal_created"}
    (row,) = rows(db, "SELECT report, health_after, finished_at FROM sync_cycles")
    assert row.report == report
    assert row.health_after == report["health_after"]


def contents(db: Database) -> dict[str, int]:
    tables = (
        "automated_signals",
        "trade_states",
        "sync_audit_log",
        "sync_gaps",
        "signal_health_metrics",
        "stream_outages",
    )
    found = {}
    for table in tables:
        (row,) = rows(
            db, f"SELECT count(*) AS n, coalesce(sum(('x' || md5(t::text))::bit(32)::bigint), 0) AS s FROM {table} t"
        )
        found[table] = hash((row.n, row.s))
    return found


def test_a_second_cycle_on_unchanged_data_writes_nothing(db: Database, torn: World) -> None:
    cycle(db, torn.end + AGO)
    before = contents(db)
    again = cycle(db, torn.end + AGO)
    assert (again.written, again.minutes_healed, sum(again.fills.values())) == (0, 0, 0)
    assert contents(db) == before


def test_a_rebuild_from_the_deliveries_keeps_every_repair(db: Database, torn: World) -> None:
    cycle(db, torn.end + AGO)
    assert rebuild(db, is_dry_run=True).is_unchanged
    before = contents(db)["sync_audit_log"]
    assert rebuild(db).is_unchanged
    assert cycle(db, torn.end + AGO).minutes_healed == 0
    assert contents(db)["sync_audit_log"] == before


def test_a_dry_run_tells_the_same_and_writes_nothing(db: Database, torn: World) -> None:
    before = contents(db)
    rehearsed = cycle(db, torn.end + AGO, is_dry_run=True).as_json()
    assert contents(db) == before
    assert rows(db, "SELECT * FROM sync_cycles") == []
    assert rehearsed.pop("dry_run") is True
    real = cycle(db, torn.end + AGO).as_json()
    assert real.pop("dry_run") is False
    assert rehearsed == real


def test_a_tier_that_was_not_asked_for_fills_nothing(db: Database, torn: World) -> None:
    report = cycle(db, torn.end + AGO, tiers=(0,))
    assert set(report.fills) == {"gap_filled_confirmation_time"}
    assert report.minutes_healed == 0
    assert cycle(db, torn.end + AGO).minutes_healed > 0


def test_the_import_of_what_was_lost_heals_exactly_and_outranks_the_inferred(db: Database, stream: World) -> None:
    arrived, lost = without(stream.alerts, LOST)
    deliver(db, arrived)
    store_bars(db, stream)
    cycle(db, stream.end + AGO)
    deliver(db, lost, source="import")
    cycle(db, stream.end + 2 * AGO)
    with db.transaction() as cur:
        healed = {state.trade_id: state for state in states.all_states(cur)}
    whole: dict[str, list[LifecycleEvent]] = {}
    for found in rows(db, "SELECT * FROM automated_signals WHERE source_rank < 3 ORDER BY id"):
        whole.setdefault(found.trade_id, []).append(repairs.event_of(found))
    for trade_id, sent in whole.items():
        assert state_hash([healed[trade_id]]) == state_hash([derive(fold(sent), "main", trade_id)])


def test_prices_of_another_basis_heal_nothing(db: Database, stream: World) -> None:
    arrived, _lost = without(stream.alerts, LOST)
    deliver(db, arrived)
    store_bars(db, stream, shift="40")
    report = cycle(db, stream.end + AGO)
    assert report.minutes_healed == 0
    assert rows(db, "SELECT * FROM automated_signals WHERE reconciliation_reason = 'own_bars'") == []


def test_of_two_quarters_the_one_whose_prices_agree_is_taken(db: Database, stream: World) -> None:
    arrived, _lost = without(stream.alerts, LOST)
    deliver(db, arrived)
    store_bars(db, stream, contract="CON.F.US.MNQ.H26", shift="210")
    store_bars(db, stream)
    cycle(db, stream.end + AGO)
    found = rows(db, "SELECT DISTINCT evidence ->> 'contract' AS contract FROM sync_audit_log WHERE tier = 2")
    assert [row.contract for row in found] == ["CON.F.US.MNQ.Z25"]


def test_without_bars_nothing_is_made_up_and_the_attempt_is_on_record(db: Database, stream: World) -> None:
    arrived, _lost = without(stream.alerts, LOST)
    deliver(db, arrived)
    cycle(db, stream.end + AGO)
    healed = rows(db, "SELECT * FROM automated_signals WHERE reconciliation_reason = 'own_bars'")
    assert healed == []
    assert rows(db, "SELECT * FROM sync_audit_log WHERE action_type = 'reconciliation_attempted'") != []


def test_a_pending_signal_whose_opposite_was_confirmed_is_cancelled(db: Database) -> None:
    add(db, event("A_BULLISH", Kind.SIGNAL_CREATED, 0), event("B_BEARISH", Kind.SIGNAL_CREATED, 5, direction="short"))
    cycle(db, NINE_THIRTY_ONE + timedelta(minutes=6))
    assert state_of(db, "A_BULLISH").status == "PENDING"
    prices = {"entry_price": Decimal(20490), "stop_loss": Decimal(20500)}
    add(db, event("B_BEARISH", Kind.ENTRY, 7, direction="short", **prices))
    cycle(db, NINE_THIRTY_ONE + timedelta(minutes=8))
    found = state_of(db, "A_BULLISH")
    assert (found.status, found.cancelled_by, found.sources["CANCELLED"]) == ("CANCELLED", "B_BEARISH", "inferred")
    assert Decimal(found.confidence["CANCELLED"]) == Decimal("0.95")
    (gap,) = rows(db, "SELECT * FROM sync_gaps WHERE gap_type = 'stale_pending'")
    assert gap.resolved_by == "repair"


def test_every_gap_has_its_first_and_its_last_moment(db: Database) -> None:
    add(
        db,
        event("T", Kind.ENTRY),
        event("T", Kind.SIGNAL_CREATED, confirmation_time=NINE_THIRTY_ONE),
        mfe("T", 1, "0", "0"),
    )
    first = NINE_THIRTY_ONE + timedelta(minutes=9)
    cycle(db, first)
    cycle(db, first + AGO)
    (gap,) = rows(db, "SELECT * FROM sync_gaps WHERE gap_type = 'no_mfe_update'")
    assert (gap.first_seen_at, gap.resolved_at) == (first, None)
    add(db, mfe("T", 14, "0", "0"))
    cycle(db, first + 2 * AGO)
    (gap,) = rows(db, "SELECT * FROM sync_gaps WHERE gap_type = 'no_mfe_update'")
    assert (gap.first_seen_at, gap.resolved_at, gap.resolved_by) == (first, first + 2 * AGO, "stream")


def test_an_operator_takes_repairs_back_and_they_are_not_made_again(db: Database, torn: World) -> None:
    cycle(db, torn.end + AGO, tiers=(0, 3, 4))
    trade_id = next(
        row.trade_id
        for row in rows(
            db, "SELECT trade_id FROM trade_states WHERE entry_time IS NOT NULL AND exit_at IS NULL ORDER BY 1"
        )
        if torn.truth[row.trade_id].exit_sl_time
    )
    before = state_of(db, trade_id)
    cycle(db, torn.end + AGO)
    healed = state_of(db, trade_id)
    assert (before.status, healed.status) != (healed.status, before.status)
    ids = [row.id for row in rows(db, "SELECT id FROM automated_signals WHERE trade_id = %(t)s AND"
                                      " reconciliation_reason <> 'entry_received_minus_one_bar'", {"t": trade_id})]  # fmt: skip
    with db.transaction() as cur:
        repairs.revoke_repairs(cur, "main", trade_id, now=torn.end, ids=ids)
    back = state_of(db, trade_id)
    assert (healed.last_received_at, healed.last_kind) == (before.last_received_at, before.last_kind)
    ignored = {"facts", "updated_at", "confidence", "health_score", "gaps"}
    assert {name: value for name, value in back._asdict().items() if name not in ignored} == {
        name: value for name, value in before._asdict().items() if name not in ignored
    }
    cycle(db, torn.end + 2 * AGO)
    assert state_of(db, trade_id).exit_at is None
    with db.transaction() as cur, pytest.raises(NotFoundError):
        repairs.revoke_repairs(cur, "main", trade_id, now=torn.end, ids=ids)


def test_what_was_sent_can_not_be_revoked(db: Database) -> None:
    add(db, event("T", Kind.ENTRY))
    with db.transaction() as cur, pytest.raises(NotFoundError):
        repairs.revoke_repairs(cur, "main", "T", now=NINE_THIRTY_ONE)


def test_a_repaired_exit_is_withdrawn_when_the_sender_follows_the_trade_on(db: Database) -> None:
    exit_ = event("T", Kind.EXIT_SL, 5, source=Source.RECONCILED, event_time=NINE_THIRTY_ONE + timedelta(minutes=4))
    add(db, event("T", Kind.ENTRY), event("T", Kind.SIGNAL_CREATED), exit_)
    assert state_of(db, "T").status == "COMPLETED"
    add(db, mfe("T", 8, "0.5", "0.5"))
    report = cycle(db, NINE_THIRTY_ONE + timedelta(minutes=9))
    assert report.withdrawn == 1
    assert state_of(db, "T").status == "ACTIVE"
    assert rows(db, "SELECT * FROM sync_audit_log WHERE action_type = 'reconciliation_failed'") != []


def test_two_repairs_of_one_fact_are_merged_and_neither_is_lost(db: Database) -> None:
    add(db, event("T", Kind.ENTRY, direction=None))
    one = event("T", Kind.ENTRY, 1, source=Source.RECONCILED, confirmation_time=NINE_THIRTY_ONE, confidence=Decimal("0.95"),
                entry_price=None, stop_loss=None, direction=None, content_hash="one")  # fmt: skip
    other = replace(
        one, confirmation_time=None, htf_alignment={"h1": "Bullish"}, confidence=Decimal("0.9"), content_hash="two"
    )
    with db.transaction() as cur:
        assert len(repairs.append_repairs(cur, [one])) == 1
    with db.transaction() as cur:
        assert len(repairs.append_repairs(cur, [other])) == 1
        assert repairs.append_repairs(cur, [other]) == []
    found = state_of(db, "T")
    assert found.confirmation_time == NINE_THIRTY_ONE
    assert found.htf_alignment == {"h1": "Bullish"}
    with db.transaction() as cur:
        held = repairs.list_repairs(cur, "main", "T")
    assert [row.confidence_score for row in held] == [Decimal("0.9000")]


def _lives() -> list[LifecycleEvent]:
    """One trade as it was sent, and as repairs told it wrongly."""
    sent = [
        event("T", Kind.ENTRY),
        mfe("T", 3, "0.30", "0.30"),
        mfe("T", 6, "0.40", "0.40"),
        event("T", Kind.EXIT_SL, 7),
    ]
    wrong = [mfe("T", minute, "3.40", "3.40", "-0.90") for minute in (2, 3, 5, 6)]
    wrong.append(event("T", Kind.EXIT_SL, 4, event_time=NINE_THIRTY_ONE + timedelta(minutes=2)))
    return sent + [replace(one, source=Source.RECONCILED, content_hash=f"r{n}") for n, one in enumerate(wrong)]


def test_in_ten_thousand_interleavings_what_was_sent_wins(db: Database) -> None:
    lives, dice = _lives(), Random(1)
    truth = derive(fold(lives[:4]), "main", "T")
    for _ in range(10_000):
        dice.shuffle(lives)
        found = derive(fold(lives), "main", "T")
        assert (found.no_be_mfe_r, found.mae_r, found.exit_at) == (truth.no_be_mfe_r, truth.mae_r, truth.exit_at)
        assert found.status == "COMPLETED"


def test_repair_and_live_write_race_on_one_trade_in_the_database(db: Database) -> None:
    _race(db, 40)


@pytest.mark.soak
def test_ten_thousand_races_of_repair_and_live_write_in_the_database(db: Database) -> None:
    _race(db, 10_000)


def _race(db: Database, rounds: int) -> None:
    """A sender and a repairer at once on one trade after the other."""
    lives = _lives()
    sent, wrong = lives[:4], lives[4:]
    add(db, *(replace(sent[0], trade_id=f"T{n}") for n in range(rounds)))

    def write(events: list[LifecycleEvent], seed: int, *, is_repair: bool) -> None:
        dice = Random(seed)
        for number in range(rounds):
            mine = [replace(one, trade_id=f"T{number}") for one in events]
            dice.shuffle(mine)
            for one in mine:
                with db.transaction() as cur:
                    repairs.append_repairs(cur, [one]) if is_repair else append_events(cur, [one])

    threads = [
        threading.Thread(target=write, args=(sent, 1), kwargs={"is_repair": False}),
        threading.Thread(target=write, args=(wrong, 2), kwargs={"is_repair": True}),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    truth = derive(fold(sent), "main", "T")
    for number in range(rounds):
        found = state_of(db, f"T{number}")
        assert (found.no_be_mfe_r, found.mae_r, found.exit_at) == (truth.no_be_mfe_r, truth.mae_r, truth.exit_at)


def test_own_trends_fill_the_alignment_where_there_is_a_history_of_them(db: Database, stream: World) -> None:
    deliver(db, stream.alerts[:40])
    store_bars(db, stream)
    add(db, event("T", Kind.SIGNAL_CREATED, 10), event("T", Kind.ENTRY, 12))
    now = NINE_THIRTY_ONE + timedelta(minutes=13)
    cycle(db, now)
    assert state_of(db, "T").htf_alignment is None
    rows(
        db,
        "INSERT INTO trend_history (contract_id, timeframe, analyzer, at, trend, bar_timestamp)"
        " SELECT 'CON.F.US.MNQ.Z25', timeframe, analyzer, %(at)s, trend, %(at)s"
        " FROM unnest(ARRAY['1d','4h','1h','15m','5m']) AS timeframe"
        " CROSS JOIN (VALUES ('trend', 'bullish'), ('ema_9_21', 'bearish')) AS said (analyzer, trend) RETURNING at",
        {"at": NINE_THIRTY_ONE - timedelta(hours=1)},
    )
    cycle(db, now + AGO)
    found = state_of(db, "T")
    assert found.htf_computed
    assert found.htf_alignment == dict.fromkeys(("daily", "h4", "h1", "m15", "m5"), "Bullish")
    assert Decimal(found.confidence["htf_alignment"]) == Decimal("0.9")


def test_the_same_minute_of_an_update_keeps_one_repair(db: Database) -> None:
    add(db, event("T", Kind.ENTRY))
    one = replace(mfe("T", 3, "0.3", "0.3"), source=Source.RECONCILED)
    for order in permutations([one, replace(one, no_be_mfe_r=Decimal("0.9"), content_hash="x")]):
        with db.transaction() as cur:
            repairs.append_repairs(cur, list(order))
    (row,) = rows(db, "SELECT no_be_mfe, slot FROM automated_signals WHERE source_rank = 3")
    assert (row.no_be_mfe, row.slot) == (Decimal("0.3"), mfe_slot(one.received_at))
