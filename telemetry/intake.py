"""The way of an alert: receipt, journal, understanding, writer, answer. Knows no HTTP and no SQL.

The journal comes first on good and bad days alike; the request then waits at most `WAIT_SECONDS` for the database and
answers from the journal otherwise. Nothing is acknowledged that neither has.
"""

from __future__ import annotations

import itertools
import logging
import time
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from core.clock import Clock
from core.errors import StorageError
from core.ids import uuid7
from database.deliveries import StoredDelivery
from telemetry import measures
from telemetry.dialects.masking import mask_tokens
from telemetry.door import Door
from telemetry.journal import crash_points
from telemetry.journal.journal import Journal
from telemetry.journal.record import Record
from telemetry.prepare import Prepared, prepare
from telemetry.writer import Writer

log = logging.getLogger(__name__)

WAIT_SECONDS = 1.2
REFUSED = "quarantined"
REFUSED_ANSWER = {"message": "Stored, but not understood: the database refused a value", "error": "refused value"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sender is told."""

    status_code: int
    body: dict[str, Any]
    retry_after: int | None = None


class Intake:
    """Takes deliveries in. All methods may be called from any thread."""

    def __init__(self, *, door: Door, journal: Journal, writer: Writer, clock: Clock, rehearse_every: int = 0) -> None:
        """`rehearse_every` n > 0: every n-th journalled alert is not handed to the writer, as if the database was away."""
        self._door = door
        self._journal = journal
        self._writer = writer
        self._clock = clock
        self._rehearse_every = rehearse_every
        self._journalled = itertools.count(1)

    def receive(
        self,
        body: bytes,
        *,
        stream: str,
        content_type: str,
        source_ip: str,
        token: str | None = None,
        received_at: datetime | None = None,
    ) -> Answer:
        """Store one authenticated delivery and say what became of it."""
        started = time.perf_counter()
        received_at = received_at or self._clock.now()
        masked, _found = mask_tokens(body, self._door.is_known)
        if token is not None:  # its own token may stand anywhere in the body, not only under the usual keys
            masked, _found = mask_tokens(masked, (token,))
        record = Record(
            receipt_id=uuid7(received_at),
            received_at=received_at,
            stream=stream,
            source_ip=source_ip,
            content_type=content_type,
            source="webhook",
            body=masked,
        )
        is_journalled = self._append(record)
        prepared = prepare(record, started)
        stored = None if is_journalled and self._is_rehearsal() else self._store(prepared, is_journalled)
        crash_points.reach("before_reply")
        answer = answer_to(prepared, stored, is_journalled=is_journalled)
        measures.observe_answer(answer.status_code, answer.body["status"], time.perf_counter() - started)
        return answer

    def _append(self, record: Record) -> bool:
        try:
            self._journal.append(record)
        except StorageError as error:
            log.error("journal_failed", extra={"receipt_id": str(record.receipt_id), "reason": error.message})
            return False
        return True

    def _is_rehearsal(self) -> bool:
        return self._rehearse_every > 0 and next(self._journalled) % self._rehearse_every == 0

    def _store(self, prepared: Prepared, is_journalled: bool) -> StoredDelivery | None:
        """What the writer stored; None when it did not, or not in time."""
        future = self._writer.submit(prepared, is_journalled=is_journalled)
        if future is None:
            return None
        try:
            return future.result(timeout=WAIT_SECONDS)
        except FutureTimeoutError:
            self._writer.report_slow()
            return None


def answer_to(prepared: Prepared, stored: StoredDelivery | None, *, is_journalled: bool) -> Answer:
    """The answer: 200 or 422 once it is stored somewhere, 503 otherwise. Pure."""
    receipt_id = prepared.delivery.receipt_id
    if stored is None and not is_journalled:
        body = {"success": False, "status": "refused", "stored": None, "message": "Not stored; send it again."}
        return Answer(503, {**body, "error": body["message"]}, retry_after=5)
    if prepared.is_understood and stored is not None and stored.status == REFUSED:
        prepared = replace(prepared, is_understood=False, answer=REFUSED_ANSWER)
    result = prepared.answer
    status = prepared.delivery.status if stored is None else stored.status
    if stored is None and prepared.is_understood:
        status = "journalled"
    body = {
        **result,
        "success": prepared.is_understood,
        "receipt_id": str(receipt_id),
        "status": status,
        "stored": "journal" if stored is None else "db",
    }
    if stored is not None and stored.duplicate_of is not None:
        body |= {"duplicate": True, "first_receipt_id": str(stored.duplicate_of)}
    return Answer(200 if prepared.is_understood else 422, body)
