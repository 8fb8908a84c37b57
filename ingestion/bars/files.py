"""Bars from a CSV: contract_id, timestamp, open, high, low, close, volume, timeframe_unit, timeframe_value."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from operator import itemgetter

from core.errors import InvalidInputError
from core.records import Bar, Timeframe, Unit

COLUMNS = ("contract_id", "timestamp", "open", "high", "low", "close", "volume", "timeframe_unit", "timeframe_value")


def parse_bars(lines: Iterable[str]) -> Iterator[Bar]:
    """The bars of a file in its order. InvalidInputError naming the line of the first wrong row. Times without an
    offset are UTC."""
    rows = csv.reader(lines)
    header = next(rows, [])
    missing = set(COLUMNS) - set(header)
    if missing:
        raise InvalidInputError(f"the columns {', '.join(sorted(missing))} are missing", field="file")
    pick = itemgetter(*map(header.index, COLUMNS))
    for row in filter(None, rows):
        try:
            yield _bar(pick(row))
        except IndexError:
            raise InvalidInputError(f"line {rows.line_num}: there are too few values", field="file") from None
        except (ValueError, TypeError, InvalidOperation, InvalidInputError) as error:
            raise InvalidInputError(f"line {rows.line_num}: {error}", field="file") from None


def _bar(row: Sequence[str]) -> Bar:
    """The bar of a row, whose values are in the order of COLUMNS."""
    contract_id, timestamp, *prices, volume, unit, value = row
    open_, high, low, close = map(Decimal, prices)
    if not (0 < low <= open_ <= high and low <= close <= high):  # NaN is an error of its own
        raise ValueError("low, open, close and high are out of order")
    return Bar(
        contract_id=contract_id,
        timeframe=_timeframe(unit, value),
        starts_at=_utc(datetime.fromisoformat(timestamp)),
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=int(volume),
        source="import",
    )


def _utc(at: datetime) -> datetime:
    if at.tzinfo is UTC:
        return at
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


@lru_cache(maxsize=64)
def _timeframe(unit: str, value: str) -> Timeframe:
    """A file has few of them, and many bars of each."""
    return Timeframe(Unit(int(unit)), int(value))
