"""The report in words and as plain JSON values. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any

from core.timezones import new_york_date
from web.dashboards.analytics.curve import Curve
from web.dashboards.analytics.intervals import Figure
from web.dashboards.analytics.report import LEGS, Report
from web.dashboards.presenting import thinned
from web.format import count, percent, r_multiple

MOST_DAYS = 60
REMARKABLE = 3  # R that a scratched trade went on to


def interval(found: Figure) -> str:
    """`+0.12R to +0.40R`, a dash where there is none."""
    return "—" if found.low is None else f"{r_multiple(found.low)} to {r_multiple(found.high)}"


def share_interval(found: Figure) -> str:
    """`41.0% to 47.2%`, a dash where there is none."""
    return "—" if found.low is None else f"{percent(found.low)} to {percent(found.high)}"


def rule(target: int) -> str:
    """The exit rule in words."""
    return f"out at +{target}R" if target else "as recorded"


def equity_sentence(report: Report) -> str:
    """The equity curve in words."""
    parts = [_history(leg.name, leg.history) for leg in report.legs.values() if leg.history.trades]
    return " ".join(parts) or "No completed trade with a known result yet."


def _history(name: str, history: Curve) -> str:
    return (
        f"{name}: {r_multiple(history.total_r)} over {count(history.trades)} trades, deepest drawdown "
        f"{r_multiple(-history.drawdown_r)}, now {r_multiple(-history.drawdown_now_r)} below the peak."
    )


def equity_days(report: Report) -> list[tuple[date, float | None, float | None]]:
    """(New York day, BE, No-BE) where either curve stood at the end of a day with an exit, newest first; None before its
    first result. Of many days some."""
    ends = [_day_ends(report.legs[leg].history) for leg in LEGS]
    held: list[float | None] = [None] * len(ends)
    rows = []
    for day in sorted(set().union(*ends)):
        held = [found.get(day, before) for found, before in zip(ends, held, strict=True)]
        rows.append((day, held[0], held[1]))
    return thinned(rows, MOST_DAYS)[::-1]


def _day_ends(history: Curve) -> dict[date, float]:
    points = zip(history.times, history.equity, strict=True)
    return {new_york_date(datetime.fromtimestamp(at, UTC)): value for at, value in points}


def buckets_sentence(what: str, rows: Sequence[tuple[Any, ...]]) -> str:
    """The fullest bucket of a histogram in words."""
    totals = [(label, sum(numbers)) for label, *numbers in rows]
    total = sum(number for _, number in totals)
    if not total:
        return f"{what}: nothing known yet."
    label, most = max(totals, key=lambda row: row[1])
    return f"{what}: {count(total)} trades, most of them ({percent(most / total)}) at {label}."


def targets_sentence(report: Report) -> str:
    """The best target of either leg in words, with the warning that it was picked afterwards."""
    parts = []
    for leg, name in LEGS.items():
        found = [(getattr(each, leg), each.at) for each in report.targets if getattr(each, leg).n]
        if found:
            best, target = max(found, key=lambda item: item[0].mean)
            parts.append(f"{name}: best {r_multiple(best.mean)} at {target}R (n {count(best.n)}, {interval(best)}).")
    return (
        " ".join([*parts, "The best of twenty looks better than it is."]) if parts else "No completed trade with MFE."
    )


def reached(report: Report) -> list[tuple[str, int, Figure]]:
    """(`+3R`, trades, their share) of the scratches that went on."""
    told = zip(report.scratches.went_on, report.scratch_shares, strict=True)
    return [(f"+{target}R", trades, found) for (target, trades), found in told]


def scratch_sentence(report: Report) -> str:
    """What the moved stop gave away, in words."""
    found = report.scratches
    if not found.trades:
        return "No BE leg has ended at 0R yet."
    far = dict(found.went_on)[REMARKABLE]
    return f"{percent(far / found.trades)} of the scratches went on to {REMARKABLE}R or more (n {count(found.trades)})."


def triggers_sentence(report: Report) -> str:
    """What the table of triggers rests on."""
    followed, known = max(each.followed for each in report.triggers), max(each.worst.n for each in report.triggers)
    if not followed:
        return "No one-minute bars tell the path of these trades, so all of it is computed from MFE."
    if followed == known:
        return f"All {count(known)} trades are followed bar by bar through one-minute bars."
    return (
        f"{count(followed)} of {count(known)} trades are followed bar by bar through one-minute bars, "
        "the others are computed from MFE."
    )


def document(report: Report) -> dict[str, Any]:
    """The report as JSON values."""
    return {
        "computed_at": report.computed_at.isoformat().replace("+00:00", "Z"),
        "target": report.target,
        "trades": report.trades,
        "legs": {
            name: {
                "expectancy_r": _figure(leg.expectancy),
                "win_share": _figure(leg.wins),
                "results": _pairs(leg.results),
                "mfe": _pairs(leg.mfe),
                "history": {**asdict(leg.history)},
            }
            for name, leg in report.legs.items()
        },
        "targets": [
            {"target": each.at, "be": _figure(each.be), "no_be": _figure(each.no_be)} for each in report.targets
        ],
        "triggers": [
            {"trigger": float(each.at), "target": report.trigger_target, "undecided": each.undecided, "followed": each.followed,
             "worst": _figure(each.worst), "best": _figure(each.best)}
            for each in report.triggers
        ],
        "scratches": {"trades": report.scratches.trades, "went_on": dict(report.scratches.went_on)},
        "mae": [{"bucket": label, "went_1r": far, "did_not": short} for label, far, short in report.falls],
        "groups": {
            name: [{"name": each.name, "be": _figure(each.be), "no_be": _figure(each.no_be)} for each in groups]
            for name, _title, groups in report.groups
        },
        "coverage": {what: trades for what, trades, _meaning in report.coverage},
    }  # fmt: skip


def _pairs(rows: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    return [{"bucket": label, "trades": trades} for label, trades in rows]


def _figure(found: Figure) -> dict[str, Any]:
    rounded = {name: _short(getattr(found, name)) for name in ("mean", "low", "high")}
    return {"n": found.n, **rounded, "verdict": found.verdict}


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
