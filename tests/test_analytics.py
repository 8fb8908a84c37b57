"""Analytics: intervals, targets, triggers, curves, and the report over stored trades."""

from __future__ import annotations

import random
import re
import statistics
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI

from core.clock import ManualClock
from core.lifecycle import Kind, Source
from database.engine import Database
from tests.support_http import ask, get, words
from tests.support_signals import START, add, event, mfe
from web.dashboards.analytics import whatif
from web.dashboards.analytics.curve import curve
from web.dashboards.analytics.gather import KEPT_SECONDS
from web.dashboards.analytics.intervals import Figure, figure, share
from web.dashboards.analytics.whatif import EDGES, Reach

PAGE = "/automated-signals-analytics"


def draws() -> random.Random:
    return random.Random(1)


def test_an_interval_agrees_with_the_plain_bootstrap() -> None:
    values = [-1.0] * 60 + [2.0] * 40
    rng = random.Random(2)
    means = sorted(statistics.fmean(rng.choices(values, k=100)) for _ in range(2000))
    found = figure(Counter(values), draws())
    assert (found.n, found.mean) == (100, pytest.approx(0.2))
    assert found.low == pytest.approx(means[50], abs=0.12)
    assert found.high == pytest.approx(means[-51], abs=0.12)


def test_more_trades_make_a_narrower_interval_and_large_counts_cost_nothing() -> None:
    few, many = (figure({-1.0: 60 * size, 2.0: 40 * size}, draws()) for size in (1, 1000))
    assert None not in (few.low, few.high, many.low, many.high)
    assert (many.high or 0) - (many.low or 0) < ((few.high or 0) - (few.low or 0)) / 20


def test_the_same_trades_give_the_same_interval() -> None:
    assert figure({-1.0: 3, 1.5: 4}, draws()) == figure({-1.0: 3, 1.5: 4}, draws())


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (Figure(0), "no verdict below 30"),
        (Figure(29, 1, 0.5, 1.5), "no verdict below 30"),
        (Figure(30, 1, 0.5, 1.5), "above zero"),
        (Figure(30, -1, -1.5, -0.5), "below zero"),
        (Figure(30, 0.1, -0.5, 0.7), "not told from zero"),
    ],
)
def test_a_verdict_needs_thirty_trades_and_an_interval_beside_zero(found: Figure, verdict: str) -> None:
    assert found.verdict == verdict


def test_nothing_has_no_mean_and_zeros_are_no_wins() -> None:
    assert figure({}, draws()) == Figure(0)
    assert share({0.0: 10, -1.0: 10, 2.0: 20}, draws()).mean == 0.5


def reach(no_be: str | None, be: str | None, be_result: float | None = 0.0, no_be_result: float | None = -1.0) -> Reach:
    """A trade by its MFEs in R."""

    def bucket(value: str | None) -> int | None:
        return None if value is None else sum(edge <= Decimal(value) for edge in EDGES)

    return Reach(bucket(no_be), bucket(be), be_result, no_be_result, 1)


def test_a_target_pays_who_reached_it_and_leaves_out_who_is_not_known() -> None:
    trades = [reach("2", "1.2"), reach("1.99", "1.99"), reach("0.3", "0.3", -1.0), reach(None, None)]
    assert whatif.with_target(trades, 2, "no_be") == {2.0: 1, -1.0: 2}
    assert whatif.with_target(trades, 2, "be") == {0.0: 2, -1.0: 1}


@pytest.mark.parametrize(
    ("trade", "trigger", "target", "bounds"),
    [
        (reach("0.4", "0.4", -1.0), "0.5", 2, (-1, -1)),  # never reached the trigger: stopped
        (reach("1.4", "1.4"), "1", 2, (0, 0)),  # reached it, not the target: out at the entry
        (reach("3", "3"), "1", 2, (2, 2)),  # the BE leg itself went there
        (reach("3", "1.2"), "1", 2, (0, 0)),  # back at the entry before the target
        (reach("3", "3"), "0.5", 2, (0, 2)),  # may have come back between +0.5R and +1R
        (reach("3", "1.2"), "0.5", 2, (0, 0)),  # came back after +1R at the latest
        (reach("3", "1.2"), "2", 3, (0, 3)),  # came back after +1R, before or after +2R?
        (reach("3", "2.1"), "2", 3, (0, 0)),  # came back after +2R
        (reach("5", "1.2"), "3", 2, (2, 2)),  # the target comes before the trigger
        (reach("3", None), "1", 2, (0, 2)),
    ],
)
def test_a_trigger_gives_bounds_where_the_order_is_not_told(
    trade: Reach, trigger: str, target: int, bounds: tuple[float, float]
) -> None:
    worst, best, undecided = whatif.with_trigger([trade], Decimal(trigger), target)
    assert (next(iter(worst)), next(iter(best))) == bounds
    assert undecided == (bounds[0] != bounds[1])


def test_the_usual_trigger_gives_what_the_be_leg_gives() -> None:
    trades = [reach("3", "1.2"), reach("2.5", "2.5"), reach("0.2", "0.2", -1.0), reach("1.1", "1.1")]
    worst, best, _ = whatif.with_trigger(trades, Decimal(1), 2)
    assert worst == best == whatif.with_target(trades, 2, "be")


def test_scratches_tell_how_far_the_price_went_without_them() -> None:
    found = whatif.scratches([reach("3.5", "1"), reach("1.2", "1.2"), reach("9", "9", -1.0)])
    assert (found.trades, dict(found.went_on)[1], dict(found.went_on)[3], dict(found.went_on)[5]) == (2, 2, 1, 0)


def test_a_curve_knows_its_drawdown_and_streaks() -> None:
    found = curve([1, 2, 3, 4, 5, 6, 7], [2.0, -1.0, 0.0, -1.0, None, -1.0, 3.0])
    assert (found.trades, found.total_r, found.equity[-1]) == (6, 2, 2)
    assert (found.drawdown_r, found.drawdown_from, found.drawdown_to) == (3, 1, 6)
    assert (found.drawdown_now_r, found.wins_in_row, found.losses_in_row) == (0, 1, 3)


def test_a_curve_that_only_falls_begins_its_drawdown_at_the_start() -> None:
    found = curve([1, 2], [-1.0, -1.0])
    assert (found.drawdown_r, found.drawdown_from, found.drawdown_now_r) == (2, None, 2)


def test_a_long_curve_is_thinned_and_keeps_its_end_and_its_depth() -> None:
    results: list[float | None] = [1.0] * 700 + [-1.0] * 600 + [1.0] * 5
    found = curve(range(len(results)), results)
    assert len(found.times) <= 400
    assert (found.times[-1], found.equity[-1], found.drawdown_r) == (1304, 105, 600)


def fill(db: Database) -> None:
    """40 trades that ran 2.5R and were stopped, 20 that were stopped at once, one open, one phantom."""
    for number in range(60):
        name, start, won = f"T{number}", number * 40, number % 3 != 2
        reached = "2.5" if won else "0.2"
        lives = [
            event(name, Kind.ENTRY, start, setup={"setup_variant": "A" if won else "B"}),
            mfe(name, start + 2, "1.5" if won else "0.2", reached, "-0.35"),
            event(name, Kind.EXIT_SL, start + 9),
        ]
        if won:
            lives += [event(name, Kind.BE_TRIGGERED, start + 2), event(name, Kind.EXIT_BE, start + 4)]
        add(db, *lives)
    add(db, event("OPEN", Kind.ENTRY, 5000), mfe("OPEN", 5001, "9", "9"))
    add(db, event("GHOST", Kind.SIGNAL_CREATED, market_state={"trend_regime": "Bearish"}))


def analytics(caller: FlaskClient, query: str = "") -> Any:
    return ask(caller, f"/analytics{query}")["analytics"]


def test_the_report_counts_completed_trades_of_both_legs(caller: FlaskClient, db: Database) -> None:
    fill(db)
    found = analytics(caller)
    assert found["trades"] == 60
    be, no_be = (found["legs"][leg]["expectancy_r"] for leg in ("be", "no_be"))
    assert (be["n"], be["mean"], be["verdict"]) == (60, pytest.approx(-1 / 3, abs=1e-3), "below zero")
    assert (no_be["n"], no_be["mean"]) == (60, -1)
    assert found["legs"]["be"]["history"]["total_r"] == -20
    assert found["coverage"]["BE result known"] == 60
    assert found["scratches"] == {"trades": 40, "went_on": {"1": 40, "2": 40, "3": 0, "5": 0, "10": 0, "20": 0}}


def test_a_target_changes_results_history_and_groups(caller: FlaskClient, db: Database) -> None:
    fill(db)
    found = analytics(caller, "?target=2")
    assert found["legs"]["no_be"]["expectancy_r"]["mean"] == 1
    assert found["legs"]["no_be"]["win_share"]["mean"] == pytest.approx(2 / 3, abs=1e-3)
    assert found["legs"]["no_be"]["history"]["total_r"] == 60
    setups = {row["name"]: row["no_be"] for row in found["groups"]["setup"]}
    assert (setups["A"]["mean"], setups["B"]["mean"], setups["B"]["verdict"]) == (2, -1, "no verdict below 30")
    targets = {row["target"]: row["no_be"]["mean"] for row in found["targets"]}
    assert (targets[1], targets[2], targets[3]) == (pytest.approx(1 / 3, abs=1e-3), 1, -1)


def test_groups_are_those_of_the_new_york_clock(caller: FlaskClient, db: Database) -> None:
    add(db, event("T", Kind.SIGNAL_CREATED), event("T", Kind.ENTRY, 1, htf_alignment={"m5": "Bullish", "h1": "Bearish",
        "h4": "Bullish", "all_bullish": False}), event("T", Kind.EXIT_SL, 5))  # fmt: skip
    groups = {name: [row["name"] for row in rows] for name, rows in analytics(caller)["groups"].items()}
    assert groups == {
        "session": ["NY AM"], "hour": ["09:00"], "weekday": ["Wednesday"], "direction": ["Bullish"],
        "setup": ["not told"], "htf": ["with the signal"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "trades"),
    [("?session=NY+AM", 9), ("?direction=short", 0), ("?from=2025-12-12", 2), ("?stream=other", 0), ("?q=T5", 11)],
)
def test_filters_choose_the_trades(caller: FlaskClient, db: Database, query: str, trades: int) -> None:
    fill(db)
    assert analytics(caller, query)["trades"] == trades


def test_a_report_is_kept_for_half_a_minute(caller: FlaskClient, app: OpenAPI, db: Database) -> None:
    clock = app.extensions["signalbook"].clock = ManualClock(START)
    fill(db)
    assert analytics(caller)["trades"] == 60
    add(db, event("OPEN", Kind.EXIT_SL, 5010))
    assert analytics(caller)["trades"] == 60
    clock.sleep(KEPT_SECONDS + 1)
    assert analytics(caller)["trades"] == 61


def test_without_trades_the_page_says_so_and_makes_nothing_up(reader: FlaskClient) -> None:
    said = words(get(reader, PAGE))
    assert "No completed trade here" in said
    assert "0.00R" not in said


def test_the_page_shows_figures_with_their_sample_and_verdict(reader: FlaskClient, db: Database) -> None:
    fill(db)
    said = words(get(reader, f"{PAGE}?target=2"))
    for text in (
        "60 completed trades, exits out at +2R",
        "No-BE 60 +1.00R",
        "above zero",
        "no verdict below 30",
        "40 trades ended their BE leg at 0R",
        "Share of 40 95% interval +1R 40 100.0%",
        "No-BE: best +1.00R at 2R (n 60",
        "Every fact came live",
    ):
        assert text in said


def test_what_was_repaired_is_told_with_its_confidence(reader: FlaskClient, db: Database) -> None:
    fill(db)
    assert "sure on average" not in words(get(reader, PAGE))
    for name, trust in (("T0", "0.8"), ("T1", "0.9")):
        add(db, event(name, Kind.SIGNAL_CREATED, 6000, source=Source.RECONCILED, confidence=Decimal(trust)))
    said = words(get(reader, f"{PAGE}?target=1"))
    assert "Repaired 2 3.3% some fact was filled in from evidence; the weakest one 85.0% sure on average" in said


def test_every_chart_has_its_table(reader: FlaskClient, db: Database) -> None:
    fill(db)
    page = get(reader, PAGE).text
    assert page.count("data-plot=") == 7
    assert page.lower().count("as a table</summary>") == 7
    equity = page.partition("Equity as a table")[2].partition("</table>")[0]
    assert re.findall(r'<th scope="row">(.+?)</th>', equity) == ["2025-12-12", "2025-12-11", "2025-12-10"]
    assert re.findall(r">([^<>]*R)<", equity)[:2] == ["−20.00R", "−60.00R"]


@pytest.mark.parametrize("query", ["target=21", "target=x", "session=noon", "from=never", "direction=up"])
def test_the_page_names_what_means_nothing(reader: FlaskClient, query: str) -> None:
    answer = get(reader, f"{PAGE}?{query}")
    assert answer.status_code == 422
    assert query.partition("=")[0] in answer.text


def test_the_api_names_what_means_nothing(caller: FlaskClient) -> None:
    assert ask(caller, "/analytics?target=21", 400)["errors"][0]["field"] == "target"
