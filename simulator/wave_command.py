"""`python -m simulator waves`: a signal server with made-up waves."""

from __future__ import annotations

import argparse
import threading
from datetime import timedelta

from core.clock import Clock, SystemClock
from core.errors import InvalidInputError
from simulator.wave_market import WaveMarket
from simulator.wave_server import WaveServer

HELP = "serve made-up waves of signals"
LOOK_SECONDS = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--port", type=int, default=8765, help="TCP port on 127.0.0.1 (default 8765), 0 for a free one")
    parser.add_argument("--token", help="the token clients must send; without it everybody is let in")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other waves (default 1)")
    parser.add_argument("--exchanges", type=_ids, default=(1, 2), help="exchange ids, such as 1,2")
    parser.add_argument("--history-hours", type=float, default=12.0, help="how old the waves are that it still has")
    parser.add_argument(
        "--oddities", type=float, default=0.05, help="share of waves with something wrong (default 0.05)"
    )


def run(args: argparse.Namespace, clock: Clock | None = None, stop: threading.Event | None = None) -> int:
    """Serve until interrupted; the exit code. InvalidInputError when the port is taken."""
    clock, stop = clock or SystemClock(), stop or threading.Event()
    market = WaveMarket(args.seed, args.exchanges, oddities=args.oddities)
    history = timedelta(hours=args.history_hours)
    try:
        server = WaveServer(lambda: market.available(clock.now(), history), token=args.token, port=args.port)
    except OSError as error:
        raise InvalidInputError(f"cannot listen on {args.port}: {error.strerror}", field="port") from error
    server.start()
    print(f"waves on {server.url}, seed {args.seed}", flush=True)
    try:
        while not stop.wait(LOOK_SECONDS):
            pass
    except KeyboardInterrupt:
        print("stopped")
    server.stop()
    return 0


def _ids(text: str) -> tuple[int, ...]:
    try:
        ids = tuple(int(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError("exchange ids, such as 1,2") from None
    if not ids or min(ids) < 1:
        raise argparse.ArgumentTypeError("exchange ids are 1 or more")
    return ids
