"""Runs the sender on made-up bars with PineTS (a development tool from npm), and reads what it would post."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from simulator.price_path import Bar
from tests.support_needs import node, node_package

ROOT = Path(__file__).parents[2]
SENDER = ROOT / "pine" / "signalbook_sender.pine"
PINETS = Path("dist", "pinets.min.es.js")
RUNNER = Path(__file__).with_name("run_pine.mjs")
LIVE = "bool isLive = barstate.isrealtime and barstate.isconfirmed"
SYMBOL = {
    "ticker": "MNQ1!",
    "tickerid": "CME_MINI:MNQ1!",
    "prefix": "CME_MINI",
    "timezone": "America/New_York",
    "session": "24x7",
    "mintick": 0.25,
    "pricescale": 100,
    "minmove": 25,
}


@dataclass(frozen=True, slots=True)
class Fired:
    """One alert: the number of the bar at whose close it fired, and its text."""

    bar: int
    text: str

    @property
    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text)
        return found


def run_sender(bars: Sequence[Bar], *, live_from: int | None = 0, inputs: dict[str, str] | None = None) -> list[Fired]:
    """The alerts of the sender on these bars, live from the bar of that number on; None leaves the script as it is.

    PineTS takes only its last bar for a live one, so the one line that asks for it is replaced. `inputs` replaces
    pieces of the source that stand in it exactly once.
    """
    source = SENDER.read_text(encoding="utf-8")
    changes = dict(inputs or {}) | ({} if live_from is None else {LIVE: f"bool isLive = bar_index >= {live_from}"})
    for old, new in changes.items():
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    given = {
        "source": source,
        "bars": [_wire(bar) for bar in bars],
        "everyBar": live_from is not None,
        "symbol": SYMBOL,
    }
    command = [node(), str(RUNNER), str(node_package("pinets") / PINETS)]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [Fired(alert["bar_index"], alert["message"]) for alert in json.loads(done.stdout)]


def facts_of(fired: Sequence[Fired]) -> list[tuple[int, dict[str, Any]]]:
    """(bar, fact) in the order of sending."""
    return [(alert.bar, fact) for alert in fired for fact in alert.body["events"]]


def _wire(bar: Bar) -> dict[str, float]:
    prices = {"open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close, "volume": 1}
    return {"openTime": _milliseconds(bar.opens_at), "closeTime": _milliseconds(bar.closes_at), **prices}


def _milliseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)
