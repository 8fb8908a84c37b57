"""The gateway's market hub: SignalR's JSON protocol over a WebSocket, with everything that may go wrong on purpose.

WebSocket pings are off, as at the real gateway; SignalR has its own.
"""

from __future__ import annotations

import contextlib
import http
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from simulator.gateway.market import Trade
from simulator.gateway.tokens import Tokens
from simulator.price_path import TICK

RS = "\x1e"
KEEP_ALIVE_SECONDS = 15.0
CLIENT_TIMEOUT_SECONDS = 30.0
METHODS = {
    f"{verb}Contract{kind}": (verb, kind)
    for verb in ("Subscribe", "Unsubscribe")
    for kind in ("Trades", "Quotes", "MarketDepth")
}


@dataclass
class HubFaults:
    """What goes wrong on purpose, for every connection from now on."""

    is_mute: bool = False
    handshake_error: str | None = None
    subscribe_error: str | None = None
    drops_subscriptions: bool = False
    joins_records: bool = False
    splits_records: bool = False


@dataclass(eq=False)
class Client:
    """One connection and what it has subscribed to."""

    connection: ServerConnection
    token: str
    trades: set[str] = field(default_factory=set)
    quotes: set[str] = field(default_factory=set)
    heard_at: float = 0.0
    sent_at: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Hub:
    """The market hub. `start` and `stop` may be called again and again: a stopped hub refuses connections."""

    def __init__(self, tokens: Tokens, contracts: Iterable[str], *, keep_alive: float = KEEP_ALIVE_SECONDS) -> None:
        self.faults = HubFaults()
        self.clients: list[Client] = []
        self.connections = 0
        self.received: list[dict[str, Any]] = []
        self._tokens = tokens
        self._contracts = set(contracts)
        self._keep_alive = keep_alive
        self._server: Server | None = None
        self._address = ("127.0.0.1", 0)

    @property
    def port(self) -> int:
        """The port it listens on, the same after each start."""
        return self._address[1]

    def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen."""
        self._server = serve(
            self._serve,
            host,
            port or self._address[1],
            ping_interval=None,
            compression=None,
            process_request=self._admit,
            max_size=2**20,
        )
        self._address = (host, self._server.socket.getsockname()[1])
        threading.Thread(target=self._server.serve_forever, name="simulated-hub", daemon=True).start()

    def stop(self) -> None:
        """Close every connection and refuse new ones."""
        if self._server is not None:
            self._server.shutdown()
            self._server.socket.close()
        self.reset_all()

    # --- what clients hear ---------------------------------------------------------------------------------------

    def publish(self, contract_id: str, trades: Iterable[Trade]) -> None:
        """Tell the subscribers of trades, a list in one record, times with seven digits."""
        records = [_trade_record(contract_id, trade) for trade in trades]
        if records:
            self.invoke("GatewayTrade", contract_id, records, lambda client: client.trades)
            last = records[-1]
            symbol, bid = last["symbolId"], last["price"] - (0 if last["type"] else TICK)
            # As at the real one a quote names only what has changed.
            for quote in (
                {"symbol": symbol, "lastPrice": last["price"], "lastUpdated": last["timestamp"]},
                {"symbol": symbol, "bestBid": bid, "bestAsk": bid + TICK, "timestamp": last["timestamp"]},
            ):
                self.invoke("GatewayQuote", contract_id, quote, lambda client: client.quotes)

    def invoke(
        self, target: str, contract_id: str, data: object, wanted: Callable[[Client], set[str]] = lambda c: c.trades
    ) -> None:
        """Call a method of the subscribed clients."""
        record = {"type": 1, "target": target, "arguments": [contract_id, data]}
        for client in list(self.clients):
            if contract_id in wanted(client):
                self.send(client, record)

    def beat(self) -> None:
        """Ping clients that have been told nothing for a while, drop those that have been silent too long."""
        now = time.monotonic()
        for client in list(self.clients):
            if now - client.heard_at > CLIENT_TIMEOUT_SECONDS:
                self.fin(client)
            elif now - client.sent_at >= self._keep_alive:
                self.send(client, {"type": 6})

    def send(self, client: Client, *records: object) -> None:
        """Send records, each in a frame of its own unless the faults say otherwise."""
        if self.faults.is_mute:
            return
        text = "".join(json.dumps(record) + RS for record in records)
        self.send_text(client, text)

    def send_text(self, client: Client, text: str) -> None:
        """Send anything."""
        client.sent_at = time.monotonic()
        with client.lock, contextlib.suppress(ConnectionClosed, OSError):
            if self.faults.joins_records:
                client.connection.send(json.dumps({"type": 6}) + RS + text + json.dumps({"type": 6}) + RS)
            elif self.faults.splits_records:
                middle = len(text) // 2
                client.connection.send([text[:middle], text[middle:]])  # one message in two frames
            else:
                client.connection.send(text)

    # --- what is done to clients ---------------------------------------------------------------------------------

    def fin(self, client: Client) -> None:
        """End the connection without a word."""
        with contextlib.suppress(OSError):
            client.connection.socket.shutdown(socket.SHUT_RDWR)

    def rst(self, client: Client) -> None:
        """Break the connection off."""
        with contextlib.suppress(OSError):
            client.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.connection.socket.shutdown(socket.SHUT_RD)
            client.connection.socket.close()

    def reset_all(self) -> None:
        """Break every connection off."""
        for client in list(self.clients):
            self.rst(client)

    def close_record(self, client: Client, *, allow_reconnect: bool | None = None) -> None:
        """Say goodbye as the protocol wants it."""
        extra = {} if allow_reconnect is None else {"allowReconnect": allow_reconnect}
        self.send(client, {"type": 7, "error": "Connection closed with an error."} | extra)
        self.fin(client)

    def ping(self, client: Client, payload: bytes) -> None:
        """A WebSocket ping, which proxies send and some clients choke on."""
        with client.lock, contextlib.suppress(ConnectionClosed, OSError):
            client.connection.ping(payload)

    def forget_subscriptions(self) -> None:
        """Go on as if nobody had subscribed to anything."""
        for client in list(self.clients):
            client.trades.clear()
            client.quotes.clear()

    # --- the protocol --------------------------------------------------------------------------------------------

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        parts = urlsplit(request.path)
        if not parts.path.endswith("/hubs/market"):
            return connection.respond(http.HTTPStatus.NOT_FOUND, "no such hub\n")
        if not self._tokens.is_valid(_token_of(request)):
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "no valid token\n")
        return None

    def _serve(self, connection: ServerConnection) -> None:
        self.connections += 1
        client = Client(connection, _token_of(connection.request))
        client.heard_at = client.sent_at = time.monotonic()
        with contextlib.suppress(ConnectionClosed, OSError, TimeoutError):
            if self._shake_hands(client):
                self.clients.append(client)
                for message in connection:
                    client.heard_at = time.monotonic()
                    for text in filter(None, str(message).split(RS)):
                        self._on_record(client, json.loads(text))
        if client in self.clients:
            self.clients.remove(client)

    def _shake_hands(self, client: Client) -> bool:
        asked = json.loads(str(client.connection.recv(timeout=15)).split(RS)[0])
        self.received.append(asked)
        error = self.faults.handshake_error
        if asked.get("protocol") != "json" or asked.get("version") != 1:
            error = f"The protocol '{asked.get('protocol')}' version {asked.get('version')} is not supported."
        client.connection.send(json.dumps({"error": error} if error else {}) + RS)
        return error is None

    def _on_record(self, client: Client, record: dict[str, Any]) -> None:
        self.received.append(record)
        if record.get("type") != 1:
            return
        error = self._call(client, str(record.get("target")), record.get("arguments") or [])
        if "invocationId" in record:
            done = {"type": 3, "invocationId": record["invocationId"]}
            self.send(client, done | ({"error": error} if error else {}))

    def _call(self, client: Client, target: str, arguments: list[Any]) -> str | None:
        """Do what a client asks; the error if there is one."""
        verb, kind = METHODS.get(target, ("", ""))
        if not verb:
            return f"Unknown hub method '{target}'"
        if len(arguments) != 1 or arguments[0] not in self._contracts:
            return "An unexpected error occurred invoking the method."
        if self.faults.subscribe_error:
            return self.faults.subscribe_error
        wanted = {"Trades": client.trades, "Quotes": client.quotes}.get(kind, set())
        if verb == "Unsubscribe":
            wanted.discard(arguments[0])
        elif not self.faults.drops_subscriptions:
            wanted.add(arguments[0])
        return None


def wire_time(at: datetime) -> str:
    """An instant with seven digits of a second, as .NET writes it."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond:06d}5+00:00"


def _trade_record(contract_id: str, trade: Trade) -> dict[str, Any]:
    symbol = contract_id.removeprefix("CON.").rpartition(".")[0]
    return {
        "symbolId": symbol, "price": trade.price, "timestamp": wire_time(trade.at), "type": trade.side,
        "volume": trade.size,
    }  # fmt: skip


def _token_of(request: Request | None) -> str:
    """The token of the query string, as browsers and samples send it, or else of the header, as other clients do."""
    if request is None:
        return ""
    in_query = parse_qs(urlsplit(request.path).query).get("access_token", [""])[0]
    return in_query or request.headers.get("Authorization", "").removeprefix("Bearer ")
