"""The analytics report: figures of both legs, groups, targets, triggers, histories and what all of it rests on. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

from core.sessions import SESSIONS
from web.dashboards.analytics import whatif
from web.dashboards.analytics.curve import Curve, curve
from web.dashboards.analytics.intervals import Draws, Figure, figure, share
from web.dashboards.analytics.whatif import Followed, Reach, Scratches
from web.dashboards.presenting import SIDES
from web.format import MINUS, percent

LEGS = {"be": "BE", "no_be": "No-BE"}
DEPTHS = tuple(Decimal(number) / 10 for number in range(1, 11))
USUAL_TARGET = 3
MOST_SETUPS = 20
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_DIMENSIONS = {
    "session": "Session",
    "hour": "Hour of the signal, New York",
    "weekday": "Weekday",
    "direction": "Direction",
    "setup": "Setup",
    "htf": "Higher timeframes",
}
_ORDER = (*SESSIONS, "long", "short", "with the signal", "against the signal", "balanced", "not computed")


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg under the chosen exit rule. `results` and `mfe` are (label, trades)."""

    name: str
    expectancy: Figure
    wins: Figure
    history: Curve
    results: list[tuple[str, int]]
    mfe: list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Group:
    """The trades that have something in common: the expectancy of either leg."""

    name: str
    be: Figure
    no_be: Figure


@dataclass(frozen=True, slots=True)
class Target:
    """Every trade out at `at` R: the expectancy of either leg."""

    at: int
    be: Figure
    no_be: Figure


@dataclass(frozen=True, slots=True)
class Trigger:
    """A break-even trigger at `at` R: the least and the most it can have given, how many trades leave it open, and how many
    were followed bar by bar."""

    at: Decimal
    worst: Figure
    best: Figure
    undecided: int
    followed: int


@dataclass(frozen=True, slots=True)
class Report:
    """All of it. `falls` are (label, trades that went +1R, trades that did not) of the MAE; `scratch_shares` what part of the
    scratches went on to each R."""

    computed_at: datetime
    target: int
    trigger_target: int
    trades: int
    legs: dict[str, Leg]
    groups: list[tuple[str, str, list[Group]]]
    targets: list[Target]
    triggers: list[Trigger]
    scratches: Scratches
    scratch_shares: list[Figure]
    falls: list[tuple[str, int, int]]
    coverage: list[tuple[str, int, str]]


def report(row: Any, target: int, now: datetime, draws: Draws) -> Report:
    """The report over one row of `database.analytics.sum_trades`."""
    reaches, paths = list(whatif.reaches_of(row.reaches)), list(whatif.paths_of(row.paths))
    grouped = _grouped(row.groups)
    trigger_target = target or USUAL_TARGET
    results = {leg: grouped.get(("all", ""), {}).get(leg, Counter()) for leg in LEGS}
    histories = {"be": row.be, "no_be": row.no_be}
    scratches = whatif.scratches(reaches)
    return Report(
        computed_at=now,
        target=target,
        trigger_target=trigger_target,
        trades=row.trades,
        legs={
            leg: Leg(
                name=name,
                expectancy=figure(results[leg], draws),
                wins=share(results[leg], draws),
                history=curve(row.times or [], histories[leg] or []),
                results=_distribution(results[leg]),
                mfe=whatif.histogram(reaches, leg),
            )
            for leg, name in LEGS.items()
        },
        groups=_groups(grouped, draws),
        targets=[_target(reaches, number, draws) for number in whatif.TARGETS],
        triggers=[_trigger(reaches, paths, at, trigger_target, draws) for at in whatif.TRIGGERS],
        scratches=scratches,
        scratch_shares=[_share_of(scratches.trades, trades, draws) for _, trades in scratches.went_on],
        falls=_falls(row.falls),
        coverage=_coverage(row),
    )


def _distribution(values: Counter[float]) -> list[tuple[str, int]]:
    """(label, trades) of each result in half R, lowest first."""
    found = Counter[float]()
    for value, count in values.items():
        found[round(value * 2) / 2] += count
    return [(f"{value:+g}R".replace("-", MINUS) if value else "0R", found[value]) for value in sorted(found)]


def _share_of(trades: int, of_them: int, draws: Draws) -> Figure:
    return share({1.0: of_them, 0.0: trades - of_them}, draws)


def _target(reaches: list[Reach], at: int, draws: Draws) -> Target:
    be, no_be = (figure(whatif.with_target(reaches, at, leg), draws) for leg in LEGS)
    return Target(at, be, no_be)


def _trigger(reaches: list[Reach], paths: list[Followed], at: Decimal, target: int, draws: Draws) -> Trigger:
    worst, best, undecided = whatif.with_trigger(reaches, at, target, paths)
    followed = sum(each.reach.trades for each in paths if whatif.TRIGGERS[each.place] == at)
    return Trigger(at, figure(worst, draws), figure(best, draws), undecided, followed)


def _grouped(rows: Iterable[Sequence[Any]]) -> dict[tuple[str, str], dict[str, Counter[float]]]:
    """(dimension, name) -> leg -> result -> trades."""
    found: dict[tuple[str, str], dict[str, Counter[float]]] = {}
    for dimension, name, be, no_be, trades in rows:
        legs = found.setdefault((dimension, "" if name is None else name), {leg: Counter() for leg in LEGS})
        for leg, result in (("be", be), ("no_be", no_be)):
            if result is not None:
                legs[leg][result] += trades
    return found


def _groups(
    grouped: dict[tuple[str, str], dict[str, Counter[float]]], draws: Draws
) -> list[tuple[str, str, list[Group]]]:
    """(dimension, its title, its groups) in an order that a reader expects."""
    found = []
    for dimension, title in _DIMENSIONS.items():
        keys = sorted((key for key in grouped if key[0] == dimension), key=lambda key: _place(grouped[key], *key))
        chosen = keys[:MOST_SETUPS] if dimension == "setup" else keys
        groups = [
            Group(_name(*key), *(figure(grouped[key][leg], draws) for leg in LEGS)) for key in chosen
        ]  # fmt: skip
        found.append((dimension, title, groups))
    return found


def _place(legs: dict[str, Counter[float]], dimension: str, name: str) -> tuple[int, str]:
    if dimension == "setup":
        return -legs["no_be"].total(), name
    if name in _ORDER:
        return _ORDER.index(name), name
    return int(name) if name.isdecimal() else len(_ORDER), name


def _name(dimension: str, name: str) -> str:
    if not name:
        return "unknown"
    if dimension == "hour":
        return f"{int(name):02d}:00"
    return _DAYS[int(name) - 1] if dimension == "weekday" else SIDES.get(name, name)


def _falls(rows: Iterable[Sequence[Any]]) -> list[tuple[str, int, int]]:
    found = {True: Counter[int](), False: Counter[int]()}
    for depth, went_far, trades in rows:
        found[bool(went_far)][depth] += trades
    edges = [Decimal(0), *DEPTHS]
    labels = [f"{low}\N{EN DASH}{high}" for low, high in pairwise(edges)] + [f"≥{edges[-1]}"]
    return [(label, found[True][place], found[False][place]) for place, label in enumerate(labels)]


def _coverage(row: Any) -> list[tuple[str, int, str]]:
    """(what, trades, what it means): how much of the selection the figures can rest on."""
    return [
        ("No-BE result known", row.no_be_known, "counted in the No-BE figures"),
        ("BE result known", row.be_known, "counted in the BE figures"),
        ("No-BE MFE known", row.no_be_mfe_known, "counted in targets and triggers"),
        ("BE MFE known", row.be_mfe_known, "counted in the BE targets"),
        ("MAE known", row.mae_known, "counted in the MAE histogram"),
        ("Followed bar by bar", row.followed, "triggers are computed from one-minute bars"),
        ("Every fact came live", row.all_live, "no import and no repair was needed"),
        ("Repaired", row.repaired, _repaired(row)),
        ("Known from mid-life only", row.orphans, "neither signal nor entry was received"),
        ("EXIT_BE before +1R", row.doubtful_be, "BE result left out until bars decide"),
        ("With any flag", row.flagged, "see the flags of the signals"),
    ]


def _repaired(row: Any) -> str:
    """What repairs mean, and how far they are to be trusted: the least trusted fact of each trade, on the average."""
    meaning = "some fact was filled in from evidence"
    return (
        meaning if row.confidence is None else f"{meaning}; the weakest one {percent(row.confidence)} sure on average"
    )
