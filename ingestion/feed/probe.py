"""Asks the gateway's history whether a contract that has gone quiet has really not traded.

A subscription can be lost without a sign, and a market can simply be quiet: only the history tells the two apart. It is
asked on a thread of its own, because the gateway may be slow and the connection has to be watched meanwhile.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from core.clock import Clock
from core.errors import SignalbookError
from core.records import Timeframe
from ingestion.gateway.client import GatewayClient
from ingestion.gateway.history import SETTLE

SECOND = Timeframe.parse("1s")
LONGEST = timedelta(minutes=10)
MARGIN = timedelta(seconds=1)


class Probe:
    """One question: were there trades of a contract after `since`?

    `answer` is None until it is there. A gateway that cannot be asked counts as yes: a new connection does no harm.
    """

    def __init__(self, client: GatewayClient, clock: Clock, contract_id: str, since: datetime) -> None:
        self._client, self._clock = client, clock
        self.answer: bool | None = None
        threading.Thread(target=self._ask, args=[contract_id, since], name="feed-probe", daemon=True).start()

    def _ask(self, contract_id: str, since: datetime) -> None:
        now = self._clock.now()
        start, end = max(since + MARGIN, now - LONGEST).replace(microsecond=0), now - SETTLE
        try:
            self.answer = start < end and bool(self._client.bars(contract_id, SECOND, start, end))
        except SignalbookError:
            self.answer = True
