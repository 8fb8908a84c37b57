"""What other targets and break-even triggers would have given, by the path of the bars or as far as MFE can tell. Pure.

A reach is the number of EDGES at or below an excursion: a trade went to `EDGES[k]` exactly if its reach is above k. MFE is
known up to the original stop (No-BE) and up to the return to the entry after +1R (BE), so some questions about triggers stay
open: those give a worst and a best result. Where one-minute bars tell the path, they narrow both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, pairwise

EDGES = tuple(Decimal(text) for text in ("0.5", "1", "1.5", "2", "2.5", "3", *map(str, range(4, 21))))
TARGETS = tuple(range(1, 21))
TRIGGERS = EDGES[:6]
_PLACES = {edge: place for place, edge in enumerate(EDGES)}
_ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Reach:
    """Trades that went as far and ended alike; None is unknown."""

    no_be: int | None
    be: int | None
    be_result: float | None
    no_be_result: float | None
    trades: int
    has_path: bool = False


@dataclass(frozen=True, slots=True)
class Followed:
    """Trades alike whose path the bars tell: how far they surely (`worst`) and possibly (`best`) went from the trigger at
    `place` on before they came back to the entry, as reaches; None: the trigger was never touched."""

    place: int
    worst: int | None
    best: int | None
    reach: Reach


def went_to(reach: int | None, edge: Decimal | int) -> bool:
    """Whether a reach includes an edge."""
    return reach is not None and reach > _PLACES[Decimal(edge)]


def with_target(reaches: Iterable[Reach], target: int, leg: str) -> Counter[float]:
    """Result -> trades, had the leg (`be` or `no_be`) been closed at `target` R; undecided trades are left out."""
    found: Counter[float] = Counter()
    for each in reaches:
        reach, result = (each.be, each.be_result) if leg == "be" else (each.no_be, each.no_be_result)
        if went_to(reach, target):
            found[float(target)] += each.trades
        elif reach is not None and result is not None:
            found[result] += each.trades
    return found


def with_trigger(
    reaches: Iterable[Reach], trigger: Decimal, target: int, paths: Iterable[Followed] = ()
) -> tuple[Counter[float], Counter[float], int]:
    """(worst results, best results, trades that stay open), had the stop gone to the entry at `trigger` R."""
    worst: Counter[float] = Counter()
    best: Counter[float] = Counter()
    undecided = 0
    by_mfe = ((each, _bounds(each, trigger, target)) for each in reaches if not each.has_path and _is_known(each))
    by_path = ((each.reach, _path_bounds(each, trigger, target)) for each in paths if TRIGGERS[each.place] == trigger)
    for each, (low, high) in chain(by_mfe, by_path):
        worst[low] += each.trades
        best[high] += each.trades
        undecided += each.trades if low != high else 0
    return worst, best, undecided


def _is_known(each: Reach) -> bool:
    return each.no_be is not None and each.no_be_result is not None


def _path_bounds(each: Followed, trigger: Decimal, target: int) -> tuple[float, float]:
    """As `_bounds`, by the path; what MFE knows narrows it where the two agree, and gives way where they do not."""
    result = each.reach.no_be_result or 0.0
    told = _bounds(each.reach, trigger, target) if _is_known(each.reach) else (min(result, 0.0), float(target))
    if result > 0 or trigger >= target:  # the order does not matter
        return told
    ends = [
        result if far is None else float(target) if went_to(far, target) else 0.0 for far in (each.worst, each.best)
    ]
    low, high = max(min(ends), told[0]), min(max(ends), told[1])
    return (low, high) if low <= high else (min(ends), max(ends))


def _bounds(each: Reach, trigger: Decimal, target: int) -> tuple[float, float]:
    """The least and the most that a trade can have given. Its No-BE leg and its result are known."""
    result, goal = each.no_be_result or 0.0, float(target)
    is_hit, is_moved = went_to(each.no_be, target), went_to(each.no_be, trigger)
    if is_hit and trigger >= target:
        return goal, goal
    if not is_moved:
        return result, result
    if not is_hit:  # the stop stood at the entry; a trade that was stopped came by there
        return (0.0, 0.0) if result <= 0 else (0.0, result)
    if each.be is None:
        return 0.0, goal
    if went_to(each.be, target):  # it went there without coming back after +1R; before +1R it may have
        return (goal, goal) if trigger >= _ONE else (0.0, goal)
    came_back_later = trigger <= _ONE or went_to(each.be, trigger)
    return (0.0, 0.0) if came_back_later else (0.0, goal)


def reaches_of(rows: Iterable[list[float | None]]) -> Iterator[Reach]:
    """Rows of the database as reaches."""
    for no_be, be, be_result, no_be_result, trades, has_path in rows:
        yield Reach(_whole(no_be), _whole(be), be_result, no_be_result, int(trades or 0), bool(has_path))


def paths_of(rows: Iterable[list[float | None]]) -> Iterator[Followed]:
    """Rows of the database as followed trades."""
    for place, worst, best, no_be, be, no_be_result, trades in rows:
        reach = Reach(_whole(no_be), _whole(be), None, no_be_result, int(trades or 0), has_path=True)
        yield Followed(int(place or 0), _whole(worst), _whole(best), reach)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def histogram(reaches: Iterable[Reach], leg: str) -> list[tuple[str, int]]:
    """(label, trades) of each bucket of the MFE of a leg, from below 0.5R to 20R and more."""
    found = Counter[int]()
    for each in reaches:
        reach = each.be if leg == "be" else each.no_be
        if reach is not None:
            found[reach] += each.trades
    return [(label, found[place]) for place, label in enumerate(_labels())]


def _labels() -> list[str]:
    edges = [f"{edge.normalize():f}" for edge in EDGES]
    return [
        f"<{edges[0]}",
        *(f"{low}\N{EN DASH}{high}" for low, high in pairwise(edges)),
        f"≥{edges[-1]}",
    ]


@dataclass(frozen=True, slots=True)
class Scratches:
    """Trades whose BE leg ended at 0R: how many, and how many of them went on to 1R, 2R ... without it."""

    trades: int
    went_on: tuple[tuple[int, int], ...]


def scratches(reaches: Iterable[Reach]) -> Scratches:
    """The break-even scratch cluster: what the moved stop gave away."""
    cluster = [each for each in reaches if each.be_result == 0]
    went_on = [
        (target, sum(each.trades for each in cluster if went_to(each.no_be, target))) for target in (1, 2, 3, 5, 10, 20)
    ]
    return Scratches(sum(each.trades for each in cluster), tuple(went_on))
