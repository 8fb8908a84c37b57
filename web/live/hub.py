"""The hub: hands what happened to every open stream, and replays what a stream has missed.

An event says that something changed, not what it is now: a reader fetches the page or the data again. Only fleeting
events, of bars that change several times a second, say it all themselves. Ids carry the
epoch of the process, so that after a restart nobody takes an old id for "nothing new".
"""

from __future__ import annotations

import json
import queue
import secrets
import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from core.errors import TryAgainError

RING = 500
CLIENT_QUEUE = 100
STREAMS_A_USER = 3
RESYNC = "resync"
FLEETING = frozenset({"forming"})
"""Topics that are not replayed: the next event says it all."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `id` is `<epoch>-<number>`; `key` what it happened to, where streams may ask for one."""

    id: str
    topic: str
    data: str
    key: str = ""

    def is_for(self, topics: frozenset[str]) -> bool:
        """Whether a stream of these topics hears it."""
        return self.topic == RESYNC or self.topic in topics or f"{self.topic}:{self.key}" in topics

    def encode(self) -> bytes:
        """The event as text/event-stream."""
        return f"id: {self.id}\nevent: {self.topic}\ndata: {self.data}\n\n".encode()


@dataclass(eq=False, slots=True)
class Client:
    """One open stream: its topics, what waits for it, and whether it fell behind."""

    topics: frozenset[str]
    waiting: queue.Queue[Event] = field(default_factory=lambda: queue.Queue(CLIENT_QUEUE))
    is_behind: bool = False


class Hub:
    """All streams of a process. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._epoch = secrets.token_hex(4)
        self._number = 0
        self._ring: deque[Event] = deque(maxlen=RING)
        self._clients: set[Client] = set()
        self._users: Counter[str] = Counter()
        self._lock = threading.Lock()

    def publish(self, topic: str, data: Any, key: str = "") -> None:
        """Tell every stream of the topic, or of `topic:key`. A stream whose queue is full is ended, not waited for."""
        with self._lock:
            event = self._next(topic, json.dumps(data, separators=(",", ":")), key)
            if topic not in FLEETING:
                self._ring.append(event)
            for client in self._clients:
                if event.is_for(client.topics):
                    try:
                        client.waiting.put_nowait(event)
                    except queue.Full:
                        client.is_behind = True

    def publish_notification(self, topic: str, payload: str) -> None:
        """A NOTIFY of the database: its payload, or `resync` after a gap in listening (an empty payload)."""
        if payload:
            data = json.loads(payload)
            self.publish(topic, data, data.get("contract_id", "") if isinstance(data, dict) else "")
        else:
            self.publish(RESYNC, None)

    @contextmanager
    def client(self, user: str, topics: frozenset[str], last_event_id: str) -> Iterator[Client]:
        """Open a stream for a user and replay what came after `last_event_id`.

        Raises TryAgainError when the user has too many streams open.
        """
        client = Client(topics)
        with self._lock:
            if self._users[user] >= STREAMS_A_USER:
                raise TryAgainError("Too many live pages are open; this one asks every few seconds instead.")
            self._users[user] += 1
            self._clients.add(client)
            for event in self._missed(last_event_id, topics):
                client.waiting.put_nowait(event)
        try:
            yield client
        finally:
            with self._lock:
                self._clients.discard(client)
                self._users[user] -= 1
                self._users += Counter()  # forgets users without streams

    def count(self) -> int:
        """Open streams."""
        with self._lock:
            return len(self._clients)

    def _missed(self, last_event_id: str, topics: frozenset[str]) -> list[Event]:
        """What a stream that has seen `last_event_id` has not seen; `resync` when that cannot be told."""
        if not last_event_id:
            return []
        epoch, _, number = last_event_id.partition("-")
        oldest = int(self._ring[0].id.partition("-")[2]) if self._ring else self._number + 1
        if epoch != self._epoch or not number.isdecimal() or int(number) < oldest - 1:
            return [self._next(RESYNC, "null")]
        later = [event for event in self._ring if int(event.id.partition("-")[2]) > int(number)]
        missed = [event for event in later if event.is_for(topics)]
        return missed if len(missed) < CLIENT_QUEUE else [self._next(RESYNC, "null")]

    def _next(self, topic: str, data: str, key: str = "") -> Event:
        self._number += 1
        return Event(f"{self._epoch}-{self._number}", topic, data, key)
