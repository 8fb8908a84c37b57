"""The life of a signal, folded from its events. Pure: no I/O, no clock, no settings.

The stream repeats, reorders and loses events, so what we know is a value of a join semilattice, `Facts`, made of

* *claims*: the best candidate for each one-shot kind (`ENTRY`) and each attribute (`entry_price`): the least (order,
  received_at, content hash), the order being the source's standing, then the kind that should know best;
* *excursions*: running extremes in R. What the sender said, live or imported, is one group that keeps the extreme of
  all and the last slot; reconciled and inferred values keep their last slot and its values;
* *spans*: least and greatest value seen, to notice contradictions and know the first and last receipt; *warnings*.

The wire's stamps of events are often stale, so an event happened in the bar before its receipt, whatever it says; a
fact healed from other evidence keeps the time of that evidence.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, Literal, NamedTuple

from core.errors import InvalidInputError
from core.instruments import round_to_tick, tick_size
from core.lifecycle import BAR, SLOT_TOLERANCE, Kind, LifecycleEvent, Source, mfe_slot
from core.sessions import session_of
from core.timezones import parse_wall_time, to_new_york

FACTS_VERSION: Final = 1

# Weights of the order of a claim: source, then kind, a doubted value behind every other. Live and imported alerts are
# the same bytes: were one to outweigh the other, the state would depend on which of a trade's alerts came by which way.
_AS_SENT: Final = 100
_STANDING: Final = {Source.LIVE: _AS_SENT, Source.IMPORT: _AS_SENT, Source.RECONCILED: 300, Source.INFERRED: 400}
_DOUBT: Final = 1000
_SENT: Final = "sent"
_GROUP_OF: Final = {source: source.value for source in Source} | dict.fromkeys((Source.LIVE, Source.IMPORT), _SENT)
_GROUPS: Final = tuple(dict.fromkeys(_GROUP_OF.values()))
_SIGNAL_FIRST: Final = tuple(Kind)
_TRADE_FIRST: Final = (*_SIGNAL_FIRST[1:], Kind.SIGNAL_CREATED)
_NOT_TRADING: Final = frozenset({Kind.SIGNAL_CREATED, Kind.CANCELLED})
_FURTHER: Final = {"be_mfe_r": max, "no_be_mfe_r": max, "mae_r": min}
_ENDINGS: Final = (Kind.EXIT_SL, Kind.EXIT_TP)
_LATTICES: Final = ("claims", "excursions", "spans", "warnings")
_OF_SIGNAL: Final = ("direction", "symbol", "timeframe", "bias", "session_label", "signal_time", "market_state")
_OF_TRADE: Final = ("entry_price", "stop_loss", "risk_distance", "confirmation_time", "bars_to_confirmation")
_OF_PLAN: Final = ("targets", "setup")
_STATED: Final = _OF_SIGNAL + _OF_TRADE + _OF_PLAN
_stated_values: Callable[[LifecycleEvent], tuple[Any, ...]] = attrgetter(*_STATED)
_PREFERENCE: Final = {
    kind: [(_SIGNAL_FIRST if name in _OF_SIGNAL else _TRADE_FIRST).index(kind) for name in _STATED] for kind in Kind
}
_DETAILS: Final = ("event_time", "direction", "exit_price", "reason", "cancelled_by", "bars_pending")
_TIMES: Final = frozenset({"at", "signal_time", "confirmation_time", "event_time"})
_DECIMALS: Final = frozenset({"entry_price", "stop_loss", "risk_distance", "exit_price"})
_DOCUMENTS: Final = frozenset({"targets", "setup", "market_state", "htf_alignment"})
Cell = tuple[datetime, Decimal]  # the last minute (bar open) for which an excursion is known, and its extreme in R


class Claim(NamedTuple):
    """A candidate for one fact; the one whose first three fields are least is believed."""

    order: int
    received_at: datetime
    digest: str
    value: Any
    source: Source
    confidence: Decimal | None


@dataclass(slots=True)
class Facts:
    """What is known of one signal. Grows in place by `add`; `join` makes a new one."""

    claims: dict[str, Claim] = field(default_factory=dict)
    excursions: dict[str, dict[str, Cell]] = field(default_factory=dict)
    spans: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    warnings: set[str] = field(default_factory=set)
    _echo: tuple[datetime, int, tuple[Any, ...]] | None = field(default=None, compare=False, repr=False)

    def add(self, event: LifecycleEvent) -> None:
        """Take in one event; taking it in again, or in another order, makes no difference."""
        kind, base, stated = event.kind, _STANDING[event.source], _stated_values(event)
        is_update = kind is Kind.MFE_UPDATE
        echo = self._echo if is_update else None
        # The common case by far: an update says again what an earlier one said, and so has no claim to make.
        if echo is None or event.received_at <= echo[0] or echo[1] != base or echo[2] != stated:
            self._add_stated(base, stated, event)
        if event.htf_alignment or event.telemetry:
            self._add_htf(base, event)
        if base == _AS_SENT:  # a repair was never received: it is made
            self._see("received", (event.received_at, _SIGNAL_FIRST.index(kind)))
        if event.warnings:
            self.warnings.update(event.warnings)
        if is_update or kind not in _NOT_TRADING:
            self._add_excursions(event)
        if not is_update:
            self._claim(kind.value, base, _details(event), event)

    def _add_stated(self, base: int, stated: tuple[Any, ...], event: LifecycleEvent) -> None:
        for name, preference, value in zip(_STATED, _PREFERENCE[event.kind], stated, strict=True):
            if value is not None:
                self._claim(name, base + preference, value, event)
                if name == "direction" or (name in _OF_TRADE[:2] and event.kind not in _NOT_TRADING):
                    self._see(name, value)
        if event.kind is Kind.MFE_UPDATE:
            self._echo = (event.received_at, base, stated)

    def _claim(self, name: str, order: int, value: Any, event: LifecycleEvent) -> None:
        held = self.claims.get(name)
        if held is None or (held[0] >= order and held[:3] >= (order, event.received_at, event.content_hash)):
            told = _document(value) if name in _DOCUMENTS else value
            claim = Claim(order, event.received_at, event.content_hash, told, event.source, event.confidence)
            self.claims[name] = claim if held is None else _better(held, claim)

    def _add_htf(self, base: int, event: LifecycleEvent) -> None:
        """Alignment inside the telemetry body goes before the column, a computed one before a "not computed" one."""
        value = (event.telemetry or {}).get("htf_alignment") or event.htf_alignment
        if value and isinstance(value, dict):
            vague = value.get("all_bullish") is True and value.get("all_bearish") is True
            order = base + _SIGNAL_FIRST.index(event.kind) + (_DOUBT if vague else 0)
            self._claim("htf_alignment", order, value, event)

    def _add_excursions(self, event: LifecycleEvent) -> None:
        group, slot = _GROUP_OF[event.source], event.slot or _happened_at(event)
        cells = self.excursions.setdefault(group, {})
        _stretch(cells, group, "be_mfe_r", slot, event.be_mfe_r)
        _stretch(cells, group, "no_be_mfe_r", slot, event.no_be_mfe_r)
        _stretch(cells, group, "mae_r", slot, event.mae_r)
        if event.kind is not Kind.MFE_UPDATE:
            _stretch(cells, group, "be_mfe_r", slot, event.final_be_mfe_r)
            _stretch(cells, group, "no_be_mfe_r", slot, event.final_no_be_mfe_r)

    def _see(self, name: str, value: Any) -> None:
        low, high = self.spans.get(name) or (value, value)
        if value > high or value <= low:
            self.spans[name] = (value if value < low else low, value if value > high else high)


def fold(events: Iterable[LifecycleEvent]) -> Facts:
    """The facts of one signal's events, given in any order, any number of times."""
    facts = Facts()
    for event in events:
        facts.add(event)
    return facts


def join(one: Facts, other: Facts) -> Facts:
    """What both together know: `join(fold(a), fold(b)) == fold(a + b)`."""
    both = Facts(warnings=one.warnings | other.warnings)
    for facts in (one, other):
        for name, claim in facts.claims.items():
            both.claims[name] = _better(both.claims.get(name, claim), claim)
        for group, cells in facts.excursions.items():
            kept = both.excursions.setdefault(group, {})
            for measure, cell in cells.items():
                _stretch(kept, group, measure, *cell)
        for name, ends in facts.spans.items():
            for end in ends:
                both._see(name, end)
    return both


def _better(one: Claim, other: Claim) -> Claim:
    """The claim to believe; equal ranks are decided by their text, so that the choice never depends on the order."""
    if one[:3] == other[:3]:
        return min(one, other, key=lambda claim: (_canonical(claim.value), claim.source.rank, _canonical(claim[5])))
    return one if one[:3] < other[:3] else other


def _stretch(cells: dict[str, Cell], group: str, measure: str, slot: datetime, value: Decimal | None) -> None:
    if value is None:
        return
    held = cells.get(measure)
    if held is None or (group != _SENT and slot > held[0]):
        cells[measure] = (slot, value)
    elif group == _SENT or slot == held[0]:
        is_further = value < held[1] if measure == "mae_r" else value > held[1]  # faster than a call
        cells[measure] = (slot if slot > held[0] else held[0], value if is_further else held[1])


def _details(event: LifecycleEvent) -> dict[str, Any]:
    """What only the winning one-shot event says of itself, and the bar (open) in which it happened."""
    details = {name: value for name in _DETAILS if (value := getattr(event, name)) is not None}
    if event.kind is Kind.SIGNAL_CREATED and event.market_state:
        details["trend_regime"] = str(event.market_state.get("trend_regime"))
    return details | {"at": _happened_at(event)}


def _happened_at(event: LifecycleEvent) -> datetime:
    evidence = event.event_time if _GROUP_OF[event.source] != _SENT else None
    return evidence or mfe_slot(event.received_at)


def facts_to_json(facts: Facts) -> dict[str, Any]:
    """The facts as JSON-safe values, one form per value: shortest decimal text, ISO times in UTC, sorted warnings."""
    return {"version": FACTS_VERSION} | {name: _told(getattr(facts, name)) for name in _LATTICES}


def facts_from_json(document: dict[str, Any]) -> Facts:
    """The facts that `facts_to_json` wrote. ValueError for another version: those must be rebuilt from the events."""
    if document.get("version") != FACTS_VERSION:
        raise ValueError(f"facts of version {document.get('version')!r}: rebuild them from the events")
    return Facts(
        claims={name: _claim_from(name, parts) for name, parts in document["claims"].items()},
        excursions={
            group: {measure: (datetime.fromisoformat(at), Decimal(value)) for measure, (at, value) in cells.items()}
            for group, cells in document["excursions"].items()
        },
        spans={name: (_read(name, low), _read(name, high)) for name, (low, high) in document["spans"].items()},
        warnings=set(document["warnings"]),
    )


def _claim_from(name: str, parts: list[Any]) -> Claim:
    order, at, digest, value, source, trust = parts
    told = {key: _read(key, part) for key, part in value.items()} if name in Kind.__members__ else _read(name, value)
    return Claim(order, datetime.fromisoformat(at), digest, told, Source(source), trust and Decimal(trust))


def _read(name: str, value: Any) -> Any:
    if name in _TIMES:
        return datetime.fromisoformat(value)
    if name == "received":
        return datetime.fromisoformat(value[0]), value[1]
    return Decimal(value) if name in _DECIMALS else value


def _canonical(value: Any) -> str:
    return json.dumps(_told(value), sort_keys=True, separators=(",", ":"))


def _told(value: Any) -> Any:
    tell = _TELLING.get(type(value))
    return tell(value) if tell else value


_TELLING: Final[dict[type, Callable[[Any], Any]]] = {
    Decimal: lambda number: format((number + 0).normalize(), "f"),
    datetime: lambda at: (at if at.tzinfo is UTC else at.astimezone(UTC)).isoformat(),
    dict: lambda parts: {name: _told(part) for name, part in parts.items()},
    **dict.fromkeys((date, time), lambda value: value.isoformat()),
    **dict.fromkeys((tuple, list, Claim), lambda parts: [_told(part) for part in parts]),
    set: sorted,
}


def _document(value: Any) -> Any:
    """A JSON object of the wire as it comes back from the database."""
    if isinstance(value, dict):
        return {name: _document(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_document(part) for part in value]
    return float(value) if isinstance(value, Decimal) else value


_ID_TIME: Final = re.compile(r"(\d{8})_(\d{6})(?:\d{3})?_")
_SIDES: Final = {"bullish": "long", "bearish": "short"}

Status = Literal["COMPLETED", "BE_EXITED", "BE_PROTECTED", "ACTIVE", "CANCELLED", "PENDING"]
"""Where a signal stands; the first that holds, in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeState:
    """What we conclude of one signal: prices in points, `_r` in initial risks, instants aware UTC, None is unknown."""

    stream: str
    trade_id: str
    status: Status
    direction: str | None
    symbol: str | None
    timeframe: str | None
    bias: str | None
    session: str | None
    session_label: str | None
    signal_time: datetime | None
    signal_time_from: str | None
    signal_date: date | None
    signal_time_ny: time | None
    created_at: datetime | None
    entry_time: datetime | None
    confirmation_time: datetime | None
    confirmation_time_from: str | None
    bars_to_confirmation: int | None
    be_triggered_at: datetime | None
    be_exit_at: datetime | None
    exit_at: datetime | None
    exit_kind: str | None
    exit_price: Decimal | None
    cancelled_at: datetime | None
    cancel_reason: str | None
    cancelled_by: str | None
    bars_pending: int | None
    entry_price: Decimal | None
    stop_loss: Decimal | None
    risk_distance: Decimal | None
    targets: dict[str, Any] | None
    targets_extended: dict[str, Decimal] | None
    be_mfe_r: Decimal | None
    no_be_mfe_r: Decimal | None
    mae_r: Decimal | None
    last_mfe_slot: datetime | None
    be_result_r: Decimal | None
    no_be_result_r: Decimal | None
    setup: dict[str, Any] | None
    market_state: dict[str, Any] | None
    htf_alignment: dict[str, Any] | None
    htf_computed: bool
    flags: tuple[str, ...]
    first_received_at: datetime | None
    last_received_at: datetime | None
    last_kind: str | None
    sources: dict[str, str]  # of the facts that did not come live
    confidence: dict[str, Decimal]


_OUTSIDE_HASH: Final = {"first_received_at", "last_received_at", "last_kind", "sources", "confidence"}
_DOMAIN: Final = tuple(column.name for column in fields(TradeState) if column.name not in _OUTSIDE_HASH)
_PASSED_ON: Final = (*_OF_SIGNAL[:5], *_DOCUMENTS)


def derive(facts: Facts, stream: str, trade_id: str) -> TradeState:
    """The state that the facts of a signal amount to."""
    claims = facts.claims
    told: dict[str, Any] = {name: claim.value for name, claim in claims.items()}
    ending = min((kind for kind in _ENDINGS if kind in claims), key=lambda kind: claims[kind][:3], default=None)
    legs, sources = _legs(facts)
    view = legs | _prices(told) | _times(facts, trade_id)
    be_result_r, no_be_result_r, doubts = _results(told, view, ending)
    cancelled = told.get(Kind.CANCELLED, {})
    return TradeState(
        stream=stream,
        trade_id=trade_id,
        status=_status(facts),
        htf_computed="htf_alignment" in claims and claims["htf_alignment"].order < _DOUBT,
        exit_kind=ending.value if ending else None,
        exit_at=told[ending]["at"] if ending else None,
        exit_price=told[ending].get("exit_price") if ending else None,
        cancel_reason=cancelled.get("reason"),
        be_result_r=be_result_r,
        no_be_result_r=no_be_result_r,
        flags=tuple(sorted(facts.warnings | doubts | _doubts(facts, told, view))),
        sources={name: claim.source.value for name, claim in claims.items() if claim.source != Source.LIVE} | sources,
        confidence={name: claim.confidence for name, claim in claims.items() if claim.confidence is not None},
        **{name: cancelled.get(name) for name in ("cancelled_by", "bars_pending")},
        **{name: told.get(name) for name in _PASSED_ON},
        **view,
    )


def state_hash(states: Iterable[TradeState]) -> str:
    """SHA-256 hex over the domain columns, whatever the order of the states; receipts and sources do not count."""
    lines = sorted(_canonical([getattr(state, name) for name in _DOMAIN]) for state in states)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _status(facts: Facts) -> Status:
    if any(kind in facts.claims for kind in _ENDINGS):
        return "COMPLETED"
    if Kind.EXIT_BE in facts.claims:
        return "BE_EXITED"
    if Kind.BE_TRIGGERED in facts.claims:
        return "BE_PROTECTED"
    if facts.excursions:
        return "ACTIVE"
    return "CANCELLED" if Kind.CANCELLED in facts.claims else "PENDING"


def _legs(facts: Facts) -> tuple[dict[str, Any], dict[str, str]]:
    """The excursions, and the source of those that reach beyond the last word of every better one."""
    known: dict[str, Cell] = {}
    healed = {}
    for group in _GROUPS:
        for measure, (slot, value) in facts.excursions.get(group, {}).items():
            held = known.get(measure)
            if held is None or slot > held[0]:
                known[measure] = (slot, _FURTHER[measure](held[1], value) if held else value)
                healed[measure] = group
    legs: dict[str, Any] = {name: known[name][1] if name in known else None for name in _FURTHER}
    legs["last_mfe_slot"] = max((at for name, (at, _) in known.items() if name != "mae_r"), default=None)
    return legs, {measure: group for measure, group in healed.items() if group != _SENT}


def _prices(told: dict[str, Any]) -> dict[str, Any]:
    """Prices, risk and targets. |entry - stop| is what R means, so a stated risk counts only where one is unknown."""
    entry, stop = told.get("entry_price"), told.get("stop_loss")
    risk, targets = told.get("risk_distance"), None
    if entry is not None and stop is not None:
        risk = abs(entry - stop)
        side = {"long": 1, "short": -1}.get(told.get("direction", ""), 0)
        targets = dict(_targets(entry, stop, told.get("symbol"))) if risk and (entry - stop) * side >= 0 else None
    return {"entry_price": entry, "stop_loss": stop, "risk_distance": risk, "targets_extended": targets}


@lru_cache(maxsize=4096)
def _targets(entry: Decimal, stop: Decimal, symbol: str | None) -> tuple[tuple[str, Decimal], ...]:
    """Prices at 1R to 20R on the tick grid; the stop lies on the losing side, so its distance also gives the sign."""
    tick = tick_size(symbol) if symbol else None
    exact = ((f"{number}R", entry + number * (entry - stop)) for number in range(1, 21))
    return tuple((name, price if tick is None else round_to_tick(price, tick)) for name, price in exact)


def _results(told: dict[str, Any], view: dict[str, Any], ending: Kind | None) -> tuple[Any, Any, set[str]]:
    """The results of the BE and the No-BE leg in R (None while running or undecided), and what is odd about them."""
    be_mfe, no_be_mfe = view["be_mfe_r"], view["no_be_mfe_r"]
    triggered, result = Kind.BE_TRIGGERED in told, None
    if ending is Kind.EXIT_SL:
        result = Decimal(-1)
    elif ending and view["targets_extended"] and "exit_price" in told[ending]:
        moved = told[ending]["exit_price"] - view["entry_price"]
        result = (moved / (view["entry_price"] - view["stop_loss"])).quantize(Decimal("0.0001"))
    if Kind.EXIT_BE in told:
        reach = no_be_mfe if be_mfe is None else be_mfe
        if not triggered and reach is not None and reach < 1:
            return None, result, {"exit_be_without_1r"}
        return Decimal(0), result, set()
    if ending is Kind.EXIT_SL and (triggered or max(be_mfe or 0, no_be_mfe or 0) >= 1):
        return Decimal(0), result, {"exit_be_missing"}
    return result, result, set()


def _doubts(facts: Facts, told: dict[str, Any], view: dict[str, Any]) -> set[str]:
    """Flags for what is missing, contradictory or impossible."""
    created, entered, traded = Kind.SIGNAL_CREATED in told, Kind.ENTRY in told, bool(facts.excursions)
    entry, stop, be_mfe, no_be_mfe = (view[name] for name in ("entry_price", "stop_loss", "be_mfe_r", "no_be_mfe_r"))
    signal = told.get(Kind.SIGNAL_CREATED, {})
    regime, side = _SIDES.get(signal.get("trend_regime", "").lower()), signal.get("direction")
    found = {
        "orphan": not created and not entered,
        "phantom": not traded and None not in (regime, side) and regime != side,
        "entry_missing": traded and not entered,
        "signal_time_from_id": view["signal_time_from"] == "id",
        "direction_missing": "direction" not in told,
        "entry_price_missing": entered and entry is None,
        "stop_loss_missing": entered and stop is None,
        "entry_equals_stop": entry is not None and entry == stop,
        "stop_on_wrong_side": None not in (entry, stop) and entry != stop and not view["targets_extended"],
        "be_mfe_above_no_be_mfe": None not in (be_mfe, no_be_mfe) and be_mfe > no_be_mfe,
        "cancelled_but_entered": Kind.CANCELLED in told and traded,
        "two_exits": all(kind in told for kind in _ENDINGS),
    }
    conflicts = {f"{name}_conflict" for name, (low, high) in facts.spans.items() if low != high and name != "received"}
    return conflicts | {name for name, holds in found.items() if holds}


def _times(facts: Facts, trade_id: str) -> dict[str, Any]:
    claims = facts.claims
    at = {kind: claims[kind].value["at"] for kind in Kind if kind in claims}
    signal_time, signal_time_from = _signal_time(facts, trade_id)
    confirmed, confirmed_from = at.get(Kind.ENTRY), "derived" if Kind.ENTRY in at else None
    if stated := claims.get("confirmation_time"):
        confirmed, confirmed_from = stated.value, "sent" if _GROUP_OF[stated.source] == _SENT else "derived"
    bars = claims["bars_to_confirmation"].value if "bars_to_confirmation" in claims else None
    if bars is None and signal_time and confirmed and Kind.SIGNAL_CREATED in claims and confirmed >= signal_time:
        bars = (confirmed - signal_time) // BAR
    new_york = to_new_york(signal_time) if signal_time else None
    first, last = facts.spans.get("received", ((None, 0), (None, 0)))
    return {
        "signal_time": signal_time,
        "signal_time_from": signal_time_from,
        "signal_date": new_york and new_york.date(),
        "signal_time_ny": new_york and new_york.time(),
        "session": signal_time and session_of(signal_time),
        "confirmation_time": confirmed,
        "confirmation_time_from": confirmed_from,
        "bars_to_confirmation": bars,
        "created_at": at.get(Kind.SIGNAL_CREATED),
        "entry_time": at.get(Kind.ENTRY),
        "be_triggered_at": at.get(Kind.BE_TRIGGERED),
        "be_exit_at": at.get(Kind.EXIT_BE),
        "cancelled_at": at.get(Kind.CANCELLED),
        "first_received_at": first[0],
        "last_received_at": last[0],
        "last_kind": _SIGNAL_FIRST[last[1]].value if last[0] else None,
    }


def _signal_time(facts: Facts, trade_id: str) -> tuple[datetime | None, str | None]:
    """When the signal candle opened, and who says so: 'sent', 'created', 'entry' or, as the last resort, 'id'."""
    stated, created, entry = (facts.claims.get(name) for name in ("signal_time", Kind.SIGNAL_CREATED, Kind.ENTRY))
    if stated and stated.value <= stated.received_at + SLOT_TOLERANCE:
        return stated.value, "sent"
    if created:
        stamp = created.value.get("event_time")
        sane = stamp and created.received_at - timedelta(days=1) <= stamp <= created.received_at + SLOT_TOLERANCE
        return (stamp if sane else created.value["at"]), "created"
    # Without a created event the ENTRY's stamp, however old: it names the candle of the script's latest signal.
    if entry and (stamp := entry.value.get("event_time")) and stamp <= entry.received_at + SLOT_TOLERANCE:
        return stamp, "entry"
    if match := _ID_TIME.match(trade_id):
        with suppress(InvalidInputError):
            return parse_wall_time("T".join(match.groups())).instant, "id"
    return (entry.value["at"] if entry else None), "entry" if entry else None
