"""The columns of the list of signals, and which of them a reader has chosen to see. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

COOKIE = "signal_columns"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, whether it holds numbers, begins a group, and what the list sorts by for it."""

    name: str
    title: str
    sort: str = ""
    is_number: bool = False
    is_group: bool = False
    note: str = ""

    @property
    def css(self) -> str:
        """The classes of its cells."""
        return " ".join(name for name, holds in (("number", self.is_number), ("group", self.is_group)) if holds)


_SYMBOL = Column("symbol", "Symbol")
_DIRECTION = Column("direction", "Direction")
_SIGNAL_TIME = Column("signal_time", "Signal time", "signal")
_HTF = Column("htf", "HTF", note="Trend of the higher timeframes when the signal appeared")
_LATEST = Column("latest", "Latest event")
_HEALTH = Column(
    "health",
    "Health",
    "health",
    is_number=True,
    is_group=True,
    note="How much of what should be known by now is known, of 100",
)
_FLAGS = Column("flags", "Flags")
_SESSION = Column("session", "Session")

COLUMNS = (
    _SYMBOL,
    Column("status", "Status"),
    _DIRECTION,
    _SIGNAL_TIME,
    Column("entered", "Entered", "entered"),
    Column("ended", "Ended", "ended"),
    Column("entry", "Entry", is_number=True, is_group=True),
    Column("stop", "Stop", is_number=True),
    Column("no_be_mfe", "No-BE MFE", "no_be_mfe", is_number=True, is_group=True),
    Column("be_mfe", "BE MFE", "be_mfe", is_number=True),
    Column("mae", "MAE", "mae", is_number=True),
    Column("be_result", "BE result", is_number=True, is_group=True),
    Column("no_be_result", "No-BE result", is_number=True),
    _HEALTH,
    _FLAGS,
    _SESSION,
    _HTF,
    Column("confirmed", "Confirmed", note="Sent by the script, or derived from the receipt of the ENTRY"),
    Column("bars", "Bars", is_number=True, note="Bars from the signal to its confirmation"),
    _LATEST,
)
CANCELLED_COLUMNS = (
    _SYMBOL,
    _DIRECTION,
    _SESSION,
    _SIGNAL_TIME,
    Column("ended", "Cancelled", "ended"),
    Column("reason", "Reason"),
    Column("bars_pending", "Bars pending", is_number=True),
    Column("cancelled_by", "Cancelled by"),
    _HTF,
    _HEALTH,
    _FLAGS,
)
_NAMES = {column.name: column for column in COLUMNS}
_TIMEFRAMES = ("daily", "h4", "h1", "m15", "m5", "m1")
_MARKS = {"bullish": "▲", "bearish": "▼"}


def shown(view_name: str, cookie: str) -> tuple[Column, ...]:
    """The columns of a tab: the Cancelled tab has its own, the others those that the cookie leaves."""
    if view_name == "cancelled":
        return CANCELLED_COLUMNS
    hidden = set(cookie.split("."))
    return tuple(column for column in COLUMNS if column.name not in hidden)


def cookie_of(chosen: Iterable[str]) -> str:
    """The cookie that leaves the chosen columns: it names the others, so that a new column is seen at once."""
    kept = set(chosen)
    return ".".join(name for name in _NAMES if name not in kept)


def alignment(row: Any) -> list[tuple[str, str, str]] | None:
    """(timeframe, mark, what the script said) of each higher timeframe; None where it was not told or not computed."""
    told = row.htf_alignment
    if not row.htf_computed or not isinstance(told, dict):
        return None
    sides = [(name, str(told[name])) for name in _TIMEFRAMES if isinstance(told.get(name), str)]
    return [(name, _MARKS.get(side.lower(), "–"), side) for name, side in sides] or None
