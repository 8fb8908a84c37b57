"""Who may call what: deny by default. A blueprint that is not in the table answers 403.

Requests that change something need the role operator, whatever the blueprint. Below /api an API token may speak for the
caller instead of a cookie.
"""

from __future__ import annotations

from enum import Enum, auto
from hmac import compare_digest

from flask import Flask, request
from flask_login import current_user

from core.errors import NotAllowedError, NotLoggedInError
from database.engine import PAGE_TIMEOUT_MS, STATEMENT_TIMEOUT_MS, limit_statements
from web.services import services


class Access(Enum):
    """What a blueprint asks of its caller."""

    PUBLIC = auto()
    LOGIN = auto()
    OWN = auto()  # any login, viewers too, may change what is its own
    METRICS_TOKEN = auto()
    WEBHOOK_TOKEN = auto()  # checked by the route itself, which must read the body to find the token


POLICY = {
    "auth": Access.PUBLIC,
    "health": Access.PUBLIC,
    "metrics": Access.METRICS_TOKEN,
    "pages": Access.LOGIN,
    "pages.preferences": Access.PUBLIC,
    "pages.code_login": Access.PUBLIC,
    "pages.account": Access.OWN,
    "pages.audit": Access.LOGIN,
    "pages.well_known": Access.PUBLIC,
    "openapi": Access.LOGIN,
    "signals_api": Access.LOGIN,
    "live": Access.LOGIN,
    "webhook": Access.WEBHOOK_TOKEN,
    "telemetry": Access.LOGIN,
    "telemetry_pages": Access.LOGIN,
    "telemetry_pages.connect": Access.LOGIN,
    "signals": Access.LOGIN,
    "signals.preferences": Access.PUBLIC,
    "waves": Access.LOGIN,
    "waves_pages": Access.LOGIN,
    "hybrid_sync": Access.LOGIN,
    "hybrid_sync_pages": Access.LOGIN,
    "market": Access.LOGIN,
    "market_pages": Access.LOGIN,
    "operations_pages": Access.LOGIN,
    "analysis": Access.LOGIN,
    "analysis_pages": Access.LOGIN,
}
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
API_PREFIX = "/api/"


def init_policy(app: Flask) -> None:
    """Check every request against the table before it reaches its view, and let what only looks ask no heavy questions."""
    app.before_request(_limit_statements)
    app.before_request(check_access)
    app.teardown_request(_end_limit)


def _limit_statements() -> None:
    limit_statements(PAGE_TIMEOUT_MS if request.method in SAFE_METHODS else STATEMENT_TIMEOUT_MS)


def _end_limit(_error: BaseException | None) -> None:
    limit_statements(STATEMENT_TIMEOUT_MS)


def check_access() -> None:
    """Raise NotLoggedInError or NotAllowedError unless the table lets this request through."""
    if request.endpoint is None:
        return  # no such route: the 404 says no more than that
    access = POLICY.get(request.blueprint or "")
    if access is None:
        raise NotAllowedError
    if access is Access.LOGIN:
        _check_login()
    elif access is Access.OWN:
        _check_anybody()
    elif access is Access.METRICS_TOKEN:
        _check_metrics_token()


def bearer() -> str | None:
    """The bearer token of the request; None without one."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else None


def api_token() -> str | None:
    """The token that speaks for the caller in place of cookie and form token; elsewhere than below /api none does."""
    return bearer() if request.path.startswith(API_PREFIX) else None


def _check_anybody() -> None:
    if not current_user.is_authenticated:
        raise NotLoggedInError("This API token is not valid." if api_token() is not None else None)


def _check_login() -> None:
    _check_anybody()
    if request.method not in SAFE_METHODS and current_user.role != "operator":
        raise NotAllowedError("Only an operator may do that.")


def _check_metrics_token() -> None:
    given, expected = bearer(), services().secrets["metrics_token"]
    if given is None or not compare_digest(given.encode(), expected.encode()):
        raise NotLoggedInError("Send the metrics token as a bearer token.")
