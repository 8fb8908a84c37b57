"""What a list of signals is asked for: tab, filters, order and place, all of it in the address. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlencode

from core.errors import InvalidInputError
from core.sessions import SESSIONS
from core.timezones import day_bounds
from database.states import SORTED_BY, Order, Place, Selection
from database.storable import without_nul
from web.dashboards.presenting import SIDES, View, view_named

PAGE = "/automated-signals"
CSV = "/automated-signals.csv"
WAYS = ("desc", "asc")
EARLIEST, LATEST = date(1990, 1, 1), date(2200, 1, 1)
MAX_TEXT = 100
NEWEST_FIRST = Order()
_TIMES = frozenset({"signal", "entered", "ended"})
_WORST_FIRST = frozenset({"health"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """One address of the list, read. Days are New York days, both included; None does not restrict."""

    view: View
    stream: str | None = None
    session: str | None = None
    direction: str | None = None
    first_day: date | None = None
    last_day: date | None = None
    text: str | None = None
    order: Order = NEWEST_FIRST
    after: Place | None = None

    @property
    def is_filtered(self) -> bool:
        """Whether anything but the tab and the stream restricts the list."""
        return any((self.session, self.direction, self.first_day, self.last_day, self.text))

    def selection(self, *, is_of_tab: bool = True) -> Selection:
        """The signals that are meant: those of the tab, or of all tabs under the same filters."""
        return Selection(
            statuses=list(self.view.statuses) or None if is_of_tab else None,
            sessions=[self.session] if self.session else None,
            direction=self.direction,
            since=day_bounds(self.first_day)[0] if self.first_day else None,
            until=day_bounds(self.last_day)[1] if self.last_day else None,
            text=self.text,
        )

    def fields(self) -> dict[str, str]:
        """The names and values of its address, without the place and without what is as usual."""
        given: dict[str, Any] = {
            "status": self.view.name,
            "stream": self.stream,
            "session": self.session,
            "direction": self.direction,
            "from": self.first_day,
            "to": self.last_day,
            "q": self.text,
            "sort": self.order.sort if self.order != NEWEST_FIRST else None,
            "way": "asc" if self.order.is_rising else None,
        }
        return {name: str(value) for name, value in given.items() if value is not None}

    def address(self, path: str = PAGE, **changes: Any) -> str:
        """The address of this list with some of its parts changed, from its first page on."""
        changed = replace(self, **{"after": None, **changes})
        place = {"before": write_cursor(changed.after)} if changed.after else {}
        return f"{path}?{urlencode(changed.fields() | place)}"

    def sorted_by(self, sort: str) -> str:
        """The address of the list sorted by a column: largest first (health: worst), or the other way round if it is so."""
        first = Order(sort, sort in _WORST_FIRST)
        return self.address(order=Order(sort, not first.is_rising) if self.order == first else first)

    def unfiltered(self) -> str:
        """The address of the tab without filters."""
        return self.address(session=None, direction=None, first_day=None, last_day=None, text=None)


def read_query(given: Mapping[str, str]) -> ListQuery:
    """The list that an address asks for. Raises InvalidInputError naming the part that means nothing."""
    told = {name: without_nul(value).strip() for name, value in given.items()}
    text = told.get("q", "")
    if len(text) > MAX_TEXT:
        raise InvalidInputError(f"q: must be at most {MAX_TEXT} characters", field="q")
    way = _one_of("way", told, WAYS)
    order = Order(_one_of("sort", told, tuple(SORTED_BY)) or "signal", way == "asc")
    first_day, last_day = _day("from", told), _day("to", told)
    if first_day and last_day and first_day > last_day:
        raise InvalidInputError("to: must not be before from", field="to")
    return ListQuery(
        view=view_named(told.get("status") or "all"),
        stream=told.get("stream") or None,
        session=_one_of("session", told, SESSIONS),
        direction=_one_of("direction", told, tuple(SIDES)),
        first_day=first_day,
        last_day=last_day,
        text=text or None,
        order=order,
        after=read_cursor(told.get("before"), order),
    )


def write_cursor(place: Place) -> str:
    """A place in a list, as opaque text for an address."""
    value = place.value.isoformat() if isinstance(place.value, datetime) else place.value
    parts = [None if value is None else str(value), place.trade_id, place.stream]
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def read_cursor(text: str | None, order: Order) -> Place | None:
    """The place in a list of that order that `write_cursor` wrote; None for no text. Raises InvalidInputError."""
    if not text:
        return None
    try:
        value, trade_id, stream = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if not (isinstance(trade_id, str) and isinstance(stream, str)) or "\x00" in trade_id + stream:
            raise ValueError("no names")
        return Place(None if value is None else _value(value, order), trade_id, stream)
    except (ValueError, TypeError, InvalidOperation, binascii.Error):
        raise InvalidInputError("before: is no place in the list", field="before") from None


def _value(text: str, order: Order) -> datetime | Decimal:
    """The sorted value of a place. ValueError, TypeError or InvalidOperation for another kind of value."""
    if order.sort in _TIMES:
        at = datetime.fromisoformat(text)
        if at.utcoffset() is None:
            raise ValueError("no offset")
        return at
    number = Decimal(text)
    if SORTED_BY[order.sort] is None or not number.is_finite():
        raise ValueError("no value")
    return number


def _one_of(name: str, told: Mapping[str, str], offered: tuple[str, ...]) -> str | None:
    value = told.get(name) or None
    if value is not None and value not in offered:
        raise InvalidInputError(f"{name}: must be one of " + ", ".join(offered), field=name)
    return value


def _day(name: str, told: Mapping[str, str]) -> date | None:
    if not told.get(name):
        return None
    try:
        day = date.fromisoformat(told[name])
    except ValueError:
        raise InvalidInputError(f"{name}: must be a day such as 2025-12-10", field=name) from None
    if not EARLIEST <= day <= LATEST:
        raise InvalidInputError(f"{name}: must lie between {EARLIEST} and {LATEST}", field=name)
    return day


def signals_of_day(day: date) -> Selection:
    """The signals of one New York day."""
    start, end = day_bounds(day)
    return Selection(since=start, until=end)
