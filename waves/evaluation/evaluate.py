"""The evaluation: gather trades, wave signals and everything known of the parameters; replay; report.

Two populations per exchange. `trades`: the entered TradingView trades, under the parameters that the exchange had at each
entry. `wave signals`: valid signals that such a trade followed (same symbol and direction, entered within a quarter of an
hour after the signal's receipt). At most `max_trades_filter` of a wave, or of a quarter of an hour, are taken.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.errors import InvalidInputError
from core.wave_records import PARAM_FIELDS, SCORE_FIELDS
from database import params, waves
from database.engine import Database
from waves.adapter import parse_param
from waves.evaluation.known import KnownParams
from waves.evaluation.replay import THIN, Figures, TradePath, figures, replay
from waves.schedule import CANDLE, wave_time_of

MAX_TRADES_READ = 2_000
MAX_SIGNALS_READ = 50_000
MAX_VARIANTS = 12
USUAL_VARIANTS = (
    "stop_loss_filter=2",
    "stop_loss_filter=6",
    "trailing_activation_filter=1",
    "trailing_distance_filter=0.25",
    "max_trades_filter=3",
)
Variant = Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One trade that an exchange could have taken; `group` and `rank` say how it competes for the places of a wave."""

    path: TradePath
    decided_at: datetime
    group: datetime
    rank: int


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the report. `left_out` counts what could not be judged, by reason."""

    population: str
    exchange_id: int
    variant: str
    figures: Figures
    left_out: dict[str, int]


@dataclass(frozen=True, slots=True)
class Report:
    """Lines, and what a reader must know before believing them."""

    since: datetime
    until: datetime
    lines: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def parse_variant(text: str) -> dict[str, Decimal]:
    """`stop_loss_filter=2,trailing_distance_filter=0.5` as parameters. InvalidInputError naming what is wrong."""
    found: dict[str, Decimal] = {}
    for part in filter(None, (word.strip() for word in text.split(","))):
        name, _, value = part.partition("=")
        if name not in PARAM_FIELDS or name in SCORE_FIELDS:
            raise InvalidInputError(f"{name[:40]}: is no parameter that can be replayed", field=name[:40])
        found[name] = parse_param(name, value)
    if not found:
        raise InvalidInputError("variant: name at least one parameter", field="variant")
    return found


def evaluate(
    db: Database, *, stream: str, since: datetime, until: datetime, variants: Sequence[str] = USUAL_VARIANTS
) -> Report:
    """Replay the trades and wave signals of [since, until) under what held, and under each variant of it."""
    if len(variants) > MAX_VARIANTS:
        raise InvalidInputError(f"variants: at most {MAX_VARIANTS}", field="variants")
    asked: dict[str, Variant] = {"as held": {}} | {text: parse_variant(text) for text in variants}
    with db.transaction(statement_timeout_ms=60_000) as cur:
        rows = waves.list_paths(cur, stream=stream, since=since, until=until, limit=MAX_TRADES_READ)
        signals = waves.list_signals_between(cur, since=since, until=until, limit=MAX_SIGNALS_READ)
        known = KnownParams(params.all_history(cur, until), params.list_overrides(cur, limit=10_000))
    paths = [path for row in rows if (path := _path(row)) is not None]
    followed = _followed(signals, paths)
    report = Report(since, until)
    for exchange in known.exchanges:
        for population, candidates in (("trades", _by_quarter(paths)), ("wave signals", followed.get(exchange, []))):
            for name, variant in asked.items():
                report.lines.append(
                    _line(known, exchange, candidates, population=population, name=name, variant=variant)
                )
    report.notes.extend(_notes(report, rows, paths, signals, followed))
    return report


def _line(
    known: KnownParams, exchange: int, candidates: Sequence[Candidate], *, population: str, name: str, variant: Variant
) -> Line:
    outcomes, left_out = [], Counter[str]()
    for candidate in candidates:
        held = known.at(exchange, candidate.decided_at)
        if not held:
            left_out["no parameters known yet"] += 1
            continue
        effective = {**held, **variant}
        limit = effective.get("max_trades_filter")
        if limit is not None and candidate.rank > limit:
            left_out["beyond max trades"] += 1
            continue
        outcome = replay(candidate.path, effective)
        if outcome is None:
            left_out["still open, or without a path"] += 1
        else:
            outcomes.append(outcome)
    luck = random.Random(1)  # noqa: S311  the same data give the same interval
    return Line(
        population, exchange, name, figures(outcomes, lambda values, n: luck.choices(values, k=n)), dict(left_out)
    )


def _path(row: Any) -> TradePath | None:
    """The trade of a row; None when its risk is not known."""
    if not row.entry_price or not row.risk_distance or row.direction not in ("long", "short"):
        return None
    return TradePath(
        symbol=row.symbol,
        direction=row.direction,
        entry_time=row.entry_time,
        entry_price=float(row.entry_price),
        risk=float(row.risk_distance),
        minutes=[tuple(minute) for minute in row.minutes or ()],
        is_over=row.status == "COMPLETED",
    )


def _by_quarter(paths: Iterable[TradePath]) -> list[Candidate]:
    """Trades compete for the places of their quarter of an hour in the order of their entries."""
    seen = Counter[datetime]()
    found = []
    for path in sorted(paths, key=lambda path: path.entry_time):
        quarter = wave_time_of(path.entry_time)
        seen[quarter] += 1
        found.append(Candidate(path, path.entry_time, quarter, seen[quarter]))
    return found


def _followed(signals: Iterable[Any], paths: Sequence[TradePath]) -> dict[int, list[Candidate]]:
    """Exchange -> its wave signals that a trade followed; the first such trade counts."""
    by_kind: dict[tuple[str | None, str], list[TradePath]] = {}
    for path in sorted(paths, key=lambda path: path.entry_time):
        by_kind.setdefault((path.symbol, path.direction), []).append(path)
    found: dict[int, list[Candidate]] = {}
    for signal in signals:
        direction = "long" if signal.action == "BUY" else "short"
        at = signal.received_at
        trades = (one for one in by_kind.get((signal.symbol, direction), ()) if at <= one.entry_time < at + CANDLE)
        first = next(trades, None)
        if first is not None:
            found.setdefault(signal.exchange_id, []).append(Candidate(first, at, signal.wave_time, signal.rank))
    return found


def _notes(
    report: Report, rows: Sequence[Any], paths: Sequence[TradePath], signals: Sequence[Any], followed: Mapping[int, Any]
) -> list[str]:
    notes = [
        "Every trade is judged by the parameters known at its decision; corrections and late waves count from when they came.",
        "Variants are tried on the trades they are judged by: a better figure here is a hypothesis, not a finding.",
        "Within a minute the worse is taken to have come first; costs and slippage are not counted.",
    ]
    matched = sum(len(found) for found in followed.values())
    notes.append(
        f"{matched} of {len(signals)} wave signals were followed by a recorded trade; the rest have no price path."
    )
    if len(rows) > len(paths):
        notes.append(f"{len(rows) - len(paths)} trades without a known entry or risk are left out.")
    if len(rows) == MAX_TRADES_READ:
        notes.append(f"Only the newest {MAX_TRADES_READ} trades of the span are read.")
    thin = sum(line.figures.is_thin for line in report.lines)
    if thin:
        notes.append(
            f"{thin} of {len(report.lines)} lines rest on fewer than {THIN} trades: too thin to conclude anything."
        )
    if not report.lines:
        notes.append("No parameters have been recorded yet: there is nothing to evaluate.")
    return notes
