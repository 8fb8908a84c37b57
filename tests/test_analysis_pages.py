"""Analysis over HTTP, on the command line, and from the simulator's ticks to the page."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI

from analysis.config import parse_plan
from analysis.worker import Analyst
from core.errors import MisconfiguredError
from core.settings import Settings, load_settings
from database.engine import Database
from tests.support_analysis import expected, held, history, run_all, save, save_contract, series_of, simulated_bars
from tests.support_feed import wait_for
from tests.support_trend import CONTRACT
from web_server import create_app

PLAN = parse_plan({})


@pytest.fixture
def analysed(db: Database) -> list[Any]:
    given = history(600)
    save(db, given)
    run_all(db, PLAN, series_of(given))
    return given


def get(reader: FlaskClient, path: str, status: int = 200, **query: Any) -> dict[str, Any]:
    answer = reader.get(f"/api/analysis/{path}", query_string=query)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def test_ticks_of_the_simulator_become_bars_signals_and_coordinated_signals_on_the_page(
    reader: FlaskClient, db: Database
) -> None:
    contract, batches = simulated_bars()
    save_contract(db, contract)
    analyst = Analyst(db, PLAN)
    analyst.start()
    try:
        for batch in batches:
            save(db, batch)
        wanted = expected([bar for batch in batches for bar in batch if not bar.is_partial], PLAN)
        wait_for(lambda: held(db) == wanted)
    finally:
        analyst.stop()
    assert {each[2] for each in wanted["signals"]} == {"5m", "15m", "1h"}
    assert wanted["decisions"]
    page = reader.get("/analysis?view=coordinated").text
    assert page.count("<tr data-id=") == min(100, len(wanted["decisions"]))
    assert contract.name in page
    assert "confluence" in page


def test_signals_are_paged_and_filtered(reader: FlaskClient, analysed: list[Any]) -> None:
    whole = get(reader, "signals", timeframe="15m", trend="bearish", limit=1000)["signals"]
    first = get(reader, "signals", timeframe="15m", trend="bearish", limit=5)
    rest = get(reader, "signals", timeframe="15m", trend="bearish", limit=1000, before=first["next_cursor"])
    assert first["signals"] + rest["signals"] == whole
    assert rest["next_cursor"] is None
    assert {each["type"] for each in whole} == {"downtrend_start"}
    assert all(isinstance(each["price"], int | float) and each["rule"] for each in whole)
    assert get(reader, "signals", contract="CON.F.US.MNQ.Z26")["count"] == 0
    day = analysed[0].starts_at.timestamp() + 86_400
    parted = [get(reader, "signals", limit=1000, **part)["count"] for part in ({"since": day}, {"until": day}, {})]
    assert parted[0] + parted[1] == parted[2]


def test_coordinated_signals_name_those_who_confirmed_them(reader: FlaskClient, analysed: list[Any]) -> None:
    found = get(reader, "coordinated", contract=CONTRACT)["coordinated"]
    assert found
    for each in found:
        assert (each["rule"], each["primary"]["timeframe"], each["score"]) == ("confluence", "1h", 2)
        assert [one["timeframe"] for one in each["confirmed_by"]] == ["15m"]
    assert get(reader, "coordinated", rule="another")["count"] == 0


def test_the_state_tells_the_trends_of_any_instant(reader: FlaskClient, analysed: list[Any]) -> None:
    now = get(reader, "state", contract=CONTRACT)
    assert {each["timeframe"] for each in now["trends"]} == {"15m", "1h", "4h"}
    assert {each["timeframe"] for each in now["series"]} == {"15m", "1h", "4h"}
    assert now["last_coordinated"][0]["contract_id"] == CONTRACT
    begin = analysed[0].starts_at
    assert get(reader, "state", contract=CONTRACT, at=(begin - timedelta(hours=1)).timestamp())["trends"] == []
    early = get(reader, "state", contract=CONTRACT, at=(begin + timedelta(minutes=20)).timestamp())["trends"]
    assert [(each["timeframe"], each["trend"]) for each in early] == [("15m", "neutral")]


@pytest.mark.parametrize("query", [{"before": "x"}, {"trend": "sideways"}, {"limit": 0}, {"since": "NaN"}])
def test_what_means_nothing_is_refused_by_name(reader: FlaskClient, query: dict[str, Any]) -> None:
    assert next(iter(query)) in json.dumps(get(reader, "signals", 400, **query))


def test_the_page_filters_and_refuses_what_means_nothing(reader: FlaskClient, analysed: list[Any]) -> None:
    page = reader.get(f"/analysis?timeframe=4h&contract={CONTRACT}").text
    rows = page.count("<tr data-id=")
    assert rows == get(reader, "signals", timeframe="4h", limit=100)["count"] > 0
    assert 'rel="next"' in reader.get("/analysis?timeframe=15m").text
    assert "No detected signals here" in reader.get("/analysis?timeframe=2m").text
    assert reader.get("/analysis?view=none").status_code == 422


def test_without_bars_the_page_says_where_they_come_from(reader: FlaskClient) -> None:
    assert "No bars have been analysed yet" in reader.get("/analysis").text


def test_nobody_sees_signals_without_a_login(client: FlaskClient) -> None:
    assert client.get("/api/analysis/signals").status_code == 401
    assert client.get("/analysis", headers={"Accept": "application/json"}).status_code == 401


# --- the command line ------------------------------------------------------------------------------------------------


def run(app: OpenAPI, *arguments: str) -> tuple[int, dict[str, Any]]:
    result = app.test_cli_runner().invoke(args=["analysis", *arguments, "--json"])
    return result.exit_code, json.loads(result.stdout) if result.stdout.startswith("{") else {"error": result.output}


def test_analysis_is_run_and_reset_from_the_command_line(app: OpenAPI, db: Database) -> None:
    given = history(400)
    save(db, given)
    middle = given[200].starts_at.isoformat()
    code, said = run(app, "run", "--to", middle)
    assert (code, said["series"]) == (0, 3)
    until = [bar for bar in given if bar.starts_at < given[200].starts_at]
    assert held(db)["signals"] == expected(until, PLAN)["signals"]
    assert run(app, "run")[0] == 0
    assert held(db) == expected(given, PLAN)
    assert run(app, "run", "--from", middle)[1] == {"series": 3, "signals": 0, "taken_back": 0, "coordinated": 0}
    code, said = run(app, "reset", "trend")
    assert (code, said["series"]) == (0, 3)
    assert said["signals"] == len(expected(given, PLAN)["signals"])
    assert held(db) == {"signals": [], "decisions": [], "trends": [], "stray": 0}
    assert run(app, "run")[1]["signals"] == said["signals"]
    assert held(db) == expected(given, PLAN)


def test_wrong_calls_are_named(app: OpenAPI) -> None:
    assert "no analyzer is called moon" in run(app, "reset", "moon")[1]["error"]
    code, said = run(app, "run", "--from", "2025-05-13T10:00:00")
    assert code == 2
    assert "offset" in said["error"]


def test_a_wrong_rule_in_the_settings_file_stops_the_start(db: Database, tmp_path: Any) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("analysis:\n  rules:\n    mine: {primary: 1h, confirming: [7m]}\n")
    settings: Settings = load_settings({"DATA_DIR": str(tmp_path)}, yaml_file=file)
    with pytest.raises(MisconfiguredError, match=r"analysis\.rules\.mine\.confirming"):
        create_app(settings, db)
