"""HTTP of market data: bars and coverage in column arrays, the feed's state, the fill button, and the page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast

from flask import Blueprint, Response, current_app, jsonify, render_template, request
from flask_openapi3 import APIBlueprint, Tag

from core.errors import ConflictError, NotFoundError
from core.records import Timeframe
from core.trading_calendar import cme_equity_calendar
from database import bars
from database.bars import Contract
from ingestion import payloads as answers
from ingestion import presenting
from ingestion.gateway.history import fill_series
from ingestion.parts import MarketData
from ingestion.payloads import BarsQuery, CoverageQuery, FillBody

pages = Blueprint("market_pages", __name__)
api = APIBlueprint("market", __name__, url_prefix="/api/market-data", abp_tags=[Tag(name="market data")])


def parts() -> MarketData:
    """The market data parts of the current app."""
    return cast(MarketData, current_app.extensions["market_data"])


@api.get("/contracts", summary="Contracts that are or were followed", responses={200: answers.ContractsAnswer})
def list_contracts() -> Response:
    """Every contract with its tick size."""
    with parts().db.transaction() as cur:
        found = bars.list_contracts(cur)
    return jsonify(success=True, contracts=[_contract(each) for each in found])


@api.get("/bars", summary="Bars of a series in column arrays, oldest first", responses={200: answers.BarsAnswer})
def list_bars(query: BarsQuery) -> Response:
    """Stored bars, and the bar that is forming as [time, open, high, low, close, volume] or null."""
    frame = Timeframe.parse(query.timeframe)
    now = parts().clock.now()
    before = datetime.fromtimestamp(query.before, UTC) if query.before is not None else now + timedelta(days=1)
    with parts().db.transaction() as cur:
        if query.changed_since is not None:
            since = datetime.fromtimestamp(query.changed_since, UTC)
            start = datetime.fromtimestamp(0, UTC)
            found = bars.list_changed_bars(
                cur, query.contract, frame, start=start, changed_since=since, limit=query.limit
            )
        else:
            found = bars.list_bars(cur, query.contract, frame, before=before, limit=query.limit)
        state = bars.get_feed_state(cur, bars.FEED)
    is_fresh = state is not None and now - state[1] < presenting.STALE
    forming = state[0].get("forming", {}).get(query.contract, {}).get(str(frame)) if state and is_fresh else None
    return jsonify(success=True, bars=presenting.columns(found), forming=forming, now=now.timestamp())


@api.get(
    "/coverage", summary="What is stored, filled and missing, hour by hour", responses={200: answers.CoverageAnswer}
)
def get_coverage(query: CoverageQuery) -> Response:
    """A cell an hour: closed, stored, filled, partly or missing."""
    frame = Timeframe.parse(query.timeframe)
    now = parts().clock.now()
    end = now.replace(minute=0, second=0, microsecond=0)
    start = end - timedelta(days=query.days)
    with parts().db.transaction() as cur:
        covered = bars.list_spans(cur, query.contract, frame, start, end)
        hours = bars.count_bars_by_hour(cur, query.contract, frame, start, end)
    return jsonify(success=True, hours=presenting.coverage(covered, hours, start, end, cme_equity_calendar()))


@api.get("/feed", summary="How the feed is", responses={200: answers.FeedAnswer})
def get_feed() -> Response:
    """Connected or not, with the figures of the process that has the feed."""
    now = parts().clock.now()
    with parts().db.transaction() as cur:
        found = bars.get_feed_state(cur, bars.FEED)
    state, updated_at = found or (None, None)
    is_open = cme_equity_calendar().is_open(now)
    facts = presenting.feed_facts(state, updated_at, now, is_open=is_open, has_feed=parts().settings.has_feed)
    return jsonify(success=True, **facts, now=now.timestamp())


@api.post(
    "/fill", summary="Get what is missing of a series from the gateway's history", responses={200: answers.FillAnswer}
)
def fill(body: FillBody) -> Response:
    """How many questions, bars and changes it took. Safe to repeat: what is covered is not asked for again."""
    if not parts().settings.has_feed:
        raise ConflictError("No gateway is configured, so there is no history to ask.")
    with parts().db.transaction() as cur:
        if body.contract not in {each.contract_id for each in bars.list_contracts(cur)}:
            raise NotFoundError("There is no such contract.", field="contract")
    client = parts().client()
    try:
        filled = fill_series(
            parts().db, client, body.contract, Timeframe.parse(body.timeframe), parts().clock.now(),
            depth=timedelta(days=body.days),
        )  # fmt: skip
    finally:
        client.close()
    return jsonify(success=True, pages=filled.pages, bars=filled.bars, changed=filled.changed)


@pages.get("/market-data")
def market_page() -> str:
    """Candles of one series, the feed beside them, and what is stored of it."""
    with parts().db.transaction() as cur:
        contracts = bars.list_contracts(cur)
        series = bars.list_series(cur) if contracts else []
    asked = request.args.get("contract", "")
    chosen = next((each for each in contracts if each.contract_id == asked), contracts[0] if contracts else None)
    frames = presenting.timeframes_of(series, chosen.contract_id, parts().settings.market_timeframes) if chosen else []
    wanted = request.args.get("timeframe", "")
    frame = next((each for each in frames if str(each) == wanted), frames[0] if frames else None)
    return render_template(
        "market_data.html", contracts=contracts, chosen=chosen, timeframes=frames, timeframe=frame,
        has_feed=parts().settings.has_feed,
    )  # fmt: skip


def _contract(contract: Contract) -> dict[str, object]:
    return {
        "id": contract.contract_id,
        "name": contract.name,
        "description": contract.description,
        "tick_size": float(contract.tick_size),
        "is_active": contract.is_active,
    }
