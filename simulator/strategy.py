"""The trader's script without its faults: bars in, the true life of every signal out.

Its rules are those of the domain: a triangle where the one-minute bias flips, confirmed by a close beyond its candle,
cancelled by the opposite triangle; then one stop that stays and one that moves to the entry at +1R. Where one bar
touches two levels the worse one counts: the stop before the favourable excursion.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from core.lifecycle import Kind
from core.timezones import to_new_york
from simulator.price_path import MINUTE, TICK, Bar

BULLISH = "Bullish"
BEARISH = "Bearish"
NEUTRAL = "Neutral"

MAX_OPEN_TRADES = 22
"""Of a longer batch the text would pass the 4,096 characters of an alert; a signal then waits unconfirmed."""

_FAST, _SLOW = 3, 10
_STOP_BARS = 4
_LEAST_RISK = 4.0
_TIMEFRAMES = {"daily": 1440, "h4": 240, "h1": 60, "m15": 15, "m5": 5}
_NEUTRAL_BAND = 0.0001


@dataclass(frozen=True, slots=True)
class Excursion:
    """What a trade had reached at the close of one bar, in R."""

    opens_at: datetime
    be_mfe_r: float
    no_be_mfe_r: float
    mae_r: float


@dataclass(slots=True, eq=False)
class Trade:
    """The truth about one signal. Times are the open of the bar (UTC) at whose close it was known.

    The last three fields say what the sender made up about it: a phantom was never there, and an early EXIT_BE was
    sent, and froze the sender's BE leg, although the price had not reached +1R.
    """

    trade_id: str
    direction: str
    candle: Bar
    confirmation_time: datetime | None = None
    bars_to_confirmation: int | None = None
    cancelled_time: datetime | None = None
    cancelled_by: str | None = None
    entry_price: float = 0.0
    stop_loss: float = 0.0
    be_time: datetime | None = None
    exit_be_time: datetime | None = None
    exit_sl_time: datetime | None = None
    be_mfe_r: float = 0.0
    no_be_mfe_r: float = 0.0
    mae_r: float = 0.0
    excursions: list[Excursion] = field(default_factory=list)
    is_phantom: bool = False
    early_exit_be_time: datetime | None = None
    early_be_mfe_r: float | None = None

    @property
    def sign(self) -> int:
        """+1 where higher prices are better."""
        return 1 if self.direction == BULLISH else -1

    @property
    def risk(self) -> float:
        """1R in points."""
        return abs(self.entry_price - self.stop_loss)

    @property
    def sent_be_mfe_r(self) -> float:
        """What the sender takes for the MFE of the BE leg."""
        return self.be_mfe_r if self.early_be_mfe_r is None else self.early_be_mfe_r

    @property
    def trigger_price(self) -> float:
        """The extreme of the signal candle; a close beyond it confirms."""
        return self.candle.high if self.direction == BULLISH else self.candle.low

    def r_of(self, price: float) -> float:
        """Where a price lies, in R from the entry."""
        return (price - self.entry_price) * self.sign / self.risk


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that the close of a bar brought."""

    kind: Kind
    trade: Trade


class Strategy:
    """State of the script from bar to bar."""

    def __init__(self) -> None:
        self.open_trades: list[Trade] = []
        self.pending: Trade | None = None
        self.latest: Trade | None = None
        self.signal_count = 0
        self.bias = NEUTRAL
        self._recent: deque[Bar] = deque(maxlen=_STOP_BARS)
        self._averages: dict[int, float] = {}

    def on_bar(self, bar: Bar) -> list[Happening]:
        """Take in a closed bar; what happened, exits first."""
        if self._recent and bar.opens_at - self._recent[-1].opens_at > MINUTE:
            self._recent.clear()  # a stop belongs to this session, not to the prices before the break
        self._recent.append(bar)
        for length in (_FAST, _SLOW, *_TIMEFRAMES.values()):
            average = self._averages.get(length, bar.close)
            self._averages[length] = average + (bar.close - average) * 2 / (length + 1)
        happenings = [Happening(kind, trade) for trade in self.open_trades for kind in _follow(trade, bar)]
        self.open_trades = [trade for trade in self.open_trades if trade.exit_sl_time is None]
        return happenings + self._on_flip(bar) + self._on_confirmation(bar)

    def htf_alignment(self, price: float) -> dict[str, str]:
        """The bias of each timeframe, slowest first."""
        found = {name: _side(price, self._averages[minutes]) for name, minutes in _TIMEFRAMES.items()}
        return found | {"m1": self.bias}

    def _on_flip(self, bar: Bar) -> list[Happening]:
        gap = self._averages[_FAST] - self._averages[_SLOW]
        bias = BULLISH if gap > 0 else BEARISH if gap < 0 else self.bias
        if bias == self.bias:
            return []
        self.bias = bias
        cancelled, self.pending = self.pending, Trade(trade_id_of(bar, bias), bias, bar)
        self.latest = self.pending
        self.signal_count += 1
        created = Happening(Kind.SIGNAL_CREATED, self.pending)
        if cancelled is None:
            return [created]
        cancelled.cancelled_time, cancelled.cancelled_by = bar.opens_at, self.pending.trade_id
        return [created, Happening(Kind.CANCELLED, cancelled)]

    def _on_confirmation(self, bar: Bar) -> list[Happening]:
        trade = self.pending
        if trade is None or (bar.close - trade.trigger_price) * trade.sign <= 0:
            return []
        if len(self.open_trades) >= MAX_OPEN_TRADES:
            return []
        extremes = [recent.low if trade.direction == BULLISH else recent.high for recent in self._recent]
        worst = max(-trade.sign * price for price in extremes) * -trade.sign
        trade.entry_price = bar.close
        trade.stop_loss = bar.close - trade.sign * max(_LEAST_RISK, abs(bar.close - worst) + TICK)
        trade.confirmation_time = bar.opens_at
        trade.bars_to_confirmation = round((bar.opens_at - trade.candle.opens_at) / MINUTE)
        self.open_trades.append(trade)
        self.pending = None
        return [Happening(Kind.ENTRY, trade)]


def trade_id_of(candle: Bar, direction: str) -> str:
    """The id that the script makes of a signal candle: its open in New York wall time, and the direction."""
    return f"{to_new_york(candle.opens_at):%Y%m%d_%H%M%S}000_{direction.upper()}"


def _side(price: float, average: float) -> str:
    if abs(price - average) <= average * _NEUTRAL_BAND:
        return NEUTRAL
    return BULLISH if price > average else BEARISH


def _follow(trade: Trade, bar: Bar) -> list[Kind]:
    """Carry an open trade through one bar."""
    long = trade.direction == BULLISH
    best, worst = trade.r_of(bar.high if long else bar.low), trade.r_of(bar.low if long else bar.high)
    kinds = []
    if worst <= 0 and trade.be_time and not trade.exit_be_time:
        trade.exit_be_time = bar.opens_at
        kinds.append(Kind.EXIT_BE)
    trade.mae_r = max(-1.0, min(trade.mae_r, worst))
    if worst <= -1:
        trade.exit_sl_time = bar.opens_at
        kinds.append(Kind.EXIT_SL)
    else:
        trade.no_be_mfe_r = max(trade.no_be_mfe_r, best)
        if not trade.exit_be_time:
            trade.be_mfe_r = trade.no_be_mfe_r
        if trade.no_be_mfe_r >= 1 and not trade.be_time:
            trade.be_time = bar.opens_at
            kinds.append(Kind.BE_TRIGGERED)
    trade.excursions.append(Excursion(bar.opens_at, trade.be_mfe_r, trade.no_be_mfe_r, trade.mae_r))
    return kinds
