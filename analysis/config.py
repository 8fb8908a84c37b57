"""What is analysed and coordinated: the section `analysis` of config/settings.yaml as records. Pure.

Every fault is a MisconfiguredError that names its place, such as `analysis.rules.confluence.window_minutes`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from analysis.analyzer import Analyzer
from analysis.registry import KINDS
from core.errors import InvalidInputError, MisconfiguredError
from core.instruments import root_of
from core.records import Timeframe

MODES = ("agrees", "not_against")
DEFAULT_ANALYZERS: Mapping[str, Any] = {"trend": {}}
DEFAULT_RULES: Mapping[str, Any] = {"confluence": {"primary": "1h", "confirming": ["15m"]}}
LONGEST_WINDOW = 30 * 24 * 60


@dataclass(frozen=True, slots=True)
class Watch:
    """One analyzer at work: its name, its kind with parameters, and where it looks (empty: everywhere)."""

    analyzer_id: str
    kind: str
    parameters: Mapping[str, Any]
    contracts: tuple[str, ...] = ()
    timeframes: tuple[Timeframe, ...] = ()

    def build(self) -> Analyzer:
        """A new machine."""
        return KINDS[self.kind](self.parameters)

    def looks_at(self, contract_id: str, timeframe: Timeframe) -> bool:
        """Whether a series is analysed."""
        return is_named(contract_id, self.contracts) and (not self.timeframes or timeframe in self.timeframes)


@dataclass(frozen=True, slots=True)
class Filter:
    """A timeframe whose trend a decision must agree with, or must not be against."""

    name: str
    timeframe: str
    mode: str


@dataclass(frozen=True, slots=True)
class Rule:
    """When signals of several timeframes make one: the scores of those within the window reach the minimum."""

    name: str
    analyzer_id: str
    primary: str
    weights: Mapping[str, float]
    contracts: tuple[str, ...]
    signal_types: tuple[str, ...]
    window: timedelta
    minimum_score: float
    filters: tuple[Filter, ...]

    @property
    def timeframes(self) -> set[str]:
        """Every timeframe that has a say."""
        return {self.primary, *self.weights, *(each.timeframe for each in self.filters)}


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole section."""

    watches: tuple[Watch, ...]
    rules: tuple[Rule, ...]


def is_named(contract_id: str, names: Sequence[str]) -> bool:
    """Whether a contract is one of these ids or roots; no names mean every contract."""
    return not names or contract_id in names or root_of(contract_id) in names


def parse_plan(section: Mapping[str, Any]) -> Plan:
    """Read the section; what it leaves out is as usual. Raises MisconfiguredError."""
    analyzers = _mapping("analysis.analyzers", section.get("analyzers", DEFAULT_ANALYZERS))
    watches = tuple(_watch(f"analysis.analyzers.{name}", str(name), given) for name, given in analyzers.items())
    rules = _mapping("analysis.rules", section.get("rules", DEFAULT_RULES))
    parsed = [_rule(f"analysis.rules.{name}", str(name), given, watches) for name, given in rules.items()]
    return Plan(watches, tuple(rule for rule in parsed if rule is not None))


def _watch(place: str, name: str, told: Any) -> Watch:
    given = _mapping(place, told, {"kind", "parameters", "contracts", "timeframes"})
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
        raise _wrong(place, "a name is made of small letters, digits and _")
    kind = given.get("kind", name)
    if kind not in KINDS:
        raise _wrong(f"{place}.kind", "must be one of " + ", ".join(sorted(KINDS)))
    parameters = _mapping(f"{place}.parameters", given.get("parameters", {}))
    try:
        KINDS[kind](parameters)
    except ValueError as error:
        raise _wrong(f"{place}.parameters", str(error)) from None
    frames = tuple(_timeframe(f"{place}.timeframes", each) for each in _list(place, given, "timeframes"))
    return Watch(name, kind, parameters, tuple(map(str, _list(place, given, "contracts"))), frames)


def _rule(place: str, name: str, told: Any, watches: Sequence[Watch]) -> Rule | None:
    """One rule; None for one that is switched off."""
    names = {
        "enabled", "analyzer", "contracts", "primary", "confirming", "signal_types", "window_minutes", "weights",
        "minimum_score", "strategic", "tactical",
    }  # fmt: skip
    given = _mapping(place, told, names)
    analyzer = given.get("analyzer", "trend")
    if analyzer not in {watch.analyzer_id for watch in watches}:
        raise _wrong(f"{place}.analyzer", f"no analyzer is called {analyzer}")
    primary = str(_timeframe(f"{place}.primary", given.get("primary")))
    confirming = [str(_timeframe(f"{place}.confirming", each)) for each in _list(place, given, "confirming")]
    if not confirming or primary in confirming:
        raise _wrong(f"{place}.confirming", "must name timeframes other than the primary one")
    weights = _weights(f"{place}.weights", given.get("weights", {}), [primary, *confirming])
    filters = [_filter(f"{place}.{kind}", kind, given[kind]) for kind in ("strategic", "tactical") if given.get(kind)]
    minutes = _number(f"{place}.window_minutes", given.get("window_minutes", 60), LONGEST_WINDOW)
    rule = Rule(
        name, analyzer, primary, weights, tuple(map(str, _list(place, given, "contracts"))),
        tuple(map(str, _list(place, given, "signal_types"))), timedelta(minutes=minutes),
        _number(f"{place}.minimum_score", given.get("minimum_score", sum(weights.values())), sum(weights.values())),
        tuple(filters),
    )  # fmt: skip
    return rule if given.get("enabled", True) else None


def _weights(place: str, told: Any, names: Sequence[str]) -> dict[str, float]:
    given = _mapping(place, told, set(names))
    return {name: _number(f"{place}.{name}", given.get(name, 1), 1_000) for name in names}


def _filter(place: str, name: str, told: Any) -> Filter:
    given = _mapping(place, told, {"timeframe", "mode"})
    mode = given.get("mode", "not_against")
    if mode not in MODES:
        raise _wrong(f"{place}.mode", "must be one of " + ", ".join(MODES))
    return Filter(name, str(_timeframe(f"{place}.timeframe", given.get("timeframe"))), mode)


def _mapping(place: str, told: Any, names: set[str] | None = None) -> Mapping[str, Any]:
    given = {} if told is None else told
    if not isinstance(given, Mapping):
        raise _wrong(place, "must hold named values")
    for name in given:
        if names is not None and name not in names:
            raise _wrong(f"{place}.{name}", "unknown")
    return given


def _list(place: str, given: Mapping[str, Any], name: str) -> list[Any]:
    found = given.get(name) or []
    if not isinstance(found, list):
        raise _wrong(f"{place}.{name}", "must be a list")
    return found


def _timeframe(place: str, told: Any) -> Timeframe:
    try:
        return Timeframe.parse(str(told))
    except InvalidInputError as error:
        raise _wrong(place, error.message) from None


def _number(place: str, told: Any, most: float) -> float:
    if isinstance(told, bool) or not isinstance(told, int | float) or not 0 < told <= most:
        raise _wrong(place, f"must be a number above 0, at most {most:g}")
    return told


def _wrong(place: str, why: str) -> MisconfiguredError:
    return MisconfiguredError(f"{place}: {why}", field=place)
