"""Fills what the feed has missed from history: after a start, after each lost connection, and while there is none."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import psycopg2

from core.clock import Clock
from core.errors import SignalbookError
from core.records import Timeframe, bucket_of, from_microseconds, microseconds
from core.trading_calendar import TradingCalendar
from database import bars
from database.bars import Contract
from database.engine import Database
from ingestion.bars.spans import Span
from ingestion.feed.connections import Timings
from ingestion.feed.inbox import Healed, Inbox
from ingestion.feed.pump import Pump
from ingestion.gateway.client import PAGE, GatewayClient
from ingestion.gateway.history import fill_series, last_final

log = logging.getLogger(__name__)

DAY = timedelta(days=1)


class Mender:
    """`run` works until `stop` is set; a failure of gateway or database is tried again."""

    def __init__(
        self, client: GatewayClient, pump: Pump, inbox: Inbox, *, contracts: Mapping[Contract, Sequence[Timeframe]],
        names: Sequence[str], timings: Timings, calendar: TradingCalendar, clock: Clock,
        database: Callable[[], Database],
    ) -> None:  # fmt: skip
        """`names`: what the settings call the contracts, in the same order."""
        self._client, self._pump, self._inbox, self._contracts = client, pump, inbox, contracts
        self._names, self._timings = names, timings
        self._calendar, self._clock, self._database = calendar, clock, database

    def run(self, stop: threading.Event) -> None:
        """Mend holes as they come; between them fill what is older. Returns when a name means another contract now."""
        older = [(contract, frame) for contract, frames in self._contracts.items() for frame in sorted(frames)]
        looked = self._clock.monotonic()
        while not stop.wait(self._timings.mend):
            try:
                if self._clock.monotonic() - looked >= self._timings.roll:
                    looked = self._clock.monotonic()
                    if self._has_rolled():
                        return
                mended = self.mend()
                if older and not mended:
                    contract, frame = older[0]
                    fill_series(self._database(), self._client, contract.contract_id, frame, self._clock.now())
                    del older[0]
            except (SignalbookError, psycopg2.OperationalError) as error:
                log.warning("history_waits", extra={"reason": str(error)})
                stop.wait(self._timings.retry)

    def _has_rolled(self) -> bool:
        """Whether a root has another active contract than the one that is followed. Raises what the client raises."""
        for name, contract in zip(self._names, self._contracts, strict=True):
            found = self._client.find_contract(name)
            if found.contract_id != contract.contract_id:
                log.info("contract_rolled", extra={"was": contract.contract_id, "is": found.contract_id})
                return True
        return False

    def mend(self) -> int:
        """Get every hole whose bars are final; how many there were."""
        now, mended = self._clock.now(), 0
        for contract_id, gaps in self._pump.holes.items():
            base = self._pump.base_of(contract_id)
            for start, end in due_holes(gaps, base, now, self._calendar):
                found = self._client.bars(contract_id, base, start, end)
                with self._database().transaction(statement_timeout_ms=60_000) as cur:
                    bars.upsert_bars(cur, found)
                    bars.add_span(cur, contract_id, base, source="history", start=start, end=end)
                self._inbox.put(Healed(contract_id, start, end))
                log.info("hole_filled", extra={"contract": contract_id, "bars": len(found), "start": start.isoformat()})
                mended += 1
        return mended


def due_holes(
    gaps: Sequence[Span], base: Timeframe, now: datetime, calendar: TradingCalendar
) -> list[tuple[datetime, datetime]]:
    """The gaps as whole bars of the smallest timeframe, as far as those are final; of the open week, or a day. Pure."""
    end_us = microseconds(last_final(now, base, calendar))
    week = bucket_of(now, Timeframe.parse("1w"), calendar).opens_at
    first_us = max(microseconds(min(week, now - DAY)), end_us - PAGE * base.seconds * 1_000_000)
    step = base.seconds * 1_000_000
    found = []
    for gap_start, gap_end in gaps:
        start = max(gap_start, first_us) // step * step
        end = min(-(-gap_end // step) * step, end_us)
        if start < end:
            found.append((from_microseconds(start), from_microseconds(end)))
    return found
