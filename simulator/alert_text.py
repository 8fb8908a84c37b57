"""How the script writes its alerts, and how TradingView's alert log lists them. Pure text."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.lifecycle import Kind
from core.timezones import to_new_york
from simulator.price_path import SYMBOL
from simulator.strategy import BEARISH, BULLISH, NEUTRAL, Trade

ALERT_ID = "3000000001"
TICKER = f"CME_MINI:{SYMBOL}, 1m"

_SCRIPT = {
    "schema_version": "1.0.0",
    "engine_version": "1.0.0",
    "strategy_name": "NQ_FVG_CORE",
    "strategy_id": "NQ_FVG_CORE",
    "strategy_version": "2025.11.20",
}
_NAMES = {Kind.EXIT_BE: "EXIT_BREAK_EVEN", Kind.EXIT_SL: "EXIT_STOP_LOSS"}
_REASONS = {
    Kind.SIGNAL_CREATED: "triangle_appeared",
    Kind.EXIT_BE: "be_stop_loss_hit",
    Kind.EXIT_SL: "original_stop_loss_hit",
}
_VARIANTS = {
    Kind.SIGNAL_CREATED: "PENDING_CONFIRMATION",
    Kind.ENTRY: "HTF_ALIGNED",
    Kind.BE_TRIGGERED: "BE_PROTECTED",
    Kind.EXIT_BE: "EXIT_BE",
    Kind.EXIT_SL: "EXIT_SL",
    Kind.CANCELLED: "CANCELLED",
}
_POINTS_AT_RISK = 75
_MAX_POSITION = 20
_PRICE_VALUE = re.compile(r'("(?:entry_price|stop_loss|tp[123]_price)":[0-9.]+)(?=[,}])')


@dataclass(frozen=True, slots=True)
class View:
    """What an alert says beside the trade: its time stamp (UTC), session label, bias and higher timeframes."""

    stamp: datetime
    session: str
    bias: str
    htf: Mapping[str, str] | None


def trade_body(kind: Kind, trade: Trade, view: View) -> str:
    """One event of one trade."""
    be_mfe_r = trade.sent_be_mfe_r
    is_exit = kind in (Kind.EXIT_BE, Kind.EXIT_SL)
    ended_leg = be_mfe_r if kind is Kind.EXIT_BE else trade.no_be_mfe_r
    return _json(
        _SCRIPT
        | {"trade_id": trade.trade_id, "event_type": _NAMES.get(kind, kind.value), "event_timestamp": wire(view.stamp)}
        | {"symbol": SYMBOL, "exchange": SYMBOL, "timeframe": "1", "session": view.session}
        | {"direction": trade.direction}
        | _prices(trade, has_be_price=kind in (Kind.BE_TRIGGERED, Kind.EXIT_BE))
        | {"be_mfe": number(be_mfe_r), "no_be_mfe": number(trade.no_be_mfe_r), "mae_global_r": number(trade.mae_r)}
        | {"final_mfe_R": number(ended_leg) if is_exit else None}
        | {"exit_price": _exit_price(kind, trade), "exit_timestamp": None, "exit_reason": _REASONS.get(kind)}
        | {"targets": _targets(trade), "setup": _setup(kind)}
        | {"market_state": {"trend_regime": view.bias, "trend_score": 1, "volatility_regime": "NORMAL"}}
        | {"htf_alignment": _htf(view)}
        | (_cancellation(trade) if kind is Kind.CANCELLED else {})
    )


def member(trade: Trade, price: float) -> dict[str, Any]:
    """One trade of a batch, at the current price."""
    return {
        "trade_id": trade.trade_id,
        "direction": trade.direction,
        "be_mfe": number(trade.sent_be_mfe_r),
        "no_be_mfe": number(trade.no_be_mfe_r),
        "mae_global_r": number(trade.mae_r),
        "current_price": number(price),
        "be_triggered": trade.be_time is not None and trade.early_exit_be_time is None,
    }


def batch_body(bar_opens_at: datetime, members: list[dict[str, Any]]) -> str:
    """The excursions of all open trades at the close of one bar."""
    return _json({"event_type": "MFE_UPDATE_BATCH", "timestamp": wire(bar_opens_at), "signals": members})


def heartbeat_body(bar_opens_at: datetime, signal_count: int) -> str:
    """A sign of life."""
    return _json({"event_type": "HEARTBEAT", "timestamp": wire(bar_opens_at), "signal_count": signal_count})


def with_stray_quotes(body: str) -> str:
    """The body of an ENTRY as a script with a slip in its text building sends it: a quote after each price."""
    return _PRICE_VALUE.sub(r'\1"', body)


def alert_log(fired: Iterable[tuple[datetime, bytes]]) -> str:
    """TradingView's export of what was fired (time in UTC, body; oldest first): newest first, and without its cap of
    2,000 rows."""
    text = io.StringIO(newline="")
    log = csv.writer(text, lineterminator="\n")
    log.writerow(("Alert ID", "Ticker", "Name", "Description", "Time"))
    for sent_at, body in reversed(list(fired)):
        log.writerow((ALERT_ID, TICKER, "", body.decode(), f"{sent_at:%Y-%m-%dT%H:%M:%SZ}"))
    return text.getvalue()


def wire(instant: datetime) -> str:
    """A time as the script writes it: New York wall time without an offset."""
    return f"{to_new_york(instant):%Y-%m-%dT%H:%M:%S}"


def number(value: float) -> float:
    """A number as Pine prints it: whole ones without a point. Eight places, so that 22 members fit into one alert."""
    rounded = round(value, 8)
    return int(rounded) if rounded == int(rounded) else rounded


def _prices(trade: Trade, *, has_be_price: bool) -> dict[str, Any]:
    if trade.confirmation_time is None:
        return {"entry_price": None, "stop_loss": None, "risk_R": 0, "position_size": 0, "be_price": None}
    return {
        "entry_price": number(trade.entry_price),
        "stop_loss": number(trade.stop_loss),
        "risk_R": 1,
        "position_size": max(1, min(_MAX_POSITION, int(_POINTS_AT_RISK / trade.risk))),
        "be_price": number(trade.entry_price) if has_be_price else None,
    }


def _exit_price(kind: Kind, trade: Trade) -> float | None:
    return {Kind.EXIT_BE: number(trade.entry_price), Kind.EXIT_SL: number(trade.stop_loss)}.get(kind)


def _targets(trade: Trade) -> dict[str, Any]:
    rs = (1, 2, 3)
    prices = [number(trade.entry_price + trade.sign * r * trade.risk) if trade.confirmation_time else None for r in rs]
    return {f"tp{r}_price": price for r, price in zip(rs, prices, strict=True)} | {"target_Rs": rs}


def _setup(kind: Kind) -> dict[str, Any]:
    variant = _VARIANTS[kind]
    setup_id = f"FVG_CORE_{variant}"
    return {"setup_family": "FVG_CORE", "setup_variant": variant, "setup_id": setup_id, "signal_strength": 75}


def _htf(view: View) -> dict[str, Any]:
    """The alignment; without one, what the real script sends when it has not computed any: both flags true."""
    if view.htf is None:
        nothing = dict.fromkeys(("daily", "h4", "h1", "m15", "m5"), NEUTRAL)
        return nothing | {"m1": view.bias, "all_bullish": True, "all_bearish": True}
    sides = set(view.htf.values())
    return {**view.htf, "all_bullish": sides == {BULLISH}, "all_bearish": sides == {BEARISH}}


def _cancellation(trade: Trade) -> dict[str, Any]:
    assert trade.cancelled_time is not None
    pending = trade.cancelled_time - trade.candle.opens_at
    return {
        "cancelled_time": int(trade.cancelled_time.timestamp() * 1000),
        "cancel_reason": "opposite_signal_appeared",
        "bars_pending": round(pending.total_seconds() / 60),
        "cancelled_by": trade.cancelled_by,
    }


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))
