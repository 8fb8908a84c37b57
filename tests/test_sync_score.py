"""How far the health score can fall, and what one cycle makes of it.

The weights are those of the specification. A confirmed signal whose ENTRY came knows by it both prices, session, date and
targets: 51 points that the loss of other alerts cannot take, and 10 for valid values. Against them stand the update (20),
exit (15), MAE (10), BE trigger (10), alignment (5), confirmation time (3) and SIGNAL_CREATED (3): 66 points if all are
missing at once. 1 - 66/127 makes 48 the floor of a signal, reached only where bars prove that it passed +1R and was
stopped, and nothing of it came but an ENTRY without MAE and alignment, as the legacy dialect sends it.

A mean below 50 would need nearly all signals on that floor at once. Losing SIGNAL_CREATED, half of the minutes and half of
the exits leaves a stream at 79 to 90, and losing all of them at 72 to 82: the formula cannot say less. From below 50 to
above 90 leads the way of the trades on the floor, which is walked here.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import product

import pytest

from core.lifecycle import Kind, LifecycleEvent
from database.engine import Database
from database.json_text import to_json
from hybrid_sync.cycle import run_cycle
from hybrid_sync.gaps import GAP_TYPES
from simulator.strategy import Trade
from tests.support_signals import add, event
from tests.support_sync import AGO, LOST, deliver, rows, store_bars, sync_settings, without, world

FLOOR = 48
BY_ENTRY = {"no_entry_price", "no_stop_loss", "no_session", "no_signal_date", "no_targets", "invalid_values"}
NOT_OF_A_TRADE = {"no_entry", "stale_pending"}
LOSABLE = tuple(gap for gap in GAP_TYPES if gap not in BY_ENTRY | NOT_OF_A_TRADE)
OF_SOME = {"no_mfe_update", "no_mae", "no_be_trigger", "no_exit"}
"""What not every confirmed signal owes."""
SCORES = """
SELECT calculate_signal_health_score(flags) AS score, flags
FROM jsonb_array_elements(%(all)s::jsonb) AS flags ORDER BY score
"""


def test_no_loss_takes_a_signal_whose_entry_came_below_48(db: Database) -> None:
    every = []
    fates_of = [("known", "missing", "does not apply") if gap in OF_SOME else ("known", "missing") for gap in LOSABLE]
    for fates in product(*fates_of):
        told = dict(zip(LOSABLE, fates, strict=True))
        applies = [*BY_ENTRY, *(gap for gap, fate in told.items() if fate != "does not apply")]
        every.append({"applies": applies, "gaps": [gap for gap, fate in told.items() if fate == "missing"]})
    found = rows(db, SCORES, {"all": to_json(every)})
    assert len(found) == 3**4 * 2**3
    assert [(row.score, set(row.flags["gaps"])) for row in found if row.score < 50] == [(FLOOR, set(LOSABLE))]


@pytest.mark.parametrize("losses", [LOST, dict.fromkeys(LOST, 1.0)], ids=["real", "all"])
def test_a_stream_is_healed_to_above_90_from_wherever_losses_can_take_it(
    db: Database, losses: dict[str, float]
) -> None:
    stream = world(minutes=240)
    deliver(db, without(stream.alerts, losses)[0])
    store_bars(db, stream)
    report = run_cycle(db, sync_settings(), stream.end + AGO)
    assert report.health_before is not None
    assert report.health_after is not None
    assert 70 < report.health_before < 90 < report.health_after


def entry(trade: Trade) -> LifecycleEvent:
    """The ENTRY of a trade in the legacy dialect: neither MAE nor alignment, and its own time alone."""
    assert trade.confirmation_time is not None
    return event(
        trade.trade_id,
        Kind.ENTRY,
        direction="long" if trade.sign > 0 else "short",
        received_at=trade.confirmation_time + timedelta(minutes=1),
        event_time=trade.candle.opens_at,
        entry_price=Decimal(str(trade.entry_price)),
        stop_loss=Decimal(str(trade.stop_loss)),
    )


def test_trades_of_which_all_was_lost_but_a_bare_entry_rise_from_below_50_to_above_90(db: Database) -> None:
    stream = world(minutes=600)
    over = [trade for trade in stream.truth.values() if trade.be_time and trade.exit_sl_time]
    assert len(over) > 10
    add(db, *map(entry, over))
    store_bars(db, stream)
    report = run_cycle(db, sync_settings(), stream.end + AGO)
    assert report.health_before is not None
    assert report.health_after is not None
    assert report.health_before < 50
    assert report.health_after > 90
    assert set(report.gaps_after) == {"no_htf_alignment", "no_signal_created"}
