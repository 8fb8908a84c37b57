"""HTTP of analysis: detected and coordinated signals, what holds now, and the page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import urlencode

from flask import Blueprint, Response, current_app, render_template, request
from flask_openapi3 import APIBlueprint, OpenAPI, Tag
from pydantic import ValidationError

from analysis import parts as built
from analysis import payloads as answers
from analysis import presenting
from analysis.cli import analysis_commands
from analysis.parts import Analysis
from analysis.payloads import CoordinatedQuery, PageQuery, SignalsQuery, StateQuery
from core.clock import Clock
from core.errors import InvalidInputError
from core.settings import Settings
from database import analysis as store
from database import bars
from database.engine import Database
from database.json_text import as_number, to_json

ROWS = 100
pages = Blueprint("analysis_pages", __name__)
api = APIBlueprint("analysis", __name__, url_prefix="/api/analysis", abp_tags=[Tag(name="analysis")])


def init_analysis(app: OpenAPI, settings: Settings, db: Database, clock: Clock) -> None:
    """Give the app the feature: its parts, its commands, and outside a worker its routes."""
    app.extensions["analysis"] = built.build(settings, db, clock)
    app.cli.add_command(analysis_commands)
    if settings.role != "worker":
        app.register_blueprint(pages)
        app.register_api(api)


def parts() -> Analysis:
    """The analysis parts of the current app."""
    return cast(Analysis, current_app.extensions["analysis"])


@api.get("/signals", summary="Detected signals, newest first", responses={200: answers.DetectedAnswer})
def list_signals(query: SignalsQuery) -> Response:
    """Signals that stand; those that corrected bars took back are left out. `next_cursor` is null on the last page."""
    with parts().db.transaction() as cur:
        rows = store.list_signals(cur, query.choice, query.limit + 1)
    shown, place = presenting.page_of(rows, query.limit, presenting.place_of_signal)
    return _answer(signals=[presenting.signal_json(row) for row in shown], count=len(shown), next_cursor=place)


@api.get("/coordinated", summary="Coordinated signals, newest first", responses={200: answers.CoordinatedAnswer})
def list_coordinated(query: CoordinatedQuery) -> Response:
    """Decisions that stand, with the signals that confirmed them."""
    with parts().db.transaction() as cur:
        rows = store.list_coordinated(cur, query.choice, query.limit + 1)
    shown, place = presenting.page_of(rows, query.limit, presenting.place_of_decision)
    return _answer(coordinated=[presenting.coordinated_json(row) for row in shown], count=len(shown), next_cursor=place)


@api.get(
    "/state",
    summary="How far each series is analysed, the trends, the last decision of each contract",
    responses={200: answers.StateAnswer},
)
def get_state(query: StateQuery) -> Response:
    """With a contract also the trend of each timeframe at an instant, by the bars that were closed then."""
    at = parts().clock.now() if query.at is None else datetime.fromtimestamp(query.at, UTC)
    with parts().db.transaction() as cur:
        series = store.list_states(cur, query.contract)
        decisions = store.list_last_decisions(cur)
        trends = store.get_trends(cur, query.contract, query.analyzer, at) if query.contract else []
    return _answer(
        at=at,
        series=[row._asdict() for row in series],
        trends=[row._asdict() for row in trends],
        last_coordinated=[row._asdict() for row in decisions if query.contract in (None, row.contract_id)],
    )


@pages.get("/analysis")
def analysis_page() -> str:
    """What holds on every timeframe, and the detected or the coordinated signals of a filter."""
    query = _page_query()
    with parts().db.transaction() as cur:
        contracts = bars.list_contracts(cur)
        states = store.list_states(cur)
        decisions = {row.contract_id: row for row in store.list_last_decisions(cur)}
        if query.view == "detected":
            rows, place_of = store.list_signals(cur, query.choice, ROWS + 1), presenting.place_of_signal
        else:
            rows, place_of = store.list_coordinated(cur, query.choice, ROWS + 1), presenting.place_of_decision
    shown, place = presenting.page_of(rows, ROWS, place_of)
    frames, matrix = presenting.matrix(states, parts().plan.watches[0].analyzer_id if parts().plan.watches else "")
    return render_template(
        "analysis.html", query=query, rows=shown, frames=frames, matrix=matrix, decisions=decisions,
        contracts=sorted({row.contract_id for row in states}), names=presenting.names_of(contracts),
        ticks=presenting.ticks_of(contracts), timeframes=_timeframes(states),
        analyzers=sorted({row.analyzer_id for row in states}), rules=[rule.name for rule in parts().plan.rules],
        presenting=presenting, address=_address, older=place and _address(query, before=place),
    )  # fmt: skip


def _page_query() -> PageQuery:
    try:
        return PageQuery.model_validate(request.args.to_dict())
    except ValidationError as error:
        name = str(error.errors(include_input=False, include_url=False)[0]["loc"][0])
        raise InvalidInputError(f"{name}: means nothing here", field=name) from None


def _timeframes(states: list[Any]) -> list[str]:
    return presenting.in_order({row.timeframe for row in states})


def _address(query: PageQuery, **changes: str) -> str:
    """The page with the same filters but for these changes, from its first row on."""
    given = {"view": query.view, **query.fields, **changes}
    return "/analysis?" + urlencode({name: value for name, value in given.items() if value})


def _answer(**told: Any) -> Response:
    return Response(to_json({"success": True, **told}, as_number), mimetype="application/json")
