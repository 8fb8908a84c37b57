"""The month calendar page."""

from __future__ import annotations

import re

from flask import render_template, request

from core.errors import InvalidInputError
from core.timezones import new_york_date
from database import signals, states
from web.dashboards import presenting, records
from web.dashboards.calendar import grid
from web.dashboards.payloads import MONTH
from web.dashboards.query import EARLIEST, LATEST, read_query
from web.dashboards.routes import blueprint
from web.services import services

PAGE = "/automated-signals-calendar"


@blueprint.get(PAGE)
def calendar_page() -> str:
    """Counts and R totals of either leg for each New York day of a month, with week totals."""
    asked = request.args.get("month") or None
    if asked and not re.fullmatch(MONTH, asked):
        raise InvalidInputError("month: must be a month such as 2025-12", field="month")
    today = new_york_date(services().clock.now())
    first, after = records.month_of(asked, today)
    if not EARLIEST <= first < LATEST:
        raise InvalidInputError(f"month: must lie between {EARLIEST} and {LATEST}", field="month")
    wanted = read_query({"stream": request.args.get("stream", "")})
    with services().reads.transaction() as cur:
        streams = states.list_streams(cur)
        rows = signals.sum_days(cur, first=first, after=after, stream=wanted.stream)
    return render_template(
        "calendar.html",
        wanted=wanted,
        streams=streams,
        first=first,
        today=today,
        weeks=grid.weeks(first, after, rows),
        days=grid.DAYS,
        total=records.totals(rows) if rows else None,
        earlier=grid.month_before(first),
        later=f"{after:%Y-%m}",
        presenting=presenting,
    )
