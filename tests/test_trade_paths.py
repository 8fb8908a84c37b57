"""Stopped trades followed bar by bar: what is certain, what one bar leaves open, and which bars are no evidence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask.testing import FlaskClient

from core.lifecycle import Kind
from core.records import Bar
from database import bars
from database.engine import Database
from tests.support_http import get, words
from tests.support_signals import MINUTE, START, add, event, mfe
from tests.support_sync import deliver, rows, store_bars, world
from tests.test_analytics import PAGE, analytics, reach
from tests.test_trade_picture import MNQ, ONE_MINUTE, store
from web.dashboards.analytics import whatif
from web.dashboards.analytics.path import Range, follow
from web.dashboards.analytics.path_job import RETRY, follow_trades
from web.dashboards.analytics.whatif import Followed, Reach

LATER = START + timedelta(days=1)
ENTRY, STOP = 100.0, 90.0  # so ten points are one R


def path_of(*highs_and_lows: tuple[float, float], stop: float = STOP) -> tuple[Any, Any, int | None]:
    """(worst, best, minute of the stop) at the trigger +1R of a trade by the extremes of its bars."""
    ranges = [Range(minute, high, low) for minute, (high, low) in enumerate(highs_and_lows)]
    found = follow(ENTRY, stop, ranges, (1.0,))
    return found.worst_r[0], found.best_r[0], found.stopped_at


@pytest.mark.parametrize(
    ("bars_of", "expected"),
    [
        ([(109, 95), (101, 90)], (None, None, 1)),  # never triggered, then stopped
        (
            [(110, 101), (125, 103), (104, 99), (130, 99), (95, 90)],
            (2.5, 2.5, 4),
        ),  # went to 2.5R, came back, then higher
        ([(110, 101), (125, 100), (95, 90)], (1.0, 2.5, 2)),  # came back before or after 2.5R in one bar
        ([(115, 99), (120, 101), (95, 90)], (1.0, 2.0, 2)),  # the bar of the trigger touches the entry, too
        ([(115, 85)], (None, 1.5, 0)),  # stop and trigger in one bar
        ([(110, 101)], (1.0, 1.0, None)),  # the bars end before the stop
        ([], (None, None, None)),
    ],
)
def test_a_path_has_a_worst_and_a_best_reading(bars_of: list[tuple[float, float]], expected: Any) -> None:
    assert path_of(*bars_of) == expected
    mirrored = [(2 * ENTRY - low, 2 * ENTRY - high) for high, low in bars_of]
    assert path_of(*mirrored, stop=110.0) == expected


def followed(worst: str | None, best: str | None, *, place: int = 0, told: Reach | None = None) -> Followed:
    """A trade whose bars tell its path from the trigger at a place on; MFE alone would leave it open."""
    ends = [reach(end, None).no_be for end in (worst, best)]
    return Followed(place, ends[0], ends[1], told or reach("3", "3"))


@pytest.mark.parametrize(
    ("trade", "target", "bounds"),
    [
        (followed("3", "3"), 2, (2, 2)),  # went there without coming back
        (followed("1", "1"), 2, (0, 0)),  # came back before
        (followed("0.5", "2.5"), 2, (0, 2)),  # one bar leaves it open
        (followed(None, None, told=reach("0.4", "0.4", -1.0)), 2, (-1, -1)),  # never triggered
        (followed(None, "0.9", told=reach("0.9", "0.9", -1.0)), 2, (0, 0)),  # stop or trigger first? the alerts know
        (followed("0.5", "2.5", told=reach("1.2", "1.2")), 2, (0, 0)),  # MFE never went there
        (followed("2.5", "2.5", told=reach("0.3", "0.3", -1.0)), 2, (2, 2)),  # where they differ the bars are believed
        (followed("1", "1", told=reach(None, None)), 2, (0, 0)),  # no MFE was told at all
    ],
)
def test_the_path_decides_what_mfe_leaves_open(trade: Followed, target: int, bounds: tuple[float, float]) -> None:
    worst, best, undecided = whatif.with_trigger([], Decimal("0.5"), target, [trade])
    assert (next(iter(worst)), next(iter(best))) == bounds
    assert undecided == (bounds[0] != bounds[1])


def test_a_trade_counts_once_by_its_path_or_by_its_mfe() -> None:
    plain, pathed = reach("3", "1.2"), Reach(*[*vars_of(reach("3", "3"))[:-1], True])
    worst, _, _ = whatif.with_trigger([plain, pathed], Decimal("0.5"), 2, [followed("3", "3", told=pathed)])
    assert worst == {0.0: 1, 2.0: 1}
    assert whatif.with_trigger([], Decimal("2.5"), 3, [followed("3", "3")])[0] == {}  # another trigger's


def vars_of(found: Reach) -> list[Any]:
    return [getattr(found, name) for name in found.__slots__]


def trade(db: Database) -> None:
    """A long trade from 20500.5 with a risk of 10.5: an hour open, stopped in the bar of minute 9."""
    add(db, event("T1", Kind.ENTRY, 1), mfe("T1", 4, "1.6", "1.6"), event("T1", Kind.EXIT_SL, 10))


def course(*, stop_at: int = 9, leave_out: tuple[int, ...] = ()) -> list[Bar]:
    """Bars of the trade: +0.6R with a touch of the entry after it, +1.6R, and the stop."""
    extremes = {2: (20508, 20501), 3: (20503, 20500), 4: (20517.5, 20501)} | {stop_at: (20495, 20489)}
    found = []
    for minute in range(15):
        high, low = (Decimal(str(price)) for price in extremes.get(minute, (20502, 20495)))
        found.append(
            Bar(contract_id=MNQ.contract_id, timeframe=ONE_MINUTE, starts_at=START + minute * MINUTE, open=high, high=high,
                low=low, close=low, volume=5, source="live")
        )  # fmt: skip
    return [bar for bar in found if bar.starts_at not in {START + minute * MINUTE for minute in leave_out}]


def stored(db: Database) -> Any:
    (found,) = rows(db, "SELECT * FROM trade_paths")
    return found


def test_the_job_follows_a_trade_once(db: Database) -> None:
    trade(db)
    store(db, *course())
    assert follow_trades(db, LATER).counts == {"followed": 1}
    found = stored(db)
    assert (found.contract_id, found.why_not) == (MNQ.contract_id, None)
    half = Decimal("0.7143")  # of the bar before the return
    assert found.worst_r[:3] == [half, Decimal("1.6190"), Decimal("1.6190")]
    assert (found.worst_r[:3], found.worst_r[3]) == (found.best_r[:3], None)
    assert follow_trades(db, LATER).counts == {}


@pytest.mark.parametrize(
    ("bars_of", "why"),
    [
        (list, "no bars"),
        (lambda: course(leave_out=(5,)), "holes in the bars"),
        (lambda: course(stop_at=6), "bars contradict the exit"),
        (lambda: course(stop_at=14), "bars contradict the exit"),
    ],
)
def test_bars_that_do_not_tell_the_whole_path_are_no_evidence_and_tried_again(
    db: Database, bars_of: Callable[[], list[Bar]], why: str
) -> None:
    trade(db)
    store(db, *bars_of())
    assert follow_trades(db, LATER).counts == {"without_bars": 1}
    assert stored(db).why_not == why
    with db.transaction() as cur:
        cur.execute("DELETE FROM ohlc_bars")
        bars.upsert_bars(cur, course())
    assert follow_trades(db, LATER).counts == {}
    assert follow_trades(db, LATER + RETRY + MINUTE).counts == {"followed": 1}


def test_a_minute_without_trades_is_no_hole(db: Database) -> None:
    trade(db)
    store(db, *course(leave_out=(5,)))
    with db.transaction() as cur:
        bars.add_span(cur, MNQ.contract_id, ONE_MINUTE, source="history", start=START, end=START + 20 * MINUTE)
    assert follow_trades(db, LATER).counts == {"followed": 1}


def test_a_trade_whose_facts_change_is_followed_anew(db: Database) -> None:
    trade(db)
    store(db, *course())
    follow_trades(db, LATER)
    with db.transaction() as cur:
        cur.execute("UPDATE trade_states SET exit_at = exit_at + interval '1 minute'")
    assert follow_trades(db, LATER).counts == {"followed": 1}


def test_the_report_says_what_was_followed_and_what_mfe_tells(
    caller: FlaskClient, reader: FlaskClient, db: Database
) -> None:  # fmt: skip
    trade(db)
    add(db, event("T2", Kind.ENTRY, 1), mfe("T2", 4, "1.6", "1.6"), event("T2", Kind.EXIT_SL, 100))
    store(db, *course())
    before = {row["trigger"]: row for row in analytics(caller, "?target=1")["triggers"]}
    assert (before[0.5]["undecided"], before[0.5]["followed"]) == (2, 0)
    assert "No one-minute bars tell the path of these trades" in words(get(reader, f"{PAGE}?target=1"))
    follow_trades(db, LATER)
    found = {row["trigger"]: row for row in analytics(caller, "?target=1&q=T")["triggers"]}
    assert (found[0.5]["undecided"], found[0.5]["followed"], found[0.5]["best"]["n"]) == (1, 1, 2)
    assert found[0.5]["worst"]["mean"] == 0  # T1 came back to its entry before +1R, and T2 may have
    said = words(get(reader, f"{PAGE}?target=1&q=T"))
    assert "1 of 2 trades are followed bar by bar through one-minute bars" in said
    assert "Followed bar by bar 1 50.0%" in said


def test_simulated_trades_went_where_the_path_says(db: Database) -> None:
    found = world(minutes=480)
    deliver(db, found.alerts)
    store_bars(db, found)
    with db.transaction() as cur:
        bars.save_contract(cur, MNQ)
    counts = follow_trades(db, found.end + timedelta(days=1)).counts
    assert int(counts["followed"]) > 20
    assert counts.get("without_bars", 0) == 0
    for row in rows(db, "SELECT trade_id, worst_r, best_r FROM trade_paths"):
        truth = found.truth[row.trade_id]
        worst, best = row.worst_r[1], row.best_r[1]  # of the trigger +1R, which the BE leg shows
        reached = Decimal(str(round(truth.be_mfe_r, 4)))
        if truth.be_time is None:
            assert worst is None
        else:
            assert worst - Decimal("0.0002") <= reached <= best + Decimal("0.0002"), row.trade_id
