"""Parameters and waves as pages and programs see them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from core.wave_records import PARAM_FIELDS, PERCENT_FIELDS

LABELS = {
    "max_trades_filter": "Max trades a wave",
    "stop_loss_filter": "Stop loss",
    "trailing_activation_filter": "Trailing activation",
    "trailing_distance_filter": "Trailing distance",
    "score_week_filter": "Week score filter",
    "score_month_filter": "Month score filter",
}
STATE_WORDS = {
    "connected": ("pass", "Connected"),
    "standby": ("pass", "Standing by"),
    "connecting": ("warn", "Connecting"),
    "waiting": ("warn", "Waiting to reconnect"),
    "starting": ("warn", "Starting"),
    "stopped": ("warn", "Stopped"),
    "gave up": ("fail", "Gave up"),
    "failed": ("fail", "Failed"),
}
WAVE_WORDS = {"completed": "Complete", "collecting": "Collecting", "not_found": "Not found"}
STALE_AFTER = timedelta(seconds=30)
CHART_WIDTH, CHART_HEIGHT, CHART_PAD = 120, 22, 2


@dataclass(frozen=True, slots=True)
class Line:
    """One parameter of one exchange: what counts, what was recorded, what masks it, and its course."""

    field: str
    label: str
    effective: str
    latest: str
    override: Any
    path: str
    course: str


def value_text(field: str, value: Decimal | float | None) -> str:
    """A parameter as people read it: `6`, `4.00%`, `65`."""
    if value is None:
        return "—"
    number = Decimal(str(value)).normalize()
    if field in PERCENT_FIELDS:
        digits = max(2, -int(number.as_tuple().exponent))
        return f"{number:.{digits}f}%"
    return f"{number:f}".replace("-", "\u2212")


def wave_name(wave_time: datetime) -> str:
    """A wave in an address."""
    return wave_time.strftime("%Y-%m-%dT%H:%M:%SZ")


def value_json(value: Decimal | None) -> int | float | None:
    """A parameter as programs read it."""
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else float(value)


def params_json(values: Mapping[str, Decimal]) -> dict[str, int | float | None]:
    """All six, null where nothing is known."""
    return {name: value_json(values.get(name)) for name in PARAM_FIELDS}


def override_json(row: Any) -> dict[str, Any]:
    """An override with its audit."""
    found = row._asdict() | {"value": value_json(Decimal(row.value))}
    return {name: _plain(value) for name, value in found.items()}


def row_json(row: Any) -> dict[str, Any]:
    """Any row: instants in ISO, decimals as numbers."""
    return {name: _plain(value) for name, value in row._asdict().items()}


def lines(
    recorded: Mapping[str, Decimal], effective: Mapping[str, Decimal], masks: Mapping[str, Any], history: Sequence[Any]
) -> list[Line]:
    """The table of one exchange; `history` newest first."""
    return [
        Line(
            name,
            LABELS[name],
            value_text(name, effective.get(name)),
            value_text(name, recorded.get(name)),
            masks.get(name),
            step_path(points := course_of(name, history)),
            course_text(name, points),
        )
        for name in PARAM_FIELDS
    ]


def course_of(field: str, history: Sequence[Any]) -> list[tuple[datetime, Decimal]]:
    """The values a field had, oldest first."""
    found = [(row.wave_timestamp, getattr(row, field)) for row in reversed(history)]
    return [(at, Decimal(value)) for at, value in found if value is not None]


def step_path(points: Sequence[tuple[datetime, Decimal]]) -> str:
    """The course as an SVG path: a value holds until the next."""
    if len(points) < 2:
        return ""
    first, span = points[0][0], (points[-1][0] - points[0][0]).total_seconds()
    low, high = min(value for _, value in points), max(value for _, value in points)
    room = CHART_HEIGHT - 2 * CHART_PAD

    def x(at: datetime) -> float:
        return round((at - first).total_seconds() / span * CHART_WIDTH, 1)

    def y(value: Decimal) -> float:
        share = 0.5 if high == low else float((value - low) / (high - low))
        return round(CHART_PAD + (1 - share) * room, 1)

    parts = [f"M0 {y(points[0][1])}"]
    for at, value in points[1:]:
        parts.append(f"H{x(at)}V{y(value)}")
    return "".join(parts)


def course_text(field: str, points: Sequence[tuple[datetime, Decimal]]) -> str:
    """The course in words, for those who do not see the line."""
    if not points:
        return "no values yet"
    values = [value for _, value in points]
    changes = sum(one != other for one, other in pairwise(values))
    low, high = value_text(field, min(values)), value_text(field, max(values))
    return f"{low} to {high}, {changes} changes in {len(values)} waves" if changes else f"{low} in {len(values)} waves"


def change_text(row: Any) -> str:
    """What a wave changed: `Stop loss 4.20%`."""
    applied = {name: row.applied.get(name) for name in row.changed_fields}
    return ", ".join(
        f"{LABELS.get(name, name)} {value_text(name, None if value is None else Decimal(str(value)))}"
        for name, value in applied.items()
    )


def variant_text(text: str) -> str:
    """A variant in words: `Stop loss 2.00%`."""
    found = [part.partition("=") for part in text.split(",")]
    return ", ".join(f"{LABELS[name.strip()]} {value_text(name.strip(), Decimal(value))}" for name, _, value in found)


def feed_state(row: Any, now: datetime, *, is_on: bool) -> tuple[str, str, str]:
    """(pass, warn or fail; a word; a sentence) about the feed, as it is."""
    if not is_on:
        return "warn", "Off", "No signal server is set (SIGNAL_WS_URL)."
    if row is None:
        return "warn", "Not started", "No process has held the feed yet."
    if now - row.updated_at > STALE_AFTER:
        return "fail", "No sign of life", f"The process {row.owner} that held the feed says nothing any more."
    status, word = STATE_WORDS.get(row.state, ("warn", row.state.capitalize()))
    return status, word, row.detail


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value_json(value) if isinstance(value, Decimal) else value
