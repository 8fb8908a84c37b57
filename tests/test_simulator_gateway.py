"""The simulated gateway: true SignalR by the official client's own judgement, and history that agrees with the trades."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.clock import ManualClock
from core.records import Tick, Timeframe, microseconds
from simulator.gateway.gateway import Gateway
from simulator.gateway.market import Market, Trade, front_contracts, read_trades
from tests.support_market import CALENDAR, TICK_SIZE, at, reference
from tests.support_needs import node, node_package

OPEN = at("2026-11-18 15:00:30")
MNQ = "CON.F.US.MNQ.Z26"
HISTORY = "/api/History/retrieveBars"
CLIENT = """
import { HubConnectionBuilder, HttpTransportType, LogLevel } from "@microsoft/signalr";
const [url, token, contract] = process.argv.slice(2);
const connection = new HubConnectionBuilder()
  .withUrl(`${url}?access_token=${token}`, { skipNegotiation: true, transport: HttpTransportType.WebSockets })
  .configureLogging(LogLevel.Error).build();
const seen = [];
const say = async (result) => { console.log(JSON.stringify(result)); await connection.stop(); process.exit(0); };
connection.on("GatewayTrade", (id, trades) => { seen.push([id, trades]); if (seen.length === 3) say({ seen, refused }); });
let refused = null;
await connection.start();
try { await connection.invoke("SubscribeNothing", contract); } catch (error) { refused = error.message; }
await connection.invoke("SubscribeContractTrades", contract);
console.log("subscribed");
"""


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    found = Gateway(Market(1, front_contracts(OPEN.date())), ManualClock(OPEN))
    found.start(ticks=False)
    yield found
    found.stop()


def call(gateway: Gateway, path: str, token: str = "", **body: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.post(gateway.rest_url + path, json=body, headers=headers)


def bars_of(gateway: Gateway, token: str, **changes: Any) -> dict[str, Any]:
    asked = {
        "contractId": MNQ, "live": False, "startTime": (OPEN - timedelta(hours=1)).isoformat(),
        "endTime": OPEN.isoformat(), "unit": 2, "unitNumber": 1, "limit": 20_000, "includePartialBar": False,
    }  # fmt: skip
    answer: dict[str, Any] = call(gateway, HISTORY, token, **(asked | changes)).json()
    return answer


def test_the_official_signalr_client_connects_subscribes_and_receives(gateway: Gateway, tmp_path: Path) -> None:
    client_package = node_package("@microsoft/signalr")
    script = tmp_path / "client.mjs"
    script.write_text(CLIENT)
    (tmp_path / "node_modules").symlink_to(client_package.parents[1])
    url = gateway.hub_url.replace("ws://", "http://")
    arguments = [node(), str(script), url, gateway.tokens.issue(), MNQ]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "subscribed\n"
        for number in range(3):
            gateway.hub.publish(MNQ, [Trade(OPEN + timedelta(seconds=number), 25_000.25, 2, 1)])
        told = json.loads(client.stdout.readline())
        assert client.wait(30) == 0
    assert "Unknown hub method" in told["refused"]
    assert told["seen"][0] == [
        MNQ,
        [
            {
                "symbolId": "F.US.MNQ", "price": 25_000.25, "timestamp": "2026-11-18T15:00:30.0000005+00:00",
                "type": 1, "volume": 2,
            }
        ],
    ]  # fmt: skip


def test_a_login_is_answered_by_a_token_or_by_a_failure_with_200(gateway: Gateway) -> None:
    good = call(gateway, "/api/Auth/loginKey", userName="demo", apiKey="demo-api-key").json()
    assert good["success"]
    assert call(gateway, "/api/Auth/validate", good["token"]).json()["newToken"]
    bad = call(gateway, "/api/Auth/loginKey", userName="demo", apiKey="wrong")
    assert (bad.status_code, bad.json()["errorCode"], bad.json()["token"]) == (200, 3, None)
    assert call(gateway, "/api/Contract/search", "nonsense", searchText="MNQ").status_code == 401


def test_an_expired_token_is_refused(gateway: Gateway) -> None:
    token = gateway.tokens.issue()
    gateway.clock.sleep(86_401)
    assert call(gateway, "/api/Contract/search", token, searchText="MNQ").status_code == 401


def test_contracts_are_found_by_name_and_id(gateway: Gateway) -> None:
    token = gateway.tokens.issue()
    (found,) = call(gateway, "/api/Contract/search", token, searchText="MNQ", live=False).json()["contracts"]
    assert (found["id"], found["name"], found["tickSize"], found["symbolId"]) == (MNQ, "MNQZ6", 0.25, "F.US.MNQ")
    assert call(gateway, "/api/Contract/searchById", token, contractId=MNQ).json()["contract"] == found
    assert not call(gateway, "/api/Contract/searchById", token, contractId="CON.F.US.MNQ.Z20").json()["success"]


def test_bars_come_newest_first_and_the_limit_keeps_the_newest(gateway: Gateway) -> None:
    token = gateway.tokens.issue()
    bars = bars_of(gateway, token)["bars"]
    assert len(bars) == 59
    assert [bar["t"] for bar in bars] == sorted((bar["t"] for bar in bars), reverse=True)
    assert bars_of(gateway, token, limit=5)["bars"] == bars[:5]


def test_wrong_questions_for_bars_get_the_codes_of_the_endpoint(gateway: Gateway) -> None:
    token = gateway.tokens.issue()
    wrong = ({"contractId": "CON.F.US.MES.M24"}, {"unit": 7}, {"unitNumber": 7}, {"limit": 20_001})
    answers = [bars_of(gateway, token, **each) for each in wrong]
    assert [(each["success"], each["errorCode"], each["bars"]) for each in answers] == [
        (False, code, None) for code in (1, 2, 3, 4)
    ]


def test_the_fifty_first_question_for_bars_in_half_a_minute_is_one_too_many(gateway: Gateway) -> None:
    token = gateway.tokens.issue()
    with httpx.Client(base_url=gateway.rest_url, headers={"Authorization": f"Bearer {token}"}) as client:
        statuses = [client.post(HISTORY, json={"contractId": "none"}).status_code for _ in range(51)]
    assert statuses == [200] * 50 + [429]


def test_history_is_the_sum_of_the_trades() -> None:
    market = Market(1, front_contracts(OPEN.date()))
    start, end = at("2026-11-18 13:00"), at("2026-11-18 15:00")
    trades = market.trades_between(MNQ, start, end)
    ticks = [Tick(microseconds(trade.at), round(trade.price * 4), trade.size) for trade in trades]
    for name in ("1m", "5m", "1h"):
        frame = Timeframe.parse(name)
        expected = {key[1]: value for key, value in reference(ticks, [frame], CALENDAR).items()}
        bars = market.bars(MNQ, frame, start, end)
        assert {bar["t"] for bar in bars} == {label.isoformat() for label in expected}
        for bar in bars:
            values = expected[at(bar["t"][:19])]
            assert [float(value) for value in values] == [bar[name] for name in "ohlcv"]
    assert all(price % TICK_SIZE == 0 for values in expected.values() for price in values[:4])


def test_a_closed_market_trades_only_where_a_demo_wants_it() -> None:
    saturday = at("2026-11-21 12:00")
    contracts = front_contracts(saturday.date())
    assert Market(1, contracts).trades_between(MNQ, saturday, saturday + timedelta(minutes=2)) == []
    demo = Market(1, contracts, saturday - timedelta(hours=1))
    assert demo.trades_between(MNQ, saturday, saturday + timedelta(minutes=2)) != []
    assert len(demo.bars(MNQ, Timeframe.parse("1m"), saturday - timedelta(hours=2), saturday)) == 60


def test_trades_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "trades.csv"
    file.write_text("time,price,size,side\n2026-11-18T15:00:01Z,5800.25,2,1\n2026-11-18T15:00:00.5Z,5800,1,\n")
    assert [(trade.price, trade.size, trade.side) for trade in read_trades(file)] == [(5800, 1, 0), (5800.25, 2, 1)]
