"""The analytics page, and its report for programs."""

from __future__ import annotations

from typing import Any, cast

from flask import Response, current_app, render_template, request
from flask.blueprints import BlueprintSetupState

from core.errors import InvalidInputError
from core.sessions import SESSIONS
from database import states
from web.dashboards import presenting
from web.dashboards.analytics import presenting as shown
from web.dashboards.analytics.gather import Question, Reports, streams_of
from web.dashboards.analytics.payloads import AnalyticsQuery
from web.dashboards.analytics.report import Report
from web.dashboards.answers.figures import AnalyticsAnswer
from web.dashboards.api import answer, signals_api
from web.dashboards.query import ListQuery, read_query
from web.dashboards.routes import blueprint
from web.services import services

PAGE = "/automated-signals-analytics"
_FILTERS = ("stream", "session", "direction", "from", "to", "q")


@blueprint.record_once
def _keep_reports(state: BlueprintSetupState) -> None:
    state.app.extensions["signalbook.reports"] = Reports()


@blueprint.get(PAGE)
def analytics_page() -> str:
    """Figures of the completed trades that the address asks for, under an exit rule."""
    wanted = read_query({name: request.args[name] for name in _FILTERS if name in request.args})
    target = _target()
    with services().db.transaction() as cur:
        streams = states.list_streams(cur)
    return render_template(
        "analytics.html",
        wanted=wanted,
        target=target,
        streams=streams,
        sessions=SESSIONS,
        presenting=presenting,
        shown=shown,
        report=_report(wanted, target, streams),
        data_address=wanted.address("/api/automated-signals/analytics") + f"&target={target}",
    )


@signals_api.get(
    "/analytics",
    summary="Figures of completed trades: both legs, targets, triggers, groups, history",
    responses={200: AnalyticsAnswer},
)
def analytics(query: AnalyticsQuery) -> Response:
    """Every mean as `{n, mean, low, high, verdict}` with a 95 % bootstrap interval; computed at most every 30 seconds."""
    wanted = read_query(query.told())
    with services().db.transaction() as cur:
        streams = states.list_streams(cur)
    return answer(analytics=shown.document(_report(wanted, query.target, streams)))


def _report(wanted: ListQuery, target: int, streams: list[str]) -> Report:
    question = Question(streams_of(wanted.stream, streams), wanted.selection(is_of_tab=False), target)
    reports = cast(Reports, current_app.extensions["signalbook.reports"])
    return reports.get(services().db, services().clock, question)


def _target() -> int:
    """The target of the exit rule in R; 0 for results as recorded. Raises InvalidInputError."""
    text: Any = request.args.get("target") or "0"
    if not (text.isascii() and text.isdecimal() and int(text[:3]) <= 20):
        raise InvalidInputError("target: must be a whole number from 0 to 20", field="target")
    return int(text)
