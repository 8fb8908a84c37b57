"""Market data over HTTP and on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI

from core.clock import SystemClock
from core.errors import InvalidInputError, MisconfiguredError
from core.records import Bar, Timeframe
from core.settings import Settings, load_settings
from database import bars
from database.bars import Contract, Covered
from database.engine import Database
from ingestion import presenting
from ingestion.bars.files import parse_bars
from simulator.gateway.gateway import Gateway
from simulator.gateway.market import Market, front_contracts
from tests.support_http import csrf_token
from tests.support_market import CALENDAR, CONTRACT, at, bar_at
from web_server import create_app

HOUR = timedelta(hours=1)
HEAD = "contract_id,timestamp,open,high,low,close,volume,timeframe_unit,timeframe_value\n"
ROW = f"{CONTRACT},2025-05-13 14:30:00+00,5800.25,5801,5800,5800.5,12,2,1\n"


@pytest.fixture
def filled(db: Database) -> list[Bar]:
    given = [bar_at(f"2025-05-13 14:{minute}", 5800 + minute, minute) for minute in range(30, 40)]
    with db.transaction() as cur:
        bars.save_contract(cur, Contract(CONTRACT, "MESM5", "Micro E-mini S&P 500", Decimal("0.25")))
        bars.upsert_bars(cur, [*given[:-1], replace(given[-1], source="live", is_partial=True)])
    return given


def get(reader: FlaskClient, path: str, status: int = 200, **query: Any) -> dict[str, Any]:
    answer = reader.get(f"/api/market-data/{path}", query_string=query)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def test_bars_come_in_column_arrays_oldest_first(reader: FlaskClient, filled: list[Bar]) -> None:
    found = get(reader, "bars", contract=CONTRACT, timeframe="1m", limit=3)["bars"]
    assert found["time"] == [int(bar.starts_at.timestamp()) for bar in filled[-3:]]
    assert found["close"] == [5837.0, 5838.0, 5839.0]
    assert found["source"] == ["history", "history", "partial"]
    older = get(reader, "bars", contract=CONTRACT, timeframe="1m", limit=3, before=found["time"][0])["bars"]
    assert older["close"] == [5834.0, 5835.0, 5836.0]


def test_only_what_was_stored_since_is_sent_again(reader: FlaskClient, filled: list[Bar], db: Database) -> None:
    now = get(reader, "bars", contract=CONTRACT, timeframe="1m")["now"]
    with db.transaction() as cur:
        cur.execute("UPDATE ohlc_bars SET updated_at = updated_at - interval '1 hour'")
        bars.upsert_bars(cur, [filled[-1]])
    found = get(reader, "bars", contract=CONTRACT, timeframe="1m", changed_since=now - 60)["bars"]
    assert (found["volume"], found["source"]) == ([39], ["history"])


def test_the_forming_bar_is_sent_while_the_feed_reports(reader: FlaskClient, filled: list[Bar], db: Database) -> None:
    forming = [1_747_146_600, 5800, 5801, 5799, 5800.5, 7]
    with db.transaction() as cur:
        bars.save_feed_state(cur, "market", {"is_connected": True, "forming": {CONTRACT: {"1m": forming}}})
    assert get(reader, "bars", contract=CONTRACT, timeframe="1m")["forming"] == forming
    assert get(reader, "bars", contract=CONTRACT, timeframe="5m")["forming"] is None
    assert get(reader, "feed")["status"] == "pass"
    with db.transaction() as cur:
        cur.execute("UPDATE feed_states SET updated_at = now() - interval '1 minute'")
    assert get(reader, "bars", contract=CONTRACT, timeframe="1m")["forming"] is None
    assert get(reader, "feed")["status"] == "fail"


def test_a_wrong_timeframe_is_refused_by_name(reader: FlaskClient) -> None:
    for path in ("bars", "coverage"):
        answer = get(reader, path, 422, contract=CONTRACT, timeframe="7m")
        assert "timeframe" in json.dumps(answer)


def test_without_a_gateway_there_is_nothing_to_fill_from(reader: FlaskClient, filled: list[Bar]) -> None:
    headers = {"X-CSRFToken": csrf_token(reader, "/market-data")}
    answer = reader.post("/api/market-data/fill", json={"contract": CONTRACT, "timeframe": "1m"}, headers=headers)
    assert (answer.status_code, answer.get_json()["success"]) == (409, False)
    assert get(reader, "feed")["status"] == "off"


def test_the_page_names_contract_and_timeframes(reader: FlaskClient, filled: list[Bar]) -> None:
    page = reader.get("/market-data?timeframe=5m").text
    assert 'data-timeframe="5m"' in page
    assert "MESM5" in page
    assert get(reader, "contracts")["contracts"][0]["tick_size"] == 0.25


def test_the_page_says_what_to_do_while_nothing_is_followed(reader: FlaskClient) -> None:
    assert "PROJECTX_USERNAME" in reader.get("/market-data").text


def test_each_hour_is_stored_filled_partly_missing_or_closed() -> None:
    start = at("2025-05-13 14:00")
    covered = [
        Covered("live", start, start + HOUR),
        Covered("history", start + HOUR, start + 2 * HOUR + HOUR / 2),
        Covered("live", start + 4 * HOUR, start + 4 * HOUR + HOUR / 2),
        Covered("history", start + 4 * HOUR, start + 5 * HOUR),
    ]
    found = presenting.coverage(covered, {}, start, start + 8 * HOUR, CALENDAR)
    assert [cell["state"] for cell in found] == [
        "stored", "filled", "partly", "missing", "filled", "missing", "missing", "closed",
    ]  # fmt: skip


# --- the command line --------------------------------------------------------------------------------------------


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    now = SystemClock().now()
    found = Gateway(Market(1, front_contracts(now.date()), None, now - timedelta(days=5)))
    found.start(ticks=False)
    yield found
    found.stop()


def settings_with(gateway: Gateway, tmp_path: Path, **changes: str) -> Settings:
    given = {
        "DATA_DIR": str(tmp_path), "PROJECTX_USERNAME": "demo", "PROJECTX_API_TOKEN": "demo-api-key",
        "PROJECTX_API_URL": gateway.rest_url, "PROJECTX_RTC_MARKET_URL": gateway.hub_url,
        "MARKET_CONTRACTS": "MNQ=5m/1h",
    }  # fmt: skip
    return load_settings(given | changes)


def run(app: OpenAPI, *arguments: str) -> tuple[int, dict[str, Any]]:
    result = app.test_cli_runner().invoke(args=["bars", *arguments, "--json"])
    return result.exit_code, json.loads(result.stdout) if result.stdout.startswith("{") else {"error": result.output}


def test_bars_are_filled_and_checked_from_the_command_line(gateway: Gateway, db: Database, tmp_path: Path) -> None:
    app = create_app(settings_with(gateway, tmp_path), db)
    code, said = run(app, "fill", "--days", "5")
    assert code == 0
    assert [row["bars"] == row["changed"] > 20 for row in said["filled"]] == [True, True]
    assert run(app, "fill", "--days", "5")[1]["filled"][0]["bars"] == 0
    assert run(app, "check", "--gateway") == (0, {"differences": [], "count": 0})
    with db.transaction() as cur:
        cur.execute(
            "UPDATE ohlc_bars SET volume = volume + 1 WHERE timeframe_unit = 3 AND timestamp ="
            " (SELECT max(timestamp) FROM ohlc_bars WHERE timeframe_unit = 3)"
        )
    code, said = run(app, "check", "--gateway")
    assert (code, [each["against"] for each in said["differences"]]) == (1, ["roll-up", "gateway"])


def test_a_file_of_bars_is_imported_whole_or_not_at_all(app: OpenAPI, db: Database, tmp_path: Path) -> None:
    file = tmp_path / "bars.csv"
    file.write_text(HEAD + ROW + ROW.replace("14:30", "14:31"))
    assert run(app, "import", str(file)) == (0, {"bars": 2, "changed": 2})
    assert run(app, "import", str(file)) == (0, {"bars": 2, "changed": 0})
    file.write_text(HEAD + ROW.replace("14:30", "14:40") + ROW.replace("5801", "5799"))
    code, said = run(app, "import", str(file))
    assert code == 1
    assert "line 3" in said["error"]
    with db.transaction() as cur:
        assert len(bars.list_bars(cur, CONTRACT, Timeframe.parse("1m"), before=at("2030-01-01"), limit=9)) == 2


@pytest.mark.parametrize(
    "row",
    [
        "5800.25,NaN,5800,5800.5,12,2,1",
        "5800,5801,5800,5800,x,2,1",
        "5800,5801,5800,5800,1,9,1",
        "5800,5801,0,5800,1,2,1",
    ],
)
def test_a_wrong_row_of_a_file_is_named_by_its_line(row: str) -> None:
    with pytest.raises(InvalidInputError, match="line 2"):
        list(parse_bars([HEAD, f"{CONTRACT},2025-05-13 14:30:00,{row}\n"]))
    with pytest.raises(InvalidInputError, match="columns"):
        list(parse_bars(["a,b\n", "1,2\n"]))


def test_timeframes_that_do_not_fit_together_stop_the_start_by_name(
    gateway: Gateway, db: Database, tmp_path: Path
) -> None:
    with pytest.raises(MisconfiguredError) as found:
        create_app(settings_with(gateway, tmp_path, MARKET_CONTRACTS="MNQ=10m/15m"), db)
    assert found.value.field == "MARKET_CONTRACTS"
    for wrong in ("MNQ=7m", "mnq", "MNQ;MES"):
        with pytest.raises(MisconfiguredError, match="MARKET_CONTRACTS"):
            settings_with(gateway, tmp_path, MARKET_CONTRACTS=wrong)
