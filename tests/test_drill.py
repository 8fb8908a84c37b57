"""The outage drill: the database or the feed goes away under traffic, every alert and every bar is found afterwards."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from prometheus_client.registry import CollectorRegistry

from core.clock import ManualClock, SystemClock
from core.errors import ConflictError, DatabaseUnavailableError, InvalidInputError
from core.records import Timeframe
from core.settings import Settings, load_settings
from database import alarms, bars
from database.bars import Contract
from database.engine import Database
from operations.drills import drill as drill_module
from operations.drills.drill import Drill
from operations.drills.holes import healed, touched
from operations.drills.outages import DatabaseOutage, FeedOutage
from operations.drills.traffic import send_alert
from simulator.gateway.gateway import Gateway
from simulator.gateway.market import Market, front_contracts
from tests.support_feed import rig, wait_for
from tests.support_market import CONTRACT as MES
from tests.support_market import bar_at
from tests.support_service import Answer, Service, csrf_of, log_in, service
from web_server import create_app

TOKEN = "token-of-the-drill-tests"
PASSWORD = "password of the drill"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def press(running: Service, browser: dict[str, str], what: str = "database") -> Answer:
    """Press the button as a browser does: the form's token belongs to the cookie that came with the page."""
    page = running.get("/status", browser | {"Accept": "text/html"})
    jar = dict(cookie.split("=", 1) for cookie in browser["Cookie"].split("; "))
    for header in page.headers.get_all("Set-Cookie") or []:
        name, _, value = header.partition(";")[0].partition("=")
        jar[name] = value
    cookies = "; ".join(f"{name}={value}" for name, value in jar.items())
    return running.post(
        "/status/drill", urlencode({"csrf_token": csrf_of(page), "what": what}).encode(), browser | {"Cookie": cookies}
    )


def test_a_process_that_is_cut_off_ends_its_connections_and_makes_no_more(db: Database) -> None:
    connection = db.direct("someone")
    with db.transaction() as cur:
        cur.execute("SELECT 1")
    db.cut_off()
    assert not db.is_reachable()
    with pytest.raises(DatabaseUnavailableError):
        db.direct("another")
    with connection.cursor() as cur, pytest.raises(Exception, match=r"terminat|closed"):
        cur.execute("SELECT 1")
    connection.close()
    db.restore_contact()
    assert db.is_reachable()


def test_a_drill_without_traffic_loses_nothing_and_is_remembered(db: Database) -> None:
    drill = Drill(db, SystemClock(), [DatabaseOutage(db)], outage_seconds=0.2)
    drill.start("database")
    with pytest.raises(ConflictError, match="running already"):
        drill.start("database")
    found = ended(db, drill)
    assert [(row.kind, row.is_passed, row.figures["lost"]) for row in found] == [("database", True, 0)]


def ended(db: Database, drill: Drill) -> list[Any]:
    """What is remembered of the drill, once it is over."""
    wait_for(lambda: drill.progress.phase == "done")
    found: list[Any] = []

    def is_remembered() -> bool:
        with db.transaction() as cur:
            found[:] = alarms.last_drills(cur)
        return bool(found)

    wait_for(is_remembered)
    return found


def test_a_drill_sends_alerts_of_its_own_and_each_is_accepted_and_drained(db: Database, settings: Settings) -> None:
    app = create_app(replace(settings, demo=True, webhook_token=TOKEN), db)
    intake = app.extensions["telemetry"]
    intake.start(CollectorRegistry())
    drill = Drill(db, SystemClock(), [DatabaseOutage(db)], outage_seconds=5, send_alert=lambda: send_alert(app, TOKEN))
    intake.intake.on_acknowledged.append(drill.note)
    drill.start("database")
    (row,) = ended(db, drill)
    intake.stop()
    assert row.is_passed
    assert row.figures["drained"] == row.figures["accepted"] >= 1
    assert row.figures["journalled"] >= 1


class Away:
    """An outage that takes nothing away."""

    kind = "feed"

    def begin(self, _seconds: float) -> None:
        pass

    def end(self) -> None:
        pass


def test_a_bar_that_is_never_told_is_lost_and_the_drill_is_failed(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drill_module, "HEAL_SECONDS", 1.0)
    now = SystemClock().now()
    followed(db, MES, now)
    drill = Drill(db, SystemClock(), [Away()], outage_seconds=0.1)
    drill.start("feed")
    (row,) = ended(db, drill)
    assert not row.is_passed
    assert row.figures["missed"] >= 1
    assert row.figures["lost"] == row.figures["missed"]
    assert "0 of" in drill.check()[1]


def test_a_bar_that_history_has_told_is_healed(db: Database) -> None:
    now = SystemClock().now()
    followed(db, MES, now)
    with db.transaction() as cur:
        bars.add_span(cur, MES, Timeframe.parse("1m"), source="history", start=now - HOUR, end=now + HOUR)
    drill = Drill(db, SystemClock(), [Away()], outage_seconds=0.1)
    drill.start("feed")
    (row,) = ended(db, drill)
    assert row.is_passed
    assert row.figures["healed"] == row.figures["missed"] >= 1


def followed(db: Database, contract_id: str, now: datetime) -> None:
    """The feed follows this contract, and has one bar of it."""
    with db.transaction() as cur:
        bars.save_contract(cur, Contract(contract_id, "MESM5", "", tick_size=Decimal("0.25")))
        bars.upsert_bars(cur, [bar_at("2025-05-13 14:30", 5800, 1)])
        bars.save_feed_state(cur, "market", {"is_connected": True, "forming": {contract_id: {}}})


@pytest.mark.parametrize(
    ("start", "end", "labels"),
    [
        ("15:00:10", "15:00:50", ["15:00"]),
        ("15:00:50", "15:01:50", ["15:00", "15:01"]),
        ("15:00:00", "15:01:00", ["15:00", "15:01"]),
    ],
)
def test_an_outage_touches_every_bar_that_any_part_of_it_lies_in(start: str, end: str, labels: list[str]) -> None:
    found = touched(clock_at(start), clock_at(end), MINUTE)
    assert [f"{starts_at:%H:%M}" for starts_at, _ in found] == labels
    assert all(ends_at - starts_at == MINUTE for starts_at, ends_at in found)


def test_a_bar_is_healed_when_sources_together_have_told_all_of_it() -> None:
    found = touched(clock_at("15:00:30"), clock_at("15:02:30"), MINUTE)
    spans = [(clock_at("15:01:20"), clock_at("15:02:59")), (clock_at("14:00:00"), clock_at("15:01:20"))]
    assert healed(found, spans) == 2
    assert healed(found, []) == 0


def clock_at(text: str) -> datetime:
    return datetime.fromisoformat(f"2025-12-10T{text}+00:00")


def demo(gateway: Gateway) -> Settings:
    given = {"DEMO": "1", "PROJECTX_USERNAME": "demo", "PROJECTX_API_TOKEN": "demo-api-key"}
    return load_settings(given | {"PROJECTX_API_URL": gateway.rest_url})


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    found = Gateway(Market(1, front_contracts(SystemClock().now().date())))
    found.start(ticks=False)
    yield found
    found.stop()


def test_the_simulated_gateway_goes_away_as_a_whole(gateway: Gateway) -> None:
    FeedOutage(demo(gateway)).begin(600)
    with pytest.raises(httpx.HTTPError):
        httpx.get(gateway.rest_url + "/api/Status/ping")
    with pytest.raises(httpx.HTTPError):
        httpx.post(gateway.rest_url + "/api/Auth/loginKey", json={})
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", gateway.hub.port))


def test_the_simulated_gateway_comes_back_by_itself_on_the_same_port(gateway: Gateway) -> None:
    port = gateway.hub.port
    FeedOutage(demo(gateway)).begin(0.3)
    wait_for(lambda: not gateway.api.faults.is_away)
    assert httpx.get(gateway.rest_url + "/api/Status/ping").status_code == 200
    socket.create_connection(("127.0.0.1", port)).close()


def test_what_is_no_simulator_is_not_taken_away(gateway: Gateway, database_url: str) -> None:
    wrong = replace(demo(gateway), projectx_api_token="another-key")
    for settings in (wrong, replace(wrong, projectx_api_url="http://127.0.0.1:9")):
        with pytest.raises(ConflictError, match="not the simulator"):
            FeedOutage(settings).begin(60)
    assert not gateway.api.faults.is_away


@pytest.mark.parametrize("seconds", [0, -1, 601, "60", None])
def test_the_gateway_goes_away_for_a_sensible_time_only(gateway: Gateway, seconds: Any) -> None:
    headers = {"Authorization": f"Bearer {gateway.tokens.issue()}"}
    answer = httpx.post(gateway.rest_url + "/simulator/away", json={"seconds": seconds}, headers=headers)
    assert answer.json()["success"] is False
    assert httpx.post(gateway.rest_url + "/simulator/away", json={"seconds": 60}).status_code == 401
    assert not gateway.api.faults.is_away


def test_a_feed_that_lost_its_gateway_for_a_while_has_every_bar_of_it_again(db: Database) -> None:
    with rig(db) as live:
        live.wait_connected()
        live.wait_for_ticks()
        FeedOutage(demo(live.gateway)).begin(4.0)
        wait_for(lambda: not live.feed.state.is_connected)
        live.wait_connected(2)
        live.wait_for_ticks()
        live.wait_exact(live.first_second)


def test_an_idle_drill_says_so_and_an_unknown_thing_is_refused(db: Database) -> None:
    drill = Drill(db, ManualClock(datetime(2025, 1, 1, tzinfo=UTC)), [DatabaseOutage(db)])
    assert drill.check() == ("pass", "none is running")
    with pytest.raises(InvalidInputError) as error:
        drill.start("moon")
    assert error.value.field == "what"


@pytest.mark.soak
@pytest.mark.parametrize("what", ["database", "feed"])
def test_a_minute_of_outage_under_traffic_loses_no_alert_and_no_bar(database_url: str, what: str) -> None:
    now = SystemClock().now()
    market = Market(1, front_contracts(now.date()), now - timedelta(hours=3), now - timedelta(hours=2), busy=8)
    gateway = Gateway(market)
    gateway.start()
    given = {"PROJECTX_USERNAME": "demo", "PROJECTX_API_TOKEN": "demo-api-key", "PROJECTX_API_URL": gateway.rest_url}
    given |= {"PROJECTX_RTC_MARKET_URL": gateway.hub_url.replace("ws:", "http:"), "MARKET_CONTRACTS": "MNQ=1m,MES=1m"}
    with service(DATABASE_URL=database_url, WEBHOOK_TOKEN=TOKEN, ADMIN_PASSWORD=PASSWORD, DEMO="1", **given) as running:
        running.wait_for("feed_connected")
        time.sleep(90)  # the feed must have a minute of its own before it loses one
        browser = log_in(running, "admin", PASSWORD)
        answer = press(running, browser, what)
        assert answer.status == 303, answer.text
        sent = 0
        while not running.log_lines("drill_ends"):
            body = {"event_type": "HEARTBEAT", "signal_count": sent}
            reply = running.post(f"/api/automated-signals/webhook/{TOKEN}", json.dumps(body).encode())
            assert reply.status == 200
            sent += 1
            time.sleep(0.1)
        ended = running.wait_for("drill_ends")
    gateway.stop()
    assert ended["kind"] == what
    assert ended["accepted"] > 100
    assert ended["drained"] == ended["accepted"]
    assert (ended["journalled"] > 100) == (what == "database")
    assert ended["healed"] == ended["missed"] >= 4
    assert ended["lost"] == 0


def test_outside_the_demo_there_is_no_drill(database_url: str) -> None:
    with service(DATABASE_URL=database_url, WEBHOOK_TOKEN=TOKEN, ADMIN_PASSWORD=PASSWORD) as running:
        running.wait_for("database_ready")
        browser = log_in(running, "admin", PASSWORD)
        assert "Outage drill" not in running.get("/status", browser | {"Accept": "text/html"}).text
        answer = press(running, browser)
    assert answer.status == 404
