"""The normaliser: from the raw bytes of a delivery to lifecycle events. Pure; the way in is `understand`."""

from __future__ import annotations

from telemetry.dialects.records import FieldError, Heartbeat, Understanding
from telemetry.dialects.understand import understand

__all__ = ["FieldError", "Heartbeat", "Understanding", "understand"]
