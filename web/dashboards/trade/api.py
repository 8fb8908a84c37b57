"""The picture of a trade for its page, as JSON."""

from __future__ import annotations

from typing import Any

from flask import Response

from core.errors import NotFoundError
from core.records import Timeframe, Unit
from database import bars, events, states
from database.engine import Cursor
from web.dashboards.answers.figures import ChartAnswer
from web.dashboards.api import answer, signals_api
from web.dashboards.payloads import StreamQuery, TradePath
from web.dashboards.presenting import tick_of
from web.dashboards.trade import picture
from web.dashboards.trade.gather import drawable
from web.dashboards.trade.paths import paths
from web.services import services

MINUTE = Timeframe(Unit.MINUTE, 1)


@signals_api.get(
    "/trade/<trade_id>/chart",
    summary="Candles around a trade, its levels, markers and paths in R",
    responses={200: ChartAnswer},
)
def trade_chart(path: TradePath, query: StreamQuery) -> Response:
    """`bars` is null where none are stored, and `no_bars` says why. Where several streams know the id, name one."""
    with services().reads.transaction() as cur:
        found = states.get_states(cur, path.trade_id, query.stream)
        if not found:
            raise NotFoundError("There is no signal with that id.")
        state = found[0]
        happened = events.list_events(cur, state.stream, path.trade_id)
        drawn = _bars(cur, state)
    timeframe = Timeframe.parse(drawn["timeframe"]) if drawn["timeframe"] else MINUTE
    return answer(
        trade_id=state.trade_id,
        stream=state.stream,
        direction=state.direction,
        tick=tick_of(state.symbol),
        levels=picture.levels(state),
        markers=picture.markers(happened, timeframe),
        paths=paths(state, happened),
        **drawn,
    )


def _bars(cur: Cursor, state: Any) -> dict[str, Any]:
    """The bars around a trade, or why there are none."""
    span, names, series = drawable(cur, state)
    if span is None or not names:
        why = (
            "The symbol of this signal is not known"
            if not state.symbol
            else f"No contract of {state.symbol} is followed"
        )
        return _without(f"{why}, so there are no bars to draw.")
    if series is None:
        return _without(f"No bars of {', '.join(sorted(names.values()))} are stored for the time of this signal.")
    drawn = bars.list_bars_between(cur, series.contract_id, series.timeframe, *picture.window(*span, series.timeframe))
    contract = {"id": series.contract_id, "name": names[series.contract_id]}
    return {
        "contract": contract, "timeframe": str(series.timeframe), "bars": picture.columns(drawn), "no_bars": None,
    }  # fmt: skip


def _without(reason: str) -> dict[str, Any]:
    return {"contract": None, "timeframe": None, "bars": None, "no_bars": reason}
