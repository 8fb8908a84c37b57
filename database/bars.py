"""`ohlc_bars` and what belongs to it: contracts, covered spans, the state of the feed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from typing import Any

from core.records import Bar, Timeframe, Unit, microseconds, replaces
from database.engine import Cursor
from database.json_text import to_json
from database.queries import queries

SQL = queries("bars")
FEED = "market"
"""The name under which the market data feed leads and tells of itself."""
AT_ONCE = 5_000
NOTIFY_LIMIT = 7_500
COLUMNS = {
    "contract_ids": "contract_id",
    "starts": "starts_at",
    "units": "timeframe.unit",
    "values": "timeframe.value",
    "opens": "open",
    "highs": "high",
    "lows": "low",
    "closes": "close",
    "volumes": "volume",
    "sources": "source",
    "partials": "is_partial",
    "revisions": "revision",
    "tick_counts": "tick_count",
    "gaps": "gap_seconds",
}  # what the upsert calls a column, and where a bar has it
KEY = attrgetter("contract_id", "starts_at", "timeframe.value", "timeframe.unit")


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract as the gateway describes it. `tick_size` in price points, `tick_value` in dollars."""

    contract_id: str
    name: str
    description: str
    tick_size: Decimal
    tick_value: Decimal | None = None
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class Covered:
    """A span [starts_at, ends_at) about which a source (history, import, live) has told everything."""

    source: str
    starts_at: datetime
    ends_at: datetime


def upsert_bars(cur: Cursor, bars: Iterable[Bar]) -> int:
    """Store bars in one statement per 5,000 and tell every process of those that changed something; how many did.

    Of several bars of one key the best counts. Any number of times gives the same rows.
    """
    best: dict[tuple[Any, ...], Bar] = {}
    for bar in bars:
        key = KEY(bar)
        if key not in best or replaces(bar, best[key]):
            best[key] = bar
    rows = list(best.values())
    changed: list[Any] = []
    for start in range(0, len(rows), AT_ONCE):
        cur.execute(SQL.upsert_bars, _arrays(rows[start : start + AT_ONCE]))
        changed += cur.fetchall()
    _notify(cur, changed)
    return sum(row.bars for row in changed)


def _arrays(rows: Sequence[Bar]) -> dict[str, str]:
    """The columns as PostgreSQL's array texts: three times as fast as lists, which the driver quotes one by one."""
    columns = zip(*map(attrgetter(*COLUMNS.values()), rows), strict=True)
    return {name: WRITERS.get(name, _plain)(values) for name, values in zip(COLUMNS, columns, strict=True)}


def _times(values: Iterable[datetime]) -> str:
    """An array of microseconds since 1970: to write a date costs more than all the rest of a bar."""
    return _plain(map(microseconds, values))


def _plain(values: Iterable[object]) -> str:
    """An array of numbers or truths."""
    return "{" + ",".join(map(str, values)) + "}"


def _texts(values: Iterable[str]) -> str:
    """An array of any text; most are the same few."""
    return "{" + ",".join(map(_quoted, values)) + "}"


@lru_cache(maxsize=256)
def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


WRITERS: dict[str, Callable[[Iterable[Any]], str]] = {"contract_ids": _texts, "sources": _texts, "starts": _times}


def _notify(cur: Cursor, changed: Iterable[Any]) -> None:
    """One notification a contract: [timeframe, first label, highest revision] of each series, a hint where to look.

    Analysis gets the same as rows, which cannot be lost.
    """
    series: dict[tuple[str, Timeframe], tuple[datetime, int]] = {}
    for row in changed:
        key = (row.contract_id, Timeframe(Unit(row.timeframe_unit), row.timeframe_value))
        first_at, revision = series.get(key, (row.first_at, 0))
        series[key] = (min(first_at, row.first_at), max(revision, row.revision))
    _note_changes(cur, {key: first_at for key, (first_at, _) in series.items()})
    by_contract: dict[str, list[list[object]]] = {}
    for (contract_id, timeframe), (first_at, revision) in series.items():
        by_contract.setdefault(contract_id, []).append([str(timeframe), first_at.isoformat(), revision])
    for contract_id, told in by_contract.items():
        payload = json.dumps({"contract_id": contract_id, "bars": told})
        cur.execute(SQL.notify_bars, {"payload": payload if len(payload) < NOTIFY_LIMIT else ""})


def tell_forming(
    cur: Cursor, contract_id: str, forming: Mapping[str, Sequence[float]], quote: Mapping[str, Any]
) -> None:
    """Tell every process, and so every open page, of bars that change: timeframe -> [label in epoch seconds, open, high,
    low, close, volume], with the last quote beside them. Nothing is stored."""
    payload = to_json({"contract_id": contract_id, "forming": dict(forming), "quote": dict(quote)})
    if len(payload) < NOTIFY_LIMIT:
        cur.execute(SQL.notify_forming, {"payload": payload})


def _note_changes(cur: Cursor, firsts: Mapping[tuple[str, Timeframe], datetime]) -> None:
    if not firsts:
        return
    given = {
        "contract_ids": _texts(contract_id for contract_id, _ in firsts),
        "units": _plain(int(timeframe.unit) for _, timeframe in firsts),
        "values": _plain(timeframe.value for _, timeframe in firsts),
        "firsts": _times(firsts.values()),
    }
    cur.execute(SQL.note_changes, given)


def list_bars(cur: Cursor, contract_id: str, timeframe: Timeframe, *, before: datetime, limit: int) -> list[Bar]:
    """The newest bars labelled before an instant, oldest first."""
    cur.execute(SQL.list_bars, _series(contract_id, timeframe) | {"before": before, "limit": limit})
    return _bars(cur, contract_id, timeframe)


def list_bars_between(cur: Cursor, contract_id: str, timeframe: Timeframe, start: datetime, end: datetime) -> list[Bar]:
    """The bars labelled inside [start, end), oldest first."""
    cur.execute(SQL.list_bars_between, _series(contract_id, timeframe) | {"start": start, "end": end})
    return _bars(cur, contract_id, timeframe)


def list_changed_bars(
    cur: Cursor, contract_id: str, timeframe: Timeframe, *, start: datetime, changed_since: datetime, limit: int
) -> list[Bar]:
    """The bars labelled from `start` on that were stored or corrected since an instant, oldest first."""
    given = {"start": start, "changed_since": changed_since, "limit": limit}
    cur.execute(SQL.list_changed_bars, _series(contract_id, timeframe) | given)
    return _bars(cur, contract_id, timeframe)


def list_series(cur: Cursor) -> list[Any]:
    """(contract_id, timeframe_unit, timeframe_value, first_at, last_at, bars) of every series."""
    cur.execute(SQL.list_series)
    return cur.fetchall()


def count_series_between(
    cur: Cursor, contract_ids: Sequence[str], start: datetime, end: datetime
) -> list[tuple[str, Timeframe, int]]:
    """(contract id, timeframe, bars labelled inside [start, end)) of every series that has any there."""
    cur.execute(SQL.count_series_between, {"contract_ids": list(contract_ids), "start": start, "end": end})
    return [
        (row.contract_id, Timeframe(Unit(row.timeframe_unit), row.timeframe_value), row.bars) for row in cur.fetchall()
    ]


def count_bars_by_hour(
    cur: Cursor, contract_id: str, timeframe: Timeframe, start: datetime, end: datetime
) -> dict[datetime, tuple[int, int]]:
    """Hour -> (bars, of them not live)."""
    cur.execute(SQL.count_bars_by_hour, _series(contract_id, timeframe) | {"start": start, "end": end})
    return {row.hour: (row.bars, row.filled) for row in cur.fetchall()}


def add_span(
    cur: Cursor, contract_id: str, timeframe: Timeframe, *, source: str, start: datetime, end: datetime
) -> None:
    """Remember that a source has told everything about [start, end); spans that touch become one."""
    given = _series(contract_id, timeframe) | {"source": source, "start": start, "end": end}
    cur.execute(SQL.take_spans, given)
    for row in cur.fetchall():
        given["start"], given["end"] = min(given["start"], row.starts_at), max(given["end"], row.ends_at)
    cur.execute(SQL.add_span, given)


def list_spans(cur: Cursor, contract_id: str, timeframe: Timeframe, start: datetime, end: datetime) -> list[Covered]:
    """The covered spans that overlap [start, end), in time order."""
    cur.execute(SQL.list_spans, _series(contract_id, timeframe) | {"start": start, "end": end})
    return [Covered(row.source, row.starts_at, row.ends_at) for row in cur.fetchall()]


def save_contract(cur: Cursor, contract: Contract) -> None:
    """Store what the gateway says about a contract now."""
    cur.execute(
        SQL.save_contract,
        {
            "contract_id": contract.contract_id,
            "name": contract.name,
            "description": contract.description,
            "tick_size": contract.tick_size,
            "tick_value": contract.tick_value,
            "is_active": contract.is_active,
        },
    )


def list_contracts(cur: Cursor) -> list[Contract]:
    """Every contract that was ever followed."""
    cur.execute(SQL.list_contracts)
    return [
        Contract(row.contract_id, row.name, row.description, row.tick_size, row.tick_value, row.is_active)
        for row in cur.fetchall()
    ]


def save_feed_state(cur: Cursor, name: str, state: Mapping[str, Any]) -> None:
    """What a feed says about itself."""
    cur.execute(SQL.save_feed_state, {"name": name, "state": to_json(dict(state))})


def get_feed_state(cur: Cursor, name: str) -> tuple[dict[str, Any], datetime] | None:
    """(what a feed has said about itself, when); None if it never has."""
    cur.execute(SQL.get_feed_state, {"name": name})
    row = cur.fetchone()
    return None if row is None else (row.state, row.updated_at)


def make_hypertable(cur: Cursor) -> str:
    """Make the bars a hypertable where TimescaleDB is at hand; what became of it, in words."""
    cur.execute(SQL.make_hypertable)
    return str(cur.fetchone().result)


def _series(contract_id: str, timeframe: Timeframe) -> dict[str, Any]:
    return {"contract_id": contract_id, "unit": int(timeframe.unit), "value": timeframe.value}


def _bars(cur: Cursor, contract_id: str, timeframe: Timeframe) -> list[Bar]:
    return [Bar(contract_id=contract_id, timeframe=timeframe, **row._asdict()) for row in cur.fetchall()]
