"""The state of hybrid sync as programs and people read it: scores, gaps by type, the loss ledger."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from core.sync.health import CRITICAL_GAPS, CRITICAL_SCORE, WARNING_GAPS, WARNING_SCORE
from database import sync
from database.engine import Cursor
from hybrid_sync.cycle import WINDOW
from hybrid_sync.gaps import CLASSIC, GAP_TYPES

TARGET_SCORE: Final = 90
TARGET_GAPS: Final = 10
AGES: Final = ("fresh", "within_hour", "within_day", "older")
AGE_WORDS: Final = ("under 10 min", "under 1 h", "under 1 day", "older")


def severity(score: int | None, gaps: int) -> str:
    """`critical`, `warning` or `ok`, by the thresholds of score and open gaps."""
    known = 100 if score is None else score
    if known < CRITICAL_SCORE or gaps > CRITICAL_GAPS:
        return "critical"
    return "warning" if known < WARNING_SCORE or gaps > WARNING_GAPS else "ok"


def status_of(cur: Cursor, now: datetime, stream: str | None = None) -> dict[str, Any]:
    """The gap report: totals, by type with ages, system score with its thresholds and targets, last cycle, outages."""
    health = sync.system_health(cur, since=now - WINDOW, stream=stream)
    counts = sync.count_gaps(cur, now=now, stream=stream)
    missing = sync.sum_missing_minutes(cur, stream)
    cycles = sync.list_cycles(cur, 1)
    outages = sync.list_outages(cur, since=now - WINDOW, limit=50, stream=stream)
    by_type = {gap: _count(counts[gap]) for gap in GAP_TYPES if gap in counts}
    total = sum(count["total"] for count in by_type.values())
    return {
        "severity": severity(health.score, total),
        "health_score": health.score,
        "signals": health.signals,
        "signals_below_80": health.warnings,
        "signals_below_50": health.critical,
        "open_gaps": total,
        "open_gaps_classic": sum(by_type[gap]["total"] for gap in CLASSIC if gap in by_type),
        "by_type": by_type,
        "missing_minutes": missing.minutes,
        "thresholds": {
            "score": {"warning": WARNING_SCORE, "critical": CRITICAL_SCORE},
            "gaps": {"warning": WARNING_GAPS, "critical": CRITICAL_GAPS},
        },
        "targets": {"open_gaps": TARGET_GAPS, "health_score": TARGET_SCORE},
        "on_target": total < TARGET_GAPS and (health.score is None or health.score > TARGET_SCORE),
        "last_cycle": row_json(cycles[0]) if cycles else None,
        "outages": [row_json(row) for row in outages],
    }


def _count(row: Any) -> dict[str, Any]:
    return {"total": row.total, "oldest_at": row.oldest_at.isoformat(), **{age: getattr(row, age) for age in AGES}}


def row_json(row: Any) -> dict[str, Any]:
    """A row of the database as JSON values."""
    return {name: _plain(value) for name, value in row._asdict().items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value


def trend_of(cur: Cursor, now: datetime) -> list[dict[str, Any]]:
    """The system score of each hour of the last two days."""
    return [row_json(row) for row in sync.list_trend(cur, now - 2 * WINDOW)]


def created_of(cur: Cursor, stream: str | None = None) -> dict[str, Any]:
    """The SIGNAL_CREATED analysis: how many there are, what they bring, what lacks them."""
    row = sync.count_created(cur, stream)
    found = {name: int(value) for name, value in row._asdict().items()}
    found["confirmed_with_created"] = found["confirmed"] - found["confirmed_without_created"]
    return found


def share_path(trend: list[Mapping[str, Any]], width: int = 240, height: int = 44) -> str:
    """The course of the score as the path of a small drawing; empty for less than two hours."""
    values = [point["last"] for point in trend if point["last"] is not None]
    if len(values) < 2:
        return ""
    step = width / (len(values) - 1)
    points = (f"{place * step:.1f},{height - 2 - value * (height - 4) / 100:.1f}" for place, value in enumerate(values))
    return "M" + " L".join(points)


def instant_from(text: str) -> datetime:
    """An instant out of the report, for pages."""
    return datetime.fromisoformat(text)


def evidence_text(evidence: Mapping[str, Any] | None) -> str:
    """What a repair rests on, in a few words."""
    if not evidence:
        return ""
    parts = [str(evidence["contract"])] if evidence.get("contract") else []
    parts += [f"{evidence['minutes']} min"] if "minutes" in evidence else []
    parts += [
        f"ambiguous: {one['question']} {one['range'][0]} to {one['range'][1]}" for one in evidence.get("ambiguous", ())
    ]
    parts += [", ".join(evidence["gaps"])] if "gaps" in evidence else []
    parts += [f"by {evidence['cancelled_by']}"] if evidence.get("cancelled_by") else []
    return " · ".join(parts)
