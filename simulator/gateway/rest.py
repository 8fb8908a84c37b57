"""The gateway's REST API: every call a POST with a JSON body, every answer an envelope, failures answered with 200."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from core.errors import InvalidInputError
from core.records import Timeframe, Unit
from simulator.gateway.market import Market
from simulator.gateway.tokens import Tokens

MAX_BARS = 20_000
MAX_FOUND = 20
HISTORY_LIMIT = (50, 30.0)
OTHER_LIMIT = (200, 60.0)
MOST_AWAY_SECONDS = 600


@dataclass(slots=True)
class RestFaults:
    """What goes wrong on purpose: so many next calls answer 500, 429 or nothing at all; while it is away, none is answered."""

    server_errors: int = 0
    too_many: int = 0
    hang_ups: int = 0
    is_away: bool = False


class Limiter:
    """A sliding window of so many calls in so many seconds."""

    def __init__(self, limit: tuple[int, float], monotonic: Callable[[], float]) -> None:
        self._count, self._seconds = limit
        self._monotonic = monotonic
        self._calls: deque[float] = deque()
        self._lock = threading.Lock()

    def allow(self) -> bool:
        """Count one call; False when it is one too many."""
        with self._lock:
            now = self._monotonic()
            while self._calls and now - self._calls[0] >= self._seconds:
                self._calls.popleft()
            if len(self._calls) >= self._count:
                return False
            self._calls.append(now)
            return True


class Api:
    """What the calls do; knows no HTTP but its status codes."""

    def __init__(
        self, market: Market, tokens: Tokens, now: Callable[[], datetime], monotonic: Callable[[], float],
        *, user: str = "demo", key: str = "demo-api-key",
    ) -> None:  # fmt: skip
        self.faults = RestFaults()
        self.calls: list[str] = []
        self.refused = 0
        self.on_away: Callable[[float], None] = lambda _seconds: None
        self._market, self._tokens, self._now = market, tokens, now
        self._user, self._key = user, key
        self._history, self._other = Limiter(HISTORY_LIMIT, monotonic), Limiter(OTHER_LIMIT, monotonic)

    def answer(self, path: str, body: dict[str, Any], token: str) -> tuple[int, dict[str, Any]]:
        """(status, answer) of a call."""
        self.calls.append(path)
        if not (self._history if path.endswith("retrieveBars") else self._other).allow() or self._one("too_many"):
            self.refused += 1
            return 429, {}
        if self._one("server_errors"):
            return 500, {}
        if path == "/api/Auth/loginKey":
            return 200, self._login(body)
        call = self.ROUTES.get(path)
        if call is None:
            return 404, {}
        return (200, call(self, body)) if self._tokens.is_valid(token) else (401, {})

    def _one(self, fault: str) -> bool:
        left: int = getattr(self.faults, fault)
        setattr(self.faults, fault, max(0, left - 1))
        return left > 0

    def _login(self, body: dict[str, Any]) -> dict[str, Any]:
        if (body.get("userName"), body.get("apiKey")) != (self._user, self._key):
            return _envelope(3, token=None)
        return _envelope(token=self._tokens.issue())

    def _validate(self, _body: dict[str, Any]) -> dict[str, Any]:
        return _envelope(newToken=self._tokens.issue())

    def _search(self, body: dict[str, Any]) -> dict[str, Any]:
        text = str(body.get("searchText", "")).upper()
        records = [contract.record() for contract in self._market.contracts.values()]
        found = [each for each in records if text in each["name"] or text in each["id"]]
        return _envelope(contracts=found[:MAX_FOUND])

    def _search_by_id(self, body: dict[str, Any]) -> dict[str, Any]:
        contract = self._market.contracts.get(str(body.get("contractId")))
        return _envelope(contract=contract.record()) if contract else _envelope(1, contract=None)

    def _bars(self, body: dict[str, Any]) -> dict[str, Any]:
        if body.get("contractId") not in self._market.contracts:
            return _envelope(1, bars=None)
        if body.get("unit") not in set(Unit):
            return _envelope(2, bars=None)
        try:
            timeframe = Timeframe(Unit(body["unit"]), int(body["unitNumber"]))
        except (InvalidInputError, KeyError, ValueError):
            return _envelope(3, bars=None)
        limit = body.get("limit")
        if not isinstance(limit, int) or not 0 < limit <= MAX_BARS:
            return _envelope(4, bars=None)
        start = datetime.fromisoformat(str(body["startTime"])).astimezone(UTC)
        end = min(datetime.fromisoformat(str(body["endTime"])).astimezone(UTC), self._now())
        bars = self._market.bars(body["contractId"], timeframe, start, end) if start < end else []
        return _envelope(bars=bars[::-1][:limit])

    def _away(self, body: dict[str, Any]) -> dict[str, Any]:
        """Not the gateway's: a drill asks that the whole gateway be away for so many seconds."""
        seconds = body.get("seconds")
        if not isinstance(seconds, int | float) or not 0 < seconds <= MOST_AWAY_SECONDS:
            return _envelope(1)
        self.on_away(float(seconds))
        return _envelope()

    ROUTES: ClassVar[dict[str, Callable[[Api, dict[str, Any]], dict[str, Any]]]] = {
        "/api/Auth/validate": _validate,
        "/api/Auth/logout": lambda _api, _body: _envelope(),
        "/api/Contract/search": _search,
        "/api/Contract/available": lambda api, _body: api._search({}),
        "/api/Contract/searchById": _search_by_id,
        "/api/History/retrieveBars": _bars,
        "/simulator/away": _away,
    }


def serve_rest(api: Api, host: str, port: int) -> ThreadingHTTPServer:
    """A server of the API on its own thread; the caller shuts it down."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if api.faults.is_away or api._one("hang_ups"):
                self.close_connection = True
                return None
            try:
                given = json.loads(body) if body else {}
            except ValueError:
                return self._send(400, {})
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            return self._send(*api.answer(self.path, given, token))

        def do_GET(self) -> None:
            if api.faults.is_away:
                self.close_connection = True
                return
            self._send(200 if self.path == "/api/Status/ping" else 404, "pong")

        def _send(self, status: int, answer: object) -> None:
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing: URLs and headers hold secrets."""

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=[0.05], name="simulated-rest", daemon=True).start()
    return server


def _envelope(code: int = 0, **payload: Any) -> dict[str, Any]:
    return {"success": code == 0, "errorCode": code, "errorMessage": None, **payload}
