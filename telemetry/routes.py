"""HTTP of the intake: the webhook for TradingView, and the delivery log for programs and people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast
from uuid import UUID

from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    g,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_openapi3 import APIBlueprint, Tag

from core.errors import InvalidInputError, NotFoundError, TooLargeError, TryAgainError
from database import deliveries
from database.engine import Cursor
from database.storable import id_or_none, without_nul
from telemetry import measures, presenting
from telemetry import payloads as answers
from telemetry.backfill import backfill_telemetry_from_automated_signals
from telemetry.dialects.body import MAX_BYTES
from telemetry.dialects.masking import find_body_tokens
from telemetry.entrance.fast_lane import RULE, FastLane, RequestLog, log_fields
from telemetry.history.alert_import import import_logs
from telemetry.history.alert_log import is_capped, parse_alert_log
from telemetry.history.rebuild import replay_quarantined
from telemetry.history.upload import unpacked
from telemetry.kit.routes import connect
from telemetry.parts import Telemetry
from telemetry.payloads import BackfillBody, ConnectionQuery, DeliveryPath, DeliveryQuery, ImportQuery

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

RECEIVE_CLOCK_HEADER = "X-Signalbook-Received-At"
ALLOWED_STREAM = "main"
MAX_BODY_TOKENS = 10
PAGE_SIZE = 50

webhook = Blueprint("webhook", __name__)
pages = Blueprint("telemetry_pages", __name__)
api = APIBlueprint("telemetry", __name__, url_prefix="/api/automated-signals", abp_tags=[Tag(name="telemetry")])


def parts() -> Telemetry:
    """The telemetry parts of the current app."""
    return cast(Telemetry, current_app.extensions["telemetry"])


# --- the webhook -------------------------------------------------------------------------------------------------


@webhook.post(RULE)
def receive_with_token(token: str) -> Response:
    """An alert whose URL holds the token."""
    return _receive([token])


@webhook.post("/api/automated-signals/webhook")
@webhook.post("/api/automated-signals")
def receive() -> Response:
    """An alert whose body holds the token, or that comes from an allowed address."""
    return _receive([])


def init_fast_lane(app: Flask, headers: Mapping[str, str], request_log: RequestLog) -> None:
    """Let plain alerts be answered before Flask, with the headers and the log line of every answer."""
    found: Telemetry = app.extensions["telemetry"]
    lane = FastLane(app.wsgi_app, found.door, found.intake, headers=headers, request_log=request_log)
    app.wsgi_app = lane  # type: ignore[method-assign]


def _receive(candidates: list[str]) -> Response:
    body = _body()
    stream, token = _entrance(candidates or find_body_tokens(body)[:MAX_BODY_TOKENS])
    answer = parts().intake.receive(
        body,
        stream=stream,
        token=token,
        content_type=request.content_type or "",
        source_ip=request.remote_addr or "",
        received_at=_receive_clock(),
    )
    g.log_fields = log_fields(answer)
    response = jsonify(answer.body)
    response.status_code = answer.status_code
    if answer.retry_after is not None:
        response.headers["Retry-After"] = str(answer.retry_after)
    return response


def _body() -> bytes:
    length = request.content_length
    if length is not None and length > MAX_BYTES:
        measures.REFUSED.labels("too_large").inc()
        raise TooLargeError(f"The body is larger than {MAX_BYTES} bytes.", field="body")
    body = request.get_data(cache=False)
    if len(body) > MAX_BYTES:
        measures.REFUSED.labels("too_large").inc()
        raise TooLargeError(f"The body is larger than {MAX_BYTES} bytes.", field="body")
    return body


def _entrance(candidates: list[str]) -> tuple[str, str | None]:
    """The stream of the first valid token and that token, else the stream of an allowed address.

    Raises NotFoundError or TryAgainError.
    """
    door = parts().door
    refusal: NotFoundError | TryAgainError = NotFoundError("There is no such webhook.")
    for token in candidates:
        try:
            return door.stream_of(token), token
        except (NotFoundError, TryAgainError) as error:
            refusal = error
    if request.remote_addr in parts().settings.webhook_allow:
        return ALLOWED_STREAM, None
    measures.REFUSED.labels(refusal.code).inc()
    raise refusal


def _receive_clock() -> datetime | None:
    """The receive time that a test or the demo's simulator sets; ignored in production."""
    text = request.headers.get(RECEIVE_CLOCK_HEADER)
    if not text or not (parts().settings.testing or parts().settings.demo):
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInputError("must be an ISO 8601 instant with an offset", field=RECEIVE_CLOCK_HEADER) from None
    if instant.tzinfo is None:
        raise InvalidInputError("must have an offset", field=RECEIVE_CLOCK_HEADER)
    return instant.astimezone(UTC)


# --- the delivery log --------------------------------------------------------------------------------------------


@api.get("/telemetry", summary="The delivery log, newest first", responses={200: answers.DeliveriesAnswer})
def list_deliveries(query: DeliveryQuery) -> Response:
    """Every delivery that was ever received, without its body."""
    with parts().db.transaction() as cur:
        rows = deliveries.list_deliveries(
            cur,
            limit=query.page_size,
            after_id=query.after_id,
            before_id=query.before_id,
            status=query.status,
            dialect=query.dialect,
        )
    events = [presenting.list_item(row) for row in rows]
    return jsonify(success=True, events=events, count=len(events))


@api.get(
    "/telemetry/<int:delivery_id>", summary="One delivery: raw, fused, result", responses={200: answers.DeliveryAnswer}
)
def get_delivery(path: DeliveryPath) -> Response:
    """One delivery with its raw body, what was understood, and what became of it."""
    with parts().db.transaction() as cur:
        row = deliveries.get_delivery(cur, path.delivery_id)
    return jsonify(success=True, event=presenting.detail(row))


@api.post(
    "/telemetry/replay",
    summary="Try again to understand every quarantined delivery",
    responses={200: answers.ReplayAnswer},
)
def replay_all() -> Response:
    """How many were tried, and how many are understood now. Safe to repeat."""
    return jsonify(success=True, **replay_quarantined(parts().db))


@api.post(
    "/telemetry/<int:delivery_id>/replay",
    summary="Try again to understand a quarantined delivery",
    responses={200: answers.ReplayAnswer},
)
def replay_delivery(path: DeliveryPath) -> Response:
    """The same counts for one delivery; one that is not quarantined is not tried."""
    with parts().db.transaction() as cur:
        deliveries.get_delivery(cur, path.delivery_id)
    return jsonify(success=True, **replay_quarantined(parts().db, [path.delivery_id]))


@api.post(
    "/telemetry/backfill",
    summary="Give events without a delivery their row in the log",
    responses={200: answers.BackfillAnswer},
)
def run_backfill(body: BackfillBody) -> Response:
    """How many events were looked at and got a row now. Repeat it for the next ones; 500 with the reason when it fails."""
    report = backfill_telemetry_from_automated_signals(body.limit, db=parts().db)
    answer = jsonify(report)
    answer.status_code = 200 if report["success"] else 500
    return answer


@api.post("/import", summary="Import TradingView's alert-log CSV", responses={200: answers.ImportAnswer})
def import_log(query: ImportQuery) -> Response:
    """The body is the CSV itself, gzipped if it is longer than the service takes; only what is missing is added."""
    rows = parse_alert_log(unpacked(request.get_data()))
    report = import_logs(parts().db, [rows], stream=query.stream, is_token=parts().door.is_known)
    return jsonify(success=True, **asdict(report), capped=is_capped(rows))


@api.get("/connection", summary="Has the first alert arrived?", responses={200: answers.ConnectionAnswer})
def get_connection(query: ConnectionQuery) -> Response:
    """The first alert of a stream since an instant, with its delay."""
    since = datetime.fromtimestamp(query.since, UTC)
    with parts().db.transaction() as cur:
        row = deliveries.first_delivery_since(cur, query.stream, since)
    return jsonify(success=True, alert=presenting.first_alert(row, since) if row else None)


# --- pages -------------------------------------------------------------------------------------------------------


@pages.get("/automated-signals-telemetry")
def telemetry_page() -> ResponseReturnValue:
    """The delivery log for people: a page of it, and one delivery beside it."""
    if receipt := request.args.get("receipt"):
        return _page_of_receipt(receipt)
    chosen = {name: without_nul(request.args.get(name, "")) or None for name in ("status", "dialect")}
    before_id, after_id, delivery_id = (
        id_or_none(request.args.get(name, type=int)) for name in ("before_id", "after_id", "delivery")
    )
    with parts().db.transaction() as cur:
        rows = deliveries.list_deliveries(cur, limit=PAGE_SIZE + 1, before_id=before_id, after_id=after_id, **chosen)
        shown = rows[:PAGE_SIZE]
        newer = _newer_page(cur, shown[0].id, chosen) if before_id and shown else None
        found = deliveries.get_delivery(cur, delivery_id) if delivery_id else None
    return render_template(
        "automated_signals_telemetry.html",
        lines=[presenting.page_line(row) for row in shown],
        detail=presenting.page_detail(found) if found else None,
        chosen=chosen,
        before_id=before_id,
        newer=newer,
        older=shown[-1].id if len(rows) > PAGE_SIZE else None,
        presenting=presenting,
    )


def _page_of_receipt(text: str) -> ResponseReturnValue:
    """To the delivery of a receipt, at the head of its page of the log."""
    try:
        receipt_id = UUID(text)
    except ValueError:
        raise NotFoundError("There is no delivery with that receipt.") from None
    with parts().db.transaction() as cur:
        delivery_id = deliveries.find_id(cur, receipt_id)
    return redirect(url_for("telemetry_pages.telemetry_page", before_id=delivery_id + 1, delivery=delivery_id))


def _newer_page(cur: Cursor, first_id: int, chosen: dict[str, str | None]) -> int | None:
    """The `before_id` of the page just newer; 0 for the newest page, None where nothing is newer."""
    total, newest = deliveries.newer_edge(cur, after_id=first_id, limit=PAGE_SIZE, **chosen)
    if newest is None:
        return None
    return newest + 1 if total == PAGE_SIZE else 0


pages.register_blueprint(connect)
