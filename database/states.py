"""`trade_states`: the facts of every signal, and what derives from them. Rows are locked in the order of their keys."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from automated_signals_state import FACTS_VERSION, Facts, TradeState, derive, facts_from_json
from database.engine import Cursor, stream_rows
from database.json_text import decimals_to_json, to_json
from database.queries import queries

SQL = queries("states")
SAVE_AT_ONCE = 500
NOTIFY_BYTES = 7000
Key = tuple[str, str]
SORTED_BY = {
    "signal": "signal_time",
    "entered": "entry_time",
    "ended": "ended_at",
    "no_be_mfe": "no_be_mfe_r",
    "be_mfe": "be_mfe_r",
    "mae": "mae_r",
    "health": "health_score",
    "id": None,
}
"""What a list can be sorted by -> the column of its rows that holds the value; the trade id itself breaks ties."""
_COLUMNS = tuple(column.name for column in fields(TradeState))


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which signals are meant; None does not restrict. `since` and `until` bound the signal time, half open."""

    statuses: list[str] | None = None
    sessions: list[str] | None = None
    direction: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None  # somewhere in the trade id or the symbol, in any case


@dataclass(frozen=True, slots=True)
class Order:
    """What a list is sorted by, a key of SORTED_BY, and which way; unknown values come last either way."""

    sort: str = "signal"
    is_rising: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A signal's place in a sorted list; `value` is None where it has none."""

    value: datetime | Decimal | int | None
    trade_id: str
    stream: str

    @property
    def is_unknown(self) -> bool:
        return self.value is None


def place_of(row: Any, order: Order) -> Place:
    """The place of a listed row."""
    column = SORTED_BY[order.sort]
    return Place(getattr(row, column) if column else None, row.trade_id, row.stream)


def lock_facts(cur: Cursor, keys: Collection[Key]) -> dict[Key, Facts]:
    """The facts of these (stream, trade_id), empty where new, locked until the transaction ends; none of deleted signals."""
    # One round trip for both: each costs the writer a hand-over of the interpreter's lock.
    cur.execute(f"{SQL.add_states};\n{SQL.lock_states}", pairs(sorted(keys)))
    found = {(row.stream, row.trade_id): read_facts(row.facts) for row in cur.fetchall()}
    if missing := set(keys) - found.keys():
        cur.execute(SQL.hold_deleted, pairs(sorted(missing)))
        # What is neither there nor deleted has been restored in between.
        restored = missing - {(row.stream, row.trade_id) for row in cur.fetchall()}
        found |= lock_facts(cur, restored) if restored else {}
    return found


def pairs(keys: Sequence[Key]) -> dict[str, list[str]]:
    """Keys as the two arrays that queries take."""
    return {"streams": [stream for stream, _ in keys], "trade_ids": [trade_id for _, trade_id in keys]}


def read_facts(document: dict[str, Any]) -> Facts:
    """The facts of a stored row; a row that was just made holds none."""
    return facts_from_json(document) if document else Facts()


def save_facts(cur: Cursor, changed: Mapping[Key, Facts]) -> None:
    """Store facts and the state that derives from them, for rows that `lock_facts` has locked, and tell every process."""
    save(cur, plan_saves(changed))


def plan_saves(changed: Mapping[Key, Facts]) -> list[dict[str, str]]:
    """What `save` stores of facts, some hundred signals in each: their rows, and the notice. Pure."""
    rows = [_row(facts, *key) for key, facts in changed.items()]
    chunks = [rows[start : start + SAVE_AT_ONCE] for start in range(0, len(rows), SAVE_AT_ONCE)]
    return [
        {"rows": decimals_to_json(chunk), "payload": _notice((row["stream"], row["trade_id"]) for row in chunk)}
        for chunk in chunks
    ]


def save(cur: Cursor, saves: Iterable[dict[str, str]]) -> None:
    """Store what was planned."""
    for each in saves:  # in one round trip, as above
        cur.execute(f"{SQL.save_states};\n{SQL.notify_signals}", each)


def notify(cur: Cursor, keys: Iterable[Key]) -> None:
    """Tell every process that signals have changed in another way than by `save_facts`."""
    cur.execute(SQL.notify_signals, {"payload": _notice(keys)})


def _notice(keys: Iterable[Key]) -> str:
    """The keys as JSON; `[]` when there are too many to name."""
    payload = to_json(sorted(keys))
    return payload if len(payload) < NOTIFY_BYTES else "[]"


def replace_states(cur: Cursor, facts: Mapping[Key, Facts]) -> None:
    """Put these states in the place of all that were there, for a rebuild."""
    cur.execute(SQL.delete_states)
    keys = sorted(facts)
    for start in range(0, len(keys), SAVE_AT_ONCE):
        group = keys[start : start + SAVE_AT_ONCE]
        lock_facts(cur, group)
        save_facts(cur, {key: facts[key] for key in group})


def all_states(cur: Cursor, stream: str | None = None) -> Iterator[TradeState]:
    """Every state, derived from its facts."""
    for row in stream_rows(cur, SQL.all_facts, {"stream": stream}):
        yield derive(read_facts(row.facts), row.stream, row.trade_id)


def facts_beyond_proof(cur: Cursor) -> dict[Key, Facts]:
    """Facts of signals whose oldest bodies may have been let go: a rebuild starts from them."""
    cur.execute(SQL.facts_beyond_proof)
    return {(row.stream, row.trade_id): read_facts(row.facts) for row in cur.fetchall()}


def list_unfolded(cur: Cursor, limit: int) -> list[Key]:
    """Signals that have events but no state."""
    cur.execute(SQL.list_unfolded, {"limit": limit})
    return [(row.stream, row.trade_id) for row in cur.fetchall()]


def list_states(
    cur: Cursor,
    *,
    limit: int,
    streams: Sequence[str],
    selection: Selection | None = None,
    order: Order | None = None,
    after: Place | None = None,
) -> list[Any]:
    """At most `limit` signals of a selection in an order, from after a place on; those without the sorted value last."""
    order = order or Order()
    given = asdict(selection or Selection()) | asdict(order) | {"streams": list(streams)}
    keys: list[Key] = []
    for is_unknown in (False, True):
        is_past = after is not None and after.is_unknown and not is_unknown
        if is_past or len(keys) == limit:
            continue
        start = after if after is not None and after.is_unknown == is_unknown else None
        cur.execute(SQL.list_keys, given | _after(start) | {"is_unknown": is_unknown, "limit": limit - len(keys)})
        keys += [(row.stream, row.trade_id) for row in cur.fetchall()]
    cur.execute(SQL.list_rows, pairs(keys))
    return cur.fetchall()


def _after(place: Place | None) -> dict[str, Any]:
    value = place.value if place else None
    return {
        "after_at": value if isinstance(value, datetime) else None,
        "after_value": value if isinstance(value, Decimal | int) else None,
        "after_id": place.trade_id if place else None,
        "after_stream": place.stream if place else None,
    }


def list_streams(cur: Cursor) -> list[str]:
    """The streams that have signals, in the order of their names."""
    cur.execute(SQL.list_streams)
    return [row.stream for row in cur.fetchall()]


def get_neighbours(cur: Cursor, state: Any) -> Any:
    """The trade ids `earlier` and `later` than a signal in its stream by signal time, None where there is none."""
    place = {"stream": state.stream, "signal_time": state.signal_time, "trade_id": state.trade_id}
    cur.execute(SQL.get_neighbours, place)
    return cur.fetchone()


def count_states(cur: Cursor, streams: Sequence[str], selection: Selection | None = None) -> dict[str, int]:
    """Status -> number of signals of a selection, phantoms left out."""
    cur.execute(SQL.count_states, asdict(selection or Selection()) | {"streams": list(streams)})
    return {row.status: row.total for row in cur.fetchall()}


def get_states(cur: Cursor, trade_id: str, stream: str | None = None) -> list[Any]:
    """The states of a trade id: at most one a stream."""
    cur.execute(SQL.get_states, {"trade_id": trade_id, "stream": stream})
    return cur.fetchall()


def _row(facts: Facts, stream: str, trade_id: str) -> dict[str, Any]:
    state = derive(facts, stream, trade_id)
    return {"facts": _document(facts), **{name: getattr(state, name) for name in _COLUMNS}}


def _document(facts: Facts) -> dict[str, Any]:
    """What `facts_from_json` reads, left to the JSON writer to spell: several times faster than `facts_to_json`."""
    return {
        "version": FACTS_VERSION,
        "claims": {name: tuple(claim) for name, claim in facts.claims.items()},
        "excursions": facts.excursions,
        "spans": facts.spans,
        "warnings": sorted(facts.warnings),
    }
