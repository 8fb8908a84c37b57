"""A synthetic stream of alerts with the shape and the faults of the real one, and the truth behind it.

Pure: the same seed, start and faults give the same alerts, byte for byte. What befalls a bar depends on seed and time
alone, so streams of one seed that start at different times soon agree on their signals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from random import Random

from core.lifecycle import Kind
from core.sessions import SESSIONS, session_of
from simulator.alert_text import View, batch_body, heartbeat_body, member, trade_body, with_stray_quotes
from simulator.price_path import MINUTE, Bar, PricePath
from simulator.strategy import BEARISH, BULLISH, MAX_OPEN_TRADES, Happening, Strategy, Trade, trade_id_of

HEARTBEAT_MINUTES = 15
HOLE_MINUTES = (7, 24)
OUTAGE_MINUTES = (3, 20)
MAX_REPEATS = 40
LATEST_SECONDS = 16
_BARS_A_DAY = 1380
_EARLY_EXIT_R = 0.2
_FULL_BAR = 3
"""No repeats beside so many new events: TradingView stops a script at more than 15 alerts in 3 minutes."""
_ONE_SECOND_LATE = 0.67
_BE_KINDS = (Kind.BE_TRIGGERED, Kind.EXIT_BE)


@dataclass(frozen=True, slots=True)
class Faults:
    """How often the sender errs; shares unless the name says otherwise. The defaults are the rates of real logs."""

    batch_lost: float = 0.015
    """Batches that are fired and never arrive."""
    holes_per_day: float = 6.5
    """Stretches of 7 to 24 minutes in which nothing is fired."""
    outages_per_day: float = 1.0
    """Stretches of 3 to 20 minutes in which what is fired never arrives."""
    repeat: float = 0.03
    """Of BE_TRIGGERED and EXIT_BE: fired again at the close of the next bars, up to 40 times."""
    stray_quote: float = 0.03
    """ENTRYs that are malformed JSON."""
    phantom: float = 0.09
    """Signal candles with a second triangle, of the wrong direction."""
    wrong_session: float = 0.1
    htf_not_computed: float = 1.0
    stale_stamp: float = 1.0
    """BE and exits that are stamped with the candle of the latest signal."""
    early_exit_be: float = 0.1
    """Trades that get an EXIT_BE although +1R was never reached."""
    late_mfe: float = 0.04
    """Exits whose trade is still a member of the batch of that second."""
    disorder: float = 1.0
    """Bars whose alerts leave in arbitrary order."""
    delay: float = 0.084
    """Alerts that leave up to 16 seconds after the close of their bar instead of at once."""

    @classmethod
    def only(cls, *names: str) -> Faults:
        """The named faults at their real rates, no others; none without names. KeyError for a name that is none."""
        real = asdict(cls())
        return cls(**dict.fromkeys(real, 0.0) | {name: real[name] for name in names})


REAL = Faults()


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert as it left the sender. A lost one stands in the alert log, but never arrived."""

    sent_at: datetime
    body: bytes
    lost: bool


def generate(
    seed: int,
    start: datetime,
    minutes: int | None = None,
    faults: Faults = REAL,
    truth: dict[str, Trade] | None = None,
) -> Iterator[Alert]:
    """The alerts of the bars that open within `minutes` (of the clock, not of the market) from `start` on, in the
    order in which they leave; without `minutes`, for ever. `truth` is filled with every trade as it comes up."""
    script = _Script(seed, faults, truth)
    end = start + minutes * MINUTE if minutes is not None else None
    for bar in PricePath(seed).bars(start):
        if end is not None and bar.opens_at >= end:
            return
        yield from script.on_bar(bar)


@dataclass(slots=True)
class _Repeat:
    happening: Happening
    left: int


class _Script:
    """The script on its chart, with all it makes up, and the network behind it."""

    def __init__(self, seed: int, faults: Faults, truth: dict[str, Trade] | None) -> None:
        self._seed = seed
        self._faults = faults
        self._truth = truth
        self._strategy = Strategy()
        self._repeats: list[_Repeat] = []
        self._silent_until: datetime | None = None
        self._lost_until: datetime | None = None

    def on_bar(self, bar: Bar) -> list[Alert]:
        """What leaves at the close of a bar, in order."""
        dice = Random(f"{self._seed} {bar.opens_at.isoformat()}")
        said = self._made_up(self._strategy.on_bar(bar), bar, dice)
        if self._truth is not None:
            self._truth.update((happening.trade.trade_id, happening.trade) for happening in said)
        said += self._repeated(said, dice)
        bodies = [(self._body(happening, bar, dice), False) for happening in said]
        bodies += self._batch(said, bar, dice)
        if bar.closes_at.minute % HEARTBEAT_MINUTES == 0:
            bodies.append((heartbeat_body(bar.opens_at, self._strategy.signal_count), False))
        return self._leave(bodies, bar, dice)

    def _made_up(self, true: list[Happening], bar: Bar, dice: Random) -> list[Happening]:
        """What the script takes for new: the truth, with early exits in place of later ones, and phantoms."""
        said = [one for one in true if one.kind not in _BE_KINDS or one.trade.early_exit_be_time is None]
        for trade in self._strategy.open_trades:
            if self._exits_early(trade, bar):
                trade.early_exit_be_time, trade.early_be_mfe_r = bar.opens_at, trade.be_mfe_r
                said.append(Happening(Kind.EXIT_BE, trade))
        created = [one.trade for one in true if one.kind is Kind.SIGNAL_CREATED]
        phantoms = [_phantom_of(trade) for trade in created if dice.random() < self._faults.phantom]
        return said + [Happening(Kind.SIGNAL_CREATED, phantom) for phantom in phantoms]

    def _exits_early(self, trade: Trade, bar: Bar) -> bool:
        if trade.be_time or trade.early_exit_be_time or trade.no_be_mfe_r < _EARLY_EXIT_R:
            return False
        is_back = trade.r_of(bar.low if trade.direction == BULLISH else bar.high) <= 0
        # Drawn per trade, not per bar: the rate is a share of trades, however long they live.
        return is_back and Random(f"{self._seed} {trade.trade_id}").random() < self._faults.early_exit_be

    def _repeated(self, said: list[Happening], dice: Random) -> list[Happening]:
        """What is fired once more; also takes note of what will be from the next bar on."""
        repeated = [repeat.happening for repeat in self._repeats][: max(0, _FULL_BAR - len(said))]
        for repeat in self._repeats:
            repeat.left -= 1
        for happening in said:
            if happening.kind in _BE_KINDS and dice.random() < self._faults.repeat:
                self._repeats.append(_Repeat(happening, dice.randint(1, MAX_REPEATS)))
        self._repeats = [one for one in self._repeats if one.left and not one.happening.trade.exit_sl_time]
        return repeated

    def _body(self, happening: Happening, bar: Bar, dice: Random) -> str:
        kind, trade = happening.kind, happening.trade
        latest = self._strategy.latest
        has_candle = kind in (Kind.SIGNAL_CREATED, Kind.ENTRY)
        is_stale = latest is not None and dice.random() < self._faults.stale_stamp
        candle = trade.candle if has_candle else latest.candle if latest and is_stale else bar
        stamp = candle.opens_at
        label = dice.choice(SESSIONS) if dice.random() < self._faults.wrong_session else session_of(stamp)
        has_htf = dice.random() >= self._faults.htf_not_computed
        htf = self._strategy.htf_alignment(bar.close) if has_htf else None
        body = trade_body(kind, trade, View(stamp, label, self._strategy.bias, htf))
        is_malformed = kind is Kind.ENTRY and dice.random() < self._faults.stray_quote
        return with_stray_quotes(body) if is_malformed else body

    def _batch(self, said: list[Happening], bar: Bar, dice: Random) -> list[tuple[str, bool]]:
        """The excursions of the trades that were open before this bar, in one alert, if there are any."""
        exits = [one.trade for one in said if one.kind is Kind.EXIT_SL and dice.random() < self._faults.late_mfe]
        entered = [trade for trade in self._strategy.open_trades if trade.confirmation_time != bar.opens_at]
        members = [member(trade, bar.close) for trade in (exits + entered)[:MAX_OPEN_TRADES]]
        return [(batch_body(bar.opens_at, members), dice.random() < self._faults.batch_lost)] if members else []

    def _leave(self, bodies: list[tuple[str, bool]], bar: Bar, dice: Random) -> list[Alert]:
        if dice.random() < self._faults.holes_per_day / _BARS_A_DAY:
            self._silent_until = bar.opens_at + dice.randint(*HOLE_MINUTES) * MINUTE
        if dice.random() < self._faults.outages_per_day / _BARS_A_DAY:
            self._lost_until = bar.opens_at + dice.randint(*OUTAGE_MINUTES) * MINUTE
        if self._silent_until and bar.opens_at < self._silent_until:
            return []
        is_outage = self._lost_until is not None and bar.opens_at < self._lost_until
        if dice.random() < self._faults.disorder:
            dice.shuffle(bodies)
        alerts = [Alert(bar.closes_at + self._delay(dice), body.encode(), lost or is_outage) for body, lost in bodies]
        return sorted(alerts, key=lambda alert: alert.sent_at)

    def _delay(self, dice: Random) -> timedelta:
        """Whole seconds, as the alert log has them; most of the late ones leave within one or two."""
        if dice.random() >= self._faults.delay:
            return timedelta()
        return timedelta(seconds=1 if dice.random() < _ONE_SECOND_LATE else dice.randint(2, LATEST_SECONDS))


def _phantom_of(trade: Trade) -> Trade:
    direction = BEARISH if trade.direction == BULLISH else BULLISH
    return Trade(trade_id_of(trade.candle, direction), direction, trade.candle, is_phantom=True)
