"""TradingView's limits against a script with n open trades: alerts in three minutes, and characters of an alert. Pure.

Three ways to tell the excursions of all open trades are compared: an alert for each trade, one batch for each bar, and
the packing of pine/signalbook_sender.pine, which this module repeats step by step in sizes instead of texts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

MOST_ALERTS = 15
"""TradingView stops a script alert that fires more often in three minutes."""
WINDOW_BARS = 4  # an alert may leave some seconds late, so three minutes can hold those of four one-minute bars
MOST_CHARS = 4096
SENT_CHARS = 3900
MOST_PER_BAR = 5

HEAD_CHARS = 330
"""The envelope of a sender's alert at its longest: every text of 60 characters that may need no escaping."""
UPDATE_CHARS = 320
"""One MFE update of the sender at its longest."""
FACT_CHARS = 1250
"""An ENTRY, the longest one-time fact, at its longest."""
_BATCH_HEAD_CHARS = 90
_BATCH_MEMBER_CHARS = 170
_STOPPED = "TradingView stops the alert"
_TOO_LONG = "longer than an alert may be"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a way of telling leads to.

    `alerts_in_window`: most alerts of any three minutes. `longest_chars`: of one alert. `bars_between_updates`: the
    longest that an open trade waited for its update. `waiting_facts`: one-time facts not yet sent at the end.
    """

    way: str
    alerts_in_window: int
    longest_chars: int
    bars_between_updates: int
    waiting_facts: int = 0

    @property
    def faults(self) -> tuple[str, ...]:
        """What TradingView would do about it; empty when all is well."""
        stopped = (_STOPPED,) if self.alerts_in_window > MOST_ALERTS else ()
        return stopped + ((_TOO_LONG,) if self.longest_chars > MOST_CHARS else ())


def pack(sizes: Sequence[int], room: int) -> list[list[int]]:
    """The facts of the given sizes (characters), in order, over at most `room` alerts; those at the end may find none."""
    alerts: list[list[int]] = []
    for size in sizes:
        if alerts and _chars([*alerts[-1], size]) <= SENT_CHARS:
            alerts[-1].append(size)
        elif len(alerts) < room:
            alerts.append([size])
        else:
            break
    return alerts


def compare(open_trades: int, facts_a_bar: int = 0, bars: int = 60) -> tuple[Outcome, ...]:
    """The three ways for this many open trades and one-time facts in each of `bars` bars."""
    single = Outcome("one alert for each trade", (open_trades + facts_a_bar) * WINDOW_BARS, FACT_CHARS, 1)
    length = _BATCH_HEAD_CHARS + open_trades * _BATCH_MEMBER_CHARS
    batch = Outcome("one batch for each bar", (bool(open_trades) + facts_a_bar) * WINDOW_BARS, length, 1)
    return single, batch, simulate_sender([open_trades] * bars, [facts_a_bar] * bars)


def simulate_sender(open_trades: Sequence[int], facts: Sequence[int]) -> Outcome:
    """The sender over bars with this many open trades and new one-time facts each (sequences of the same length)."""
    sent: deque[int] = deque(maxlen=WINDOW_BARS - 1)
    waiting = turn = in_window = longest = 0
    last_update: dict[int, int] = {}
    longest_wait = 1
    for bar, (count, new) in enumerate(zip(open_trades, facts, strict=True)):
        waiting += new
        alerts = pack([FACT_CHARS] * waiting + [UPDATE_CHARS] * count, min(MOST_PER_BAR, MOST_ALERTS - sum(sent)))
        taken = sum(len(alert) for alert in alerts)
        updates = max(0, taken - waiting)
        updated = {(turn + place) % count for place in range(updates)}
        for trade in range(count):
            longest_wait = max(longest_wait, bar - last_update.setdefault(trade, bar - 1))
        last_update = {trade: bar if trade in updated else last_update[trade] for trade in range(count)}
        waiting -= min(taken, waiting)
        turn = (turn + updates) % count if count else 0
        longest = max([longest, *map(_chars, alerts)])
        in_window = max(in_window, sum(sent) + len(alerts))
        sent.append(len(alerts))
    return Outcome("Signalbook sender", in_window, longest, longest_wait, waiting)


def _chars(sizes: Sequence[int]) -> int:
    return HEAD_CHARS + sum(sizes) + max(0, len(sizes) - 1)
