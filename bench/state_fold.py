"""How fast events become state: the bare fold, and one update of a stored signal (read facts, join, derive, write).

The stream is synthetic, with the shape of the real one: mostly members of batches, a few one-shot events with
documents, some of them fired again. Prints one line of JSON and one to read.
"""

from __future__ import annotations

import gc
import json
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from automated_signals_state import Facts, derive, facts_from_json, facts_to_json
from core.lifecycle import Kind, LifecycleEvent, mfe_slot

TARGET_PER_S = 150_000
SIGNALS = 500
ROUNDS = 7
START = datetime(2025, 12, 11, 0, 0, tzinfo=UTC)
DOCUMENTS = {
    "targets": {"tp1_price": Decimal("25010.25"), "tp2_price": Decimal("25020.5"), "target_Rs": [1, 2, 3]},
    "setup": {"setup_family": "FVG_CORE", "setup_variant": "HTF_ALIGNED", "signal_strength": 75},
    "market_state": {"trend_regime": "Bullish", "trend_score": 1},
    "htf_alignment": {"daily": "Neutral", "h4": "Bullish", "m1": "Bullish", "all_bullish": False},
}


def a_life(rng: random.Random, number: int) -> list[LifecycleEvent]:
    """About sixty events of one signal, as they would arrive."""
    entered, length = START + timedelta(minutes=number), rng.randint(10, 90)
    entry_price = Decimal(25_000 + number % 200)
    prices = {"entry_price": entry_price, "stop_loss": entry_price - 10}
    events = [event(number, entered - timedelta(minutes=2), Kind.SIGNAL_CREATED, DOCUMENTS)]
    events.append(event(number, entered, Kind.ENTRY, DOCUMENTS | prices))
    best, worst = Decimal(0), Decimal(0)
    for minute in range(1, length):
        best = max(best, Decimal(rng.randint(0, minute * 400)) / 10_000)
        worst = min(worst, -Decimal(rng.randint(0, 9_000)) / 10_000)
        excursions = {"be_mfe_r": best, "no_be_mfe_r": best, "mae_r": worst}
        events.append(event(number, entered + timedelta(minutes=minute), Kind.MFE_UPDATE, excursions))
    ending = entered + timedelta(minutes=length)
    repeats = [event(number, ending, Kind.BE_TRIGGERED, prices) for _ in range(rng.randint(0, 3))]
    return [*events, *repeats, event(number, ending, Kind.EXIT_SL, DOCUMENTS | prices)]


def event(number: int, received_at: datetime, kind: Kind, values: dict[str, Any]) -> LifecycleEvent:
    slot = mfe_slot(received_at) if kind is Kind.MFE_UPDATE else None
    return LifecycleEvent(
        stream="bench",
        trade_id=f"signal-{number}",
        kind=kind,
        received_at=received_at,
        content_hash=f"{number}-{kind}-{received_at:%H%M}",
        slot=slot,
        direction="long",
        symbol=None if slot else "MNQ1!",
        **values,
    )


def fold_all(events: list[LifecycleEvent]) -> dict[str, Facts]:
    signals: dict[str, Facts] = {}
    for one in events:
        facts = signals.get(one.trade_id)
        if facts is None:
            facts = signals[one.trade_id] = Facts()
        facts.add(one)
    return signals


def update_stored(documents: list[dict[str, Any]], update: LifecycleEvent) -> None:
    for document in documents:
        facts = facts_from_json(document)
        facts.add(update)
        derive(facts, update.stream, update.trade_id)
        facts_to_json(facts)


def best_seconds(work: Callable[[], object]) -> float:
    """The shortest of several runs: what the machine can do when nothing else uses it."""
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def main() -> None:
    rng = random.Random(7)
    events = [one for number in range(SIGNALS) for one in a_life(rng, number)]
    events.sort(key=lambda one: one.received_at)
    # What exists before the fold begins is no part of its garbage collection.
    gc.collect()
    gc.freeze()
    per_second = len(events) / best_seconds(lambda: fold_all(events))
    documents = [facts_to_json(facts) for facts in fold_all(events).values()]
    update = next(one for one in events if one.kind is Kind.MFE_UPDATE)
    update_us = best_seconds(lambda: update_stored(documents, update)) / len(documents) * 1e6
    figures = {"events": len(events), "fold_per_s": round(per_second), "target_per_s": TARGET_PER_S}
    print(json.dumps({"bench": "state_fold"} | figures | {"stored_update_us": round(update_us, 1)}))
    print(f"state: {per_second:,.0f} events/s folded (target {TARGET_PER_S:,}), {update_us:.0f} us per stored signal")


if __name__ == "__main__":
    main()
