"""Write core/data/cme_globex_equity.csv from pandas_market_calendars. For developers, once a year.

The package brings pandas and numpy and is of no use at run time, so it lives in an environment of its own:

    python3.11 -m venv /tmp/calendar && /tmp/calendar/bin/pip install --require-hashes -r requirements-calendar.txt
    /tmp/calendar/bin/python tools/build_calendar.py

What the package gets wrong belongs into core/data/calendar_overrides.csv, never into the generated file.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from importlib.metadata import version
from pathlib import Path

FIRST_DAY = date(2024, 1, 1)
LAST_DAY = date(2027, 12, 31)
CALENDAR = "CME Globex Equity"
TARGET = Path(__file__).parent.parent / "core" / "data" / "cme_globex_equity.csv"
COLUMNS = ("session_date", "opens_at", "closes_at", "trade_date", "source")

# On a United States bank holiday the exchange halts at noon Chicago and books the session under the next trade date.
HOLIDAY_HALT = time(12)


def sessions() -> dict[date, tuple[datetime, datetime]]:
    """Open and close of every session in Chicago time, by session date; a week longer than the file, for the merges."""
    import pandas_market_calendars

    calendar = pandas_market_calendars.get_calendar(CALENDAR)
    schedule = calendar.schedule(FIRST_DAY.isoformat(), (LAST_DAY + timedelta(days=7)).isoformat())
    opens = schedule["market_open"].dt.tz_convert("America/Chicago")
    closes = schedule["market_close"].dt.tz_convert("America/Chicago")
    pairs = zip(opens, closes, strict=True)
    return {closing.date(): (opening.to_pydatetime(), closing.to_pydatetime()) for opening, closing in pairs}


def rows(by_day: dict[date, tuple[datetime, datetime]], source: str) -> Iterator[tuple[str, ...]]:
    """One row for every weekday; a day without a session has no times."""
    for offset in range((LAST_DAY - FIRST_DAY).days + 1):
        day = FIRST_DAY + timedelta(days=offset)
        if day in by_day:
            opens_at, closes_at = by_day[day]
            is_holiday = closes_at.time() == HOLIDAY_HALT
            trade_date = min(later for later in by_day if later > day) if is_holiday else day
            times = (opens_at.isoformat(timespec="minutes"), closes_at.isoformat(timespec="minutes"))
            yield day.isoformat(), *times, trade_date.isoformat(), source
        elif day.weekday() < 5:
            yield day.isoformat(), "", "", "", source


def main() -> None:
    source = f"pandas_market_calendars {version('pandas_market_calendars')} {CALENDAR}"
    with TARGET.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows(sessions(), source))


if __name__ == "__main__":
    main()
