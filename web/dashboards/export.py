"""Signals as CSV: UTC ISO times, plain decimals, and no text that a spreadsheet would run. Pure."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import Any

from database.csv_text import cell

COLUMNS = (
    "trade_id",
    "stream",
    "symbol",
    "timeframe",
    "status",
    "direction",
    "session",
    "session_label",
    "signal_time",
    "signal_time_from",
    "confirmation_time",
    "confirmation_time_from",
    "bars_to_confirmation",
    "entry_time",
    "exit_at",
    "exit_kind",
    "be_exit_at",
    "cancelled_at",
    "cancel_reason",
    "bars_pending",
    "cancelled_by",
    "entry_price",
    "stop_loss",
    "risk_distance",
    "no_be_mfe_r",
    "be_mfe_r",
    "mae_r",
    "be_result_r",
    "no_be_result_r",
    "htf_alignment",
    "last_kind",
    "last_received_at",
    "flags",
    "health_score",
    "gaps",
)


def header() -> str:
    """The first line."""
    return lines([COLUMNS])


def rows_of(states: Iterable[Any]) -> str:
    """One line a signal."""
    return lines([[cell(getattr(state, name)) for name in COLUMNS] for state in states])


def lines(rows: Iterable[Iterable[str]]) -> str:
    """Rows as CSV text (RFC 4180)."""
    text = _Text()
    csv.writer(text).writerows(rows)
    return "".join(text.parts)


class _Text:
    """What the CSV writer writes to."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def write(self, part: str) -> None:
        self.parts.append(part)
