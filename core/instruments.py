"""Tick sizes of futures, by TradingView symbol, exchange code or gateway contract.

A fallback for where no contract record is at hand: what the gateway says about a contract's tick size goes first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Final, TypeVar

from core.errors import InvalidInputError

Listed = TypeVar("Listed", bound=Any)  # has `name` and `contract_id`

# The exchange's roots, and after them the gateway's own where they differ (NQ is ENQ there, 6E is EU6).
_ROOTS_BY_TICK: Final = {
    "0.25": "ES MES EP NQ MNQ ENQ ZC ZW ZS ZCE ZWA ZSE",
    "0.1": "RTY M2K GC MGC GCE PL PLE",
    "1": "YM MYM",
    "5": "NKD BTC MBT",
    "0.5": "ETH MET GMET",
    "0.01": "CL MCL CLE MCLE",
    "0.025": "QM NQM HE LE",
    "0.001": "NG MNG NGE",
    "0.005": "SI SIL SIE QG NQG",
    "0.0005": "HG MHG CPE",
    "0.0001": "RB HO RBE HOE 6B BP6 M6E M6B M6A",
    "0.00005": "6E EU6 6A DA6 6C CA6 6S SF6 6N NE6",
    "0.0000005": "6J JY6",
    "0.03125": "ZB USA UB ULA",
    "0.015625": "ZN TYA TN TNA",
    "0.0078125": "ZF FVA",
    "0.00390625": "ZT TUA",
}
_TICK_BY_ROOT: Final = {root: Decimal(tick) for tick, roots in _ROOTS_BY_TICK.items() for root in roots.split()}

_EXPIRY: Final = re.compile(r"(?:[1-9]!|[FGHJKMNQUVXZ](?:\d{1,2}|\d{4}))$")
_GATEWAY_ID: Final = re.compile(r"^(?:CON\.)?F\.US\.([A-Z0-9]+)(?:\.[FGHJKMNQUVXZ]\d{2})?$")


def root_of(symbol: str) -> str | None:
    """The root of a symbol we know (`CME_MINI:MNQ1!`, `MNQZ2025`, `CON.F.US.MES.M25` ...), else None."""
    text = symbol.strip().upper()
    gateway = _GATEWAY_ID.match(text)
    code = gateway.group(1) if gateway else text.rpartition(":")[2]
    # The whole code first: EU6 is the euro at the gateway, not an expiry of something called E.
    candidates = (code,) if gateway else (code, _EXPIRY.sub("", code))
    return next((candidate for candidate in candidates if candidate in _TICK_BY_ROOT), None)


def contracts_of(symbol: str | None, contracts: Iterable[Listed]) -> list[Listed]:
    """The contracts whose root is the symbol's, by the exchange's name or by the gateway's."""
    root = root_of(symbol) if symbol else None
    return [each for each in contracts if root is not None and root in (root_of(each.name), root_of(each.contract_id))]


def tick_size(symbol: str) -> Decimal | None:
    """The smallest price step of a future, in price points; None if the symbol is not known."""
    root = root_of(symbol)
    return None if root is None else _TICK_BY_ROOT[root]


def round_to_tick(price: Decimal | float, tick: Decimal) -> Decimal:
    """The multiple of `tick` nearest to a price, halves away from zero, written with the digits of `tick`.

    A float counts as the number it prints as. InvalidInputError unless the price is finite and the tick positive.
    """
    ticks = _in_ticks(price, tick).quantize(Decimal(1), rounding=ROUND_HALF_UP)
    return ticks * tick


def _in_ticks(price: Decimal | float, tick: Decimal) -> Decimal:
    try:
        exact = Decimal(str(price))
    except InvalidOperation as error:
        raise InvalidInputError(f"not a price: {price!r}") from error
    if not exact.is_finite() or not tick.is_finite() or tick <= 0:
        raise InvalidInputError(f"price {price} and tick size {tick} must be finite, the tick size above zero")
    return exact / tick
