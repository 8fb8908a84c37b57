"""The shortest way of an alert: a layer before Flask, which spends more on a request than the intake does.

Only what every alert of TradingView looks like goes this way: a POST whose URL holds a known token and whose body is not
too long. Anything else, refusals too, goes on to the app, which has the whole of the rules.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from core.errors import NotFoundError, TryAgainError
from telemetry.dialects.body import MAX_BYTES
from telemetry.entrance.door import Door
from telemetry.intake import Answer, Intake

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PREFIX = "/api/automated-signals/webhook/"
RULE = f"{PREFIX}<token>"
RECEIVE_CLOCK = "HTTP_X_SIGNALBOOK_RECEIVED_AT"
CHALLENGE = "HTTP_X_SIGNALBOOK_CHALLENGE"
STATUS_LINES = {status: f"{status} {HTTPStatus(status).phrase}" for status in (200, 422, 503)}


class RequestLog(Protocol):
    """How a request is numbered, timed and logged."""

    def begin(self, given: str) -> str:
        """The id of a request that begins now."""

    def end(
        self,
        *,
        rule: str,
        method: str,
        status: int,
        seconds: float,
        size: int | None,
        address: str | None,
        **fields: Any,
    ) -> None:
        """It has been answered."""


class FastLane:
    """A WSGI app that answers plain alerts itself and passes everything else on to `app`."""

    def __init__(
        self, app: WSGIApplication, door: Door, intake: Intake, *, headers: Mapping[str, str], request_log: RequestLog
    ) -> None:
        """`headers` are those of every answer."""
        self._app = app
        self._door = door
        self._intake = intake
        self._headers = [*headers.items(), ("Content-Type", "application/json")]
        self._log = request_log

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        token = plain_token(environ)
        stream = self._stream_of(token) if token else None
        if token is None or stream is None:
            return self._app(environ, start_response)
        started = time.perf_counter()
        request_id = self._log.begin(environ.get("HTTP_X_REQUEST_ID", ""))
        address = environ.get("REMOTE_ADDR", "")
        answer = self._intake.receive(
            environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])),
            stream=stream,
            token=token,
            content_type=environ.get("CONTENT_TYPE", ""),
            source_ip=address,
        )
        body = json.dumps(answer.body, separators=(",", ":")).encode() + b"\n"
        headers = [*self._headers, ("Content-Length", str(len(body))), ("X-Request-ID", request_id)]
        if answer.retry_after is not None:
            headers.append(("Retry-After", str(answer.retry_after)))
        self._log.end(
            rule=RULE, method="POST", status=answer.status_code, seconds=time.perf_counter() - started,
            size=len(body), address=address, **log_fields(answer),
        )  # fmt: skip
        start_response(STATUS_LINES[answer.status_code], headers)
        return [body]

    def _stream_of(self, token: str) -> str | None:
        try:
            return self._door.stream_of(token)
        except (NotFoundError, TryAgainError):
            return None


def plain_token(environ: WSGIEnvironment) -> str | None:
    """The token in the URL of a plain alert; None if the app has to look at the request."""
    path: str = environ.get("PATH_INFO", "")
    if environ["REQUEST_METHOD"] != "POST" or not path.startswith(PREFIX):
        return None
    token, length = path[len(PREFIX) :], environ.get("CONTENT_LENGTH", "")
    is_plain = (
        token.isascii()
        and "/" not in token
        and length.isdecimal()
        and int(length) <= MAX_BYTES
        and RECEIVE_CLOCK not in environ
        and CHALLENGE not in environ
    )
    return token if is_plain and token else None


def log_fields(answer: Answer) -> dict[str, Any]:
    """What the request's log line says of an alert."""
    fields = {name: answer.body[name] for name in ("receipt_id", "stored") if answer.body.get(name)}
    return {**fields, "delivery_status": answer.body["status"]}
