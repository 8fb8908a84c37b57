"""One series (contract, timeframe) under all analyzers that look at it: gather its next bars, fold them, store the outcome.

State, watermark, signals and trends move in one transaction, which also takes away what was noted about changed bars. So
a pass that dies has not happened, two processes never do the same one, and a corrected bar is read again from the newest
kept state before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from analysis.analyzer import Analyzer, Found
from analysis.config import Watch
from core.records import Bar, Timeframe, bucket_of
from core.trading_calendar import TradingCalendar, cme_equity_calendar
from database import analysis as store
from database.analysis import BEGINNING, END, Mark, Watched
from database.engine import Cursor, Database

AT_ONCE = 5_000
CHECKPOINT_BARS = 256
LONG_MS = 60_000
COMPARED = ("trigger_at", "known_at", "price", "rule", "position")


@dataclass(frozen=True, slots=True)
class Progress:
    """What one pass did: bars read, signals stored or changed, signals taken back, and whether bars are left."""

    bars: int = 0
    stored: int = 0
    taken_back: int = 0
    is_done: bool = True

    def __add__(self, other: Progress) -> Progress:
        return Progress(
            self.bars + other.bars,
            self.stored + other.stored,
            self.taken_back + other.taken_back,
            self.is_done and other.is_done,
        )


@dataclass(slots=True)
class Folded:
    """What a fold over some bars gives: signals as rows, turns of the trend, states on the way and the last one."""

    mark: Mark
    rows: list[dict[str, Any]] = field(default_factory=list)
    turns: list[dict[str, Any]] = field(default_factory=list)
    checkpoints: list[Mark] = field(default_factory=list)


def advance(
    db: Database, contract_id: str, timeframe: Timeframe, watches: Sequence[Watch], *, until: datetime = END
) -> Progress:
    """One pass over a series: at most `AT_ONCE` bars for each analyzer, labelled before `until`.

    Raises DatabaseUnavailableError, and MisconfiguredError past the end of the trading calendar.
    """
    done = Progress()
    with db.transaction(statement_timeout_ms=LONG_MS) as cur:
        store.lock_series(cur, contract_id, timeframe)
        changed_at = store.take_changes(cur, contract_id, timeframe)
        for watch in watches:
            if watch.looks_at(contract_id, timeframe):
                watched = Watched(watch.analyzer_id, contract_id, str(timeframe))
                done += _advance(cur, watch, watched, changed_at, until)
        if not done.is_done and until == END:  # whoever looks next goes on, whatever becomes of this process
            store.note_change(cur, contract_id, timeframe, END)
        if done.stored or done.taken_back:
            store.notify(cur, contract_id, "detected")
    return done


def _advance(cur: Cursor, watch: Watch, watched: Watched, changed_at: datetime | None, until: datetime) -> Progress:
    timeframe = Timeframe.parse(watched.timeframe)
    held = store.get_mark(cur, watched)
    is_behind = changed_at is not None and changed_at <= held.at
    start = store.get_checkpoint(cur, watched, changed_at) if is_behind and changed_at else held
    analyzer, start = _taken_up(watch, start)
    bars = store.list_final_bars(cur, watched.contract_id, timeframe, after=start.at, until=until, limit=AT_ONCE + 1)
    is_done, bars = len(bars) <= AT_ONCE, bars[:AT_ONCE]
    if not bars and start.at == held.at:
        return Progress()
    folded = fold_bars(
        analyzer, start, bars, timeframe=timeframe, calendar=cme_equity_calendar(), parameters=watch.parameters
    )
    # Past the last bar nothing may stand: a bar that is no longer there has taken its signals along.
    end = max(folded.mark.at, held.at) if is_done and until == END else folded.mark.at
    gone, rows = plan_changes(store.list_triggered(cur, watched, start.at, end), folded.rows)
    stored, taken_back = store.change_signals(cur, watched, gone=gone, rows=rows)
    store.replace_turns(cur, watched, start.at, end, folded.turns)
    if is_behind or folded.checkpoints:
        after_start = bars[0].starts_at if bars else held.at
        store.replace_checkpoints(cur, watched, after_start, folded.checkpoints)
    store.save_mark(cur, watched, folded.mark)
    return Progress(len(bars), stored, taken_back, is_done)


def _taken_up(watch: Watch, mark: Mark) -> tuple[Analyzer, Mark]:
    """A machine in a stored state; one of another version, or of other parameters, means to begin anew."""
    analyzer = watch.build()
    if mark.state is None:
        return analyzer, Mark(BEGINNING, None)
    try:
        if mark.state["parameters"] != dict(watch.parameters):
            return watch.build(), Mark(BEGINNING, None)
        analyzer.load(mark.state["analyzer"])
    except (KeyError, TypeError, ValueError):
        return watch.build(), Mark(BEGINNING, None)
    return analyzer, mark


def fold_bars(
    analyzer: Analyzer,
    start: Mark,
    bars: Sequence[Bar],
    *,
    timeframe: Timeframe,
    calendar: TradingCalendar,
    parameters: Mapping[str, Any],
) -> Folded:
    """Step through bars from a state on. Pure but for the machine, which is the caller's."""
    count: int = start.state["count"] if start.state else 0
    folded = Folded(start)
    trend = analyzer.trend if start.state else None
    for bar in bars:
        count += 1
        found = analyzer.step(bar)
        if found or analyzer.trend != trend:
            known_at = bucket_of(bar.starts_at, timeframe, calendar).ends_at
            folded.rows += [_row(each, known_at, place) for place, each in enumerate(found)]
            if analyzer.trend != trend:
                trend = analyzer.trend
                folded.turns.append({"at": known_at, "trend": trend, "bar_at": bar.starts_at})
        if count % CHECKPOINT_BARS == 0:
            folded.checkpoints.append(_mark(bar.starts_at, analyzer, count, parameters))
    if bars:
        folded.mark = _mark(bars[-1].starts_at, analyzer, count, parameters)
    return folded


def plan_changes(standing: Sequence[Any], rows: Sequence[dict[str, Any]]) -> tuple[list[int], list[dict[str, Any]]]:
    """(ids of standing signals to take back, rows to store) so that what these bars confirm is stored. Pure.

    Of two confirmations of one start the first counts. A signal that has changed is taken back and stored anew.
    """
    wanted: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        wanted.setdefault((row["at"], row["signal_type"]), row)
    gone = []
    for held in standing:
        same = wanted.get((held.at, held.signal_type))
        if same and all(same[name] == getattr(held, name) for name in COMPARED):
            del wanted[held.at, held.signal_type]
        else:
            gone.append(held.signal_id)
    return gone, list(wanted.values())


def _row(found: Found, known_at: datetime, place: int) -> dict[str, Any]:
    return {
        "signal_type": found.signal_type,
        "trend": found.trend,
        "at": found.at,
        "trigger_at": found.trigger_at,
        "known_at": known_at,
        "price": found.price,
        "rule": found.rule,
        "position": place,
    }


def _mark(at: datetime, analyzer: Analyzer, count: int, parameters: Mapping[str, Any]) -> Mark:
    return Mark(at, {"count": count, "parameters": dict(parameters), "analyzer": analyzer.dump()})
