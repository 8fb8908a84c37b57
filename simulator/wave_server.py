"""A signal server for the demo and the tests: log-in by token, `get_signals`, pushed signals, heartbeats.

What it answers comes from a function, so that a test decides what the server knows.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

AUTH_SECONDS = 10.0
HEARTBEAT_SECONDS = 30.0
Signals = Callable[[], list[dict[str, Any]]]


class WaveServer:
    """Serves on a loopback port from its making until `stop`. `token` None lets everybody in."""

    def __init__(
        self,
        signals: Signals,
        *,
        token: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        sends_snapshot: bool = False,
        is_silent: bool = False,
    ) -> None:
        """`sends_snapshot` is the manner of the later servers; a silent one lets in and says nothing more."""
        self._signals = signals
        self.token = token
        self._sends_snapshot = sends_snapshot
        self.is_silent = is_silent
        self.logins: list[bool] = []
        self.requests = 0
        self._connections: set[ServerConnection] = set()
        self._guard = threading.Lock()
        self._server: Server = serve(self._handle, host, port, ping_interval=None)
        self.port: int = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="wave-server", daemon=True)

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"ws://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begin to serve on a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Close every connection and the port."""
        self.drop_all()
        self._server.shutdown()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def drop_all(self) -> None:
        """Lose every connection, as a restart would."""
        with self._guard:
            found = list(self._connections)
        for connection in found:
            connection.close_socket()

    def push(self, message: dict[str, Any]) -> int:
        """Send a message to everyone who is logged in; how many that were."""
        with self._guard:
            found = list(self._connections)
        for connection in found:
            connection.send(json.dumps(message))
        return len(found)

    def _handle(self, connection: ServerConnection) -> None:
        try:
            if not self._let_in(connection):
                return
            with self._guard:
                self._connections.add(connection)
            if self._sends_snapshot:
                self._say(connection, {"type": "signals_snapshot", "data": self._signals()})
            self._serve(connection)
        except (ConnectionClosed, TimeoutError, OSError):
            return
        finally:
            with self._guard:
                self._connections.discard(connection)

    def _let_in(self, connection: ServerConnection) -> bool:
        self._say(connection, {"type": "auth_required"})
        answer = json.loads(connection.recv(timeout=AUTH_SECONDS))
        is_welcome = answer.get("type") == "auth" and self.token in (None, answer.get("token"))
        self.logins.append(is_welcome)
        if is_welcome:
            self._say(connection, {"type": "auth_success", "query_interval": 1, "signal_window": 900})
        else:
            self._say(connection, {"type": "auth_failed", "message": "invalid token"})
        return is_welcome

    def _serve(self, connection: ServerConnection) -> None:
        while True:
            try:
                asked = json.loads(connection.recv(timeout=HEARTBEAT_SECONDS))
            except TimeoutError:
                asked = {"type": "heartbeat"}
            if not self.is_silent:
                self._answer(connection, str(asked.get("type")))

    def _answer(self, connection: ServerConnection, kind: str) -> None:
        if kind == "get_signals":
            self.requests += 1
            found = self._signals()
            self._say(connection, {"type": "signals", "count": len(found), "data": found})
        elif kind == "ping":
            self._say(connection, {"type": "pong"})
        elif kind == "get_stats":
            self._say(connection, {"type": "stats", "connections": len(self._connections)})
        elif kind == "heartbeat":
            self._say(connection, {"type": "heartbeat", "ts": 0})
        else:
            self._say(connection, {"type": "error", "message": f"unknown type {kind[:40]}"})

    @staticmethod
    def _say(connection: ServerConnection, message: dict[str, Any]) -> None:
        connection.send(json.dumps(message))
