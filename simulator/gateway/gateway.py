"""The simulated gateway as a whole: REST, hub, and the thread that tells the hub what has been traded."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from core.clock import Clock, SystemClock
from simulator.gateway.hub import Hub
from simulator.gateway.market import Market, Trade
from simulator.gateway.rest import Api, serve_rest
from simulator.gateway.tokens import LIFE, Tokens

STEP_SECONDS = 0.1


class ScaledClock(SystemClock):
    """A clock that begins at `start` and runs `speed` times as fast as the machine's."""

    def __init__(self, start: datetime, speed: float) -> None:
        self._start, self._speed, self._began = start, speed, time.monotonic()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=(time.monotonic() - self._began) * self._speed)


class Gateway:
    """Starts and stops the parts; `addresses` says where they are."""

    def __init__(
        self,
        market: Market,
        clock: Clock | None = None,
        *,
        token_life: timedelta = LIFE,
        keep_alive: float = 15.0,
        step: float = STEP_SECONDS,
    ) -> None:
        self.clock = clock or SystemClock()
        self.market = market
        self.tokens = Tokens(self.clock.now, token_life)
        self.api = Api(market, self.tokens, self.clock.now, time.monotonic)
        self.hub = Hub(self.tokens, market.contracts, keep_alive=keep_alive)
        self.api.on_away = self.go_away
        self._step = step
        self._stop = threading.Event()
        self._return: threading.Timer | None = None

    def start(self, host: str = "127.0.0.1", rest_port: int = 0, hub_port: int = 0, *, ticks: bool = True) -> None:
        """Listen and, with `ticks`, trade."""
        self._rest = serve_rest(self.api, host, rest_port)
        self.hub.start(host, hub_port)
        self._ticker = threading.Thread(target=self._run, args=[ticks], name="simulated-market", daemon=True)
        self._ticker.start()

    def go_away(self, seconds: float) -> None:
        """Hang up on everybody and answer nobody for so long; a gateway that is away stays so until its time is over."""
        if self.api.faults.is_away or self._stop.is_set():
            return
        self.api.faults.is_away = True
        self.hub.stop()
        self._return = threading.Timer(seconds, self._come_back)
        self._return.daemon = True
        self._return.start()

    def _come_back(self) -> None:
        if not self._stop.is_set():
            self.hub.start()
            self.api.faults.is_away = False

    def stop(self) -> None:
        """Close everything."""
        self._stop.set()
        if self._return is not None:
            self._return.cancel()
            self._return.join(5)
        self._ticker.join(5)
        self.hub.stop()
        self._rest.shutdown()
        self._rest.server_close()

    @property
    def rest_url(self) -> str:
        """The base of the REST API."""
        host, port = self._rest.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def hub_url(self) -> str:
        """The market hub, without token."""
        return f"ws://127.0.0.1:{self.hub.port}/hubs/market"

    def replay(self, contract_id: str, trades: Sequence[Trade], speed: float) -> None:
        """Tell recorded trades at their own pace, times `speed`, stamped with the time at which they are told."""
        began, origin = self.clock.now(), trades[0].at
        for trade in trades:
            due = began + (trade.at - origin) / speed
            if self._stop.wait(max(0.0, (due - self.clock.now()).total_seconds())):
                return
            self.hub.publish(contract_id, [Trade(due, trade.price, trade.size, trade.side)])

    def _run(self, ticks: bool) -> None:
        told_until = self.clock.now()
        while not self._stop.wait(self._step):
            now = self.clock.now()
            if ticks:
                for contract_id in self.market.contracts:
                    self.hub.publish(contract_id, self.market.trades_between(contract_id, told_until, now))
            told_until = now
            self.hub.beat()
