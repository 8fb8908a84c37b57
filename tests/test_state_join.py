"""The state is a join: split, order and repetition of a history do not matter; a slow second opinion agrees."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from automated_signals_state import TradeState, derive, facts_from_json, facts_to_json, fold, join, state_hash
from core.lifecycle import Kind, LifecycleEvent, Source, mfe_slot

OPEN = datetime(2025, 12, 11, 14, 0, tzinfo=UTC)
TRADE = "20251211_085900000_BULLISH"
SENT = (Source.LIVE, Source.IMPORT)
MFES = [None, *map(Decimal, ("0", "0.5", "0.9999", "1", "1.5000", "3.4"))]
MAES = [None, *map(Decimal, ("0", "-0.25", "-0.9"))]
PRICES = [None, *map(Decimal, ("25000", "25000.25", "24990", "25010"))]
HTFS = [None, {}, {"m1": "Bullish"}, {"m1": "Neutral", "all_bullish": True, "all_bearish": True}]
KINDS = [*Kind, *[Kind.MFE_UPDATE] * 6, *[Kind.ENTRY] * 2]


def an_event(rng: random.Random, sources: tuple[Source, ...] = tuple(Source)) -> LifecycleEvent:
    """Few times, digests and values, so that ties and contradictions are common."""
    kind = rng.choice(KINDS)
    received_at = OPEN + timedelta(seconds=rng.choice((0, 1, 60, 120, 180, 600)))
    values: dict[str, Any] = {
        "direction": rng.choice((None, "long", "long", "short")),
        "symbol": rng.choice((None, "MNQ1!")),
        "event_time": rng.choice((None, OPEN - timedelta(minutes=3), OPEN + timedelta(days=9))),
        "signal_time": rng.choice((None, None, OPEN - timedelta(minutes=2))),
        "confirmation_time": rng.choice((None, None, OPEN)),
        "entry_price": rng.choice(PRICES),
        "stop_loss": rng.choice(PRICES),
        "exit_price": rng.choice(PRICES),
        "be_mfe_r": rng.choice(MFES),
        "no_be_mfe_r": rng.choice(MFES),
        "mae_r": rng.choice(MAES),
        "targets": rng.choice((None, {"tp1_price": Decimal("25010.5"), "target_Rs": [1, 2, Decimal(3)]})),
        "market_state": rng.choice((None, {"trend_regime": "Bullish"}, {"trend_regime": "Bearish"})),
        "htf_alignment": rng.choice(HTFS),
        "warnings": rng.choice(((), (), ("be_mfe_clamped",))),
        "confidence": rng.choice((None, Decimal("0.90"))),
    }
    if kind in (Kind.EXIT_BE, Kind.EXIT_SL):
        values |= {"final_be_mfe_r": rng.choice(MFES), "final_no_be_mfe_r": rng.choice(MFES)}
    return LifecycleEvent(
        stream="main",
        trade_id=TRADE,
        kind=kind,
        received_at=received_at,
        content_hash=rng.choice("abc"),
        source=rng.choice(sources),
        slot=mfe_slot(received_at) if kind is Kind.MFE_UPDATE else None,
        **values,
    )


def a_history(rng: random.Random, sources: tuple[Source, ...] = tuple(Source)) -> list[LifecycleEvent]:
    """Some events, and a few that say at another time what one of them has said."""
    events = [an_event(rng, sources) for _ in range(rng.randint(1, 7))]
    echoed = [event for event in rng.choices(events, k=rng.randint(0, 3)) if event.kind is Kind.MFE_UPDATE]
    return events + [echo(event, rng.randint(-3, 3), rng.choice(sources)) for event in echoed]


def echo(event: LifecycleEvent, minutes: int, source: Source) -> LifecycleEvent:
    received_at = event.received_at + timedelta(minutes=minutes)
    return replace(event, received_at=received_at, slot=mfe_slot(received_at), source=source)


def disturbed(rng: random.Random, events: list[LifecycleEvent]) -> list[LifecycleEvent]:
    """Every event at least once, some several times, in any order."""
    again = events + rng.choices(events, k=rng.randint(0, 4))
    return rng.sample(again, len(again))


def state(events: list[LifecycleEvent]) -> TradeState:
    return derive(fold(events), "main", TRADE)


@pytest.mark.parametrize("seed", range(4))
def test_any_split_order_and_repetition_gives_the_same_facts(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(750):
        events = a_history(rng)
        whole = fold(events)
        shuffled = disturbed(rng, events)
        cut = rng.randint(0, len(shuffled))
        assert join(fold(shuffled[:cut]), fold(shuffled[cut:])) == fold(shuffled) == whole
        assert state(shuffled) == derive(whole, "main", TRADE)
        assert facts_to_json(fold(shuffled)) == facts_to_json(whole)


def test_joining_is_commutative_associative_and_idempotent() -> None:
    rng = random.Random(10)
    for _ in range(1_000):
        a, b, c = (fold(a_history(rng)) for _ in range(3))
        assert join(a, b) == join(b, a)
        assert join(a, join(b, c)) == join(join(a, b), c)
        assert join(a, a) == a


def test_joining_leaves_both_sides_as_they_were() -> None:
    rng = random.Random(11)
    for _ in range(200):
        one, other = a_history(rng), a_history(rng)
        left, right = fold(one), fold(other)
        join(left, right).add(an_event(rng))
        assert (left, right) == (fold(one), fold(other))


def test_facts_come_back_from_json_unchanged_and_go_on_growing() -> None:
    rng = random.Random(12)
    for _ in range(1_000):
        events = a_history(rng)
        cut = rng.randint(0, len(events))
        stored = json.loads(json.dumps(facts_to_json(fold(events[:cut])), allow_nan=False))
        facts = facts_from_json(stored)
        assert facts == fold(events[:cut])
        for event in events[cut:]:
            facts.add(event)
        assert facts == fold(events)


def test_a_revoked_repair_leaves_no_trace_after_refolding() -> None:
    rng = random.Random(13)
    for _ in range(1_000):
        sent, repairs = a_history(rng, SENT), a_history(rng, (Source.RECONCILED, Source.INFERRED))
        kept = [repair for repair in repairs if rng.random() < 0.5]
        revoked = [repair for repair in repairs if repair not in kept]
        refolded = fold(disturbed(rng, sent + kept))
        assert refolded == fold(sent + kept)
        assert join(refolded, fold(revoked)) == fold(sent + repairs)


def test_what_came_live_and_what_was_imported_give_one_state_in_any_mix() -> None:
    rng = random.Random(14)
    for _ in range(500):
        events = a_history(rng, (Source.LIVE,))
        mixed = [replace(event, source=rng.choice(SENT)) for event in events]
        mixed += [replace(event, source=rng.choice(SENT)) for event in events if rng.random() < 0.5]
        assert state_hash([state(mixed)]) == state_hash([state(events)])


# The second opinion: the rules once more, as literally and slowly as they can be written.


def slow_winner(events: list[LifecycleEvent], kind: Kind) -> LifecycleEvent | None:
    candidates = [event for event in events if event.kind is kind]
    standing = {Source.LIVE: 1, Source.IMPORT: 1, Source.RECONCILED: 3, Source.INFERRED: 4}
    return min(candidates, key=lambda e: (standing[e.source], e.received_at, e.content_hash), default=None)


def slow_slot(event: LifecycleEvent) -> datetime:
    if event.source not in SENT and event.kind is not Kind.MFE_UPDATE and event.event_time:
        return event.event_time
    return mfe_slot(event.received_at)


def slow_excursion(events: list[LifecycleEvent], names: tuple[str, ...], pick: Any) -> Decimal | None:
    said = [
        (event, value)
        for event in events
        if event.kind not in (Kind.SIGNAL_CREATED, Kind.CANCELLED)
        for name in names
        if (value := getattr(event, name)) is not None
    ]
    best = None
    reached = datetime.min.replace(tzinfo=UTC)
    for group in (SENT, (Source.RECONCILED,), (Source.INFERRED,)):
        mine = [(slow_slot(event), value) for event, value in said if event.source in group]
        last = max((slot for slot, _ in mine), default=reached)
        if group is not SENT:
            mine = [(slot, value) for slot, value in mine if slot == last]
        if mine and last > reached:
            values = [value for _, value in mine] + ([] if best is None else [best])
            best, reached = pick(values), last
    return best


def slow_status(events: list[LifecycleEvent]) -> str:
    kinds = {event.kind for event in events}
    if kinds & {Kind.EXIT_SL, Kind.EXIT_TP}:
        return "COMPLETED"
    if Kind.EXIT_BE in kinds:
        return "BE_EXITED"
    if Kind.BE_TRIGGERED in kinds:
        return "BE_PROTECTED"
    if kinds & {Kind.ENTRY, Kind.MFE_UPDATE}:
        return "ACTIVE"
    return "CANCELLED" if Kind.CANCELLED in kinds else "PENDING"


def slow_be_result(events: list[LifecycleEvent], be_mfe: Decimal | None, no_be_mfe: Decimal | None) -> Decimal | None:
    kinds = {event.kind for event in events}
    if Kind.EXIT_BE in kinds:
        leg = be_mfe if be_mfe is not None else no_be_mfe
        never = Kind.BE_TRIGGERED not in kinds and leg is not None and leg < 1
        return None if never else Decimal(0)
    if Kind.EXIT_SL not in kinds:
        return None
    reached = any(mfe is not None and mfe >= 1 for mfe in (be_mfe, no_be_mfe))
    return Decimal(0) if Kind.BE_TRIGGERED in kinds or reached else Decimal(-1)


def test_a_slow_and_literal_second_reading_of_the_rules_agrees() -> None:
    rng = random.Random(15)
    for _ in range(2_000):
        # Apart in content, so that the three fields that rank a candidate decide alone.
        events = [replace(event, content_hash=str(number)) for number, event in enumerate(a_history(rng))]
        rng.shuffle(events)
        seen = state(events)
        be_mfe = slow_excursion(events, ("be_mfe_r", "final_be_mfe_r"), max)
        no_be_mfe = slow_excursion(events, ("no_be_mfe_r", "final_no_be_mfe_r"), max)
        assert seen.status == slow_status(events)
        assert (seen.be_mfe_r, seen.no_be_mfe_r) == (be_mfe, no_be_mfe)
        assert seen.mae_r == slow_excursion(events, ("mae_r",), min)
        entry, trigger = slow_winner(events, Kind.ENTRY), slow_winner(events, Kind.BE_TRIGGERED)
        assert seen.entry_time == (slow_slot(entry) if entry else None)
        assert seen.be_triggered_at == (slow_slot(trigger) if trigger else None)
        if not any(event.kind is Kind.EXIT_TP for event in events):
            assert seen.be_result_r == slow_be_result(events, be_mfe, no_be_mfe)
            assert seen.no_be_result_r == (Decimal(-1) if seen.status == "COMPLETED" else None)
