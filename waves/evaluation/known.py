"""Which parameters held at an instant, by what was known at that instant. Pure.

The twin of the query `params_as_of`, for thousands of instants at once; a test holds the two equal.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.wave_records import PARAM_FIELDS
from waves.schedule import CANDLE


class KnownParams:
    """Built once from every row of the history, superseded ones too, and every override."""

    def __init__(self, history: Iterable[Any], overrides: Iterable[Any]) -> None:
        self._rows: dict[int, list[Any]] = {}
        for row in sorted(history, key=lambda row: (row.wave_timestamp, row.changed_at)):
            self._rows.setdefault(row.exchange_id, []).append(row)
        self._closes = {key: [row.wave_timestamp + CANDLE for row in rows] for key, rows in self._rows.items()}
        self._overrides: dict[int, list[Any]] = {}
        for row in overrides:
            self._overrides.setdefault(row.exchange_id, []).append(row)

    @property
    def exchanges(self) -> list[int]:
        """Every exchange of which anything was ever known."""
        return sorted({*self._rows, *self._overrides})

    def at(self, exchange_id: int, instant: datetime) -> Mapping[str, Decimal]:
        """The effective parameters at `instant`: no wave whose candle was open, or that had not come, counts."""
        found: dict[str, Decimal] = {}
        rows = self._rows.get(exchange_id, [])
        for row in reversed(rows[: bisect_right(self._closes.get(exchange_id, []), instant)]):
            if row.changed_at > instant or (row.superseded_at is not None and row.superseded_at <= instant):
                continue
            for name in PARAM_FIELDS:
                if name not in found and getattr(row, name) is not None:
                    found[name] = Decimal(getattr(row, name))
            if len(found) == len(PARAM_FIELDS):
                break
        for mask in self._overrides.get(exchange_id, []):
            ends = [end for end in (mask.expires_at, mask.ended_at) if end is not None]
            if mask.set_at <= instant and all(end > instant for end in ends):
                found[mask.field] = Decimal(mask.value)
        return found
