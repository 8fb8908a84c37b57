"""TradingView's alert log: read its CSV export, and find what of it was never delivered. Pure.

The export lists what was fired, newest first, at most 2,000 rows: `Alert ID, Ticker, Name, Description, Time`, where
Description is the exact body and Time the delivery in UTC, to the second.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from core.errors import InvalidInputError
from database.deliveries import SAME_DELIVERY

MAX_EXPORTED_ROWS = 2_000

# Only these end a line: str.splitlines would also cut a body at the rarer separators of Unicode.
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_NO_LETTER = re.compile(r"[^a-z]")
_COLUMNS = {
    "Alert ID": ("alertid", "id"),
    "Ticker": ("ticker", "symbol"),
    "Name": ("name", "alertname"),
    "Description": ("description", "message"),
    "Time": ("time", "timeutc", "datetime", "firedat"),
}
_REQUIRED = ("Alert ID", "Description", "Time")


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One alert that was fired: the exact body, and when TradingView sent it (aware UTC, to the second)."""

    alert_id: str
    ticker: str
    name: str
    body: bytes
    sent_at: datetime


Stored = tuple[bytes, datetime]
"""What matching needs to know of a stored delivery: its `delivery_key` and its `received_at` (aware UTC)."""


def parse_alert_log(content: bytes | str) -> list[AlertRow]:
    """The rows of an export, oldest first; alerts of one second in the order in which they were fired.

    InvalidInputError names line and column if it is no alert log, is cut off, or has a time without an offset.
    """
    text = content if isinstance(content, str) else _decode(content)
    records = _records(text.removeprefix("\ufeff"))
    _, header = next(records, (1, []))
    places = _places(header)
    rows = [_row(number, values, places) for number, values in records]
    if rows and rows[0].sent_at >= rows[-1].sent_at:
        rows.reverse()
    return sorted(rows, key=lambda row: row.sent_at)


def is_capped(rows: Sequence[AlertRow]) -> bool:
    """Whether the export may have left off older alerts, because it is as long as TradingView lets it become."""
    return len(rows) >= MAX_EXPORTED_ROWS


def merge_alert_logs(logs: Iterable[Sequence[AlertRow]]) -> list[AlertRow]:
    """The rows of several exports, which may overlap, oldest first.

    Rows of the same body and Time within one export are that many alerts. Between exports they are the same alerts
    seen again, so the largest count of any one export holds.
    """
    merged: list[AlertRow] = []
    known: Counter[tuple[bytes, datetime]] = Counter()
    for log in logs:
        seen: Counter[tuple[bytes, datetime]] = Counter()
        for row in log:
            fact = (row.body, row.sent_at)
            seen[fact] += 1
            if seen[fact] > known[fact]:
                known[fact] = seen[fact]
                merged.append(row)
    return sorted(merged, key=lambda row: row.sent_at)


def match_deliveries(
    rows: Sequence[AlertRow], stored: Iterable[Stored], *, key_of: Callable[[AlertRow], bytes]
) -> tuple[list[AlertRow], list[tuple[AlertRow, Stored]]]:
    """Split rows into (new ones, those known with their stored delivery), both in the order of `rows`.

    A row is known if a stored delivery has its key and a time at most 25 seconds away; they are matched one to one,
    nearest first. `key_of` gives the `delivery_key` of the body as it would be stored: tokens masked.
    """
    held: defaultdict[bytes, list[Stored]] = defaultdict(list)
    for delivery in stored:
        held[delivery[0]].append(delivery)
    places: defaultdict[bytes, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        places[key_of(row)].append(place)
    partners: dict[int, Stored] = {}
    for key in places.keys() & held.keys():
        sent = [rows[place].sent_at for place in places[key]]
        received = [received_at for _, received_at in held[key]]
        for left, right in _nearest_pairs(sent, received):
            partners[places[key][left]] = held[key][right]
    new = [row for place, row in enumerate(rows) if place not in partners]
    return new, [(rows[place], partners[place]) for place in sorted(partners)]


# --- reading -----------------------------------------------------------------------------------------------------


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _fault(line, "", "is not UTF-8 text; give the file as TradingView exported it") from None


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """(first line, values) of each record that is not blank; a body may span lines."""
    reader = csv.reader((match[0] for match in _LINE.finditer(text)), strict=True)
    first = 1
    try:
        for values in reader:
            if any(values):
                yield first, values
            first = reader.line_num + 1
    except csv.Error as error:
        raise _fault(first, "", f"is no CSV ({error}); is the file complete?") from None


def _places(header: list[str]) -> dict[str, int]:
    """Where each column stands. InvalidInputError if one that is needed is missing."""
    names = [_NO_LETTER.sub("", name.lower()) for name in header]
    places = {
        column: next(place for place, name in enumerate(names) if name in aliases)
        for column, aliases in _COLUMNS.items()
        if not set(aliases).isdisjoint(names)
    }
    for column in _REQUIRED:
        if column not in places:
            raise _fault(1, column, "is missing: this is not an alert log exported by TradingView")
    return places


def _row(line: int, values: list[str], places: dict[str, int]) -> AlertRow:
    def value(column: str) -> str:
        if column not in places:
            return ""
        if places[column] >= len(values):
            raise _fault(line, column, "is missing")
        return values[places[column]]

    return AlertRow(
        alert_id=value("Alert ID"),
        ticker=value("Ticker"),
        name=value("Name"),
        body=value("Description").encode("utf-8"),
        sent_at=_time(line, value("Time")),
    )


def _time(line: int, text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text.strip())
        if instant.tzinfo is None:
            raise _fault(line, "Time", f"has no offset, so it may be any zone's: {text[:40]!r}")
        return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _fault(line, "Time", f"is no ISO date and time: {text[:40]!r}") from None


def _fault(line: int, column: str, what: str) -> InvalidInputError:
    place = f"line {line}, column {column}" if column else f"line {line}"
    return InvalidInputError(f"{place}: {what}", field=column or None)


# --- matching ----------------------------------------------------------------------------------------------------


class _Point(NamedTuple):
    at: datetime
    side: int
    place: int


def _nearest_pairs(left: Sequence[datetime], right: Sequence[datetime]) -> Iterator[tuple[int, int]]:
    """Pairs (place in left, place in right), each place once, the nearest pair first, none more than 25 s apart.

    Of all pairs that are left, the nearest one are neighbours on the line of time; so the candidates are the
    neighbours only, in a heap, and n identical bodies cost n log n.
    """
    points = sorted([_Point(at, 0, n) for n, at in enumerate(left)] + [_Point(at, 1, n) for n, at in enumerate(right)])
    before = list(range(-1, len(points) - 1))
    after = list(range(1, len(points) + 1))
    free = [True] * len(points)
    candidates = [pair for n in range(1, len(points)) if (pair := _candidate(points, n - 1, n))]
    heapify(candidates)
    while candidates:
        _, early, late = heappop(candidates)
        if not (free[early] and free[late]):
            continue
        free[early] = free[late] = False
        ends = sorted((points[early], points[late]), key=lambda point: point.side)
        yield ends[0].place, ends[1].place
        outer = before[early], after[late]
        if outer[0] >= 0:
            after[outer[0]] = outer[1]
        if outer[1] < len(points):
            before[outer[1]] = outer[0]
        if outer[0] >= 0 and outer[1] < len(points) and (pair := _candidate(points, *outer)):
            heappush(candidates, pair)


def _candidate(points: Sequence[_Point], early: int, late: int) -> tuple[float, int, int] | None:
    distance = points[late].at - points[early].at
    if points[early].side == points[late].side or distance > SAME_DELIVERY:
        return None
    return distance.total_seconds(), early, late
