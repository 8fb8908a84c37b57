"""`python -m simulator alerts`: a synthetic stream of alerts, sent to a webhook, written as an alert log, or both."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from core.clock import Clock, SystemClock
from core.errors import InvalidInputError
from core.trading_calendar import cme_equity_calendar
from simulator.alert_sender import AlertSender, Pace
from simulator.alert_stream import Alert, Faults, generate
from simulator.alert_text import alert_log

HELP = "send made-up TradingView alerts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--url", help="the webhook, with its token; without it only --csv is written")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another market (default 1)")
    parser.add_argument("--speed", type=_speed, default=1.0, help="1 (the clock's, default), 60 (times faster) or max")
    parser.add_argument("--from", dest="start", type=_instant, metavar="ISO", help="first minute, with an offset")
    parser.add_argument("--minutes", type=int, help="length of the stream; without it, for ever")
    parser.add_argument(
        "--history-hours", type=float, default=12.0, help="without --from, start so many hours of open market ago"
    )
    parser.add_argument("--faults", type=_faults, default=Faults(), help="real (default), none, or a list: a,b,c")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the alert log of what was fired, lost or not")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="remember there how far it got, and go on from it")


def run(args: argparse.Namespace, clock: Clock | None = None) -> int:
    """Carry the command out; the exit code. InvalidInputError for options that do not fit together."""
    clock = clock or SystemClock()
    if args.csv and args.minutes is None:
        raise InvalidInputError("an alert log needs an end: give --minutes", field="csv")
    if not args.url and not args.csv:
        raise InvalidInputError("nothing to do: give --url, --csv or both", field="url")
    start, done = _beginning(args, clock)
    alerts: Iterable[Alert] = generate(args.seed, start, args.minutes, args.faults)
    if args.csv:
        alerts = list(alerts)
        log = alert_log((alert.sent_at, alert.body) for alert in alerts)
        args.csv.write_text(log, encoding="utf-8", newline="")
    if args.url:
        remaining = islice(alerts, done, None)
        _send(args, clock, start, _noted(remaining, args, start, done) if args.resume else remaining)
    return 0


def _send(args: argparse.Namespace, clock: Clock, start: datetime, alerts: Iterable[Alert]) -> None:
    sender = AlertSender(args.url, clock, report=lambda line: print(line, flush=True))
    # Without an end an accelerated stream would soon be in the future; it catches up, then follows the clock.
    pace = Pace(clock, start, speed=args.speed, follows_clock=args.speed == 1 or args.minutes is None)
    try:
        sender.wait_until_listening()
        print(f"alerts from {start:%Y-%m-%d %H:%M} UTC on, seed {args.seed}", flush=True)
        sender.send_all(alerts, pace)
    except KeyboardInterrupt:
        print("stopped")
    print(", ".join(f"{outcome}: {number}" for outcome, number in sorted(sender.outcomes.items())) or "nothing sent")


def _beginning(args: argparse.Namespace, clock: Clock) -> tuple[datetime, int]:
    """Where the stream starts, and how many of its alerts an earlier run has dealt with."""
    if args.resume and args.resume.exists():
        place = json.loads(args.resume.read_text(encoding="utf-8"))
        if place["seed"] == args.seed:
            return datetime.fromisoformat(place["start"]), place["done"]
    return args.start or _market_hours_ago(clock.now(), args.history_hours), 0


def _market_hours_ago(now: datetime, hours: float) -> datetime:
    """A minute so long ago that the market has been open for `hours` since: on a Sunday, too, there is something."""
    calendar, start = cme_equity_calendar(), now.replace(second=0, microsecond=0)
    while calendar.open_minutes_between(start, now) < hours * 60:
        start -= timedelta(minutes=10)
    return start


def _noted(alerts: Iterable[Alert], args: argparse.Namespace, start: datetime, done: int) -> Iterator[Alert]:
    """The same alerts; each counts as done once the next is asked for, so a stop repeats one rather than lose it."""
    new = args.resume.with_name(args.resume.name + ".new")
    for number, alert in enumerate(alerts, start=done):
        new.write_text(json.dumps({"seed": args.seed, "start": start.isoformat(), "done": number}), encoding="utf-8")
        new.replace(args.resume)
        yield alert


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not an ISO date and time: {text}") from None
    if instant.tzinfo is None:
        raise argparse.ArgumentTypeError("needs an offset, such as Z")
    return instant.astimezone(UTC)


def _speed(text: str) -> float:
    speed = math.inf if text == "max" else float(text)
    if not speed >= 1:
        raise argparse.ArgumentTypeError("1 or more, or max")
    return speed


def _faults(text: str) -> Faults:
    if text == "real":
        return Faults()
    known = [each.name for each in fields(Faults)]
    names = [] if text == "none" else text.split(",")
    if not set(names) <= set(known):
        raise argparse.ArgumentTypeError(f"real, none, or some of {','.join(known)}")
    return Faults.only(*names)
