"""The linter: alerts in three minutes and characters of an alert, for any load; slips in a script's text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask_openapi3 import OpenAPI
from hypothesis import given
from hypothesis import strategies as st

from telemetry.kit import limits
from telemetry.kit.lexical import find_slips
from tests.pine.support_pine import SENDER

LOADS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)), min_size=1, max_size=60)


@given(LOADS)
def test_the_sender_keeps_every_limit_under_any_load(load: list[tuple[int, int]]) -> None:
    outcome = limits.simulate_sender([count for count, _ in load], [facts for _, facts in load])
    assert outcome.alerts_in_window <= limits.MOST_ALERTS
    assert outcome.longest_chars <= limits.SENT_CHARS
    assert outcome.faults == ()


@given(LOADS)
def test_what_waited_is_sent_once_it_grows_quiet(load: list[tuple[int, int]]) -> None:
    quiet = [(0, 0)] * (len(load) * 12)
    outcome = limits.simulate_sender([count for count, _ in load + quiet], [facts for _, facts in load + quiet])
    assert outcome.waiting_facts == 0


@given(st.integers(1, 60))
def test_without_other_facts_every_trade_gets_its_turn_within_three_bars(open_trades: int) -> None:
    outcome = limits.simulate_sender([open_trades] * 40, [0] * 40)
    assert outcome.bars_between_updates <= 3


@given(st.lists(st.integers(1, 3500), max_size=60), st.integers(0, 5))
def test_packing_keeps_the_order_the_room_and_the_length(sizes: list[int], room: int) -> None:
    alerts = limits.pack(sizes, room)
    packed = [size for alert in alerts for size in alert]
    assert packed == sizes[: len(packed)]
    assert len(alerts) <= room
    assert all(limits.HEAD_CHARS + sum(alert) + len(alert) - 1 <= limits.SENT_CHARS for alert in alerts)
    assert len(packed) == len(sizes) or len(alerts) == room


@pytest.mark.parametrize(("open_trades", "is_stopped"), [(3, False), (4, True), (6, True)])
def test_one_alert_for_each_trade_is_stopped_from_the_fourth_on(open_trades: int, is_stopped: bool) -> None:
    single, batch, sender = limits.compare(open_trades)
    assert bool(single.faults) == is_stopped
    assert batch.faults == sender.faults == ()


def test_one_batch_for_each_bar_grows_too_long() -> None:
    assert limits.compare(30)[1].faults == ("longer than an alert may be",)
    assert limits.compare(30)[2].faults == ()


GOOD = """//@version=6
indicator("x")
bool isLive = barstate.isrealtime and barstate.isconfirmed
if isLive
    alert('{"event_type":"HEARTBEAT"}', alert.freq_once_per_bar_close) // (a comment with ' and "
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("//@version=6\n", "\n", 0, "does not begin with"),
        ('indicator("x")', 'indicator("x"', 2, "does not close it"),
        ('indicator("x")', 'indicator("x"))', 2, "was not opened"),
        ('indicator("x")', 'indicator("x)', 2, "a text does not end"),
        ("barstate.isrealtime and ", "", 0, "the past may be sent"),
        ("if isLive", "for i = 0 to 3", 5, "in a loop"),
        ("if isLive", "found = while isLive", 5, "in a loop"),
        ("    alert(", "    nothing(", 0, "calls alert() nowhere"),
    ],
)
def test_a_slip_is_found_on_its_line(old: str, new: str, line: int, said: str) -> None:
    assert find_slips(GOOD) == []
    assert (line, True) in [(slip.line, said in slip.what) for slip in find_slips(GOOD.replace(old, new))]


def test_alerts_on_every_price_and_too_many_of_them_are_found() -> None:
    every = GOOD.replace("freq_once_per_bar_close", "freq_all").replace(" and barstate.isconfirmed", "")
    assert any("fires on every price" in slip.what for slip in find_slips(every))
    call = "    alert('x', alert.freq_once_per_bar_close)\n"
    assert any("more than 5 calls" in slip.what for slip in find_slips(GOOD + call * 5))


@pytest.mark.parametrize("bracket", list("()[]"))
def test_any_bracket_that_goes_missing_from_the_sender_is_missed(bracket: str) -> None:
    source = SENDER.read_text(encoding="utf-8")
    place = source.index(bracket, source.index("f_pack("))
    assert find_slips(source[:place] + source[place + 1 :])


def test_the_command_compares_and_reads_a_script(app: OpenAPI, tmp_path: Path) -> None:
    runner = app.test_cli_runner()
    said = runner.invoke(args=["pine", "lint", str(SENDER), "--open-trades", "30", "--json"])
    found = json.loads(said.output)
    assert (said.exit_code, found["slips"], found["ways"][2]["faults"]) == (0, [], [])
    script = tmp_path / "mine.pine"
    script.write_text(GOOD.replace("if isLive", "for i = 0 to 3"))
    said = runner.invoke(args=["pine", "lint", str(script)])
    assert said.exit_code == 1
    assert "line 5: alert() in a loop" in said.output
    assert "TradingView stops the alert" in said.output
