"""Which value counts: an override, else the latest recorded one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from core.wave_records import PARAM_FIELDS, Params


def effective_of(recorded: Params, overrides: Mapping[str, Any]) -> dict[str, Decimal]:
    """The values that count, field by field; `overrides` are rows with a `value`."""
    masked = {name: Decimal(row.value) for name, row in overrides.items()}
    merged = {**recorded, **masked}
    return {name: merged[name] for name in PARAM_FIELDS if name in merged}
