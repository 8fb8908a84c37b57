"""`python -m simulator gateway`: the futures gateway on two local ports, trading at real or accelerated pace."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from core.clock import Clock, SystemClock
from core.errors import InvalidInputError
from simulator.gateway.gateway import Gateway, ScaledClock
from simulator.gateway.hub import Client, Hub
from simulator.gateway.market import Market, front_contracts, read_trades

HELP = "serve a made-up futures gateway: REST and SignalR market hub"


def _each(action: Callable[[Hub, Client], None]) -> Callable[[Gateway], None]:
    """Do something to every connection."""

    def run_on(gateway: Gateway) -> None:
        for client in list(gateway.hub.clients):
            action(gateway.hub, client)

    return run_on


def _set(name: str, seconds: float | None = None) -> Callable[[Gateway], None]:
    """Switch a fault on, for so many seconds or for good."""

    def run_on(gateway: Gateway) -> None:
        setattr(gateway.hub.faults, name, True)
        if seconds is not None:
            threading.Timer(seconds, setattr, [gateway.hub.faults, name, False]).start()

    return run_on


def _down(gateway: Gateway) -> None:
    gateway.hub.stop()
    threading.Timer(10.0, gateway.hub.start).start()


def _expire(gateway: Gateway) -> None:
    gateway.tokens.revoke_all()
    gateway.hub.reset_all()


FAULTS: dict[str, Callable[[Gateway], None]] = {
    "fin": _each(lambda hub, client: hub.fin(client)),
    "rst": _each(lambda hub, client: hub.rst(client)),
    "close": _each(lambda hub, client: hub.close_record(client)),
    "bad-json": _each(lambda hub, client: hub.send_text(client, '{"type":1,\x1e')),
    "ping": _each(lambda hub, client: hub.ping(client, b"proxy")),
    "mute": _set("is_mute", 60.0),
    "split": _set("splits_records"),
    "joined": _set("joins_records"),
    "forget": lambda gateway: gateway.hub.forget_subscriptions(),
    "down": _down,
    "away": lambda gateway: gateway.go_away(60.0),
    "expire": _expire,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--rest-port", type=int, default=5081, help="port of the REST API (default 5081, 0 a free one)")
    parser.add_argument(
        "--hub-port", type=int, default=5082, help="port of the market hub (default 5082, 0 a free one)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="another seed, another market (default 1, as of the alerts)"
    )
    parser.add_argument("--from", dest="start", metavar="ISO", help="begin at this instant instead of now")
    parser.add_argument("--speed", type=float, default=1.0, help="so many times faster than the clock (default 1)")
    parser.add_argument("--trades", type=Path, metavar="CSV", help="tell these trades: time,price,size[,side]")
    parser.add_argument("--token-seconds", type=float, default=86_400, help="life of a token (default one day)")
    parser.add_argument("--listed-days", type=float, default=45, help="age of the contracts' history (default 45 days)")
    parser.add_argument("--busy", type=int, default=1, help="so many times as many trades and contracts (default 1)")
    parser.add_argument("--always-open", action="store_true", help="trade while the exchange is closed, too")
    parser.add_argument(
        "--fault", action="append", default=[], metavar="NAME@SECONDS", help=f"one of {', '.join(FAULTS)}; repeatable"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until a signal comes; the exit code. InvalidInputError for options that make no sense."""
    clock = _clock(args)
    now = clock.now()
    always_open_from = now - timedelta(hours=3) if args.always_open else None
    listed_at = now - timedelta(days=args.listed_days)
    if args.busy < 1:
        raise InvalidInputError("must be 1 or more", field="busy")
    market = Market(args.seed, front_contracts(now.date()), always_open_from, listed_at, args.busy)
    gateway = Gateway(market, clock, token_life=timedelta(seconds=args.token_seconds))
    faults = [_fault(text) for text in args.fault]
    gateway.start(args.host, args.rest_port, args.hub_port, ticks=args.trades is None)
    print(f"REST {gateway.rest_url}, hub {gateway.hub_url}, contracts {', '.join(market.contracts)}", flush=True)
    for seconds, action in faults:
        timer = threading.Timer(seconds, action, [gateway])
        timer.daemon = True
        timer.start()
    if args.trades:
        trades = read_trades(args.trades)
        threading.Thread(
            target=gateway.replay, args=[next(iter(market.contracts)), trades, args.speed], daemon=True
        ).start()
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    over.wait()
    gateway.stop()
    return 0


def _clock(args: argparse.Namespace) -> Clock:
    if args.start is None and args.speed == 1:
        return SystemClock()
    try:
        start = datetime.fromisoformat(args.start).astimezone(UTC) if args.start else SystemClock().now()
    except ValueError:
        raise InvalidInputError("not an ISO date and time", field="from") from None
    return ScaledClock(start, args.speed)


def _fault(text: str) -> tuple[float, Callable[[Gateway], None]]:
    name, _, seconds = text.partition("@")
    if name not in FAULTS or not seconds.replace(".", "", 1).isdigit():
        raise InvalidInputError(f"{text!r}: write NAME@SECONDS, NAME one of {', '.join(FAULTS)}", field="fault")
    return float(seconds), FAULTS[name]
