"""Parameters and waves over HTTP: the page for traders, the API for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from flask import Blueprint, Response, current_app, jsonify, make_response, redirect, render_template, request, url_for
from flask_login import current_user
from flask_openapi3 import APIBlueprint, Tag

from core.errors import InvalidInputError, NotFoundError
from core.timezones import attach
from core.wave_records import PARAM_FIELDS
from database import params, waves
from waves import payloads as answers
from waves import presenting
from waves.effective import effective_of
from waves.evaluation.evaluate import USUAL_VARIANTS, evaluate
from waves.overrides import set_override, undo_override
from waves.parts import Waves
from waves.payloads import (
    AsOfQuery,
    EventsQuery,
    ExchangePath,
    HistoryQuery,
    OverrideBody,
    OverridePath,
    UndoBody,
    WavePath,
    WavesQuery,
)

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

CHART_WAVES = 200
WAVES_SHOWN = 16
CHANGES_SHOWN = 12
OVERRIDES_SHOWN = 12
DAYS = (7, 30, 90, 365)
EXPIRIES = {"": None, "1": "1 hour", "4": "4 hours", "24": "1 day", "168": "7 days"}
HOURS = {hours: timedelta(hours=int(hours)) for hours in EXPIRIES if hours}

pages = Blueprint("waves_pages", __name__)
api = APIBlueprint("waves", __name__, url_prefix="/api/params", abp_tags=[Tag(name="params")])


def parts() -> Waves:
    """The wave parts of the current app."""
    return cast(Waves, current_app.extensions["waves"])


# --- API -------------------------------------------------------------------------------------------------------------


@api.get(
    "",
    summary="Effective, latest and overridden parameters of every exchange",
    responses={200: answers.ExchangesAnswer},
)
def list_params() -> Response:
    """Effective is the override where there is one, else the latest recorded value."""
    now = parts().clock.now()
    with parts().db.transaction() as cur:
        rows, masks = params.get_all_params(cur), params.active_overrides(cur, now)
    found = [_exchange_json(row, masks.get(exchange_id, {})) for exchange_id, row in rows.items()]
    return jsonify(success=True, exchanges=found)


@api.get("/<int:exchange_id>", summary="The parameters of one exchange", responses={200: answers.ExchangeAnswer})
def get_exchange(path: ExchangePath) -> Response:
    """One exchange of the list."""
    with parts().db.transaction() as cur:
        row = params.get_params(cur, path.exchange_id)
        masks = params.active_overrides(cur, parts().clock.now())
    if row is None:
        raise NotFoundError("There is no such exchange.")
    return jsonify(success=True, exchange=_exchange_json(row, masks.get(path.exchange_id, {})))


@api.get(
    "/<int:exchange_id>/history",
    summary="What each wave said of an exchange, newest first",
    responses={200: answers.HistoryAnswer},
)
def get_history(path: ExchangePath, query: HistoryQuery) -> Response:
    """Values seen, what of them was applied, and from which signal."""
    with parts().db.transaction() as cur:
        rows = params.list_history(
            cur, path.exchange_id, limit=query.limit, before=query.before, is_all=query.all_versions
        )
    return jsonify(success=True, history=[presenting.row_json(row) for row in rows])


@api.get("/as-of", summary="Which parameters held when a signal fired", responses={200: answers.AsOfAnswer})
def get_as_of(query: AsOfQuery) -> Response:
    """By what was known at that instant, unless another is given; overrides included."""
    return jsonify(success=True, **_as_of(query.at, query.known_at or query.at))


@api.get("/waves", summary="Waves with their counts and delays, newest first", responses={200: answers.WavesAnswer})
def list_waves(query: WavesQuery) -> Response:
    """Delays are seconds from the close of the candle to the first signal."""
    with parts().db.transaction() as cur:
        rows = waves.list_waves(cur, limit=query.limit, before=query.before)
    return jsonify(success=True, waves=[presenting.row_json(row) for row in rows])


@api.get(
    "/waves/<wave_time>", summary="The signals of one wave with their verdicts", responses={200: answers.WaveAnswer}
)
def get_wave(path: WavePath) -> Response:
    """Selected means: would be taken. No order is sent."""
    with parts().db.transaction() as cur:
        rows = waves.get_wave_signals(cur, path.wave_time)
    if not rows:
        raise NotFoundError("There are no signals of that wave.")
    return jsonify(success=True, signals=[presenting.row_json(row) for row in rows])


@api.get(
    "/events", summary="What happened to waves and parameters, newest first", responses={200: answers.EventsAnswer}
)
def list_events(query: EventsQuery) -> Response:
    """The rows of monitoring.events."""
    with parts().db.transaction() as cur:
        rows = params.list_events(cur, limit=query.limit, event_type=query.event_type)
    return jsonify(success=True, events=[presenting.row_json(row) for row in rows])


@api.post("/<int:exchange_id>/overrides", summary="Mask a parameter", responses={201: answers.OverrideAnswer})
def post_override(path: ExchangePath, body: OverrideBody) -> Response:
    """Recording goes on underneath; an override that stands in its place ends."""
    given = body.model_dump() | {"exchange_id": path.exchange_id, "by": current_user.name}
    row = set_override(parts().db, now=parts().clock.now(), **given)
    return make_response(jsonify(success=True, override=presenting.override_json(row)), 201)


@api.post("/overrides/<int:override_id>/undo", summary="Take an override back", responses={200: answers.OverrideAnswer})
def post_undo(path: OverridePath, body: UndoBody) -> Response:
    """The row stays on record."""
    now = parts().clock.now()
    row = undo_override(parts().db, path.override_id, by=current_user.name, now=now, reason=body.reason)
    return jsonify(success=True, override=presenting.override_json(row))


# --- pages -----------------------------------------------------------------------------------------------------------


@pages.get("/params")
def params_page() -> str:
    """What counts for each exchange and why; the waves; what an operator may do."""
    now, at, before = parts().clock.now(), _instant_argument("at"), _instant_argument("before")
    with parts().db.transaction() as cur:
        rows, masks = params.get_all_params(cur), params.active_overrides(cur, now)
        shown = waves.list_waves(cur, limit=WAVES_SHOWN + 1, before=before)
        changes = params.list_significant(cur, ratio=parts().rules.alert_ratio, limit=CHANGES_SHOWN)
        overrides = params.list_overrides(cur, limit=OVERRIDES_SHOWN)
        feed = waves.get_feed_state(cur)
        history = {exchange: params.list_history(cur, exchange, limit=CHART_WAVES) for exchange in rows}
    return render_template(
        "params.html",
        tables=[_table_of(row, masks.get(exchange, {}), history[exchange]) for exchange, row in rows.items()],
        waves=shown[:WAVES_SHOWN],
        older=presenting.wave_name(shown[-2].wave_time) if len(shown) > WAVES_SHOWN else None,
        is_paged=before is not None,
        changes=changes,
        overrides=overrides,
        feed=presenting.feed_state(feed, now, is_on=parts().settings.wave_url is not None),
        heard_at=feed.last_heard_at if feed else None,
        name=_name,
        at=at,
        as_of=_as_of(at, at)["exchanges"] if at else None,
        expiries=EXPIRIES,
        fields=presenting.LABELS,
        rules=parts().rules,
        presenting=presenting,
        may_change=current_user.role == "operator",
    )


def _table_of(
    row: Any, masks: dict[str, Any], history: Sequence[Any]
) -> tuple[int, Any, datetime | None, list[presenting.Line]]:
    """(exchange, its row, its newest wave, a line for each parameter)."""
    recorded = params.values_of(row)
    newest = history[0].wave_timestamp if history else None
    return row.exchange_id, row, newest, presenting.lines(recorded, effective_of(recorded, masks), masks, history)


@pages.get("/params/waves/<wave_time>")
def wave_page(wave_time: str) -> str:
    """The signals of one wave and what becomes of them."""
    at = _instant(wave_time, "wave_time")
    with parts().db.transaction() as cur:
        rows = waves.get_wave_signals(cur, at)
        found = [row for row in waves.list_waves(cur, limit=1, before=at + timedelta(seconds=1)) if row.wave_time == at]
    if not found:
        raise NotFoundError("There is no such wave.")
    return render_template("params_wave.html", wave=found[0], rows=rows, name=_name, presenting=presenting)


@pages.get("/params/evaluation")
def evaluation_page() -> str:
    """What other parameters would have done, with how far that can be trusted."""
    days = request.args.get("days", 30, type=int)
    if days not in DAYS:
        raise InvalidInputError("days: must be one of " + ", ".join(map(str, DAYS)), field="days")
    asked = request.args.get("variant", "").strip()
    until = parts().clock.now()
    report = evaluate(
        parts().db,
        stream=parts().settings.stream,
        since=until - timedelta(days=days),
        until=until,
        variants=(asked,) if asked else USUAL_VARIANTS,
    )
    return render_template(
        "params_evaluation.html",
        report=report,
        days=days,
        choices=DAYS,
        variant=asked,
        name=_name,
        presenting=presenting,
    )


@pages.post("/params/overrides")
def override_form() -> ResponseReturnValue:
    """The form of the page."""
    form, now = request.form, parts().clock.now()
    expiry = HOURS.get(form.get("expires", ""))
    set_override(
        parts().db,
        exchange_id=form.get("exchange_id", 0, type=int),
        field=form.get("field", ""),
        value=form.get("value", "").strip().removesuffix("%").strip(),
        reason=form.get("reason", ""),
        by=current_user.name,
        now=now,
        expires_at=now + expiry if expiry else None,
    )
    return redirect(url_for("waves_pages.params_page"), 303)


@pages.post("/params/overrides/<int:override_id>/undo")
def undo_form(override_id: int) -> ResponseReturnValue:
    """The button of the page."""
    undo_override(parts().db, override_id, by=current_user.name, now=parts().clock.now())
    return redirect(url_for("waves_pages.params_page"), 303)


def _exchange_json(row: Any, masks: dict[str, Any]) -> dict[str, Any]:
    recorded = params.values_of(row)
    return {
        "exchange_id": row.exchange_id,
        "name": _name(row.exchange_id),
        "effective": presenting.params_json(effective_of(recorded, masks)),
        "latest": presenting.params_json(recorded),
        "overrides": {name: presenting.override_json(mask) for name, mask in masks.items()},
        "updated_at": row.updated_at.isoformat(),
    }


def _as_of(at: datetime, known_at: datetime) -> dict[str, Any]:
    with parts().db.transaction() as cur:
        rows, masks = params.params_as_of(cur, at, known_at), params.active_overrides(cur, at)
    found = []
    for exchange in sorted({*rows, *masks}):
        recorded = params.values_of(rows[exchange]) if exchange in rows else {}
        own = masks.get(exchange, {})
        found.append(
            {
                "exchange_id": exchange,
                "name": _name(exchange),
                "wave_time": rows[exchange].wave_time.isoformat() if exchange in rows else None,
                "recorded": presenting.params_json(recorded),
                "effective": presenting.params_json(effective_of(recorded, own)),
                "overridden": [name for name in PARAM_FIELDS if name in own],
            }
        )
    return {"at": at.isoformat(), "known_at": known_at.isoformat(), "exchanges": found}


def _name(exchange_id: int | None) -> str:
    if exchange_id is None:
        return "no exchange"
    return parts().names.get(exchange_id, f"Exchange {exchange_id}")


def _instant_argument(name: str) -> datetime | None:
    text = request.args.get(name, "").strip()
    return _instant(text, name) if text else None


def _instant(text: str, field: str) -> datetime:
    """An ISO instant; one without an offset is New York wall time, as the page's field gives it."""
    try:
        found = datetime.fromisoformat(text)
        instant = attach(found).instant if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInputError(f"{field}: is no date and time", field=field) from None
    if not 2000 <= instant.year <= 2100:
        raise InvalidInputError(f"{field}: must lie between 2000 and 2100", field=field)
    return instant
