"""Made-up waves: which signals a server would have for a candle, the same for the same seed. Parameters drift slowly.

Now and then a wave is odd, as real ones are: parameters missing, a field that makes no sense, a whole wave absent.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

CANDLE = timedelta(minutes=15)
COINS = (
    "BTC",
    "ETH",
    "SOL",
    "XRP",
    "ADA",
    "DOGE",
    "LINK",
    "AVAX",
    "DOT",
    "LTC",
    "UNI",
    "ATOM",
    "NEAR",
    "APT",
    "ARB",
    "OP",
)
STEADY_WAVES = 8  # parameters come from a backtest that is run anew every two hours
NORMAL = {
    "max_trades_filter": 6,
    "stop_loss_filter": 4.0,
    "trailing_activation_filter": 2.0,
    "trailing_distance_filter": 0.5,
}


@dataclass(frozen=True, slots=True)
class WaveMarket:
    """What the backtests found. `oddities` is the share of waves that are odd."""

    seed: int = 1
    exchanges: Sequence[int] = (1, 2)
    signals_per_exchange: int = 8
    delay: timedelta = timedelta(minutes=5)
    oddities: float = 0.05

    def signals_of(self, wave: datetime) -> list[dict[str, Any]]:
        """The signals of the candle that opened at `wave`, best first; none for an absent wave."""
        luck = random.Random(f"{self.seed} {wave.isoformat()}")
        if luck.random() < self.oddities / 2:
            return []
        is_odd = luck.random() < self.oddities
        created = (wave + CANDLE + self.delay).replace(tzinfo=None).isoformat()
        found = []
        for exchange in self.exchanges:
            params = self._params(exchange, wave)
            if is_odd:
                params[luck.choice(list(NORMAL))] = luck.choice([None, -1, "n/a"])
            for coin in luck.sample(COINS, min(self.signals_per_exchange, len(COINS))):
                found.append(
                    {
                        "id": luck.randrange(1, 2**40),
                        "pair_symbol": f"{coin}USDT",
                        "recommended_action": luck.choice(["BUY", "SELL"]),
                        "score_week": round(luck.uniform(50, 90), 2),
                        "score_month": round(luck.uniform(50, 90), 2),
                        "timestamp": wave.replace(tzinfo=None).isoformat(),
                        "created_at": created,
                        "trading_pair_id": COINS.index(coin) + 1,
                        "exchange_id": exchange,
                        **params,
                    }
                )
        return sorted(found, key=lambda one: (one["score_week"], one["score_month"]), reverse=True)

    def available(self, now: datetime, window: timedelta) -> list[dict[str, Any]]:
        """Every signal a server has at `now` of the waves that became known within `window`."""
        newest = now - CANDLE - self.delay
        wave = newest.replace(minute=newest.minute // 15 * 15, second=0, microsecond=0)
        found: list[dict[str, Any]] = []
        while wave > newest - window:
            found = self.signals_of(wave) + found
            wave -= CANDLE
        return found

    def _params(self, exchange: int, wave: datetime) -> dict[str, Any]:
        epoch = int((wave - datetime(2024, 1, 1, tzinfo=UTC)) / CANDLE) // STEADY_WAVES
        luck = random.Random(f"{self.seed} {exchange} {epoch}")
        params: dict[str, Any] = {
            name: round(value * luck.choice([0.9, 0.95, 1.0, 1.0, 1.05, 1.15]), 2) for name, value in NORMAL.items()
        }
        params["max_trades_filter"] = luck.choice([5, 6, 6, 7])
        return params | {"score_week_filter": luck.choice([60, 62, 65]), "score_month_filter": luck.choice([58, 60])}
