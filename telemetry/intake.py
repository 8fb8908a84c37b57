"""The way of an alert: receipt, journal, understanding, writer, answer. Knows no HTTP and no SQL.

The journal comes first on good and bad days alike. One thread journals all that wait with one sync, understands them and
hands them to the writer, so that a request changes threads but twice, however many come at once. The request waits at
most `WAIT_SECONDS` and answers from the journal if the database has not stored it. Nothing is acknowledged that neither
has.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from core.clock import Clock
from core.errors import StorageError
from core.ids import uuid7
from telemetry import measures
from telemetry.dialects.masking import mask_tokens
from telemetry.entrance.door import Door
from telemetry.journal import crash_points
from telemetry.journal.journal import Journal
from telemetry.journal.record import Record
from telemetry.prepare import prepare
from telemetry.writer import Passage, Writer

log = logging.getLogger(__name__)

WAIT_SECONDS = 1.2
AT_ONCE = 32
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
        self.on_acknowledged: list[Callable[[UUID, bool], None]] = []
        """Called with the receipt of every alert that was answered 200, and whether only the journal had it."""
        self._journalled = itertools.count(1)
        self._queue: queue.SimpleQueue[Passage | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)

    def start(self) -> None:
        """Begin to journal; before that nothing is taken."""
        self._thread.start()

    def stop(self, seconds: float = 5.0) -> None:
        """Journal what waits, for at most `seconds`; what comes later is refused."""
        self._queue.put(None)
        self._thread.join(timeout=seconds)

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
        passage = Passage(record, started)
        self._queue.put(passage)
        if not passage.wait(WAIT_SECONDS) and passage.prepared is not None:
            self._writer.report_slow()
        crash_points.reach("before_reply")
        answer = answer_to(passage)
        measures.observe_answer(answer.status_code, answer.body["status"], time.perf_counter() - started)
        if answer.status_code == 200:
            for tell in self.on_acknowledged:
                tell(record.receipt_id, passage.stored is None)
        return answer

    # --- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (group := self._take()) is not None:
            is_journalled = self._append([passage.record for passage in group])
            for passage in group:
                passage.is_journalled = is_journalled
                self._take_over(passage)

    def _take(self) -> list[Passage] | None:
        """All that wait, at least one; None when it is time to stop."""
        group: list[Passage] = []
        while not group or (len(group) < AT_ONCE and not self._queue.empty()):
            passage = self._queue.get()
            if passage is None:
                self._queue.put(None)  # seen again once this group is taken in
                return group or None
            group.append(passage)
        return group

    def _take_over(self, passage: Passage) -> None:
        """Understand a delivery and hand it to the writer. A fault of ours is told to its own sender alone."""
        try:
            passage.prepared = prepare(passage.record, passage.started)
            if passage.is_journalled and self._is_rehearsal():
                passage.settle(None)
            else:
                self._writer.submit(passage)
        except Exception:
            log.exception("intake_failed", extra={"receipt_id": str(passage.record.receipt_id)})
            passage.settle(None)

    def _append(self, records: Sequence[Record]) -> bool:
        try:
            self._journal.append(*records)
        except StorageError as error:
            log.error("journal_failed", extra={"receipt_ids": _receipts(records), "reason": error.message})
        except Exception:
            log.exception("journal_failed", extra={"receipt_ids": _receipts(records)})
        else:
            return True
        return False

    def _is_rehearsal(self) -> bool:
        return self._rehearse_every > 0 and next(self._journalled) % self._rehearse_every == 0


def answer_to(passage: Passage) -> Answer:
    """The answer: 200 or 422 once it is stored somewhere, 503 otherwise."""
    prepared, stored = passage.prepared, passage.stored
    if prepared is None or (stored is None and not passage.is_journalled):
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
        "receipt_id": str(passage.record.receipt_id),
        "status": status,
        "stored": "journal" if stored is None else "db",
    }
    if stored is not None and stored.duplicate_of is not None:
        body |= {"duplicate": True, "first_receipt_id": str(stored.duplicate_of)}
    return Answer(200 if prepared.is_understood else 422, body)


def _receipts(records: Sequence[Record]) -> list[str]:
    return [str(record.receipt_id) for record in records]
