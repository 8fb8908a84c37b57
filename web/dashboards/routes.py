"""Pages of signals: the list of all, newest first, and the life of one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, redirect, render_template, request

from core.errors import NotFoundError
from core.sessions import SESSIONS
from core.timezones import new_york_date
from core.trading_calendar import cme_equity_calendar
from database import bars, deletions, deliveries, events, states, sync
from database.engine import Cursor
from database.replica import Reads
from database.states import Place
from database.storable import without_nul
from web.dashboards import columns, export, facts, life, presenting, pulse, query
from web.dashboards.flags import Flag, explain, explained
from web.dashboards.query import ListQuery
from web.dashboards.trade.gather import gather_evidence, gather_outline
from web.headers import cookie_prefix, keep_cookie
from web.safe_next import safe_next
from web.services import services

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

PAGE_SIZE = 100
CSV_ROWS = 1000

blueprint = Blueprint("signals", __name__)
preferences = Blueprint("preferences", __name__)  # a viewer may choose, too


@blueprint.app_template_filter("explained")
def _explained(names: list[str] | None) -> list[Flag]:
    return explained(names or [])


@blueprint.app_template_filter("explain")
def _explain(name: str) -> Flag:
    return explain(name)


@blueprint.get("/automated-signals")
def signals_page() -> str:
    """The signals that the address asks for, and how the stream of alerts is."""
    wanted = query.read_query(request.args)
    with services().reads.transaction() as cur:
        streams = states.list_streams(cur)
        chosen = [wanted.stream] if wanted.stream else streams
        found = _page(cur, wanted, chosen, PAGE_SIZE + 1)
        head = _head(cur, wanted, chosen)
    shown = found[:PAGE_SIZE]
    after = states.place_of(shown[-1], wanted.order) if len(found) > PAGE_SIZE else None
    return render_template(
        "automated_signals.html",
        wanted=wanted,
        rows=shown,
        streams=streams,
        next_page=wanted.address(after=after) if after else None,
        columns=columns.shown(wanted.view.name, request.cookies.get(_columns_cookie(), "")),
        all_columns=columns.COLUMNS,
        alignment=columns.alignment,
        sessions=SESSIONS,
        presenting=presenting,
        **head,
    )


def _page(cur: Cursor, wanted: ListQuery, streams: list[str], limit: int, after: Place | None = None) -> list[Any]:
    order, place = wanted.order, after or wanted.after
    return states.list_states(cur, limit=limit, streams=streams, selection=wanted.selection(), order=order, after=place)


def _head(cur: Cursor, wanted: ListQuery, streams: list[str]) -> dict[str, Any]:
    """The figures of the header and of the tabs."""
    now = services().clock.now()
    every = presenting.view_counts(states.count_states(cur, streams))
    selection = wanted.selection(is_of_tab=False)
    counts = presenting.view_counts(states.count_states(cur, streams, selection)) if wanted.is_filtered else every
    today = states.count_states(cur, streams, query.signals_of_day(new_york_date(now)))
    last_alert_at = _last_alert_at(cur, streams)
    return {
        "counts": counts,
        "open_trades": every["active"],
        "today": new_york_date(now),
        "signals_today": sum(today.values()),
        "last_alert_at": last_alert_at,
        "pulses": _pulses(cur, last_alert_at, every["active"], now),
        "meters": pulse.meters(streams, deliveries.count_fires(cur, streams, now - pulse.FIRE_WINDOW)),
        "most_fires": pulse.MOST_FIRES,
    }


def _pulses(cur: Cursor, last_alert_at: datetime | None, open_trades: int, now: datetime) -> tuple[pulse.Pulse, ...]:
    """How alerts, market data and health are."""
    calendar = cme_equity_calendar()
    return (
        pulse.pulse(last_alert_at, open_trades, now, calendar),
        pulse.feed(bars.get_feed_state(cur, bars.FEED), now, calendar, has_feed=services().settings.has_feed),
        pulse.health(next(iter(sync.list_cycles(cur, 1)), None), now),
    )


@blueprint.get("/automated-signals.csv")
def signals_csv() -> Response:
    """Every signal that the address asks for, in its order, as CSV."""
    wanted = replace(query.read_query(request.args), after=None)
    name = f"signals-{services().clock.now():%Y%m%dT%H%M%SZ}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    with services().reads.transaction() as cur:  # a database that is away is said with a status, not with half a file
        streams = [wanted.stream] if wanted.stream else states.list_streams(cur)
    return Response(_csv(services().reads, wanted, streams), mimetype="text/csv", headers=headers)


def _csv(db: Reads, wanted: ListQuery, streams: list[str]) -> Iterator[str]:
    """A short transaction for each part, so that a slow reader holds none open."""
    yield export.header()
    after: Place | None = None
    while True:
        with db.transaction() as cur:
            rows = _page(cur, wanted, streams, CSV_ROWS, after)
        yield export.rows_of(rows)
        if len(rows) < CSV_ROWS:
            return
        after = states.place_of(rows[-1], wanted.order)


@preferences.post("/automated-signals/columns")
def save_columns() -> ResponseReturnValue:
    """Keep in a cookie which columns this reader wants to see; all of them when none is named."""
    response = redirect(safe_next(request.form.get("next")), 303)
    chosen = request.form.getlist("column") if "all" not in request.form else []
    keep_cookie(response, _columns_cookie(), columns.cookie_of(chosen) if chosen else "", httponly=True)
    return response


def _columns_cookie() -> str:
    return cookie_prefix(services().settings) + columns.COOKIE


@blueprint.get("/automated-signals/<trade_id>")
def signal_page(trade_id: str) -> ResponseReturnValue:
    """One signal; where several streams know its id and none is named, the choice between them; 410 once it is deleted."""
    if "\x00" in trade_id:
        raise NotFoundError("There is no signal with that id.")
    is_whole = request.args.get("events") == "all"
    with services().reads.transaction() as cur:
        found = states.get_states(cur, trade_id, _stream())
        if not found:
            return _deleted_page(cur, trade_id)
        if len(found) > 1:
            return render_template(
                "automated_signal_choice.html", trade_id=trade_id, found=found, presenting=presenting
            )
        state = found[0]
        happened = life.in_order(events.list_events(cur, state.stream, trade_id))
        lines = list(life.folded(happened, is_whole=is_whole))
        rests_on = gather_evidence(cur, state, lines) | gather_outline(cur, state, happened)
        neighbours = states.get_neighbours(cur, state)
        streams = states.list_streams(cur)
    return render_template(
        "automated_signal.html",
        state=state,
        groups=facts.fact_groups(state),
        legs=facts.legs(state) if presenting.is_trade(state) else (),
        targets=facts.targets(state),
        documents=facts.documents(state),
        lines=lines,
        **rests_on,
        total=len(happened),
        is_whole=is_whole,
        neighbours=neighbours,
        stream=state.stream if len(streams) > 1 else None,
        tick=presenting.tick_of(state.symbol),
        presenting=presenting,
        life=life,
    )


def _deleted_page(cur: Cursor, trade_id: str) -> ResponseReturnValue:
    found = deletions.find_deletions(cur, trade_id, _stream())
    if not found:
        raise NotFoundError("There is no signal with that id.")
    return render_template("automated_signal_deleted.html", trade_id=trade_id, found=found), 410


def _stream() -> str | None:
    return without_nul(request.args.get("stream", "")) or None


def _last_alert_at(cur: Cursor, streams: list[str]) -> datetime | None:
    found: list[Any] = [deliveries.last_delivery(cur, stream) for stream in streams]
    return max((row.received_at for row in found if row), default=None)


blueprint.register_blueprint(preferences)
