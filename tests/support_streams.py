"""Many event streams at once, held open and read by one thread, for tests and the bench of what else goes on meanwhile."""

from __future__ import annotations

import json
import selectors
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from database import api_tokens, tokens
from database.engine import Database
from tests.support_service import send

STREAMS_A_TOKEN = 3


class Streams:
    """Streams that were asked for: the status that each got, and what the open ones have heard."""

    def __init__(self, connections: Sequence[socket.socket]) -> None:
        self._heard = dict.fromkeys(connections, b"")
        self._ending = threading.Event()
        self._reader = threading.Thread(target=self._read, name="streams", daemon=True)
        self._reader.start()

    def statuses(self) -> list[int]:
        """The status of each stream, as far as it has been answered."""
        return [int(said[9:12]) for said in list(self._heard.values()) if b"\r\n\r\n" in said]

    def refusals(self) -> list[bytes]:
        """Answers of streams that were not let in."""
        return [said for said in list(self._heard.values()) if said[9:12] == b"503"]

    def heard(self, text: bytes) -> int:
        """How many streams have heard a text."""
        return sum(text in said for said in list(self._heard.values()))

    def stop(self) -> None:
        """Read no more."""
        self._ending.set()
        self._reader.join()

    def _read(self) -> None:
        with selectors.DefaultSelector() as selector:
            for connection in self._heard:
                selector.register(connection, selectors.EVENT_READ)
            while not self._ending.is_set() and selector.get_map():
                for key, _ in selector.select(timeout=0.1):
                    connection: socket.socket = key.fileobj  # type: ignore[assignment]
                    data = connection.recv(65536)
                    if not data:
                        selector.unregister(connection)
                    self._heard[connection] += data


@contextmanager
def streams(port: int, given: Sequence[str]) -> Iterator[Streams]:
    """Ask for a stream with each of these API tokens, and hold what is given."""
    with ExitStack() as stack:
        connections = []
        for token in given:
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            head = f"GET /api/stream?topics=signals HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
            connection.sendall(head.encode())
            connections.append(connection)
        held = Streams(connections)
        try:
            yield held
        finally:
            held.stop()


@contextmanager
def backfills_and_cycles(port: int, token: str, limit: int) -> Iterator[list[int]]:
    """A backfill of at most `limit` events and a gap cycle, again and again; the statuses of their answers."""
    ending, statuses = threading.Event(), list[int]()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    tasks = (
        ("/api/automated-signals/telemetry/backfill", json.dumps({"limit": limit}).encode()),
        ("/api/hybrid-sync/run", b"{}"),
    )

    def go_on() -> None:
        while not ending.is_set():
            statuses.extend(send(port, "POST", path, body, headers, timeout=60).status for path, body in tasks)

    worker = threading.Thread(target=go_on)
    worker.start()
    try:
        yield statuses
    finally:
        ending.set()
        worker.join()


def add_readers(db: Database, count: int) -> list[str]:
    """API tokens for so many streams: a reader may have three."""
    made = []
    with db.transaction() as cur:
        for number in range(-(-count // STREAMS_A_TOKEN)):
            token = tokens.new_token()
            api_tokens.add_token(cur, token=token, role="operator", name=f"reader-{number}", created_by="test")
            made += [token] * STREAMS_A_TOKEN
    return made[:count]
