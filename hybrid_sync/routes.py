"""Hybrid sync over HTTP: the page for traders, the API for programs."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request
from flask_login import current_user
from flask_openapi3 import APIBlueprint, Tag

from database import repairs, sync
from database.storable import id_or_none, without_nul
from hybrid_sync import payloads as answers
from hybrid_sync import presenting
from hybrid_sync.cli import parts
from hybrid_sync.cycle import WINDOW, run_cycle
from hybrid_sync.gaps import CLASSIC, GAP_TYPES
from hybrid_sync.ledger import FATES, ledger_bars, ledger_of
from hybrid_sync.parts import jobs
from hybrid_sync.payloads import ACTIONS, AuditQuery, GapsQuery, RevokeBody, RunBody, StreamQuery
from hybrid_sync.revoking import revoke

__all__ = ("api", "jobs", "pages")

AUDIT_SHOWN = 50

pages = Blueprint("hybrid_sync_pages", __name__)
api = APIBlueprint("hybrid_sync", __name__, url_prefix="/api/hybrid-sync", abp_tags=[Tag(name="hybrid sync")])


# --- API -------------------------------------------------------------------------------------------------------------


@api.get(
    "/status",
    summary="The gap report: score, gaps by type and age, thresholds, last cycle, outages",
    responses={200: answers.StatusAnswer},
)
def get_status(query: StreamQuery) -> Response:
    """Scores are 0 to 100 over signals that are open or changed within 24 hours; null without any."""
    now = parts().clock.now()
    with parts().db.transaction() as cur:
        found = presenting.status_of(cur, now, query.stream)
        found |= {"trend": presenting.trend_of(cur, now), "ledger": ledger_of(cur, now, query.stream)}
    return jsonify(success=True, **found)


@api.get("/gaps", summary="Open or closed gaps, newest first", responses={200: answers.GapsAnswer})
def list_gaps(query: GapsQuery) -> Response:
    """Each with the moment it was first seen, and what closed it: the stream, an import or a repair."""
    given = query.model_dump(exclude={"resolved"}) | {"is_resolved": query.resolved}
    with parts().db.transaction() as cur:
        rows = sync.list_gaps(cur, **given)
    return _page("gaps", rows, query.limit)


@api.get("/audit", summary="What was found, tried and filled, newest first", responses={200: answers.AuditAnswer})
def list_audit(query: AuditQuery) -> Response:
    """Old and new value, source, confidence, reason and evidence of every step."""
    with parts().db.transaction() as cur:
        rows = sync.list_audit(cur, **query.model_dump())
    return _page("audit", rows, query.limit)


@api.get(
    "/calibration",
    summary="How well healing works, by method and length of the gap",
    responses={200: answers.CalibrationAnswer},
)
def list_calibration() -> Response:
    """Errors in R and ticks, coverage, and the confidence that repairs get."""
    with parts().db.transaction() as cur:
        rows = sync.list_calibrations(cur)
    return jsonify(success=True, calibration=[presenting.row_json(row) for row in rows])


@api.post("/run", summary="Run a cycle now", responses={200: answers.RunAnswer})
def post_run(body: RunBody) -> Response:
    """Safe to repeat: a second cycle on unchanged data writes nothing."""
    own = parts()
    report = run_cycle(
        own.db,
        own.settings,
        own.clock.now(),
        tiers=sorted(set(body.tiers)),
        is_dry_run=body.dry_run,
        is_all=body.all_signals,
        actor=current_user.name,
    )
    return jsonify(success=True, report=report.as_json())


@api.post("/revoke", summary="Take repairs of a signal back", responses={200: answers.RevokeAnswer})
def post_revoke(body: RevokeBody) -> Response:
    """The state goes back to what was sent; the repairs are not made again."""
    own = parts()
    count = revoke(own.db, body.stream, body.trade_id, now=own.clock.now(), actor=current_user.name, ids=body.ids)
    return jsonify(success=True, revoked=count)


def _page(name: str, rows: list[Any], limit: int) -> Response:
    found = [presenting.row_json(row) for row in rows]
    next_id = found[-1]["id"] if len(found) == limit else None
    return jsonify({"success": True, name: found, "count": len(found), "next_before_id": next_id})


# --- page ------------------------------------------------------------------------------------------------------------


@pages.get("/hybrid-sync")
def sync_page() -> str:
    """Score and trend, gaps by type and age, the ledger of minutes, calibration, the audit log."""
    now = parts().clock.now()
    chosen = _chosen()
    before_id = id_or_none(request.args.get("before_id", type=int))
    with parts().db.transaction() as cur:
        found = presenting.status_of(cur, now)
        trend, ledger = presenting.trend_of(cur, now), ledger_of(cur, now)
        calibration = sync.list_calibrations(cur)
        audit = sync.list_audit(cur, limit=AUDIT_SHOWN + 1, before_id=before_id, **chosen)
        cycles = sync.list_cycles(cur, 1)
        outages = sync.list_outages(cur, since=now - WINDOW, limit=12)
        stream, trade_id = _words("stream") or parts().settings.stream, chosen["trade_id"]
        held = repairs.list_repairs(cur, stream, trade_id) if trade_id else []
    return render_template(
        "hybrid_sync.html",
        found=found,
        trend=trend,
        ledger=ledger,
        ledger_bars=ledger_bars(ledger) if ledger["expected"] else [],
        fates=FATES,
        calibration=calibration,
        audit=audit[:AUDIT_SHOWN],
        older=audit[AUDIT_SHOWN - 1].id if len(audit) > AUDIT_SHOWN else None,
        is_paged=before_id is not None,
        cycle=cycles[0] if cycles else None,
        outages=outages,
        repairs=held,
        chosen=chosen,
        actions=ACTIONS,
        gap_types=GAP_TYPES,
        classic=CLASSIC,
        presenting=presenting,
        stream=parts().settings.stream,
        may_change=current_user.role == "operator",
        now=now,
    )


def _words(name: str) -> str:
    """A filter as somebody typed it."""
    return without_nul(request.args.get(name, "")).strip()[:100]


def _chosen() -> dict[str, str | None]:
    """The filters of the audit log; what is none of them filters nothing."""
    action = request.args.get("action_type", "")
    trade_id = _words("trade_id")
    return {"action_type": action if action in ACTIONS else None, "trade_id": trade_id or None}
