"""The gateway's calls: login, contracts, bars. Prices are decimals, times aware UTC, secrets in no log."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from core.clock import Clock
from core.errors import InvalidInputError, NotFoundError
from core.records import Bar, Timeframe
from database.bars import Contract
from ingestion.gateway.errors import GatewayUnavailableError, failure_of
from ingestion.gateway.limits import RateLimit
from ingestion.gateway.session import Session

if TYPE_CHECKING:
    import httpx

HISTORY = "/api/History/retrieveBars"
PAGE = 20_000
HISTORY_LIMIT = (45, 30.0)  # the gateway's own limits are 50 in 30 s and 200 in 60 s
OTHER_LIMIT = (180, 60.0)
TIMEOUT_SECONDS = 15.0
ATTEMPTS = 5
BACK_OFF_SECONDS = 1.0
UNAUTHORIZED, TOO_MANY, SERVER_FAULT = 401, 429, 500


class GatewayClient:
    """One user at one gateway. May be used from several threads."""

    def __init__(self, url: str, user: str, key: str, clock: Clock, *, is_live: bool = False) -> None:
        """`is_live` chooses the live instead of the simulated market data subscription."""
        import httpx  # noqa: PLC0415  a tenth of the start, which a service without a gateway never needs

        logging.getLogger("httpx").setLevel(logging.WARNING)
        self._http, self._failure = httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS), httpx.HTTPError
        self._user, self._key, self._clock, self._is_live = user, key, clock, is_live
        self._history, self._other = RateLimit(*HISTORY_LIMIT, clock), RateLimit(*OTHER_LIMIT, clock)
        self.session = Session(self._log_in, self._validate, clock)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def find_contract(self, text: str) -> Contract:
        """The contract with that id, or the active one whose name begins with the text (`MNQ`). NotFoundError."""
        if text.startswith("CON."):
            answer = self._call("/api/Contract/searchById", {"contractId": text})
            found = answer.get("contract") or next(iter(answer.get("contracts") or ()), None)
            if found is None:
                raise NotFoundError(f"The gateway knows no contract {text}.", field="contract")
            return _contract(found)
        answer = self._call("/api/Contract/search", {"searchText": text, "live": self._is_live})
        for record in answer.get("contracts") or ():
            if record.get("activeContract") and str(record.get("name", ""))[:-2] == text:
                return _contract(record)
        raise NotFoundError(f"The gateway has no active contract of {text}.", field="contract")

    def bars(self, contract_id: str, timeframe: Timeframe, start: datetime, end: datetime) -> list[Bar]:
        """The final bars labelled in [start, end), at most the newest 20,000 of them, oldest first."""
        body = {
            "contractId": contract_id,
            "live": self._is_live,
            "startTime": start.isoformat(),
            "endTime": end.isoformat(),
            "unit": int(timeframe.unit),
            "unitNumber": timeframe.value,
            "limit": PAGE,
            "includePartialBar": False,
        }
        answer = self._call(HISTORY, body)
        bars = [_bar(contract_id, timeframe, each) for each in answer.get("bars") or ()]
        # The order is not promised, and a gateway may take the end as inside.
        return sorted((bar for bar in bars if start <= bar.starts_at < end), key=lambda bar: bar.starts_at)

    def _log_in(self) -> str:
        answer = self._post("/api/Auth/loginKey", {"userName": self._user, "apiKey": self._key}, None) or {}
        return str(answer["token"])

    def _validate(self, token: str) -> str | None:
        answer = self._answer(self._send("/api/Auth/validate", {}, token), "/api/Auth/validate", is_optional=True)
        return answer.get("newToken") if answer.get("success") else None

    def _call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """A call with a token; a refused token is replaced once."""
        token = self.session.token()
        answer = self._post(path, body, token)
        if answer is None:
            self.session.reject(token)
            answer = self._post(path, body, self.session.token())
        if answer is None:
            raise GatewayUnavailableError("The gateway refuses every token.")
        return answer

    def _post(self, path: str, body: dict[str, Any], token: str | None) -> dict[str, Any] | None:
        """The answer, None for a refused token; what may pass by itself is tried again."""
        for wait in self._waits():
            response = self._send(path, body, token)
            if response.status_code == UNAUTHORIZED and token is not None:
                return None
            if response.status_code != TOO_MANY and response.status_code < SERVER_FAULT:
                return self._answer(response, path)
            if wait is None:
                break
            self._clock.sleep(max(wait, float(response.headers.get("Retry-After", 0) or 0)))
        raise GatewayUnavailableError(f"The gateway answers {response.status_code}.")

    @staticmethod
    def _waits() -> Iterator[float | None]:
        """Seconds to wait after each attempt, with jitter; None after the last."""
        for attempt in range(ATTEMPTS - 1):
            yield BACK_OFF_SECONDS * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311  jitter, no secret
        yield None

    def _send(self, path: str, body: dict[str, Any], token: str | None) -> httpx.Response:
        (self._history if path == HISTORY else self._other).wait()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            return self._http.post(path, json=body, headers=headers)
        except self._failure as error:
            raise GatewayUnavailableError(f"The gateway cannot be reached: {type(error).__name__}.") from None

    @staticmethod
    def _answer(response: httpx.Response, path: str, *, is_optional: bool = False) -> dict[str, Any]:
        try:
            answer = json.loads(response.content, parse_float=Decimal)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            if is_optional:
                return {}
            raise GatewayUnavailableError(f"The gateway answers {response.status_code} without JSON.")
        if not answer.get("success") and not is_optional:
            raise failure_of(path, int(answer.get("errorCode") or 0))
        return answer


def parse_time(text: object) -> datetime:
    """An ISO time of the gateway: Z or an offset, 0 to 9 digits of a second. InvalidInputError."""
    try:
        instant = datetime.fromisoformat(str(text))
        if instant.tzinfo is UTC:  # as nearly always
            return instant
        return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidInputError(f"no time: {str(text)[:40]!r}", field="timestamp") from None


def _contract(record: dict[str, Any]) -> Contract:
    try:
        return Contract(
            contract_id=str(record["id"]),
            name=str(record["name"]),
            description=str(record.get("description") or ""),
            tick_size=Decimal(str(record["tickSize"])),
            tick_value=Decimal(str(record["tickValue"])) if record.get("tickValue") else None,
            is_active=bool(record.get("activeContract", True)),
        )
    except (KeyError, ArithmeticError):
        raise GatewayUnavailableError("The gateway describes a contract without id, name or tick size.") from None


def _bar(contract_id: str, timeframe: Timeframe, record: dict[str, Any]) -> Bar:
    open_, high, low, close = (_decimal(record[name]) for name in "ohlc")
    return Bar(
        contract_id=contract_id,
        timeframe=timeframe,
        starts_at=parse_time(record["t"]),
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=int(record["v"]),
        source="history",
    )


def _decimal(value: object) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value))
