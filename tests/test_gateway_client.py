"""The gateway client and back-fill against the simulated gateway."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from core.clock import ManualClock
from core.errors import InvalidInputError, NotFoundError, SignalbookError
from core.records import Timeframe, microseconds
from database import bars
from database.bars import Covered
from database.engine import Database
from ingestion.gateway.client import HISTORY, GatewayClient, parse_time
from ingestion.gateway.errors import GatewayRefusedError, GatewayUnavailableError
from ingestion.gateway.history import depth_of, fill_series, follow, missing_spans, plan_pages
from ingestion.gateway.limits import RateLimit
from ingestion.gateway.session import expiry_of
from simulator.gateway.gateway import Gateway
from simulator.gateway.market import Market, front_contracts
from tests.support_market import CALENDAR, at

NOW = at("2026-11-18 15:00:30")
MNQ = "CON.F.US.MNQ.Z26"
MINUTE = Timeframe.parse("1m")
HOUR = timedelta(hours=1)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    found = Gateway(Market(1, front_contracts(NOW.date())), ManualClock(NOW))
    found.start(ticks=False)
    yield found
    found.stop()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[GatewayClient]:
    found = GatewayClient(gateway.rest_url, "demo", "demo-api-key", gateway.clock)
    yield found
    found.close()


def test_a_contract_is_found_by_its_root_or_its_id(client: GatewayClient) -> None:
    found = client.find_contract("MNQ")
    assert (found.contract_id, found.tick_size, found.tick_value) == (MNQ, Decimal("0.25"), Decimal("0.5"))
    assert client.find_contract(MNQ) == found
    for unknown in ("XYZ", "M", "CON.F.US.MNQ.H20"):
        with pytest.raises(NotFoundError):
            client.find_contract(unknown)


def test_bars_come_oldest_first_as_exact_decimals(client: GatewayClient) -> None:
    found = client.bars(MNQ, MINUTE, NOW - HOUR, NOW)
    assert [bar.starts_at for bar in found] == sorted(bar.starts_at for bar in found)
    assert len(found) == 59
    assert all(isinstance(bar.open, Decimal) and bar.open % Decimal("0.25") == 0 for bar in found)
    assert {bar.source for bar in found} == {"history"}


def test_one_login_serves_many_calls(client: GatewayClient, gateway: Gateway) -> None:
    for _ in range(3):
        client.find_contract("MNQ")
    assert gateway.api.calls.count("/api/Auth/loginKey") == 1


def test_the_token_is_renewed_at_eighty_percent_of_its_life(client: GatewayClient, gateway: Gateway) -> None:
    first = client.session.token()
    gateway.clock.sleep(0.79 * 86_400)
    assert client.session.token() == first
    gateway.clock.sleep(0.02 * 86_400)
    assert client.session.token() != first
    assert gateway.api.calls == ["/api/Auth/loginKey", "/api/Auth/validate"]


def test_a_token_that_the_gateway_has_forgotten_is_replaced_by_a_login(client: GatewayClient, gateway: Gateway) -> None:
    client.find_contract("MNQ")
    gateway.tokens.revoke_all()
    assert client.find_contract("MNQ").contract_id == MNQ
    assert gateway.api.calls.count("/api/Auth/loginKey") == 2


def test_a_wrong_key_is_said_so_and_not_tried_again(gateway: Gateway) -> None:
    client = GatewayClient(gateway.rest_url, "demo", "wrong", gateway.clock)
    with pytest.raises(GatewayRefusedError, match="invalid user name or API key"):
        client.session.token()
    assert gateway.api.calls == ["/api/Auth/loginKey"]
    client.close()


def test_what_may_pass_by_itself_is_tried_again(client: GatewayClient, gateway: Gateway) -> None:
    client.session.token()
    gateway.api.faults.server_errors, gateway.api.faults.too_many = 2, 2
    assert client.find_contract("MNQ").contract_id == MNQ
    gateway.api.faults.server_errors = 99
    with pytest.raises(GatewayUnavailableError, match="500"):
        client.find_contract("MNQ")
    assert gateway.clock.now() < NOW + timedelta(minutes=2)


def test_a_gateway_that_hangs_up_is_unavailable(client: GatewayClient, gateway: Gateway) -> None:
    client.session.token()
    gateway.api.faults.hang_ups = 1
    with pytest.raises(GatewayUnavailableError):
        client.find_contract("MNQ")


def test_codes_of_the_bars_call_name_the_field(client: GatewayClient, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFoundError):
        client.bars("CON.F.US.MNQ.H20", MINUTE, NOW - HOUR, NOW)
    monkeypatch.setattr("ingestion.gateway.client.PAGE", 20_001)
    with pytest.raises(InvalidInputError) as found:
        client.bars(MNQ, MINUTE, NOW - HOUR, NOW)
    assert found.value.field == "limit"


def test_two_hundred_questions_for_bars_never_pass_the_gateways_limit(client: GatewayClient, gateway: Gateway) -> None:
    limit = RateLimit(45, 30.0, gateway.clock)
    times = []
    for _ in range(200):
        limit.wait()
        times.append(gateway.clock.monotonic())
    assert all(later - earlier >= 30 for earlier, later in zip(times, times[45:], strict=False))
    assert times[-1] < 30 * 200 / 45


@pytest.mark.parametrize(
    "text",
    ["2025-05-19T17:15:26.1199235+00:00", "2025-05-19T17:15:26.119923Z", "2025-05-19T17:15:26.119923999Z",
     "2025-05-19T12:15:26.119923-05:00"],
)  # fmt: skip
def test_times_are_read_with_any_number_of_digits(text: str) -> None:
    assert parse_time(text) == at("2025-05-19 17:15:26.119923")


@pytest.mark.parametrize("text", ["2025-05-19T17:15:26", "2025-05-19T17:15:26.1Z", "0001-01-01T00:00:00+00:00"])
def test_times_without_offset_or_with_few_digits_are_utc(text: str) -> None:
    assert parse_time(text).utcoffset() == timedelta(0)


@pytest.mark.parametrize("text", ["", "yesterday", None, 7, "0001-01-01T00:00:00+05:00"])
def test_what_is_no_time_is_refused_by_name(text: object) -> None:
    with pytest.raises(InvalidInputError) as found:
        parse_time(text)
    assert found.value.field == "timestamp"


def test_a_token_without_expiry_lives_a_day() -> None:
    assert expiry_of("opaque") is None
    assert expiry_of("a.b.c") is None


def test_nothing_secret_is_logged(client: GatewayClient, gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        token = client.session.token()
        gateway.api.faults.server_errors = 99
        with pytest.raises(GatewayUnavailableError):
            client.bars(MNQ, MINUTE, NOW - HOUR, NOW)
    assert token not in caplog.text
    assert "demo-api-key" not in caplog.text


# --- back-fill ---------------------------------------------------------------------------------------------------


def stored(db: Database, name: str = "1m") -> list[datetime]:
    with db.transaction() as cur:
        frame = Timeframe.parse(name)
        return [bar.starts_at for bar in bars.list_bars(cur, MNQ, frame, before=at("2030-01-01"), limit=99_999)]


def test_back_fill_stores_everything_once_and_then_has_nothing_to_do(db: Database, client: GatewayClient) -> None:
    follow(db, client, ["MNQ"])
    filled = fill_series(db, client, MNQ, MINUTE, NOW, depth=timedelta(days=2))
    assert filled.bars == filled.changed == len(stored(db)) > 2_500
    assert fill_series(db, client, MNQ, MINUTE, NOW, depth=timedelta(days=2)).pages == 0
    later = fill_series(db, client, MNQ, MINUTE, NOW - HOUR, depth=timedelta(days=2))
    assert later.changed == 60  # older history than asked for before


def test_a_back_fill_that_was_stopped_goes_on_where_it_was(
    db: Database, client: GatewayClient, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingestion.gateway.client.PAGE", 500)
    monkeypatch.setattr("ingestion.gateway.history.PAGE", 500)

    def stop_after_two(_page: object, _count: int) -> None:
        if gateway.api.calls.count(HISTORY) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill_series(db, client, MNQ, MINUTE, NOW, depth=timedelta(days=2), on_page=stop_after_two)
    assert len(stored(db)) > 500
    fill_series(db, client, MNQ, MINUTE, NOW, depth=timedelta(days=2))
    asked = gateway.api.calls.count(HISTORY)
    assert asked == 6  # 2,880 minutes in pages of 500, none asked twice
    assert len(stored(db)) == len(set(stored(db))) > 2_500


def test_back_fill_ends_at_the_listing_date(
    db: Database, client: GatewayClient, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("client", "history"):
        monkeypatch.setattr(f"ingestion.gateway.{module}.PAGE", 500)
    monkeypatch.setattr(gateway.market, "_listed_at", at("2026-11-18 00:00"))
    filled = fill_series(db, client, MNQ, MINUTE, NOW, depth=timedelta(days=9))
    assert filled.pages == 4  # two of 901 minutes, two empty ones
    assert filled.bars == 900
    assert fill_series(db, client, MNQ, MINUTE, NOW, depth=timedelta(days=9)).pages == 0


def test_many_workers_at_once_store_each_bar_once(db: Database, client: GatewayClient) -> None:
    errors: list[SignalbookError] = []

    def work() -> None:
        try:
            fill_series(db, client, MNQ, MINUTE, NOW, depth=timedelta(days=1))
        except SignalbookError as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert len(stored(db)) == len(set(stored(db))) > 1_300


def test_only_open_market_that_nothing_covers_is_missing() -> None:
    friday, monday = at("2026-11-13 20:00"), at("2026-11-16 15:00")
    span = (microseconds(friday), microseconds(monday))
    covered = [
        Covered("history", at("2026-11-16 00:00"), at("2026-11-16 14:00")),
        Covered("import", friday, at("2026-11-13 22:00")),
    ]
    found = missing_spans(span, covered, MINUTE, CALENDAR)
    assert found == [
        (microseconds(at("2026-11-13 22:00")), microseconds(at("2026-11-16 00:00"))),
        (microseconds(at("2026-11-16 14:00")), microseconds(monday)),
    ]
    assert (
        missing_spans(
            (microseconds(at("2026-11-14 00:00")), microseconds(at("2026-11-15 12:00"))), [], MINUTE, CALENDAR
        )
        == []
    )


def test_pages_are_planned_newest_first_and_never_too_large() -> None:
    span = (microseconds(at("2026-10-01 00:00")), microseconds(NOW))
    pages = list(plan_pages([span], MINUTE))
    assert pages[0].end == NOW
    assert all(page.end - page.start <= timedelta(minutes=20_000) for page in pages)
    assert [page.start for page in pages[:-1]] == [page.end for page in pages[1:]]


@pytest.mark.parametrize(
    ("name", "days"), [("1s", 60), ("5m", 60), ("15m", 120), ("4h", 730), ("1d", 1095), ("1w", 1825)]
)
def test_each_timeframe_has_its_depth(name: str, days: int) -> None:
    assert depth_of(Timeframe.parse(name)) == timedelta(days=days)
