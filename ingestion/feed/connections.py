"""One connection to the hub after the other: connects, watches, gives up, begins again.

Each attempt is a new connection with a fresh token. It counts as connected when the hub has confirmed every
subscription; it ends when the hub ends it, says nothing for `silent`, or tells nothing of a contract that the history
knows trades of.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from core.clock import Clock
from core.errors import SignalbookError
from database.bars import Contract
from ingestion.feed.inbox import FeedState, Inbox, Listening, Trades
from ingestion.feed.parsing import parse_quote, parse_trades
from ingestion.feed.probe import Probe
from ingestion.gateway.client import GatewayClient

if TYPE_CHECKING:
    from ingestion.feed.hub import Hub

log = logging.getLogger(__name__)

MARGIN = timedelta(seconds=1)  # between the exchange's clock and ours
SUBSCRIPTIONS = ("SubscribeContractTrades", "SubscribeContractQuotes")


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds; tests make them small."""

    silent: float = 30.0
    tickless: float = 60.0
    ping: float = 10.0
    connect: float = 10.0
    first_wait: float = 0.5
    longest_wait: float = 30.0
    lead: float = 5.0
    stale: float = 15.0
    beat: float = 3.0
    look: float = 0.25
    mend: float = 2.0
    retry: float = 10.0
    roll: float = 600.0


@dataclass(frozen=True, slots=True)
class Watch:
    """What the connections are told by whoever keeps them: whether it is over, how to wait, and to give a sign of life."""

    is_over: Callable[[], bool]
    wait: Callable[[float], bool]
    beat: Callable[[], None]


class Connections:
    """The connections of one lead; `run` returns when it is over."""

    def __init__(
        self, client: GatewayClient, url: str, contracts: Mapping[str, Contract], inbox: Inbox, state: FeedState, *,
        clock: Clock, timings: Timings, is_open: Callable[[datetime], bool], watch: Watch,
    ) -> None:  # fmt: skip
        self._client, self._url, self._contracts, self._inbox, self._state = client, url, contracts, inbox, state
        self._clock, self._timings, self._is_open, self._by = clock, timings, is_open, watch
        self._number = 0
        self._probes: dict[str, Probe] = {}
        self._ticked_at: dict[str, float] = {}
        self._asked_at: dict[str, float] = {}
        self._started = 0.0
        state.quotes = {contract_id: {} for contract_id in contracts}

    def run(self) -> None:
        """Stay connected."""
        failures = 0
        while not self._by.is_over():
            hub = self._try_to_connect()
            if hub is not None:
                failures = 0
                self._lose_touch(self._watch(hub))
            failures += 1
            wait = min(self._timings.longest_wait, self._timings.first_wait * 2 ** min(failures - 1, 10))
            self._pause(wait * random.uniform(0.5, 1.0))  # noqa: S311  jitter, no secret

    def _pause(self, seconds: float) -> None:
        """Wait, and go on showing that we lead."""
        until = self._clock.monotonic() + seconds
        while not self._by.is_over() and (left := until - self._clock.monotonic()) > 0:
            self._by.wait(min(left, self._timings.beat))
            self._by.beat()

    # --- connecting ----------------------------------------------------------------------------------------------

    def _try_to_connect(self) -> Hub | None:
        """A connection with every subscription confirmed, or None; why not is said."""
        # Here, not at the top: signalrcore is a tenth of the start, which a service without a feed never needs.
        from ingestion.feed.hub import HubRefusedError  # noqa: PLC0415

        token = ""
        try:
            token = self._client.session.token()
            return self._connect(token)
        except HubRefusedError as error:
            self._client.session.reject(token)
            self._fail(error)
        except (SignalbookError, OSError) as error:
            self._fail(error)
        return None

    def _fail(self, error: Exception) -> None:
        self._state.failures += 1
        reason = error.message if isinstance(error, SignalbookError) else type(error).__name__
        self._state.detail = reason
        log.warning("feed_not_connected", extra={"reason": reason, "failures": self._state.failures})

    def _connect(self, token: str) -> Hub:
        from ingestion.feed.hub import Hub  # noqa: PLC0415  see above

        self._number += 1
        number = self._number
        hub = Hub(self._url, token, self._clock, lambda target, given: self._on_event(number, target, given))
        try:
            hub.open(self._timings.connect)
            for contract_id in self._contracts:
                for subscription in SUBSCRIPTIONS:
                    hub.subscribe(subscription, contract_id, self._timings.connect)
        except BaseException:
            hub.end()
            raise
        self._note_connected()
        return hub

    def _note_connected(self) -> None:
        now, state = self._clock.now(), self._state
        self._started = self._clock.monotonic()
        self._probes = {}
        for contract_id in self._contracts:
            self._inbox.put(Listening(contract_id, now + MARGIN, is_on=True))
        state.connections += 1
        state.is_connected, state.connected_at = True, now
        state.token_expires_at = self._client.session.expires_at
        state.detail = "connected"
        log.info("feed_connected", extra={"connections": state.connections, "contracts": list(self._contracts)})

    def _lose_touch(self, hub: Hub) -> None:
        """The connection is over: what came after its last sign of life was not heard, and of each contract nothing
        after its last trade is certain, because a subscription can be lost without a sign."""
        hub.end()
        now, at = self._clock.monotonic(), self._clock.now()
        for contract_id in self._contracts:
            heard = min(hub.heard_at, self._heard_at(contract_id))
            lost_at = at - timedelta(seconds=now - heard) - MARGIN
            self._inbox.put(Listening(contract_id, lost_at, is_on=False))
        self._state.is_connected = False
        self._state.unreadable += hub.unreadable
        log.warning("feed_lost", extra={"silent_seconds": round(now - hub.heard_at, 1)})

    def _heard_at(self, contract_id: str) -> float:
        """When the last trade of a contract was told, or the connection began."""
        return max(self._ticked_at.get(contract_id, 0.0), self._started)

    # --- watching ------------------------------------------------------------------------------------------------

    def _watch(self, hub: Hub) -> Hub:
        """Until the connection ends or must be given up; the one that was used last."""
        pinged = beaten = self._clock.monotonic()
        while not self._by.is_over() and not self._by.wait(self._timings.look):
            now = self._clock.monotonic()
            self._state.last_heard_at = self._clock.now() - timedelta(seconds=now - hub.heard_at)
            if self._is_stale(hub, now):
                break
            try:
                if now - pinged >= self._timings.ping:
                    pinged = now
                    hub.ping()
                hub = self._renewed(hub)
            except (SignalbookError, OSError) as error:
                self._fail(error)
                break
            if now - beaten >= self._timings.beat:
                beaten = now
                self._by.beat()
        return hub

    def _renewed(self, hub: Hub) -> Hub:
        """The same connection, or at 80 % of the token's life another one, which is there before the old one ends."""
        renew_at = self._client.session.renew_at
        if renew_at is None or self._clock.now() < renew_at:
            return hub
        fresh = self._connect(self._client.session.token())
        hub.end()
        return fresh

    def _is_stale(self, hub: Hub, now: float) -> bool:
        if not hub.is_alive:
            self._state.detail = "the gateway ended the connection"
            return True
        if now - hub.heard_at > self._timings.silent:
            self._state.detail = "the gateway has fallen silent"
            return True
        if not self._is_open(self._clock.now()):
            return False
        for contract in self._contracts.values():
            if self._is_deaf(contract.contract_id, now):
                self._state.detail = f"no trades of {contract.name} arrive although it trades"
                return True
        return False

    def _is_deaf(self, contract_id: str, now: float) -> bool:
        """Whether a contract trades and we do not hear it; asked every `tickless` seconds without a tick."""
        heard = self._heard_at(contract_id)
        if now - max(heard, self._asked_at.get(contract_id, 0.0)) <= self._timings.tickless:
            self._probes.pop(contract_id, None)
            return False
        probe = self._probes.get(contract_id)
        if probe is None:
            since = self._clock.now() - timedelta(seconds=now - heard)
            self._probes[contract_id] = Probe(self._client, self._clock, contract_id, since)
            self._state.probes += 1
            return False
        if probe.answer is not None:
            self._asked_at[contract_id] = now
        return bool(probe.answer)

    # --- hearing -------------------------------------------------------------------------------------------------

    def _on_event(self, number: int, target: str, given: list[Any]) -> None:
        """On the reading thread: quick, and never raises."""
        if target not in ("GatewayTrade", "GatewayQuote") or len(given) != 2 or not isinstance(given[0], str):
            return
        contract = self._contracts.get(given[0])
        if contract is None:
            self._state.refused += 1
        elif target == "GatewayTrade":
            self._on_trades(number, contract, given[1])
        else:
            self._on_quote(contract.contract_id, given[1])

    def _on_trades(self, number: int, contract: Contract, data: object) -> None:
        ticks, refused = parse_trades(data, contract.tick_size)
        self._state.refused += refused
        if ticks:
            self._ticked_at[contract.contract_id] = self._clock.monotonic()
            self._inbox.put_trades(Trades(contract.contract_id, number, ticks), self._clock.now())

    def _on_quote(self, contract_id: str, data: object) -> None:
        """A quote names what has changed; the rest stays."""
        quote = parse_quote(data)
        if quote is None:
            self._state.refused += 1
            return
        told = {"last": quote.last_price, "bid": quote.bid, "ask": quote.ask, "at": quote.at}
        fresh = {name: value for name, value in told.items() if value is not None}
        self._state.quotes[contract_id] = self._state.quotes[contract_id] | fresh
