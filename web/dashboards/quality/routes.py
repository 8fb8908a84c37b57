"""The data quality page."""

from __future__ import annotations

from datetime import timedelta

from flask import render_template, request

from database import deletions, deliveries, quality, states, sync
from web.dashboards import presenting
from web.dashboards.query import read_query
from web.dashboards.routes import blueprint
from web.services import services

PAGE = "/automated-signals-quality"
DELIVERIES_OF = timedelta(days=1)
FLAGS_OF = timedelta(days=30)
QUARANTINED_SHOWN = 10
DELETIONS_SHOWN = 100


@blueprint.get(PAGE)
def quality_page() -> str:
    """What came in the last day, what is not understood, doubtful, missing or repaired, and what has been deleted."""
    now = services().clock.now()
    wanted = read_query({"stream": request.args.get("stream", "")})
    with services().reads.transaction() as cur:
        chosen = [wanted.stream] if wanted.stream else states.list_streams(cur)
        signals, flags = quality.count_flags(cur, chosen, now - FLAGS_OF)
        found = {
            "came": quality.count_deliveries(cur, chosen, now - DELIVERIES_OF),
            "last": {name: deliveries.last_delivery(cur, name) for name in chosen},
            "quarantined": deliveries.list_deliveries(cur, limit=QUARANTINED_SHOWN, status="quarantined"),
            "quarantined_total": quality.count_quarantined(cur),
            "health": sync.system_health(cur, since=now - DELIVERIES_OF, stream=wanted.stream or None),
            "gaps": sum(row.total for row in sync.count_gaps(cur, now=now, stream=wanted.stream or None).values()),
            "missing": sync.sum_missing_minutes(cur, wanted.stream or None).minutes,
            "repairs": sync.sum_audit(cur, now - DELIVERIES_OF, wanted.stream or None),
            "deletions": deletions.list_deletions(cur, limit=DELETIONS_SHOWN),
        }
    return render_template(
        "quality.html",
        wanted=wanted,
        signals=signals,
        flags=sorted(flags.items(), key=lambda item: (-item[1], item[0])),
        presenting=presenting,
        **found,
    )
