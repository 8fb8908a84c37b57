"""Short ways for tests to ask the normaliser."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from core.lifecycle import LifecycleEvent, Source
from telemetry.dialects import Understanding, understand

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
ARRIVAL = datetime(2025, 11, 20, 14, 31, 1, tzinfo=UTC)
RECEIPT = UUID(int=7)


def read(body: bytes | str | dict[str, Any], received_at: datetime = ARRIVAL) -> Understanding:
    """What the normaliser makes of a body: bytes as they are, text in UTF-8, a dict as JSON."""
    raw = json.dumps(body) if isinstance(body, dict) else body
    raw = raw.encode() if isinstance(raw, str) else raw
    return understand(raw, stream="main", received_at=received_at, source=Source.LIVE, receipt_id=RECEIPT)


def read_example(name: str, received_at: datetime = ARRIVAL) -> Understanding:
    return read((EXAMPLES / name).read_bytes(), received_at)


def event_of(**fields: Any) -> LifecycleEvent:
    """The one event of a direct body; kind and trade id are given unless the test says otherwise."""
    understanding = read({"event_type": "ENTRY", "trade_id": "T1"} | fields)
    assert understanding.errors == ()
    (event,) = understanding.events
    return event


def code_of(body: bytes | str | dict[str, Any]) -> str:
    """The code of the one error that kept a body from being understood."""
    understanding = read(body)
    assert not understanding.understood
    (error,) = understanding.errors
    return error.code
