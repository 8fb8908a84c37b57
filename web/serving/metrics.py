"""Prometheus metrics of the process and of HTTP; `/metrics` is behind a token. Features register their own series."""

from __future__ import annotations

from functools import cache

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest

blueprint = Blueprint("metrics", __name__)

REQUEST_SECONDS = Histogram(
    "signalbook_http_request_seconds",
    "Time to answer, by route and method",
    ["rule", "method"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0),
)
REQUESTS = Counter(
    "signalbook_http_requests_total", "Requests answered, by route, method and status", ["rule", "method", "status"]
)
REFUSED = Counter("signalbook_http_refused_total", "Requests refused at admission, by class", ["kind"])


def observe_request(rule: str, method: str, status: int, seconds: float) -> None:
    """Count one answered request."""
    method = method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "other"
    times, answers = _series(rule, method, status)
    times.observe(seconds)
    answers.inc()


@cache
def _series(rule: str, method: str, status: int) -> tuple[Histogram, Counter]:
    return REQUEST_SECONDS.labels(rule, method), REQUESTS.labels(rule, method, str(status))


@blueprint.get("/metrics")
def metrics() -> Response:
    """Everything this process measures."""
    return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)
