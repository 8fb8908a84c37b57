"""Deliveries for tests of pages: stored and projected as the writer does it, without journal and thread."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import uuid4

from database import deliveries
from database.engine import Database
from telemetry.journal.record import Record
from telemetry.prepare import prepare
from telemetry.projection import project
from tests.support_signals import START


def deliver(
    db: Database,
    *bodies: bytes | dict[str, Any],
    received_at: datetime = START,
    stream: str = "main",
    content_type: str = "application/json",
) -> list[int]:
    """Store each body as one delivery; returns their ids."""
    ids = []
    for body in bodies:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        record = Record(
            receipt_id=uuid4(),
            received_at=received_at,
            stream=stream,
            source_ip="127.0.0.1",
            content_type=content_type,
            source="webhook",
            body=raw,
        )
        prepared = prepare(record)
        with db.transaction() as cur:
            project(cur, [prepared], deliveries.add_deliveries(cur, [prepared.delivery]))
            ids.append(deliveries.find_id(cur, record.receipt_id))
    return ids
