"""Gathers what own bars say about trades: their minutes, the bars of the right contract, finer bars where one is not enough.

Reads only. A contract counts as evidence for a trade only where the prices its alerts told lie inside that contract's bars.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

from core.lifecycle import BAR
from core.records import instant_of, minute_of, open_minutes
from core.trading_calendar import TradingCalendar
from database import repairs as store
from database.engine import Cursor
from database.states import Key
from hybrid_sync.healing.contracts import Candidate, agrees, candidates, counts_at, tick_of
from hybrid_sync.healing.excursions import (
    AT_ENTRY,
    Followed,
    Range,
    Reached,
    Walk,
    walk,
)
from hybrid_sync.healing.repairs import TRADING

FOLLOWED_FOR: Final = timedelta(days=14)
"""Trades that were entered earlier are not followed by themselves; a person can have it done."""
SENT_RANK: Final = 2


@dataclass(frozen=True, slots=True)
class Minute:
    """What is known of one minute of a trade, and by which source rank."""

    reached: Reached
    rank: int
    price: float | None


@dataclass(frozen=True, slots=True)
class Case:
    """A trade to be followed: its state, minutes known, and the minutes to look at, [first, until)."""

    state: Any
    trade: Followed
    known: Mapping[int, Minute]
    first: int
    until: int

    @property
    def key(self) -> Key:
        return self.state.stream, self.state.trade_id

    def reached(self) -> dict[int, Reached]:
        """The excursions that are known, by minute."""
        return {minute: told.reached for minute, told in self.known.items()}

    def start(self) -> Reached:
        """Where the trade stood before its first minute."""
        anchor = self.known.get(self.first - 1)
        return anchor.reached if anchor else AT_ENTRY

    def prices(self) -> list[tuple[int, float]]:
        """Prices that alerts told of minutes, to prove whose bars count."""
        told = [
            (minute, one.price) for minute, one in self.known.items() if one.price is not None and one.rank <= SENT_RANK
        ]
        return told if self.is_continued else [(self.trade.entered_at, self.trade.entry), *told]

    @property
    def is_continued(self) -> bool:
        """True where an earlier look got as far as `first`."""
        return self.first > self.trade.entered_at + 1


@dataclass(slots=True)
class Series:
    """The bars of one contract in a span of time."""

    bars: dict[int, Range]
    quiet: list[tuple[int, int]] = field(default_factory=list)

    def is_quiet(self, minute: int) -> bool:
        """Whether it is known that nothing was traded in a minute without a bar."""
        place = bisect_right(self.quiet, (minute, 1 << 62)) - 1
        return place >= 0 and self.quiet[place][0] <= minute < self.quiet[place][1]


Mapped = Sequence[tuple[str, str, date]]


def follow(
    cur: Cursor, states: Iterable[Any], shelf: Shelf, *, due: datetime, since: datetime
) -> dict[Key, tuple[Walk, str | None]]:
    """Walk every trade of `states` that can be followed up to the minute `due`; (walk, contract) by signal.

    Trades entered before `since` are left out. Without bars a walk only says what is missing, and its contract is None.
    """
    wanted = [state for state in states if is_followable(state, since)]
    cases = gather_cases(cur, wanted, due)
    return {case.key: _follow(case, shelf) for case in cases}


def is_followable(state: Any, since: datetime) -> bool:
    """Whether the life of a signal can be retraced: entered, prices known, and not known to its end already."""
    if state.status not in TRADING or state.entry_time is None or "phantom" in state.flags or state.direction is None:
        return False
    if state.entry_price is None or state.stop_loss is None or state.entry_price == state.stop_loss:
        return False
    if (state.entry_price > state.stop_loss) != (state.direction == "long") or state.entry_time < since:
        return False
    is_whole = state.exit_at is not None and state.complete_until is not None and state.complete_until >= state.exit_at
    return not is_whole or needs_all(state) or bool(state.missing_minutes)


def needs_all(state: Any) -> bool:
    """Whether an event is missing that may lie anywhere in the life of a trade."""
    is_trigger_missing = state.be_triggered_at is None and state.be_exit_at is None and (state.no_be_mfe_r or 0) >= 1
    return is_trigger_missing or "exit_be_missing" in state.flags


def gather_cases(cur: Cursor, states: Sequence[Any], due: datetime, *, is_from_entry: bool = False) -> list[Case]:
    """Trades with their known minutes, from where they are complete on, or from their entry."""
    since = {(state.stream, state.trade_id): _first_instant(state, is_from_entry=is_from_entry) for state in states}
    known: defaultdict[Key, dict[int, Minute]] = defaultdict(dict)
    for stream, trade_id, minute, rank, be_mfe, no_be_mfe, mae, price in store.list_minutes(cur, since):
        minutes = known[stream, trade_id]
        if minute not in minutes or rank < minutes[minute].rank:
            minutes[minute] = Minute(Reached(be_mfe, no_be_mfe, mae), rank, price)
    return [
        _case(state, since[state.stream, state.trade_id], known[state.stream, state.trade_id], due) for state in states
    ]


def _first_instant(state: Any, *, is_from_entry: bool) -> datetime:
    first: datetime = state.entry_time + BAR
    if is_from_entry or state.complete_until is None or needs_all(state):
        return first
    complete_until: datetime = state.complete_until
    return max(first, complete_until)


def _case(state: Any, first: datetime, known: Mapping[int, Minute], due: datetime) -> Case:
    sent = [minute for minute, told in known.items() if told.rank <= SENT_RANK]
    trade = Followed(
        sign=1 if state.direction == "long" else -1,
        entry=float(state.entry_price),
        stop=float(state.stop_loss),
        entered_at=minute_of(state.entry_time),
        be_at=_minute(state.be_triggered_at),
        exit_be_at=_minute(state.be_exit_at),
        exit_at=_minute(state.exit_at),
        is_stopped=state.exit_kind == "EXIT_SL",
        last_sent_at=max(sent, default=None),
    )
    return Case(state, trade, known, minute_of(first), minute_of(due) + 1)


def _minute(instant: datetime | None) -> int | None:
    return None if instant is None else minute_of(instant)


class Shelf:
    """Bars by contract and span, read once a chunk."""

    def __init__(self, cur: Cursor, mapping: Mapped, calendar: TradingCalendar) -> None:
        self._cur = cur
        self._mapping = mapping
        self.calendar = calendar
        self._contracts: list[str] | None = None
        self._series: dict[str, tuple[int, int, Series]] = {}

    def find(self, case: Case) -> tuple[Series, str] | None:
        """The bars that are evidence for a trade; None where no contract's prices are those of its alerts."""
        symbol, start, end = case.state.symbol, case.first - 1, case.until
        for candidate in self._candidates(symbol):
            if not counts_at(candidate, case.state.entry_time, self.calendar):
                continue
            series = self._load(candidate.contract_id, start, end)
            verdict = agrees(case.prices(), series.bars, tick_of(symbol))
            # Without new prices to compare, what was proved at its entry still holds.
            if verdict or (verdict is None and case.is_continued and series.bars):
                return series, candidate.contract_id
        return None

    def contract_at(self, symbol: str | None, instant: datetime) -> str | None:
        """The contract that a symbol stood for, for evidence that is no price; None unless there is just one."""
        found = [one.contract_id for one in self._candidates(symbol) if counts_at(one, instant, self.calendar)]
        return found[0] if len(found) == 1 else None

    def finer(self, contract_id: str, minutes: Iterable[int]) -> dict[int, list[Range]]:
        """Bars of seconds of these minutes, in time order."""
        found: defaultdict[int, list[Range]] = defaultdict(list)
        for row in store.list_finer_ranges(self._cur, contract_id, map(instant_of, sorted(set(minutes)))):
            found[row.minute].append(Range(row.high, row.low))
        return dict(found)

    def _candidates(self, symbol: str | None) -> list[Candidate]:
        if self._contracts is None:
            self._contracts = store.list_minute_contracts(self._cur)
        return candidates(symbol, self._mapping, self._contracts)

    def _load(self, contract_id: str, start: int, end: int) -> Series:
        held = self._series.get(contract_id)
        if held is not None and held[0] <= start and held[1] >= end:
            return held[2]
        if held is not None:
            start, end = min(start, held[0]), max(end, held[1])
        span = (contract_id, instant_of(start), instant_of(end))
        bars = {minute: Range(high, low) for minute, high, low in store.list_ranges(self._cur, *span)}
        quiet = sorted(
            (minute_of(row.starts_at), minute_of(row.ends_at)) for row in store.list_quiet_spans(self._cur, *span)
        )
        self._series[contract_id] = (start, end, Series(bars, quiet))
        return self._series[contract_id][2]


def _follow(case: Case, shelf: Shelf) -> tuple[Walk, str | None]:
    evidence = shelf.find(case)
    if evidence is None:
        return walk_case(case, Series({}), shelf.calendar), None
    series, contract = evidence
    found = walk_case(case, series, shelf.calendar)
    if found.ambiguous and (finer := shelf.finer(contract, [one.minute for one in found.ambiguous])):
        found = walk_case(case, series, shelf.calendar, finer=finer)
    if found.is_contradicted:  # bars of another market: only what was sent counts
        return walk_case(case, Series({}), shelf.calendar), None
    return found, contract


def walk_case(
    case: Case,
    series: Series,
    calendar: TradingCalendar,
    *,
    known: Mapping[int, Reached] | None = None,
    finer: Mapping[int, Sequence[Range]] | None = None,
) -> Walk:
    """One trade through its minutes; `known` instead of what is known of it, to hide a part."""
    is_quiet: Callable[[int], bool] = series.is_quiet
    return walk(
        case.trade,
        open_minutes(case.first, case.until, calendar),
        series.bars,
        case.reached() if known is None else known,
        is_quiet=is_quiet,
        finer=finer,
        start=case.start(),
        first=case.first,
    )
