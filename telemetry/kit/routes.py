"""The connection page: addresses of the webhook, a test of the way, the sender and templates to take along."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from flask import Blueprint, Response, current_app, make_response, redirect, render_template, request, url_for
from flask_login import current_user

from core.errors import NotFoundError
from database import deliveries, tokens
from telemetry import presenting
from telemetry.kit.limits import compare
from telemetry.kit.templates import TEMPLATES

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from telemetry.parts import Telemetry

OVERLAP = timedelta(hours=24)
SENDER = "signalbook_sender.pine"
OPEN_TRADES = (6, 22, 40)

connect = Blueprint("connect", __name__)


def parts() -> Telemetry:
    """The telemetry parts of the current app."""
    return cast("Telemetry", current_app.extensions["telemetry"])


@connect.get("/connect")
def connect_page() -> Response:
    """How to connect TradingView; tokens by their last four characters."""
    return _page(None)


@connect.post("/connect/rotate")
def rotate_token() -> Response:
    """A new token for a stream, shown whole this once; the old ones go on for a day."""
    stream = request.form.get("stream", "").strip() or parts().settings.stream
    now = parts().clock.now()
    with parts().db.transaction() as cur:
        token = tokens.rotate_token(cur, stream=stream, created_by=current_user.name, old_expires_at=now + OVERLAP)
    parts().door.refresh()
    return _page({"stream": stream, "token": token, "since": now.timestamp()})


@connect.post("/connect/revoke/<int:token_id>")
def revoke_token(token_id: int) -> ResponseReturnValue:
    """End one token at once."""
    with parts().db.transaction() as cur:
        tokens.revoke_token(cur, token_id=token_id, now=parts().clock.now())
    parts().door.refresh()
    return redirect(url_for("telemetry_pages.connect.connect_page"), 303)


@connect.post("/connect/test")
def send_test() -> Response:
    """Send a heartbeat to a stream as if it had come through the webhook, and say what became of it.

    The page that shows a new token sends it along, and the door judges it; later nobody has it, and the stream counts.
    """
    token = request.form.get("token") or None
    stream = parts().door.stream_of(token) if token else _stream_with_address(request.form.get("stream", ""))
    now, started = parts().clock.now(), time.perf_counter()
    sample = {"event_type": "HEARTBEAT", "timestamp": f"{now:%Y-%m-%dT%H:%M:%SZ}", "sent_by": "the test of /connect"}
    answer = parts().intake.receive(
        json.dumps(sample).encode(),
        stream=stream,
        token=token,
        content_type=deliveries.TEST_CONTENT_TYPE,
        source_ip=request.remote_addr or "",
    )
    tested = answer.body | {"stream": stream, "milliseconds": (time.perf_counter() - started) * 1000}
    fresh = {"stream": stream, "token": token, "since": _since()} if token else None
    return _page(fresh, tested | {"judged": bool(token)})


@connect.get(f"/connect/{SENDER}")
def download_sender() -> Response:
    """The Pine script that sends everything Signalbook understands."""
    answer = Response(_sender_text(), mimetype="text/plain")
    answer.headers["Content-Disposition"] = f'attachment; filename="{SENDER}"'
    return answer


def _stream_with_address(stream: str) -> str:
    with parts().db.transaction() as cur:
        rows = tokens.list_valid_tokens(cur, now=parts().clock.now())
    if stream not in {row.stream for row in rows}:
        raise NotFoundError("That stream has no valid address; create one first.", field="stream")
    return stream


def _since() -> float:
    given = request.form.get("since", 0.0, type=float)
    return given if 0 <= given <= parts().clock.now().timestamp() else 0.0


def _sender_text() -> str:
    return (Path(current_app.root_path) / "pine" / SENDER).read_text(encoding="utf-8")


def _page(fresh: dict[str, Any] | None, tested: dict[str, Any] | None = None) -> Response:
    settings, now = parts().settings, parts().clock.now()
    with parts().db.transaction() as cur:
        rows = tokens.list_tokens(cur)
        last = {row.stream: deliveries.last_delivery(cur, row.stream) for row in rows}
    base = settings.public_url or request.host_url.rstrip("/")
    page = render_template(
        "connect.html",
        base_url=base,
        faults=presenting.address_faults(base),
        tokens=rows,
        streams=sorted({row.stream for row in rows if _is_valid(row, now)}),
        fresh=fresh,
        tested=tested,
        last=last,
        now=now,
        default_stream=settings.stream,
        sender=_sender_text(),
        templates=TEMPLATES,
        loads={count: compare(count, 1) for count in OPEN_TRADES},
    )
    answer = make_response(page)
    if fresh:
        answer.headers["Cache-Control"] = "no-store"  # the one page that holds a token
    return answer


def _is_valid(row: Any, now: datetime) -> bool:
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > now.astimezone(UTC))
