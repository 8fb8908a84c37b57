"""The evidence of signals as one HTML file that needs nothing else: bytes, events, chart, repairs, hashes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from automated_signals_state import derive, fold, state_hash
from core.errors import NotFoundError
from core.instruments import contracts_of
from core.records import Bar, Timeframe
from database import bars, events, exports, states
from database.engine import Cursor
from database.event_rows import event_of

BEFORE, AFTER = timedelta(minutes=30), timedelta(minutes=30)
MOST_BARS = 600
LONGEST = timedelta(minutes=MOST_BARS)
MINUTE = Timeframe.parse("1m")
FOLDED = ("SIGNAL_CREATED", "ENTRY", "MFE_UPDATE", "BE_TRIGGERED", "EXIT_BE", "EXIT_SL", "EXIT_TP", "CANCELLED")
VALUES = ("direction", "entry_price", "stop_loss", "current_price", "exit_price", "be_mfe", "no_be_mfe", "mae_global_r",
          "reason")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery as it came: `text` is None when its bytes are no UTF-8, `body` None when they have been let go."""

    row: Any
    sha256: str | None
    text: str | None
    base64: str | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that is known of one signal, and how it is known. `is_proved`: its events fold to the stored state."""

    state: Any
    events: Sequence[Any]
    deliveries: Sequence[Delivery]
    bars: Sequence[Bar]
    contract: str
    state_hash: str
    is_proved: bool

    @property
    def repairs(self) -> list[Any]:
        """Facts that did not come live."""
        return [row for row in self.events if row.data_source in ("reconciled", "inferred")]

    @property
    def chart(self) -> Chart | None:
        """Candles around the trade; None without bars."""
        return Chart.of(self) if self.bars else None


def of_signal(cur: Cursor, trade_id: str, stream: str | None = None) -> list[Evidence]:
    """The evidence of a trade id, in one stream or in each that has it. Raises NotFoundError."""
    found = states.get_states(cur, trade_id, stream)
    if not found:
        raise NotFoundError("There is no signal with that id.")
    return [_gather(cur, state) for state in found]


def of_span(cur: Cursor, since: datetime, until: datetime, stream: str | None = None) -> list[Evidence]:
    """The evidence of every signal in [since, until), oldest first."""
    rows = [row for page in exports.list_signals(cur, stream=stream, since=since, until=until) for row in page]
    rows.sort(key=lambda row: (row.signal_time or row.first_received_at, row.trade_id))
    return [_gather(cur, state) for row in rows for state in states.get_states(cur, row.trade_id, row.stream)]


def _gather(cur: Cursor, state: Any) -> Evidence:
    rows = events.list_events(cur, state.stream, state.trade_id)
    held = [event_of(row) for row in rows if row.revoked_at is None and row.event_type in FOLDED]
    ours = state_hash([derive(fold(held), state.stream, state.trade_id)])
    stored = state_hash([derive(states.read_facts(state.facts), state.stream, state.trade_id)])
    receipts = list({row.receipt_id for row in rows if row.receipt_id is not None})
    contract, found = _bars(cur, state)
    return Evidence(
        state=state,
        events=rows,
        deliveries=[_delivery(row) for row in exports.list_deliveries_of(cur, receipts)],
        bars=found,
        contract=contract,
        state_hash=stored,
        is_proved=ours == stored,
    )


def _delivery(row: Any) -> Delivery:
    if row.raw_body is None:
        return Delivery(row, None, None, None)
    body = bytes(row.raw_body)
    try:
        text: str | None = body.decode()
    except UnicodeDecodeError:
        text = None
    return Delivery(row, hashlib.sha256(body).hexdigest(), text, base64.b64encode(body).decode())


def _bars(cur: Cursor, state: Any) -> tuple[str, list[Bar]]:
    """Minute bars of the contract with the signal's root that has them, around the trade."""
    start = state.signal_time or state.first_received_at
    if start is None:
        return "", []
    end = min(state.exit_at or start + LONGEST, start + LONGEST)
    for contract in contracts_of(state.symbol, bars.list_contracts(cur)):
        found = bars.list_bars_between(cur, contract.contract_id, MINUTE, start - BEFORE, end + AFTER)
        if found:
            return contract.name, found[:MOST_BARS]
    return "", []


@dataclass(frozen=True, slots=True)
class Candle:
    """One bar in the picture's own units."""

    x: float
    high: float
    low: float
    top: float
    height: float
    is_up: bool


@dataclass(frozen=True, slots=True)
class Level:
    """A price line."""

    name: str
    price: Decimal
    y: float


@dataclass(frozen=True, slots=True)
class Chart:
    """Candles and price lines in a box of WIDTH by HEIGHT."""

    candles: Sequence[Candle]
    levels: Sequence[Level]
    width: int
    height: int
    first: datetime
    last: datetime

    @classmethod
    def of(cls, evidence: Evidence, width: int = 960, height: int = 300) -> Chart:
        """The picture of a signal that has bars."""
        state, found = evidence.state, evidence.bars
        named = {"entry": state.entry_price, "stop": state.stop_loss, "exit": state.exit_price}
        prices = {name: price for name, price in named.items() if price is not None}
        low = min([bar.low for bar in found] + list(prices.values()))
        high = max([bar.high for bar in found] + list(prices.values()))
        span = high - low or Decimal(1)

        def y(price: Decimal) -> float:
            return round(float((high - price) / span) * (height - 20) + 10, 1)

        step = width / len(found)
        candles = [
            Candle(round((number + 0.5) * step, 1), y(bar.high), y(bar.low), y(max(bar.open, bar.close)),
                   max(1.0, round(abs(y(bar.open) - y(bar.close)), 1)), bar.close >= bar.open)
            for number, bar in enumerate(found)
        ]  # fmt: skip
        levels = [Level(name, price, y(price)) for name, price in prices.items()]
        return cls(candles, levels, width, height, found[0].starts_at, found[-1].starts_at)
