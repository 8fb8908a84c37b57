"""Import of TradingView's alert-log exports: the perfect witness of what was sent.

A row whose bytes are stored already within 25 seconds of its time is the same delivery; every other row becomes one,
received at its own time, of source `import`. Importing a file again, or an overlapping one, adds nothing.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from database import deliveries
from database.engine import Database
from telemetry.dialects.masking import mask_tokens
from telemetry.history.alert_log import AlertRow, match_deliveries, merge_alert_logs
from telemetry.journal.record import Record
from telemetry.prepare import Prepared, delivery_key, prepare
from telemetry.projection import project

AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did: rows read, new deliveries, rows known already, new ones that were not understood."""

    rows: int = 0
    new: int = 0
    known: int = 0
    quarantined: int = 0


def import_logs(
    db: Database,
    logs: Sequence[Sequence[AlertRow]],
    *,
    stream: str,
    is_token: Callable[[str], bool],
    on_progress: Callable[[int], None] = lambda _count: None,
) -> ImportReport:
    """Add what is missing to the stream's deliveries, events and states, oldest first, a chunk a transaction.

    `on_progress` is told of rows of the logs done with, repeated ones among them.
    """
    rows = merge_alert_logs(logs)
    masked = [replace(row, body=mask_tokens(row.body, is_token)[0]) for row in rows]
    new = _new_rows(db, masked, stream)
    on_progress(sum(map(len, logs)) - len(new))
    added = quarantined = 0
    records = list(_records(new, stream))
    for start in range(0, len(records), AT_ONCE):
        group = [prepare(record) for record in records[start : start + AT_ONCE]]
        stored = _store(db, group)
        added += len(stored)
        quarantined += sum(not p.is_understood for p in group if p.delivery.receipt_id in stored)
        on_progress(len(group))
    with db.transaction() as cur:
        for log in filter(None, logs):  # each by itself: of the time between two logs neither tells anything
            times = [row.sent_at for row in log]
            deliveries.save_log_span(cur, stream, min(times), max(times))
    return ImportReport(rows=len(rows), new=added, known=len(rows) - added, quarantined=quarantined)


def _new_rows(db: Database, rows: Sequence[AlertRow], stream: str) -> list[AlertRow]:
    keys = sorted({delivery_key(stream, row.body) for row in rows})
    stored: list[tuple[bytes, datetime]] = []
    for start in range(0, len(keys), AT_ONCE):
        with db.transaction() as cur:
            stored += deliveries.find_same_bytes(cur, stream, keys[start : start + AT_ONCE])
    new, _known = match_deliveries(rows, stored, key_of=lambda row: delivery_key(stream, row.body))
    return new


def _records(rows: Sequence[AlertRow], stream: str) -> Iterator[Record]:
    seen: Counter[bytes] = Counter()
    for row in rows:
        identity = hashlib.sha256(b"\x1f".join((stream.encode(), row.sent_at.isoformat().encode(), row.body))).digest()
        seen[identity] += 1
        yield Record(
            receipt_id=_receipt_of(identity, seen[identity]),
            received_at=row.sent_at,
            stream=stream,
            source_ip="",
            content_type="",
            source="import",
            body=row.body,
        )


def _receipt_of(identity: bytes, number: int) -> UUID:
    """The same row gives the same receipt (UUID version 8), so that two imports at once add it once."""
    digest = bytearray(hashlib.sha256(identity + number.to_bytes(4)).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return UUID(bytes=bytes(digest))


def _store(db: Database, group: Sequence[Prepared]) -> set[UUID]:
    with db.transaction(statement_timeout_ms=120_000) as cur:
        stored = deliveries.add_deliveries(cur, [prepared.delivery for prepared in group])
        project(cur, group, stored)
    return set(stored)
