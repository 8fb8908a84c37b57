"""A request id and one canonical log line for each request; the route's rule is logged, never the path with its token."""

from __future__ import annotations

import logging
import re
import secrets
import time
from typing import Any

import structlog
from flask import Flask, Response, g, request
from flask_login import current_user

from web.serving import metrics

log = logging.getLogger("request")
_REQUEST_ID = re.compile(r"[0-9A-Za-z_.-]{8,64}")


def init_request_log(app: Flask) -> None:
    """Number, time and log every request."""
    app.before_request(_begin)
    app.after_request(_end)


def begin(given: str) -> str:
    """The id of a request that begins now: the one its caller has given, if fit, else a fresh one.

    Every log line of this thread carries it from now on.
    """
    request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id)
    return request_id


def end(
    *, rule: str, method: str, status: int, seconds: float, size: int | None, address: str | None,
    user: str | None = None, is_quiet: bool = False, **fields: Any,
) -> None:  # fmt: skip
    """Count a request that has been answered and write its line; `fields` are the route's own."""
    metrics.observe_request(rule, method, status, seconds)
    said = {
        "method": method,
        "rule": rule,
        "status": status,
        "ms": round(seconds * 1000, 1),
        "bytes": size,
        "address": address,
        "user": user,
    }
    log.log(logging.DEBUG if is_quiet else logging.INFO, "request", extra=said | fields)


def _begin() -> None:
    g.request_id = begin(request.headers.get("X-Request-ID", ""))
    g.started = time.perf_counter()


def _end(response: Response) -> Response:
    if "started" not in g:
        return response
    response.headers["X-Request-ID"] = g.request_id
    end(
        rule=request.url_rule.rule if request.url_rule else "(none)",
        method=request.method,
        status=response.status_code,
        seconds=time.perf_counter() - g.started,
        size=response.content_length,
        address=request.remote_addr,
        user=_user_name(),
        is_quiet=request.blueprint in ("health", "metrics") and response.status_code < 400,
        **g.get("log_fields", {}),
    )
    return response


def _user_name() -> str | None:
    """The name, if this request has already looked its user up; asking here could touch the database."""
    if "_login_user" not in g or not current_user.is_authenticated:
        return None
    return str(current_user.name)
