"""What analysis stores: watermarks with states, detected signals, the trend at any instant, coordinated signals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from core.records import Bar, Timeframe, Unit
from database.engine import Cursor
from database.json_text import to_json
from database.queries import queries

SQL = queries("analysis")
SERIES_LOCK = 0x414E41  # the letters ANA
SIGNALS_LOCK = 0x414E42
BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)
END = datetime(3000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Watched:
    """One series under one analyzer."""

    analyzer_id: str
    contract_id: str
    timeframe: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A state and the label of the last bar it knows; `state` is None where the series has to be read anew."""

    at: datetime
    state: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which signals are meant; None does not restrict. `place` is (instant, id) of the last one of the page before."""

    contract_id: str | None = None
    timeframe: str | None = None
    analyzer_id: str | None = None
    rule: str | None = None
    trend: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    place: tuple[datetime, int] | None = None


def lock_series(cur: Cursor, contract_id: str, timeframe: Timeframe) -> None:
    """Be the only one at work on a series until the end of the transaction."""
    cur.execute(SQL.lock_series, {"lock": SERIES_LOCK, "series": f"{contract_id} {timeframe}"})


def lock_signals(cur: Cursor) -> None:
    """Be the only one who writes detected signals until the end of the transaction; taken last, held shortly."""
    cur.execute(SQL.lock_signals, {"lock": SIGNALS_LOCK})


def list_pending(cur: Cursor) -> list[tuple[str, Timeframe]]:
    """The series with bars that analysis has not seen."""
    cur.execute(SQL.list_pending)
    return _series(cur)


def list_series(cur: Cursor) -> list[tuple[str, Timeframe]]:
    """Every series of bars."""
    cur.execute(SQL.list_series)
    return _series(cur)


def note_change(cur: Cursor, contract_id: str, timeframe: Timeframe, first_at: datetime) -> None:
    """Have a series read again from a bar on."""
    cur.execute(SQL.note_change, _bars_of(contract_id, timeframe) | {"first_at": first_at})


def take_changes(cur: Cursor, contract_id: str, timeframe: Timeframe) -> datetime | None:
    """The label of the earliest bar that has changed since the last pass, which is forgotten with it."""
    cur.execute(SQL.take_changes, _bars_of(contract_id, timeframe))
    found: datetime | None = cur.fetchone().first_at
    return found


def list_final_bars(
    cur: Cursor, contract_id: str, timeframe: Timeframe, *, after: datetime, until: datetime, limit: int
) -> list[Bar]:
    """The next whole bars labelled inside (after, until), oldest first."""
    given = {"after": after, "until": until, "limit": limit}
    cur.execute(SQL.list_final_bars, _bars_of(contract_id, timeframe) | given)
    return [Bar(contract_id=contract_id, timeframe=timeframe, **row._asdict()) for row in cur.fetchall()]


def get_mark(cur: Cursor, watched: Watched) -> Mark:
    """How far an analyzer has got with a series."""
    cur.execute(SQL.get_watermark, asdict(watched))
    return _mark(cur.fetchone())


def get_checkpoint(cur: Cursor, watched: Watched, before: datetime) -> Mark:
    """The newest kept state that knows only bars before a label."""
    cur.execute(SQL.get_checkpoint, asdict(watched) | {"before": before})
    return _mark(cur.fetchone())


def save_mark(cur: Cursor, watched: Watched, mark: Mark) -> None:
    """The analyzer has got so far."""
    cur.execute(SQL.save_watermark, asdict(watched) | {"at": mark.at, "state": to_json(mark.state)})


def replace_checkpoints(cur: Cursor, watched: Watched, start: datetime, kept: Sequence[Mark]) -> None:
    """Keep these states in place of all from a label on."""
    cur.execute(SQL.drop_checkpoints, asdict(watched) | {"start": start})
    if kept:
        rows = to_json([{"at": mark.at, "state": mark.state} for mark in kept])
        cur.execute(SQL.save_checkpoints, asdict(watched) | {"rows": rows})


def list_triggered(cur: Cursor, watched: Watched, after: datetime, until: datetime) -> list[Any]:
    """The standing signals of a series that bars inside (after, until] have confirmed."""
    cur.execute(SQL.list_triggered, asdict(watched) | {"after": after, "until": until})
    return cur.fetchall()


def change_signals(
    cur: Cursor, watched: Watched, *, gone: Sequence[int], rows: Sequence[Mapping[str, Any]]
) -> tuple[int, int]:
    """Take back `gone` and store `rows`; (how many came or changed, how many were taken back)."""
    if not gone and not rows:
        return 0, 0
    lock_signals(cur)
    if gone:
        cur.execute(SQL.supersede_signals, {"signal_ids": list(gone)})
    cur.execute(SQL.upsert_signals, asdict(watched) | {"rows": to_json(list(rows))})
    return len(cur.fetchall()), len(gone)


def replace_turns(
    cur: Cursor, watched: Watched, after: datetime, until: datetime, rows: Sequence[Mapping[str, Any]]
) -> None:
    """The trend of a series, as bars inside (after, until] have set it."""
    cur.execute(SQL.drop_turns, asdict(watched) | {"after": after, "until": until})
    if rows:
        cur.execute(SQL.save_turns, asdict(watched) | {"rows": to_json(list(rows))})


def get_trends(cur: Cursor, contract_id: str, analyzer_id: str, at: datetime) -> list[Any]:
    """(timeframe, trend, since, bar_timestamp) of a contract at an instant; timeframes not analysed by then are absent."""
    cur.execute(SQL.get_trends, {"contract_id": contract_id, "analyzer_id": analyzer_id, "at": at})
    return cur.fetchall()


def lock_cursor(cur: Cursor, coordinator_id: str) -> int:
    """The coordinator's cursor, which nobody else moves until the end of the transaction."""
    cur.execute(SQL.lock_coordinator, {"coordinator_id": coordinator_id})
    return int(cur.fetchone().last_change_id)


def save_cursor(cur: Cursor, coordinator_id: str, *, change_id: int, signal_id: int) -> None:
    """The coordinator has got so far."""
    cur.execute(SQL.save_cursor, {"coordinator_id": coordinator_id, "change_id": change_id, "signal_id": signal_id})


def list_changes(cur: Cursor, after: int, limit: int) -> list[Any]:
    """Signals that have come, changed or been taken back since a cursor, in the order of commits."""
    cur.execute(SQL.list_changes, {"after": after, "limit": limit})
    return cur.fetchall()


def list_for_rule(
    cur: Cursor, contract_id: str, analyzer_id: str, timeframes: Iterable[str], since: datetime
) -> list[Any]:
    """The standing signals of some timeframes known from an instant on, and the last of each before it."""
    given = {"contract_id": contract_id, "analyzer_id": analyzer_id, "since": since}
    cur.execute(SQL.list_for_rule, given | {"timeframes": sorted(timeframes)})
    return cur.fetchall()


def list_decided(cur: Cursor, rule: str, contract_id: str, since: datetime) -> list[Any]:
    """The standing decisions of a rule on primary signals known from an instant on."""
    cur.execute(SQL.list_decided, {"rule": rule, "contract_id": contract_id, "since": since})
    return cur.fetchall()


def supersede_decisions(cur: Cursor, coordinated_ids: Sequence[int]) -> None:
    """Take decisions back."""
    if coordinated_ids:
        cur.execute(SQL.supersede_decisions, {"coordinated_ids": list(coordinated_ids)})


def save_decision(cur: Cursor, row: Mapping[str, Any]) -> int:
    """Store a decision; its id."""
    cur.execute(SQL.save_decision, {**row, "details": to_json(row["details"])})
    return int(cur.fetchone().coordinated_id)


def notify(cur: Cursor, contract_id: str, kind: str) -> None:
    """Tell every process that signals of a contract have changed; `kind` is detected or coordinated."""
    cur.execute(SQL.notify, {"payload": to_json({"contract_id": contract_id, "kind": kind})})


def list_signals(cur: Cursor, choice: Choice, limit: int) -> list[Any]:
    """Standing detected signals, newest first."""
    cur.execute(SQL.list_signals, _chosen(choice) | {"limit": limit})
    return cur.fetchall()


def list_coordinated(cur: Cursor, choice: Choice, limit: int) -> list[Any]:
    """Standing coordinated signals, newest first."""
    cur.execute(SQL.list_coordinated, _chosen(choice) | {"limit": limit})
    return cur.fetchall()


def list_states(cur: Cursor, contract_id: str | None = None) -> list[Any]:
    """How far every analyzer has got with every series, and the trend that holds there."""
    cur.execute(SQL.list_states, {"contract_id": contract_id})
    return cur.fetchall()


def list_last_decisions(cur: Cursor) -> list[Any]:
    """The last standing decision of each contract."""
    cur.execute(SQL.list_last_decisions)
    return cur.fetchall()


def list_watched(cur: Cursor, analyzer_id: str) -> list[Watched]:
    """The series that an analyzer has begun."""
    cur.execute(SQL.list_watched, {"analyzer_id": analyzer_id})
    return [Watched(analyzer_id, row.contract_id, row.timeframe) for row in cur.fetchall()]


def reset_series(cur: Cursor, watched: Watched) -> int:
    """Forget all that an analyzer has found in a series; how many signals that were."""
    lock_series(cur, watched.contract_id, Timeframe.parse(watched.timeframe))
    lock_signals(cur)
    cur.execute(SQL.reset_series, asdict(watched))
    return int(cur.fetchone().signals)


def _chosen(choice: Choice) -> dict[str, Any]:
    given = asdict(choice)
    place_at, place_id = given.pop("place") or (None, None)
    return given | {"place_at": place_at, "place_id": place_id}


def _mark(row: Any) -> Mark:
    return Mark(BEGINNING, None) if row is None or row.state is None else Mark(row.at, row.state)


def _bars_of(contract_id: str, timeframe: Timeframe) -> dict[str, Any]:
    return {"contract_id": contract_id, "unit": int(timeframe.unit), "value": timeframe.value}


def _series(cur: Cursor) -> list[tuple[str, Timeframe]]:
    return [(row.contract_id, Timeframe(Unit(row.timeframe_unit), row.timeframe_value)) for row in cur.fetchall()]
