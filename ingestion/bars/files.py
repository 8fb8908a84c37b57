"""Bars from a CSV: contract_id, timestamp, open, high, low, close, volume, timeframe_unit, timeframe_value."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from core.errors import InvalidInputError
from core.records import Bar, Timeframe, Unit

COLUMNS = ("contract_id", "timestamp", "open", "high", "low", "close", "volume", "timeframe_unit", "timeframe_value")


def parse_bars(lines: Iterable[str]) -> Iterator[Bar]:
    """The bars of a file in its order. InvalidInputError naming the line of the first wrong row. Times without an
    offset are UTC."""
    rows = csv.DictReader(lines)
    missing = set(COLUMNS) - set(rows.fieldnames or ())
    if missing:
        raise InvalidInputError(f"the columns {', '.join(sorted(missing))} are missing", field="file")
    for row in rows:
        try:
            yield _bar(row)
        except (ValueError, TypeError, InvalidOperation, InvalidInputError) as error:
            raise InvalidInputError(f"line {rows.line_num}: {error}", field="file") from None


def _bar(row: dict[str, str]) -> Bar:
    at = datetime.fromisoformat(row["timestamp"])
    open_, high, low, close = (Decimal(row[name]) for name in ("open", "high", "low", "close"))
    if not (0 < low <= min(open_, close) and max(open_, close) <= high):  # false for NaN, too
        raise ValueError("low, open, close and high are out of order")
    return Bar(
        contract_id=row["contract_id"],
        timeframe=Timeframe(Unit(int(row["timeframe_unit"])), int(row["timeframe_value"])),
        starts_at=at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC),
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=int(row["volume"]),
        source="import",
    )
