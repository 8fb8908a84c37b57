"""The trend analyzer and its seam: real expectations, a naive twin, every prefix, states written down and read."""

from __future__ import annotations

import csv
import json
from decimal import Decimal

import pytest

from analysis import ema_cross
from analysis.analyzer import Found, fold
from analysis.config import parse_plan
from analysis.registry import KINDS
from analysis.trend.machine import TrendAnalyzer, build
from core.errors import MisconfiguredError
from core.records import Bar
from database.json_text import to_json
from tests.support_trend import TRENDS, numbers, real_bars, starts_by_whole_history, walk

needs_data = pytest.mark.skipif(not TRENDS.exists(), reason="the expected trend starts (SIGNALBOOK_DATA) are not here")


def told(bars: list[Bar], found: list[Found]) -> list[tuple[str, int, str, int]]:
    number = numbers(bars)
    return [
        (each.signal_type.removesuffix("_start"), number[each.at], each.rule, number[each.trigger_at]) for each in found
    ]


def expected(name: str) -> list[dict[str, str]]:
    with (TRENDS / name).open(newline="") as file:
        return list(csv.DictReader(file))


@needs_data
@pytest.mark.parametrize(("timeframe", "count"), [("4h", 104), ("1d", 19)])
def test_every_expected_start_is_found_and_no_other(timeframe: str, count: int) -> None:
    bars = real_bars(f"mes_{timeframe}_bars.csv", timeframe)
    rows = expected(f"mes_{timeframe}_expected.csv")
    assert len(rows) == count
    found = told(bars, fold(TrendAnalyzer(), bars))
    assert [each[:2] for each in found] == [(row["trend_start_type"], int(row["bar_index"])) for row in rows]


@needs_data
def test_rule_and_trigger_are_as_expected_where_they_are_given() -> None:
    bars = real_bars("mes_1d_bars.csv", "1d")
    rows = expected("mes_1d_expected_with_rules.csv")
    assert told(bars, fold(TrendAnalyzer(), bars)) == [
        (row["trend_start_type"], int(row["bar_index"]), row["rule"], int(row["trigger_bar_index"])) for row in rows
    ]


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_constant_memory_finds_what_the_whole_history_tells(seed: int, coarse: bool) -> None:
    bars = walk(400, seed, coarse=coarse)
    number = numbers(bars)
    machine, seen, found = TrendAnalyzer(), set(), []
    for bar in bars:
        for each in machine.step(bar):
            if each.key not in seen:
                seen.add(each.key)
                found.append((number[each.trigger_at], each.signal_type, number[each.at], each.rule))
    assert len(found) > 60
    assert found == starts_by_whole_history(bars)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_state_written_down_after_any_bar_goes_on_as_if_nothing_had_happened(kind: str) -> None:
    bars = walk(300, 7)
    whole = KINDS[kind]({})
    resumed = KINDS[kind]({})
    for bar in bars:
        fresh = KINDS[kind]({})
        fresh.load(json.loads(to_json(resumed.dump())))
        resumed = fresh
        assert whole.step(bar) == resumed.step(bar)
        assert whole.trend == resumed.trend


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_prefix_adds_to_the_past_or_takes_from_it(kind: str) -> None:
    bars = walk(250, 11)
    whole = fold(KINDS[kind]({}), bars)
    assert whole
    for end in range(len(bars) + 1):
        known = [found for found in whole if end and found.trigger_at <= bars[end - 1].starts_at]
        assert fold(KINDS[kind]({}), bars[:end]) == known


def test_a_signal_carries_price_and_trigger_of_its_start() -> None:
    bars = {bar.starts_at: bar for bar in walk(400, 3)}
    for found in fold(TrendAnalyzer(), bars.values()):
        start = bars[found.at]
        assert found.price == (start.low if found.signal_type == "uptrend_start" else start.high)
        assert found.trigger_at > found.at
        assert found.rule


def test_a_state_stays_small_whatever_the_history() -> None:
    machine, sizes = TrendAnalyzer(), []
    for bar in walk(5_000, 5, "5m"):
        machine.step(bar)
        sizes.append(len(to_json(machine.dump())))
    assert max(sizes) < 2_500


def test_a_state_of_another_version_is_refused() -> None:
    machine = TrendAnalyzer()
    state = machine.dump() | {"version": 99}
    with pytest.raises(ValueError, match="99"):
        machine.load(state)


def test_averages_cross_where_the_fast_one_overtakes() -> None:
    bars = walk(60, 1)
    prices = [*range(100, 80, -1), *range(80, 120)]
    moved = [
        type(bar)(
            contract_id=bar.contract_id, timeframe=bar.timeframe, starts_at=bar.starts_at, open=Decimal(price),
            high=Decimal(price), low=Decimal(price), close=Decimal(price), volume=1,
        )
        for bar, price in zip(bars, prices, strict=True)
    ]  # fmt: skip
    found = fold(ema_cross.build({"fast": 3, "slow": 8}), moved)
    assert [each.signal_type for each in found] == ["bullish_cross"]
    assert 80 < found[0].price < 90
    assert found[0].rule == "EMA_3_8"


def test_parameters_that_make_no_sense_are_named() -> None:
    for given, name in (
        ({"fast": 0}, "fast"),
        ({"slow": True}, "slow"),
        ({"fast": 30}, "fast"),
        ({"length": 3}, "length"),
    ):
        with pytest.raises(ValueError, match=f"^{name}: "):
            ema_cross.build(given)
    with pytest.raises(ValueError, match="no parameters"):
        build({"fast": 3})


# --- settings --------------------------------------------------------------------------------------------------------


def test_without_a_section_trends_are_analysed_everywhere_and_one_hour_is_confirmed_by_fifteen_minutes() -> None:
    plan = parse_plan({})
    assert [(watch.analyzer_id, watch.timeframes, watch.contracts) for watch in plan.watches] == [("trend", (), ())]
    assert [(rule.primary, set(rule.weights), rule.minimum_score) for rule in plan.rules] == [("1h", {"1h", "15m"}, 2)]


WRONG = {
    "analysis.analyzers.trend.kind": {"analyzers": {"trend": {"kind": "magic"}}},
    "analysis.analyzers.fast.parameters": {"analyzers": {"fast": {"kind": "ema_cross", "parameters": {"fast": 99}}}},
    "analysis.analyzers.trend.timeframes": {"analyzers": {"trend": {"timeframes": ["7m"]}}},
    "analysis.analyzers.trend.colour": {"analyzers": {"trend": {"colour": "red"}}},
    "analysis.analyzers.A b": {"analyzers": {"A b": {"kind": "trend"}}},
    "analysis.rules.one.primary": {"rules": {"one": {"confirming": ["15m"]}}},
    "analysis.rules.one.confirming": {"rules": {"one": {"primary": "1h", "confirming": ["1h"]}}},
    "analysis.rules.one.analyzer": {"rules": {"one": {"primary": "1h", "confirming": ["5m"], "analyzer": "x"}}},
    "analysis.rules.one.window_minutes": {
        "rules": {"one": {"primary": "1h", "confirming": ["5m"], "window_minutes": -1}}
    },
    "analysis.rules.one.weights.4h": {"rules": {"one": {"primary": "1h", "confirming": ["5m"], "weights": {"4h": 1}}}},
    "analysis.rules.one.minimum_score": {"rules": {"one": {"primary": "1h", "confirming": ["5m"], "minimum_score": 9}}},
    "analysis.rules.one.strategic.mode": {
        "rules": {"one": {"primary": "1h", "confirming": ["5m"], "strategic": {"timeframe": "4h", "mode": "maybe"}}}
    },
    "analysis.rules": {"rules": ["one"]},
}


@pytest.mark.parametrize("place", sorted(WRONG))
def test_a_wrong_setting_is_named_by_its_place(place: str) -> None:
    with pytest.raises(MisconfiguredError) as caught:
        parse_plan(WRONG[place])
    assert caught.value.field == place
