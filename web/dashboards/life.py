"""The events of one signal as its page lists them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core.lifecycle import BAR, Source, mfe_slot

RUN_SHOWN = 3
RUN_WORTH_FOLDING = 8
_RANKS = {source.value: source.rank for source in Source}
_WITH_PLAN = ("SIGNAL_CREATED", "ENTRY")


@dataclass(frozen=True, slots=True)
class Run:
    """A run of MFE updates that is folded away: how many, from which minute to which."""

    count: int
    first: datetime
    last: datetime


def rank_of(event: Any) -> int:
    """How good the source of an event is, 1 the best; one that is not known counts with the worst."""
    return _RANKS.get(event.data_source, Source.INFERRED.rank)


def bar_of(event: Any) -> datetime:
    """The bar (open) an event belongs to: its slot, a repair's own time, else the bar before its receipt."""
    is_repair = event.data_source not in ("live", "import")
    at: datetime = event.slot or (event.event_time if is_repair and event.event_time else mfe_slot(event.received_at))
    return at


def delay_of(event: Any) -> timedelta | None:
    """How long after the close of its bar an alert came; None for repairs."""
    return event.received_at - bar_of(event) - BAR if event.data_source in ("live", "import") else None


def values_of(event: Any) -> list[tuple[str, str, Any]]:
    """(label, kind, value) of what an event says in numbers."""
    is_plan = event.event_type in _WITH_PLAN  # the others only repeat it
    told = (
        ("entry", "price", event.entry_price if is_plan else None),
        ("stop", "price", event.stop_loss if is_plan else None),
        ("risk", "points", event.risk_distance if is_plan else None),
        ("exit", "price", event.exit_price),
        ("No-BE", "r", event.no_be_mfe),
        ("BE", "r", event.be_mfe),
        ("MAE", "r", event.mae_global_r),
        ("price", "price", event.current_price),
        ("reason", "text", event.reason),
    )
    return [(label, kind, value) for label, kind, value in told if value is not None]


def in_order(events: Sequence[Any]) -> list[Any]:
    """By receipt; a repair writes many rows at one moment, which are read by their bars."""
    return sorted(events, key=lambda event: (event.received_at, bar_of(event)))


def folded(events: Sequence[Any], *, is_whole: bool = False) -> Iterator[Any]:
    """The events in order, with the middle of a long run of MFE updates folded into a `Run`."""
    run: list[Any] = []
    for event in [*events, None]:
        if event is not None and event.event_type == "MFE_UPDATE" and event.revoked_at is None and not is_whole:
            run.append(event)
            continue
        yield from _fold(run)
        run = []
        if event is not None:
            yield event


def _fold(run: list[Any]) -> Iterator[Any]:
    if len(run) < 2 * RUN_SHOWN + RUN_WORTH_FOLDING:
        yield from run
        return
    hidden = run[RUN_SHOWN:-RUN_SHOWN]
    yield from run[:RUN_SHOWN]
    yield Run(len(hidden), bar_of(hidden[0]), bar_of(hidden[-1]))
    yield from run[-RUN_SHOWN:]
