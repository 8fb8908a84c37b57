"""signalrcore behind one adapter: one connection, built once, thrown away when it ends.

The library keeps what it is good at: the protocol's handshake, framing and invocations. What it gets wrong is done
here: reading control frames, time limits, a handshake that is refused, records that are no JSON, an end that cannot
hang. It is never asked to reconnect. Its logger is silent, because it would write the address with the token.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

import orjson
from signalrcore.hub.base_hub_connection import BaseHubConnection
from signalrcore.hub_connection_builder import HubConnectionBuilder
from signalrcore.messages.ping_message import PingMessage
from signalrcore.protocol.json_hub_protocol import JsonHubProtocol
from signalrcore.transport.sockets.errors import SocketClosedError
from signalrcore.transport.websockets.websocket_client import WebSocketClient
from signalrcore.transport.websockets.websocket_transport import WebsocketTransport

from core.clock import Clock
from core.errors import TryAgainError

CONNECT_SECONDS = 10.0
SEND_SECONDS = 10.0
LIBRARY_LOGGER = "SignalRCoreClient"
PONG, PING, CLOSE = 0xA, 0x9, 0x8
INVOCATION, COMPLETION, CLOSING = 1, 3, 7
MAX_HEADER = 16_384
MAX_RECORD = 4_000_000
READ_AHEAD = 65_536


class FeedError(TryAgainError):
    """The market data hub cannot be used at the moment."""

    code = "feed_unavailable"


class HubRefusedError(FeedError):
    """The market data hub refuses the token."""

    code = "feed_refused"


class _Socket(WebSocketClient):  # type: ignore[misc]
    """The library's socket with time limits, a lock for sending, pongs, and an end that wakes its reader."""

    seconds = CONNECT_SECONDS

    def create_socket(self) -> socket.socket:
        parts = urlsplit(self.url)
        is_secure = parts.scheme in ("wss", "https")
        address = (parts.hostname or "", parts.port or (443 if is_secure else 80))
        raw = socket.create_connection(address, timeout=self.seconds)
        return self.ssl_context.wrap_socket(raw, server_hostname=parts.hostname) if is_secure else raw

    def connect(self) -> None:
        self._send_lock = threading.Lock()
        self.sock = self.create_socket()
        self._stream = self.sock.makefile("rb", READ_AHEAD)
        try:
            self._switch_to_websocket()
        except BaseException:
            self._stream.close()
            self.end()
            raise
        # A quiet hub may say nothing for longer than it takes to connect: from here on only sending is limited in time,
        # by the kernel, because a TLS socket would begin again each time SO_SNDTIMEO wakes it.
        self.sock.settimeout(None)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(SEND_SECONDS * 1000))
        self.running = True
        self.recv_thread = threading.Thread(target=self.run, name=self.thread_name, daemon=True)
        self.recv_thread.start()

    def _switch_to_websocket(self) -> None:
        lines = self.get_socket_headers() + [f"{name}: {value}" for name, value in self.headers.items()]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        status = self._read_head().split(b"\r\n", 1)[0].split(b" ")
        if status[1:2] == [b"401"]:
            raise HubRefusedError
        if status[1:2] != [b"101"]:
            raise FeedError("The market data hub does not switch to WebSocket.")

    def _read_head(self) -> bytes:
        """The answer's header and not a byte more: what follows are frames."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self._stream.readline(MAX_HEADER)
            if not line or len(head) > MAX_HEADER:
                raise FeedError("The market data hub ended the connection.")
            head += line
        return head

    def run(self) -> None:
        """The reading thread, from its begin to the connection's end."""
        with self._stream:
            super().run()

    def send(self, message: str | bytes, opcode: int = 0x1) -> None:
        with self._send_lock:
            super().send(message, opcode)

    def _recv_frame(self) -> Any:
        parts: list[bytes] = []
        left = MAX_RECORD
        while True:
            fin, opcode, data = self._read_one_frame(left)
            if opcode == CLOSE:
                raise SocketClosedError
            if opcode == PING:
                self.send(data, opcode=PONG)
            elif opcode != PONG:
                parts.append(data)
                left -= len(data)
                if fin:
                    return self.prepare_data(b"".join(parts))

    def _read_one_frame(self, longest: int = MAX_RECORD) -> tuple[bool, int, bytes]:
        """As the library's, without writing each frame into a log text; a read may take long, silence is watched.

        SocketClosedError for a frame that says it is longer than `longest`: memory is not laid out on the hub's word.
        """
        first, second = self._recv_exactly(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", self._recv_exactly(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self._recv_exactly(8))
        if length > longest:
            raise SocketClosedError
        return bool(first & 0x80), first & 0x0F, self._recv_exactly(length)

    def _recv_exactly(self, n: int) -> bytes:
        data: bytes = self._stream.read(n)
        if len(data) < n:
            raise SocketClosedError
        return data

    def end(self) -> None:
        """Wake whoever reads or writes, and close."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self.sock.close()


class _Transport(WebsocketTransport):  # type: ignore[misc]
    """The library's transport on our socket."""

    def create_client(self) -> _Socket:
        return _Socket(
            url=self.url,
            connection_id=self.connection_id,
            headers=self.headers,
            ssl_context=self.ssl_context,
            on_message=self.on_message,
            on_error=self.on_socket_error,
            on_close=self.on_socket_close,
            on_open=self.on_socket_open,
        )

    def on_message(self, app: object, raw_message: str) -> Any:
        if not self.handshake_received:
            return super().on_message(app, raw_message)
        return self._on_message(self.protocol.parse_messages(raw_message))


class _Protocol(JsonHubProtocol):  # type: ignore[misc]
    """The library's JSON protocol; records that are no JSON are counted, and cost nothing but themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.unreadable = 0
        self._rest = ""

    def parse_messages(self, raw: str) -> list[dict[str, Any]]:
        *records, self._rest = (self._rest + raw).split("\x1e")
        if len(self._rest) > MAX_RECORD:
            self.unreadable, self._rest = self.unreadable + 1, ""
        found = []
        for text in filter(None, records):
            try:
                record = orjson.loads(text)
            except ValueError:
                record = None
            if isinstance(record, dict):
                found.append(record)
            else:
                self.unreadable += 1
        return found


class Hub:
    """One connection to the market hub. `on_event(target, arguments)` is called on the reading thread, and must be
    quick and never raise."""

    def __init__(self, url: str, token: str, clock: Clock, on_event: Callable[[str, list[Any]], None]) -> None:
        logging.getLogger(LIBRARY_LOGGER).setLevel(logging.CRITICAL + 1)
        self._clock, self._on_event = clock, on_event
        self._opened, self._ended = threading.Event(), threading.Event()
        self._answers: dict[str, tuple[threading.Event, list[str | None]]] = {}
        self._protocol = _Protocol()
        address = f"{url}?access_token={quote(token, safe='')}"
        builder = HubConnectionBuilder().with_url(address, options={"skip_negotiation": True})
        self._connection: BaseHubConnection = builder.with_hub_protocol(self._protocol).build()
        self._transport: Any = None
        self.heard_at = clock.monotonic()

    @property
    def is_alive(self) -> bool:
        """Open, and not known to have ended."""
        return self._opened.is_set() and not self._ended.is_set() and not self._transport._client.is_connection_closed()

    @property
    def unreadable(self) -> int:
        """Records that were no JSON."""
        return self._protocol.unreadable

    def open(self, seconds: float = CONNECT_SECONDS) -> None:
        """Connect and wait for the handshake. Raises FeedError, HubRefusedError for the token, or OSError."""
        connection = self._connection
        self._transport = connection.transport = _Transport(
            url=connection.url,
            protocol=self._protocol,
            headers=connection.headers,
            skip_negotiation=True,
            connection_id="",
            ssl_context=connection.ssl_context,
            on_open=self._opened.set,
            on_close=self._ended.set,
            on_reconnect=self._ended.set,
            on_message=self._on_records,
        )
        self._transport.start()
        deadline = self._clock.monotonic() + seconds
        while not self._opened.wait(0.05):
            if self._ended.is_set() or self._clock.monotonic() > deadline or self._is_dead():
                raise FeedError("The market data hub does not shake hands.")

    def subscribe(self, method: str, contract_id: str, seconds: float = CONNECT_SECONDS) -> None:
        """Subscribe and wait for the hub's word on it. Raises FeedError."""
        answered, answer = threading.Event(), [None]  # type: tuple[threading.Event, list[str | None]]
        name = f"{method} {contract_id}"
        self._answers[name] = (answered, answer)
        try:
            self._connection.invoke(method, [contract_id], invocation_id=name)
        except (ValueError, OSError, SocketClosedError) as error:
            raise FeedError("The market data hub ended the connection.") from error
        if not answered.wait(seconds):
            raise FeedError(f"The market data hub does not answer {method}.")
        if answer[0] is not None:
            raise FeedError(f"The market data hub refuses {method}.")

    def ping(self) -> None:
        """Tell the hub that we are here. Raises FeedError."""
        try:
            self._transport.send(PingMessage())
        except (ValueError, OSError, SocketClosedError) as error:
            raise FeedError("The market data hub ended the connection.") from error

    def end(self) -> None:
        """End the connection; never hangs."""
        self._ended.set()
        client = getattr(self._transport, "_client", None)
        if client is not None and hasattr(client, "sock"):
            client.running = False
            client.end()

    def _is_dead(self) -> bool:
        return bool(self._transport._client.is_connection_closed())

    def _on_records(self, records: list[dict[str, Any]]) -> None:
        """Everything that comes, pings included."""
        self.heard_at = self._clock.monotonic()
        for record in records:
            kind = record.get("type")
            if kind == INVOCATION:
                arguments = record.get("arguments")
                self._on_event(str(record.get("target")), arguments if isinstance(arguments, list) else [])
            elif kind == COMPLETION:
                self._on_completion(record)
            elif kind == CLOSING:
                self._ended.set()

    def _on_completion(self, record: dict[str, Any]) -> None:
        waiting = self._answers.get(str(record.get("invocationId")))
        if waiting is not None:
            waiting[1][0] = str(record["error"]) if record.get("error") else None
            waiting[0].set()
