"""Errors become answers here and nowhere else: problem+json (RFC 9457) for programs, a page for people.

The problem document keeps `success` and `error`, which older clients read. It never holds SQL, paths or traces; the
request id ties it to the log.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g, jsonify, redirect, render_template, request, url_for
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from core import errors
from database.engine import GIVEN_UP

log = logging.getLogger(__name__)

STATUS: dict[type[errors.SignalbookError], int] = {
    errors.InvalidInputError: 422,
    errors.TooLargeError: 413,
    errors.NotLoggedInError: 401,
    errors.NotAllowedError: 403,
    errors.NotFoundError: 404,
    errors.ConflictError: 409,
    errors.RateLimitedError: 429,
    errors.TryAgainError: 503,
    errors.MisconfiguredError: 500,
    errors.SignalbookError: 500,
}


def init_errors(app: Flask) -> None:
    """Register the handlers."""
    app.register_error_handler(errors.SignalbookError, answer_to)
    app.register_error_handler(HTTPException, _http)
    for kind in GIVEN_UP:
        app.register_error_handler(kind, _given_up)
    app.register_error_handler(Exception, _unknown)


def status_of(error: errors.SignalbookError) -> int:
    """The HTTP status of the nearest class in the table."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def answer_to(error: errors.SignalbookError, *, status: int | None = None) -> Response:
    """The answer to a known error, with the status of the table unless another is given."""
    status = status or status_of(error)
    if status == 401 and _wants_page() and request.method == "GET":
        return redirect(url_for("auth.login", next=request.full_path.rstrip("?")))  # type: ignore[return-value]
    if status >= 500:
        log.warning("request_refused", extra={"code": error.code, "reason": error.message})
    answer = _answer(status, error.code, error.message, field=error.field)
    if isinstance(error, errors.TryAgainError):
        answer.headers["Retry-After"] = str(error.retry_after)
    return answer


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400:
        return error.get_response()  # type: ignore[return-value]
    if isinstance(error, CSRFError):
        return _answer(403, "csrf", "The form has expired or came from another site; reload the page and try again.")
    answer = _answer(status, HTTPStatus(status).phrase.lower().replace(" ", "_"), HTTPStatus(status).description)
    if status == 405 and error.valid_methods:  # type: ignore[attr-defined]
        answer.headers["Allow"] = ", ".join(sorted(error.valid_methods))  # type: ignore[attr-defined]
    return answer


def _given_up(_error: Exception) -> Response:
    return answer_to(errors.TryAgainError("The database took too long; ask for less, or try again."))


def _unknown(error: Exception) -> Response:
    log.error("request_failed", exc_info=error)
    return _answer(500, "internal_error", "Something went wrong on our side; it has been logged.")


def _wants_page() -> bool:
    if request.path.startswith("/api/"):
        return False
    return "text/html" in request.headers.get("Accept", "")  # programs that take anything get the problem document


def _answer(status: int, code: str, detail: str, *, field: str | None = None) -> Response:
    title = HTTPStatus(status).phrase
    request_id = g.get("request_id", "")
    if _wants_page():
        page = render_template("error.html", status=status, title=title, message=detail, request_id=request_id)
        return Response(page, status, mimetype="text/html")
    problem: dict[str, Any] = {
        "type": f"urn:signalbook:error:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": request_id,
        "success": False,
        "error": detail,
        "code": code,
    }
    if field:
        problem["errors"] = [{"pointer": f"/{field}", "field": field, "detail": detail}]
    answer = jsonify(problem)
    answer.status_code = status
    answer.mimetype = "application/problem+json"
    return answer
