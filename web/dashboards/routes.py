"""Pages of signals: the list of all, newest first, and the life of one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Blueprint, render_template, request

from core.errors import NotFoundError
from database import deliveries, events, states
from database.engine import Cursor
from web.dashboards import facts, life, presenting
from web.dashboards.flags import Flag, explain, explained
from web.services import services

PAGE_SIZE = 100

blueprint = Blueprint("signals", __name__)


@blueprint.app_template_filter("explained")
def _explained(names: list[str] | None) -> list[Flag]:
    return explained(names or [])


@blueprint.app_template_filter("explain")
def _explain(name: str) -> Flag:
    return explain(name)


@blueprint.get("/automated-signals")
def signals_page() -> str:
    """The signals of a tab and a stream, newest first."""
    view = presenting.view_named(request.args.get("status", "all"))
    before = presenting.read_cursor(request.args.get("before"))
    wanted = _stream()
    with services().db.transaction() as cur:
        streams = states.list_streams(cur)
        # A lone stream is named all the same: its index gives the page in order.
        stream = wanted or (streams[0] if len(streams) == 1 else None)
        rows = states.list_states(cur, limit=PAGE_SIZE + 1, stream=stream, statuses=view.statuses, before=before)
        counts = presenting.view_counts(states.count_states(cur, stream))
        last_alert_at = _last_alert_at(cur, [stream] if stream else streams)
    shown = rows[:PAGE_SIZE]
    return render_template(
        "automated_signals.html",
        tab=view,
        rows=shown,
        counts=counts,
        streams=streams,
        stream=wanted,
        last_alert_at=last_alert_at,
        is_first=before is None,
        older=presenting.write_cursor(shown[-1]) if len(rows) > PAGE_SIZE else None,
        presenting=presenting,
    )


@blueprint.get("/automated-signals/<trade_id>")
def signal_page(trade_id: str) -> str:
    """One signal; where several streams know its id and none is named, the choice between them."""
    if "\x00" in trade_id:
        raise NotFoundError("There is no signal with that id.")
    with services().db.transaction() as cur:
        found = states.get_states(cur, trade_id, _stream())
        if not found:
            raise NotFoundError("There is no signal with that id.")
        if len(found) > 1:
            return render_template(
                "automated_signal_choice.html", trade_id=trade_id, found=found, presenting=presenting
            )
        state = found[0]
        happened = events.list_events(cur, state.stream, trade_id)
        neighbours = states.get_neighbours(cur, state)
        streams = states.list_streams(cur)
    is_whole = request.args.get("events") == "all"
    return render_template(
        "automated_signal.html",
        state=state,
        groups=facts.fact_groups(state),
        legs=facts.legs(state) if presenting.is_trade(state) else (),
        targets=facts.targets(state),
        documents=facts.documents(state),
        lines=list(life.folded(happened, is_whole=is_whole)),
        total=len(happened),
        is_whole=is_whole,
        neighbours=neighbours,
        stream=state.stream if len(streams) > 1 else None,
        tick=presenting.tick_of(state.symbol),
        presenting=presenting,
        life=life,
    )


def _stream() -> str | None:
    return request.args.get("stream", "").replace("\x00", "") or None


def _last_alert_at(cur: Cursor, streams: list[str]) -> datetime | None:
    found: list[Any] = [deliveries.last_delivery(cur, stream) for stream in streams]
    return max((row.received_at for row in found if row), default=None)
