"""Health for machines: `/healthz` says that the process lives, `/readyz` that an alert can be stored.

Neither asks the database: readiness comes from checks that answer from memory, so a database outage neither restarts
the service nor takes it out of rotation exactly when the journal is needed.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, jsonify

from web.services import Check, services

blueprint = Blueprint("health", __name__)
VERSION = "0.1.0"
GIT = Path(__file__).parents[2] / ".git"


@blueprint.get("/healthz")
def healthz() -> Response:
    """The process answers."""
    return jsonify(status="pass", version=VERSION, commit=commit())


@blueprint.get("/readyz")
def readyz() -> tuple[Response, int]:
    """200 if an alert can be stored and the process is not draining; everything else is a warning in the body."""
    checks = services().readiness()
    if services().draining.is_set():
        checks["process"] = Check("fail", "draining: shutting down")
    status = overall(checks)
    body = {name: {"status": check.status, "detail": check.detail} for name, check in checks.items()}
    return jsonify(status=status, version=VERSION, checks=body), 503 if status == "fail" else 200


def overall(checks: dict[str, Check]) -> str:
    """The worst status of all checks."""
    statuses = {check.status for check in checks.values()}
    return next((status for status in ("fail", "warn") if status in statuses), "pass")


@cache
def commit() -> str:
    """The commit that runs: SOURCE_COMMIT of the image, else what the checkout's git folder says, else unknown."""
    given = os.environ.get("SOURCE_COMMIT") or os.environ.get("RAILWAY_GIT_COMMIT_SHA")
    if given:
        return given[:12]
    try:
        head = (GIT / "HEAD").read_text(encoding="utf-8").strip()
        return (commit_of(GIT, head[5:]) if head.startswith("ref: ") else head)[:12]
    except OSError:
        return "unknown"


def commit_of(git: Path, ref: str) -> str:
    """The commit a branch points to, in a file of its own or among the packed ones. OSError when there is no git folder."""
    if (git / ref).exists():
        return (git / ref).read_text(encoding="utf-8").strip()
    lines = (git / "packed-refs").read_text(encoding="utf-8").splitlines()
    return next((line.split(" ")[0] for line in lines if line.endswith(f" {ref}")), "unknown")
