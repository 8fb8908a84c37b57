"""How numbers and instants are written on screens; `static/js/format.js` is its twin, held equal by one test table.

A missing value is a dash and never 0, a minus is a real minus, and rounding is half away from zero in both languages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any, Protocol

from jinja2 import Environment, pass_context
from jinja2.runtime import Context as TemplateContext
from markupsafe import Markup, escape

from core.sync.words import action_word, gap_word
from core.timezones import to_new_york, to_utc

MISSING = "—"
MINUS = "\u2212"
THIN_SPACE = "\u202f"
DEFAULT_TICK_SIZE = "0.25"
PATTERNS: Mapping[str, str] = {
    "full": "%Y-%m-%d %H:%M:%S",
    "minute": "%Y-%m-%d %H:%M",
    "time": "%H:%M:%S",
    "clock": "%H:%M",
    "date": "%Y-%m-%d",
}
_WIDE = Context(prec=400)
_LEG_WORDS = {"be_mfe": "BE", "no_be_mfe": "No-BE", "mae": "MAE"}
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d.*(Z|\+00:00)$")

Number = Decimal | float | int | None


def price(value: Number, tick_size: str | Decimal | float = DEFAULT_TICK_SIZE) -> str:
    """A price with the decimals of its tick size: 20500.5 at 0.25 reads `20500.50`."""
    return _signed(value, _decimals_of(tick_size))


def r_multiple(value: Number) -> str:
    """A multiple of the initial risk, always signed: `+1.25R`, `−0.40R`, `0.00R`."""
    return _signed(value, 2, plus="+", unit="R")


def percent(value: Number) -> str:
    """A share of one as a percentage: 0.1234 reads `12.3%`."""
    scaled = None if value is None else Decimal(str(value)).scaleb(2, _WIDE)
    return _signed(scaled, 1, unit="%")


def count(value: Number) -> str:
    """A whole number with thin spaces between thousands."""
    return _signed(value, 0, group=THIN_SPACE)


def age(seconds: Number) -> str:
    """A duration in its two largest units: `5s`, `3m 05s`, `2h 10m`, `3d 4h`."""
    exact = _finite(seconds)
    if exact is None:
        return MISSING
    whole = int(abs(exact))
    sign = MINUS if exact < 0 and whole else ""
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{sign}{days}d {hours}h"
    if hours:
        return f"{sign}{hours}h {minutes:02d}m"
    return f"{sign}{minutes}m {whole % 60:02d}s" if minutes else f"{sign}{whole}s"


def instant(value: datetime | None, zone: str = "ny", show: str = "full") -> str:
    """An instant on the clock of `zone` (`ny` or `utc`) with its abbreviation; `show` names a pattern.

    The zone `local` is only known to the browser, which rewrites what is sent; until then it reads as New York.
    """
    if value is None:
        return MISSING
    local = to_utc(value) if zone == "utc" else to_new_york(value)
    text = local.strftime(PATTERNS[show])
    return text if show == "date" else f"{text} {local.tzname()}"


def time_element(value: datetime | None, zone: str = "ny", show: str = "full") -> Markup:
    """The instant as `<time>`, which the browser rewrites when the reader switches the zone."""
    if value is None:
        return Markup("—")
    iso = to_utc(value).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    text = instant(value, zone, show)
    # All parts are digits and names of ours; a list has hundreds of them, and `Markup.format` is slow.
    return Markup(f'<time datetime="{iso}" data-show="{show}" title="{iso}">{text}</time>')  # noqa: S704


def change_text(old: Any, new: Any, zone: str = "ny") -> Markup:
    """What a repair filled, and in place of what; a dash where nothing was."""
    told = _value_text("", new, zone)
    return told if old is None else _value_text("", old, zone) + " → " + told


class HasTemplates(Protocol):
    """What of a Flask app is needed here; the module itself knows no web framework."""

    @property
    def jinja_env(self) -> Environment: ...


def init_format(app: HasTemplates) -> None:
    """Make the formatter known to templates: `{{ x|price(tick) }}`, `{{ x|r_multiple }}`, `{{ at|instant }}`."""
    filters: dict[str, Callable[..., Any]] = {
        "price": price,
        "r_multiple": r_multiple,
        "percent": percent,
        "count": count,
        "age": age,
        "instant": _instant_filter,
        "gap_word": gap_word,
        "action_word": action_word,
        "change_text": _change_filter,
    }
    app.jinja_env.filters.update(filters)


@pass_context
def _change_filter(context: TemplateContext, old: Any, new: Any) -> Markup:
    return change_text(old, new, _zone_of(context))


@pass_context
def _instant_filter(context: TemplateContext, value: datetime | None, show: str = "full") -> Markup:
    return time_element(value, _zone_of(context), show)


def _zone_of(context: TemplateContext) -> str:
    view = context.get("view") or {}
    return str(view.get("zone", "ny"))


def _value_text(name: str, value: Any, zone: str) -> Markup:
    """A stored value in a few words: instants as elements, excursions as multiples of R."""
    if isinstance(value, dict):
        told = {key: part for key, part in value.items() if part is not None}
        parts = [escape(_LEG_WORDS.get(key, key)) + " " + _value_text(key, part, zone) for key, part in told.items()]
        return Markup(", ").join(parts) or escape(MISSING)
    if isinstance(value, list):
        return Markup(", ").join(_value_text("", part, zone) for part in value) or escape(MISSING)
    if isinstance(value, str) and _INSTANT.match(value):
        return time_element(datetime.fromisoformat(value), zone, "minute")
    if name in _LEG_WORDS and _is_decimal(value):
        return escape(r_multiple(value))
    return escape(MISSING if value is None else re.sub(r"^-(?=\d)", MINUS, str(value)))


def _is_decimal(value: Any) -> bool:
    try:
        return Decimal(str(value)).is_finite()
    except InvalidOperation:
        return False


def _finite(value: Number) -> Decimal | None:
    if value is None:
        return None
    exact = Decimal(str(value))
    return exact if exact.is_finite() else None


def _signed(value: Number, digits: int, *, plus: str = "", unit: str = "", group: str = "") -> str:
    exact = _finite(value)
    if exact is None:
        return MISSING
    rounded = exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP, _WIDE)
    sign = "" if rounded.is_zero() else MINUS if rounded < 0 else plus
    return f"{sign}{abs(rounded):,f}".replace(",", group) + unit


def _decimals_of(tick_size: str | Decimal | float) -> int:
    exponent = Decimal(str(tick_size)).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 2
