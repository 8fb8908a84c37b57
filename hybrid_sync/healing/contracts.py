"""Whose bars are evidence for a chart symbol, and whether their prices are the ones the alerts speak of. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from core.instruments import root_of, tick_size
from core.trading_calendar import TradingCalendar
from hybrid_sync.healing.excursions import Range

_SAME_ROOT: Final = {"ENQ": "NQ", "EP": "ES"}  # what the gateway calls them
LEAST_AGREEMENT: Final = 0.9
DEFAULT_TICK: Final = 0.25


@dataclass(frozen=True, slots=True)
class Candidate:
    """A contract whose bars may count, and the trade dates [first, after) for which it does."""

    contract_id: str
    first: date = date.min
    after: date = date.max


def candidates(
    symbol: str | None, mapping: Sequence[tuple[str, str, date]], contracts: Iterable[str]
) -> list[Candidate]:
    """The contracts to try for a symbol: those the settings name with their roll dates, else all of its root."""
    if symbol is None:
        return []
    own = [(contract, first) for name, contract, first in mapping if name == symbol]
    if own:
        ends = [first for _, first in own[1:]] + [date.max]
        return [Candidate(contract, first, after) for (contract, first), after in zip(own, ends, strict=True)]
    root = _root(symbol)
    return [Candidate(contract) for contract in sorted(contracts) if root is not None and _root(contract) == root]


def counts_at(candidate: Candidate, instant: datetime, calendar: TradingCalendar) -> bool:
    """Whether the contract is the symbol's on the trade date of an instant."""
    return candidate.first <= calendar.trade_date_of(instant) < candidate.after


def agrees(prices: Iterable[tuple[int, float]], bars: Mapping[int, Range], tick: float) -> bool | None:
    """Whether prices that alerts told of minutes lie inside the bars of those minutes, a tick more or less.

    None where nothing can be compared: an unproven basis is no evidence.
    """
    compared = [
        bars[minute].low - tick <= price <= bars[minute].high + tick for minute, price in prices if minute in bars
    ]
    return sum(compared) >= LEAST_AGREEMENT * len(compared) if compared else None


def tick_of(symbol: str | None) -> float:
    """The price step of a symbol in points."""
    found = tick_size(symbol) if symbol else None
    return DEFAULT_TICK if found is None else float(found)


def _root(symbol: str) -> str | None:
    root = root_of(symbol)
    return None if root is None else _SAME_ROOT.get(root, root)
