"""Signals for programs: lists, one trade, figures and days as JSON. Decimals are JSON numbers, instants ISO in UTC."""

from __future__ import annotations

from typing import Any

from flask import Response, request
from flask_openapi3 import APIBlueprint, Tag

from core.errors import NotFoundError
from core.timezones import new_york_date
from database import deletions, events, signals, states
from database.engine import Cursor
from database.json_text import as_number, to_json
from database.states import Place
from web.dashboards import records
from web.dashboards.answers import models
from web.dashboards.payloads import LimitQuery, MonthQuery, PageQuery, SignalQuery, StreamQuery, TradePath
from web.dashboards.presenting import view_named
from web.dashboards.query import NEWEST_FIRST, read_cursor, write_cursor
from web.services import services

signals_api = APIBlueprint("signals_api", __name__, url_prefix="/api/automated-signals", abp_tags=[Tag(name="signals")])


@signals_api.get(
    "/dashboard-data",
    summary="Open, pending and the newest completed trades, with the figures",
    responses={200: models.DashboardAnswer},
)
def dashboard_data(query: LimitQuery) -> Response:
    """What a dashboard shows. As of every answer here, its ETag sent back as If-None-Match gets 304 while it holds."""
    with services().reads.transaction() as cur:
        streams = states.list_streams(cur)
        stream = query.stream or _only(streams)
        parts = {
            key: [records.signal(row) for row in _of_view(cur, view, stream, query.page_size)]
            for key, view in (
                ("active_trades", "active"),
                ("pending_signals", "pending"),
                ("completed_trades", "completed"),
            )
        }
        figures = records.stats(_statuses(cur, stream))
    return answer(stats=figures, streams=streams, **parts)


@signals_api.get(
    "/stats",
    summary="Counts by status, and the R total of either leg with its sample size",
    responses={200: models.StatsAnswer},
)
def stats(query: StreamQuery) -> Response:
    """Phantom signals are not counted."""
    with services().reads.transaction() as cur:
        rows = _statuses(cur, query.stream)
    return answer(stats=records.stats(rows))


@signals_api.get(
    "/trade/<trade_id>",
    summary="One trade with its events; one for each stream that knows the id",
    responses={200: models.TradeAnswer},
)
def trade(path: TradePath, query: StreamQuery) -> Response:
    """An id that exists in several streams lists all; `stream` selects."""
    with services().reads.transaction() as cur:
        found = states.get_states(cur, path.trade_id, query.stream)
        if not found:
            is_deleted = bool(deletions.find_deletions(cur, path.trade_id, query.stream))
            raise NotFoundError("The signal has been deleted." if is_deleted else "There is no signal with that id.")
        trades = [records.trade(state, events.list_events(cur, state.stream, path.trade_id)) for state in found]
    return answer(trade_id=path.trade_id, streams=[state.stream for state in found], trades=trades, count=len(trades))


@signals_api.get(
    "/all-signals", summary="Every signal, newest first, with a summary of all", responses={200: models.SignalsAnswer}
)
def all_signals(query: SignalQuery) -> Response:
    """A page of signals; `next_cursor` is the `before` of the next page, null on the last. The summary is of all pages."""
    return _page(query, query.status)


@signals_api.get(
    "/cancelled-signals",
    summary="The cancelled signals, newest first, with time and reason",
    responses={200: models.SignalsAnswer},
)
def cancelled_signals(query: PageQuery) -> Response:
    """A page of the signals whose opposite came before their confirmation."""
    return _page(query, "cancelled")


@signals_api.get(
    "/daily-calendar",
    summary="Counts and R totals of either leg for each New York day of a month",
    responses={200: models.CalendarAnswer},
)
def daily_calendar(query: MonthQuery) -> Response:
    """Days without signals are left out. A signal belongs to the New York day of its signal time."""
    first, after = records.month_of(query.month, new_york_date(services().clock.now()))
    with services().reads.transaction() as cur:
        rows = signals.sum_days(cur, first=first, after=after, stream=query.stream)
    days = [records.day(row) for row in rows]
    return answer(month=f"{first:%Y-%m}", days=days, totals=records.totals(rows))


def _page(query: PageQuery, view: str) -> Response:
    after = read_cursor(query.before, NEWEST_FIRST)
    before = (after.value, after.trade_id, after.stream) if after else None
    with services().reads.transaction() as cur:
        # A lone stream is named all the same: its index gives the page in order.
        stream = query.stream or _only(states.list_streams(cur))
        rows = _of_view(cur, view, stream, query.page_size + 1, before)
        figures = records.summary(_statuses(cur, stream))
    shown = rows[: query.page_size]
    return answer(
        signals=[records.signal(row) for row in shown],
        count=len(shown),
        next_cursor=write_cursor(_place(shown[-1])) if len(rows) > len(shown) else None,
        summary=figures,
    )


def _place(row: Any) -> Place:
    return Place(row.signal_time, row.trade_id, row.stream)


def _of_view(cur: Cursor, view: str, stream: str | None, limit: int, before: Any = None) -> list[Any]:
    return signals.list_signals(cur, limit=limit, stream=stream, statuses=view_named(view).statuses, before=before)


def _statuses(cur: Cursor, stream: str | None) -> list[Any]:
    return signals.sum_statuses(cur, today=new_york_date(services().clock.now()), stream=stream)


def _only(streams: list[str]) -> str | None:
    return streams[0] if len(streams) == 1 else None


def answer(**parts: Any) -> Response:
    """The parts as JSON with an ETag: sent back as If-None-Match it gets 304 while nothing has changed."""
    found = Response(to_json({"success": True, **parts}, as_number), mimetype="application/json")
    found.add_etag(weak=True)
    found.make_conditional(request)
    return found
