"""What a wave changes: the parameters of its exchanges, and which of its signals are selected. Pure.

The latest value of a parameter is the value in the newest wave whose leader holds it, whatever the order in which waves
arrive. The leader of an exchange is the first of its signals, in the order of their scores over the whole wave, that
holds parameters at all. So every outcome is a function of the signals that are known, and doing it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from core.wave_records import PARAM_FIELDS, Params

NEVER = Decimal("-Infinity")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSignal:
    """One signal of a wave, as much as the decisions need."""

    id: int
    signal_key: str
    exchange_id: int | None
    score_week: Decimal | None = None
    score_month: Decimal | None = None
    filter_params: Params | None = None
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What is known of an exchange around one wave: its latest values, and what waves before, at and after it hold."""

    latest: Params = field(default_factory=dict)
    older: Params = field(default_factory=dict)
    same: Params | None = None
    same_signal_id: int | None = None
    newer: Params = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a wave says of one exchange (`seen`) and what of the latest values it alters (None: no longer known)."""

    exchange_id: int
    wave_signal_id: int
    seen: Params
    applied: Mapping[str, Decimal | None]
    previous: Params
    relative: Mapping[str, Decimal]
    is_new: bool

    @property
    def max_relative(self) -> Decimal | None:
        """The largest relative change of any field; None when nothing had a value before."""
        return max(self.relative.values(), default=None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one signal. `rank` counts valid signals of an exchange from 1."""

    signal_id: int
    rank: int | None
    verdict: str
    reason: str


def ranked(signals: Iterable[StoredSignal]) -> list[StoredSignal]:
    """Best scores first; equal ones by their key, so that the order never depends on the arrival."""
    return sorted(signals, key=lambda one: (-_score(one.score_week), -_score(one.score_month), one.signal_key))


def find_leaders(signals: Iterable[StoredSignal]) -> dict[int, StoredSignal]:
    """Exchange -> the first of its signals, over the whole wave, that holds parameters."""
    leaders: dict[int, StoredSignal] = {}
    for signal in ranked(signals):
        if signal.exchange_id is not None and signal.filter_params:
            leaders.setdefault(signal.exchange_id, signal)
    return leaders


def plan_change(leader: StoredSignal, held: Held) -> Change:
    """What the leader's parameters change. Values of newer waves stand; a missing field keeps the previous value."""
    assert leader.exchange_id is not None
    assert leader.filter_params is not None
    seen = dict(leader.filter_params)
    before = {**held.older, **(held.same or {}), **held.newer}
    after = {**held.older, **seen, **held.newer}
    applied = {
        name: after.get(name)
        for name in PARAM_FIELDS
        if before.get(name) != after.get(name) and held.latest.get(name) != after.get(name)
    }
    previous = {name: held.latest[name] for name in applied if name in held.latest}
    relative = {
        name: abs(value - previous[name]) / abs(previous[name])
        for name, value in applied.items()
        if value is not None and previous.get(name)
    }
    return Change(
        exchange_id=leader.exchange_id,
        wave_signal_id=leader.id,
        seen=seen,
        applied=applied,
        previous=previous,
        relative=relative,
        is_new=held.same != seen or held.same_signal_id != leader.id,
    )


def plan_selection(signals: Sequence[StoredSignal], limits: Mapping[int, int], default: int) -> list[Verdict]:
    """Which valid signals would be taken: per exchange the best ones up to its limit of trades per wave."""
    taken: dict[int, int] = {}
    verdicts: list[Verdict] = []
    for signal in ranked(signals):
        if signal.faults or signal.exchange_id is None:
            verdicts.append(Verdict(signal.id, None, "skipped", "; ".join(signal.faults) or "exchange_id: missing"))
            continue
        limit = limits.get(signal.exchange_id, default)
        rank = taken[signal.exchange_id] = taken.get(signal.exchange_id, 0) + 1
        is_selected = rank <= limit
        place = f"rank {rank} of at most {limit} trades a wave"
        verdicts.append(Verdict(signal.id, rank, "selected" if is_selected else "skipped", place))
    return verdicts


def _score(value: Decimal | None) -> Decimal:
    return NEVER if value is None else value
