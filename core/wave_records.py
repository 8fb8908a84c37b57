"""Records of the wave feed: the parameters of an exchange, one adapted signal.

A wave is named by the open of the 15-minute candle its signals were computed from, in UTC. Percentages are in percent
(2.5 is 2.5 %).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

Params = Mapping[str, Decimal]
"""Parameter name -> value; a parameter that is not known is not in it."""

PERCENT_FIELDS = ("stop_loss_filter", "trailing_activation_filter", "trailing_distance_filter")
SCORE_FIELDS = ("score_week_filter", "score_month_filter")
PARAM_FIELDS = ("max_trades_filter", *PERCENT_FIELDS, *SCORE_FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveSignal:
    """One signal as the service understands it. `faults` say why it is not valid, `warnings` what was left out of it."""

    wave_timestamp: datetime | None
    signal_key: str
    signal_id: int | None
    exchange_id: int | None
    symbol: str | None
    action: str | None
    score_week: Decimal | None
    score_month: Decimal | None
    created_at: datetime | None
    filter_params: Params | None
    faults: tuple[str, ...]
    warnings: tuple[str, ...]
    raw: Mapping[str, Any]

    @property
    def is_valid(self) -> bool:
        """True when nothing that a trade would need is missing."""
        return not self.faults
