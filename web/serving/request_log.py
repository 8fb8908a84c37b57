"""A request id and one canonical log line for each request; the route's rule is logged, never the path with its token."""

from __future__ import annotations

import logging
import re
import secrets
import time

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


def _begin() -> None:
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
    g.started = time.perf_counter()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _end(response: Response) -> Response:
    if "started" not in g:
        return response
    seconds = time.perf_counter() - g.started
    rule = request.url_rule.rule if request.url_rule else "(none)"
    response.headers["X-Request-ID"] = g.request_id
    metrics.observe_request(rule, request.method, response.status_code, seconds)
    quiet = request.blueprint in ("health", "metrics") and response.status_code < 400
    log.log(
        logging.DEBUG if quiet else logging.INFO,
        "request",
        extra={
            "method": request.method,
            "rule": rule,
            "status": response.status_code,
            "ms": round(seconds * 1000, 1),
            "bytes": response.content_length,
            "address": request.remote_addr,
            "user": _user_name(),
            **g.get("log_fields", {}),
        },
    )
    return response


def _user_name() -> str | None:
    """The name, if this request has already looked its user up; asking here could touch the database."""
    if "_login_user" not in g or not current_user.is_authenticated:
        return None
    return str(current_user.name)
