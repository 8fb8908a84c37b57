"""`flask doctor` and `flask calendar`: is this installation sound, and until when does the calendar reach?"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import click
from flask.cli import with_appcontext

from core.errors import SignalbookError
from core.timezones import to_new_york
from core.trading_calendar import cme_equity_calendar
from database import verify
from database.command_line import Commands, json_option
from database.engine import Database
from web.examination.disk import persistence_check
from web.examination.way_in import way_in_check
from web.services import Check, Services, services
from web.serving.health import overall

CALENDAR_WARN_DAYS = 60
SKEW_WARN_SECONDS = 2.0
EXIT_CODES = {"pass": 0, "warn": 1, "fail": 2}

calendar_commands = Commands("calendar", help="The trading calendar of CME equity futures.")


@click.command("doctor")
@json_option
@with_appcontext
def doctor(as_json: bool) -> None:
    """Examine settings, disk, database, clock, calendar and the way in; exit code 0 sound, 1 warnings, 2 faults."""
    checks = examine(services())
    worst = overall(checks)
    if as_json:
        lines = {name: {"status": check.status, "detail": check.detail} for name, check in checks.items()}
        click.echo(json.dumps({"status": worst, "checks": lines}))
    else:
        for name, check in checks.items():
            click.echo(f"{check.status:5} {name:12} {check.detail}")
    sys.exit(EXIT_CODES[worst])


def examine(parts: Services) -> dict[str, Check]:
    """Every check by name."""
    now = parts.clock.now()
    return {
        "settings": _settings_check(parts),
        "data_dir": _data_dir_check(parts.settings.data_dir),
        "journal": persistence_check(parts.settings.data_dir),
        **_database_checks(parts.db, now),
        "calendar": calendar_check(now),
        "webhook": way_in_check(parts.settings, parts.secrets["secret_key"]),
    }


def calendar_check(now: datetime) -> Check:
    """Warns sixty days before the calendar ends; without it the regular week is assumed, so it never fails."""
    calendar = cme_equity_calendar()
    left = calendar.days_left(to_new_york(now).date())
    detail = f"trading calendar until {calendar.last_covered_day:%Y-%m-%d}"
    if left < 0:
        return Check("warn", f"{detail}: it has ended, the regular week is assumed; upgrade")
    return Check("warn" if left < CALENDAR_WARN_DAYS else "pass", f"{detail}, {left} days left")


@calendar_commands.command("show")
@click.option("--days", type=click.IntRange(1, 400), default=10, show_default=True)
@json_option
def show(days: int, as_json: bool) -> None:
    """List the coming trading sessions in New York time."""
    now = services().clock.now()
    sessions = cme_equity_calendar().sessions_between(now, now + timedelta(days=days))
    rows = [
        {
            "trade_date": session.trade_date.isoformat(),
            "opens": to_new_york(session.opens_at).isoformat(timespec="minutes"),
            "closes": to_new_york(session.closes_at).isoformat(timespec="minutes"),
            "source": session.source,
        }
        for session in sessions
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        click.echo(f"{row['trade_date']}  {row['opens']}  {row['closes']}  {row['source']}")


def _settings_check(parts: Services) -> Check:
    settings = parts.settings
    if settings.testing:
        return Check("warn", "TESTING=1: the receive clock can be set by anybody who has a token")
    if settings.public_url is None:
        return Check("warn", "PUBLIC_URL is not set: TradingView cannot be told where to post")
    if not settings.public_url.startswith("https://"):
        return Check("warn", "PUBLIC_URL is not https: tokens and logins travel in the clear")
    return Check("pass", "complete")


def _data_dir_check(path: Path) -> Check:
    try:
        with tempfile.NamedTemporaryFile(dir=path) as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return Check("fail", f"DATA_DIR cannot be written: {error.strerror}")
    return Check("pass", "can be written")


def _database_checks(db: Database, now: datetime) -> dict[str, Check]:
    try:
        with db.transaction() as cur:
            report = verify.inspect(cur)
            skew = verify.clock_skew(cur, now)
    except SignalbookError as error:
        return {"database": Check("fail", error.message)}
    server, problems = report["server"], report["problems_of"]
    loaded = f"TimescaleDB {server['timescaledb']}" if server["timescaledb"] else "without TimescaleDB"
    return {
        "database": _sound(problems["server"], f"{server['version']}, {loaded}"),
        "durability": _sound(problems["durability"], "what is stored survives a crash"),
        "migrations": _sound(problems["migrations"], "complete"),
        "clock": Check(
            "warn" if abs(skew) > SKEW_WARN_SECONDS else "pass", f"{skew:+.2f} s against the database's clock"
        ),
    }


def _sound(problems: list[str], otherwise: str) -> Check:
    return Check("fail", "; ".join(problems)) if problems else Check("pass", otherwise)


COMMANDS: tuple[click.Command, ...] = (doctor, calendar_commands)
