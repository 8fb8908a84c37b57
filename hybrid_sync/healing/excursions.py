"""A trade followed through one-minute bars: its excursions, BE trigger and exits, where no alert told them. Pure.

Minutes are whole minutes since 1970, prices points, excursions in R (MFE >= 0, MAE <= 0). What an alert said of a minute is
the truth for it and corrects the course; between alerts the bars carry it on. After a minute of which neither an alert nor
a bar is known the running extremes would only be bounds, so nothing is healed until the next alert.

Where one bar touches two levels the order inside it is unknown: finer bars decide if there are any; else only what is
certain either way is concluded, and the minute is reported as ambiguous with its worst and its best reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

_SLACK: Final = 1e-9  # of the price: prices are multiples of a tick, so this only absorbs binary fractions


class Range(NamedTuple):
    """What a bar says here: its extremes in points."""

    high: float
    low: float


class Reached(NamedTuple):
    """Running extremes at the end of a minute, in R; None is unknown."""

    be_mfe_r: float | None
    no_be_mfe_r: float | None
    mae_r: float | None


AT_ENTRY: Final = Reached(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A trade as far as alerts tell it: `sign` +1 long, −1 short; minutes of known events, None where unknown."""

    sign: int
    entry: float
    stop: float
    entered_at: int
    be_at: int | None = None
    exit_be_at: int | None = None
    exit_at: int | None = None
    is_stopped: bool = False  # whether the exit known is that of the stop
    last_sent_at: int | None = None  # of its newest alert that was sent

    @property
    def risk(self) -> float:
        """1R in points."""
        return abs(self.entry - self.stop)


@dataclass(frozen=True, slots=True)
class Ambiguity:
    """A minute whose bar touches two levels: what is undecided, and its worst and best reading."""

    minute: int
    question: str
    worst: float
    best: float


@dataclass(slots=True)
class Walk:
    """What the bars say. `healed` maps a minute to its excursions; the three times are of events no alert told, those in
    `proven` following from excursions that were sent.

    `complete_until`: every expected minute before it is known or healed; `missing` counts the others.
    `is_contradicted`: the bars stop a trade that alerts follow on; they are of another market, nothing of them counts.
    """

    healed: dict[int, Reached] = field(default_factory=dict)
    be_trigger_at: int | None = None
    exit_be_at: int | None = None
    exit_sl_at: int | None = None
    proven: set[str] = field(default_factory=set)
    ambiguous: list[Ambiguity] = field(default_factory=list)
    complete_until: int = 0
    missing: int = 0
    is_contradicted: bool = False


def walk(
    trade: Followed,
    minutes: Iterable[int],
    bars: Mapping[int, Range],
    known: Mapping[int, Reached],
    *,
    is_quiet: Callable[[int], bool] = lambda _minute: False,
    finer: Mapping[int, Sequence[Range]] | None = None,
    start: Reached = AT_ENTRY,
    first: int | None = None,
) -> Walk:
    """Follow a trade through its open-market minutes from `first` on, by default the minute after ENTRY.

    `known` holds what was sent or healed before, `is_quiet` says of a minute without a bar that nothing was traded.
    """
    first = trade.entered_at + 1 if first is None else first
    course = _Course(trade, start, first)
    for minute in minutes:
        if trade.exit_at is not None and minute >= trade.exit_at:
            break
        bar, told = bars.get(minute), known.get(minute)
        if bar is not None and (course.is_reliable or told is not None):
            for part in (finer or {}).get(minute) or (bar,):
                if not course.is_over:
                    course.step(minute, part, told)
        elif told is None and not (course.is_reliable and is_quiet(minute)):
            course.is_reliable = False
        if not course.is_over:
            course.settle(minute, told)
        if course.is_over:
            break
    course.end(bars)
    return course.found


class _Course:
    """The running state of one walk."""

    def __init__(self, trade: Followed, start: Reached, first: int) -> None:
        self.trade = trade
        self.no_be = start.no_be_mfe_r or 0.0
        self.be = self.no_be if start.be_mfe_r is None else start.be_mfe_r
        self.mae = start.mae_r or 0.0
        self.be_at, self.exit_be_at = trade.be_at, trade.exit_be_at
        self.is_reliable = True
        self.is_frozen = self.be < self.no_be
        self.is_over = False
        self.is_complete = True
        self.found = Walk(complete_until=first)
        self._protected_from = trade.be_at  # the first minute that ended with the BE leg's stop at the entry
        self._slack = trade.entry * _SLACK
        self._risk = trade.risk
        self._one_r = 2 * trade.entry - trade.stop

    def step(self, minute: int, bar: Range, told: Reached | None) -> None:
        """Take in a bar, or a part of one, in time order."""
        trade, sign, slack = self.trade, self.trade.sign, self._slack
        best, worst = bar if sign > 0 else (bar.low, bar.high)
        has_one_r = (best - self._one_r) * sign >= -slack
        if (worst - trade.stop) * sign <= slack:
            self._stopped(minute, self._r(best), has_one_r=has_one_r)
            return
        touches_entry = (worst - trade.entry) * sign <= slack
        if self._protected_from is not None and self.exit_be_at is None and touches_entry and not self._is_news(minute):
            self.exit_be_at = self.found.exit_be_at = minute
        if told is not None:
            return
        self.mae = min(self.mae, self._r(worst))
        self.no_be = max(self.no_be, self._r(best))
        if not self.is_frozen and (self.exit_be_at is None or minute < self.exit_be_at):
            self.be = max(self.be, self.no_be)
        if has_one_r and self._may_trigger(minute):
            self._triggered(minute, touches_entry=touches_entry)

    def settle(self, minute: int, told: Reached | None) -> None:
        """The end of a minute: what was told is the truth, else what the bars made of it is healed."""
        if told is not None:
            self._correct(minute, told)
        elif self.is_reliable:
            self.found.healed[minute] = Reached(self.be, self.no_be, self.mae)
        else:
            self.found.missing += 1
            self.is_complete = False
        if self.is_complete:
            self.found.complete_until = minute + 1

    def end(self, bars: Mapping[int, Range]) -> None:
        """No more minutes: what follows from the exit that is known, and nothing that was known before."""
        trade, found = self.trade, self.found
        if trade.is_stopped and trade.exit_at in bars and self._protected_from is not None and self.exit_be_at is None:
            found.exit_be_at = trade.exit_at  # on its way to the stop the price came by the entry
        if trade.be_at is None:
            found.be_trigger_at = self.be_at

    def _correct(self, minute: int, told: Reached) -> None:
        self.no_be = self.no_be if told.no_be_mfe_r is None else told.no_be_mfe_r
        self.be = min(self.be, self.no_be) if told.be_mfe_r is None else told.be_mfe_r
        self.mae = self.mae if told.mae_r is None else told.mae_r
        self.is_reliable = True
        self.is_frozen = self.is_frozen or self.be < self.no_be  # the sender has ended the BE leg
        if self.no_be >= 1 and self._may_trigger(minute):
            self.be_at = self._protected_from = minute
            self.found.proven.add("be_trigger")
        is_last = self.trade.last_sent_at is None or minute >= self.trade.last_sent_at
        if self.mae <= -1 and is_last and self.trade.exit_at is None:
            self.found.exit_sl_at = minute
            self.found.proven.add("exit_sl")
            self.is_over = True

    def _stopped(self, minute: int, best_r: float, *, has_one_r: bool) -> None:
        trade, found = self.trade, self.found
        self.is_over = True
        if trade.last_sent_at is not None and trade.last_sent_at > minute:
            self.found = Walk(is_contradicted=True)
            self.be_at = self._protected_from = trade.be_at
            return
        found.exit_sl_at = minute
        if self._protected_from is not None and self.exit_be_at is None:
            found.exit_be_at = minute  # on its way to the stop the price came by the entry
        elif self.be_at is None and has_one_r:
            found.ambiguous.append(Ambiguity(minute, "be_result_r", -1.0, 0.0))
        if best_r > self.no_be:
            found.ambiguous.append(Ambiguity(minute, "no_be_mfe_r", round(self.no_be, 4), round(best_r, 4)))
        if self.is_complete:
            found.complete_until = minute

    def _triggered(self, minute: int, *, touches_entry: bool) -> None:
        self.be_at = self._protected_from = minute
        if touches_entry:  # before +1R, or after it?
            self.found.ambiguous.append(Ambiguity(minute, "exit_be", 0.0, 1.0))

    def _may_trigger(self, minute: int) -> bool:
        return self.be_at is None and (self.exit_be_at is None or minute < self.exit_be_at)

    def _is_news(self, minute: int) -> bool:
        """Whether the trigger was told of this very minute: where in the minute it happened is not known."""
        return self.trade.be_at is not None and self.trade.be_at >= minute

    def _r(self, price: float) -> float:
        return max(-1.0, (price - self.trade.entry) * self.trade.sign / self._risk)
