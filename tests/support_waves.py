"""Made-up wave signals for the tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from core.wave_records import WaveSignal
from database import params
from database.engine import Database
from waves.adapter import adapt_signal
from waves.processor import Rules

WAVE = datetime(2025, 10, 27, 18, 30, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
RECEIVED = WAVE + timedelta(minutes=20)
RULES = Rules(default_max_trades=5, alert_ratio=Decimal("0.10"))
FOUR = {
    "max_trades_filter": 6,
    "stop_loss_filter": 4.0,
    "trailing_activation_filter": 2.0,
    "trailing_distance_filter": 0.5,
}


def raw_signal(number: int = 1, exchange_id: int = 1, wave: datetime = WAVE, **fields: Any) -> dict[str, Any]:
    """A signal as the wire holds it; without parameters unless they are given."""
    return {
        "id": number,
        "pair_symbol": f"COIN{number}USDT",
        "recommended_action": "BUY",
        "score_week": 75.5,
        "score_month": 68.2,
        "timestamp": wave.replace(tzinfo=None).isoformat(),
        "created_at": (wave + timedelta(minutes=20)).replace(tzinfo=None).isoformat(),
        "trading_pair_id": 77,
        "exchange_id": exchange_id,
    } | fields


def signal(number: int = 1, exchange_id: int = 1, wave: datetime = WAVE, **fields: Any) -> WaveSignal:
    """The same, adapted."""
    return adapt_signal(raw_signal(number, exchange_id, wave, **fields), wave + timedelta(minutes=20))


def held(db: Database, exchange_id: int = 1) -> dict[str, Decimal]:
    """The parameters of an exchange as recorded."""
    with db.transaction() as cur:
        return params.values_of(params.get_params(cur, exchange_id))
