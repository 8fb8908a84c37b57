"""Signals as files: nothing missing, nothing from the future, nothing that needs a network."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import sys
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from flask_openapi3 import OpenAPI
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DatabaseUnavailableError
from core.lifecycle import Kind, LifecycleEvent, Source
from database import bars, exports
from database.bars import Contract
from database.csv_text import cell
from database.engine import Database
from operations.export import parquet, tables
from tests.support_deliveries import deliver
from tests.support_market import bar_at
from tests.support_signals import MINUTE, START, add, event, mfe
from tests.test_retention import batch, entry

TRADE = "20251210_093100000_BULLISH"
HTF = {"daily": "Bullish", "h1": "Bearish", "all_bullish": False, "all_bearish": False}


def life(*later: LifecycleEvent) -> list[LifecycleEvent]:
    created = event(TRADE, Kind.SIGNAL_CREATED, 0, htf_alignment=HTF, market_state={"trend_regime": "Bullish"})
    return [created, event(TRADE, Kind.ENTRY, 2, setup={"setup_family": "FVG", "signal_strength": 75}), *later]


ENDED = (mfe(TRADE, 3, "1.4", "1.4"), event(TRADE, Kind.BE_TRIGGERED, 4), event(TRADE, Kind.EXIT_SL, 9))


def run(app: OpenAPI, *arguments: str) -> str:
    found = app.test_cli_runner().invoke(args=["export", *arguments])
    assert found.exit_code == 0, found.output
    return found.output


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def training(db: Database) -> list[dict[str, Any]]:
    with db.transaction() as cur:
        page = next(exports.list_signals(cur))
        openings = exports.list_openings(cur, [(state.stream, state.trade_id) for state in page])
        found = [tables.training_row(state, openings[state.stream, state.trade_id]) for state in page]
    return [dict(zip(tables.TRAINING_COLUMNS, row, strict=True)) for row in found if row is not None]


def test_every_column_of_the_state_is_exported(app: OpenAPI, db: Database) -> None:
    with db.transaction() as cur:
        cur.execute("SELECT column_name FROM information_schema.columns WHERE table_name = 'trade_states'")
        columns = {row[0] for row in cur.fetchall()}  # type: ignore[index]
    assert set(tables.SIGNAL_COLUMNS) == columns - {"facts"}


def test_signals_are_one_line_each_with_utc_times_and_plain_numbers(app: OpenAPI, db: Database) -> None:
    add(db, *life(*ENDED), event("=cmd", Kind.ENTRY, 5, stream="other"))
    found = {row["trade_id"]: row for row in rows(run(app, "signals"))}
    assert set(found) == {TRADE, "'=cmd"}
    assert found[TRADE]["entry_price"] == "20500.5"
    assert found[TRADE]["exit_at"].endswith("Z")
    assert found[TRADE]["status"] == "COMPLETED"


def test_stream_and_days_choose(app: OpenAPI, db: Database) -> None:
    add(db, event("20251209_100000000_BULLISH", Kind.ENTRY, -1440), *life(), event("x", Kind.ENTRY, stream="other"))
    assert [row["trade_id"] for row in rows(run(app, "signals", "--stream", "other"))] == ["x"]
    chosen = rows(run(app, "signals", "--stream", "main", "--since", "2025-12-10", "--until", "2025-12-10"))
    assert [row["trade_id"] for row in chosen] == [TRADE]


def test_more_signals_than_a_page_are_all_exported_once(app: OpenAPI, db: Database) -> None:
    add(db, *(event(f"t{number:04}", Kind.ENTRY) for number in range(2 * exports.AT_ONCE + 7)))
    names = [row["trade_id"] for row in rows(run(app, "signals"))]
    assert len(names) == len(set(names)) == 2 * exports.AT_ONCE + 7


def test_a_training_row_holds_features_at_entry_and_both_outcomes(db: Database) -> None:
    add(db, *life(*ENDED))
    row = training(db)[0]
    assert (row["htf_daily"], row["htf_h1"], row["htf_m5"]) == ("Bullish", "Bearish", None)
    assert (row["setup_family"], row["signal_strength"], row["trend_regime"]) == ("FVG", 75, "Bullish")
    assert (row["hour_ny"], row["weekday_ny"]) == (9, 3)
    assert (row["outcome_be_result_r"], row["outcome_no_be_result_r"]) == (0, -1)
    assert row["outcome_no_be_mfe_r"] == Decimal("1.4")
    assert row["is_finished"]


def test_an_open_trade_has_no_outcome_and_a_signal_without_entry_no_row(db: Database) -> None:
    add(db, *life(ENDED[0]), event("20251210_094500000_BEARISH", Kind.SIGNAL_CREATED, 14))
    row = training(db)
    assert len(row) == 1
    assert {value for name, value in row[0].items() if name in {f"outcome_{each}" for each in tables.OUTCOMES}} == {
        None
    }


LATER = st.lists(
    st.builds(
        lambda kind, minute, source, direction, htf, risk: event(
            TRADE, kind, minute, source=source, direction=direction, htf_alignment=htf, market_state=htf,
            setup={"setup_family": "later"}, entry_price=Decimal(risk), bars_to_confirmation=7,
        ),
        st.sampled_from([Kind.SIGNAL_CREATED, Kind.ENTRY, Kind.BE_TRIGGERED, Kind.EXIT_SL, Kind.EXIT_BE]),
        st.integers(3, 500),
        st.sampled_from(list(Source)),
        st.sampled_from(["long", "short", None]),
        st.sampled_from([None, {"daily": "Bearish", "h4": "Bearish"}]),
        st.integers(1, 9),
    ),
    max_size=6,
)  # fmt: skip


@given(later=LATER)
def test_nothing_that_comes_later_changes_what_was_known_at_entry(later: list[LifecycleEvent]) -> None:
    class State:
        """Only what a training row asks of a state."""

        stream, trade_id, status, sources, confidence, flags = "main", TRADE, "COMPLETED", {}, {}, ()
        be_result_r = no_be_result_r = be_mfe_r = no_be_mfe_r = mae_r = exit_kind = exit_at = None

    assert tables.training_row(State, [*life(), *later]) == tables.training_row(State, life())


def test_the_training_file_names_its_columns(app: OpenAPI, db: Database, tmp_path: Path) -> None:
    add(db, *life(*ENDED))
    run(app, "training", "--output", str(tmp_path / "t.csv"))
    found = rows((tmp_path / "t.csv").read_text())
    assert list(found[0]) == list(tables.TRAINING_COLUMNS)
    assert (tmp_path / "t.csv").stat().st_mode & 0o777 == 0o600


def as_parquet(app: OpenAPI, what: str, path: Path, *arguments: str) -> Any:
    run(app, what, "--format", "parquet", "--output", str(path), *arguments)
    return pyarrow.parquet.read_table(path)


def test_parquet_holds_the_rows_of_the_csv_with_types(app: OpenAPI, db: Database, tmp_path: Path) -> None:
    add(db, *life(*ENDED), event("=cmd", Kind.ENTRY, 5, stream="other"))
    table = as_parquet(app, "signals", tmp_path / "signals.parquet")
    assert table.column_names == list(tables.SIGNAL_COLUMNS)
    found = {row["trade_id"]: row for row in table.to_pylist()}
    told = {row["trade_id"]: row for row in rows(run(app, "signals"))}
    assert set(found) == {TRADE, "=cmd"}  # no spreadsheet runs it: the text stays what it is
    assert found[TRADE]["entry_price"] == 20500.5
    assert found[TRADE]["exit_at"] == datetime.fromisoformat(told[TRADE]["exit_at"])
    assert json.loads(found[TRADE]["htf_alignment"]) == HTF
    assert found[TRADE]["flags"] == told[TRADE]["flags"].split()
    assert found[TRADE]["signal_date"].isoformat() == told[TRADE]["signal_date"]
    assert (tmp_path / "signals.parquet").stat().st_mode & 0o777 == 0o600


def test_parquet_of_training_rows_keeps_the_columns_and_their_types_without_a_row(
    app: OpenAPI, db: Database, tmp_path: Path
) -> None:
    empty = as_parquet(app, "training", tmp_path / "none.parquet")
    add(db, *life(*ENDED))
    table = as_parquet(app, "training", tmp_path / "one.parquet")
    assert empty.num_rows == 0
    assert table.schema == empty.schema
    row = table.to_pylist()[0]
    assert (row["hour_ny"], row["outcome_no_be_mfe_r"], row["is_finished"]) == (9, 1.4, True)
    assert (row["signal_strength"], row["setup_family"]) == ("75", "FVG")
    assert list(tables.TRAINING_COLUMNS) == table.column_names


def test_the_kind_of_every_column_is_that_of_the_database(db: Database) -> None:
    kinds = {"timestamp with time zone": "time", "numeric": "number", "integer": "count", "boolean": "flag",
             "ARRAY": "words", "date": "day", "time without time zone": "clock"}  # fmt: skip
    with db.transaction() as cur:
        cur.execute("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'trade_states'")
        expected = {row[0]: kinds.get(row[1]) for row in cur.fetchall() if row[0] != "facts"}
    assert {name: tables.KINDS.get(name) for name in tables.SIGNAL_COLUMNS} == expected
    outcomes = {f"outcome_{name}": tables.KINDS.get(name) for name in tables.OUTCOMES}
    assert {name: tables.KINDS.get(name) for name in outcomes} == outcomes


def test_more_rows_than_a_row_group_are_all_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "AT_ONCE", 3)
    file = io.BytesIO()
    parquet.write(["trade_id", "mae_r"], ((f"t{number}", Decimal(number) / 4) for number in range(8)), file)
    found = pyarrow.parquet.ParquetFile(io.BytesIO(file.getvalue()))
    assert found.num_row_groups == 3
    assert found.read().to_pylist()[-1] == {"trade_id": "t7", "mae_r": 1.75}


@pytest.mark.parametrize("value", ["80", 80, 8.5, ["a", 1], {"of": 3}, True])
def test_what_an_alert_says_in_a_setup_is_text_whatever_it_is(value: Any) -> None:
    assert isinstance(tables.typed("signal_strength", value), str)
    assert isinstance(cell(value), str)


def test_without_pyarrow_the_command_says_what_to_install_and_leaves_no_file(
    app: OpenAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    file = tmp_path / "signals.parquet"
    arguments = ["export", "signals", "--format", "parquet", "--output", str(file)]
    found = app.test_cli_runner().invoke(args=arguments)
    assert found.exit_code == 1
    assert "requirements-parquet.txt" in found.output
    assert not file.exists()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_export_that_fails_says_so_and_leaves_the_one_before_it(
    app: OpenAPI, db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    add(db, *life(*ENDED))
    file = tmp_path / "signals"
    file.write_text("the one before")
    file.chmod(0o644)
    arguments = ["export", "signals", "--format", kind, "--output", str(file)]
    whole = exports.list_signals

    def cut_off(*given: Any, **named: Any) -> Iterator[list[Any]]:
        yield from whole(*given, **named)
        raise DatabaseUnavailableError

    with monkeypatch.context() as patch:
        patch.setattr(exports, "list_signals", cut_off)
        found = app.test_cli_runner().invoke(args=arguments)
    assert (found.exit_code, "The database cannot be reached." in found.output) == (1, True)
    assert file.read_text() == "the one before"
    assert list(tmp_path.glob(".signals*")) == []
    assert app.test_cli_runner().invoke(args=arguments).exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert TRADE.encode() in file.read_bytes() or kind == "parquet"


def test_an_export_into_a_folder_that_is_not_there_says_so(app: OpenAPI, db: Database, tmp_path: Path) -> None:
    found = app.test_cli_runner().invoke(args=["export", "signals", "--output", str(tmp_path / "no" / "file")])
    assert (found.exit_code, "No such file or directory" in found.output) == (1, True)


def test_parquet_is_not_written_to_the_terminal(app: OpenAPI) -> None:
    found = app.test_cli_runner().invoke(args=["export", "signals", "--format", "parquet"])
    assert found.exit_code == 2
    assert "--output" in found.output


def filled(db: Database) -> None:
    deliver(db, entry(TRADE), received_at=START)
    deliver(db, batch(TRADE, 0.8), b'{"event_type":"EXIT_SL","trade_id":"' + TRADE.encode() + b'"}',
            received_at=START + 3 * MINUTE)  # fmt: skip
    with db.transaction() as cur:
        found = [bar_at(f"2025-12-10 14:{minute}", 25670 + minute % 7, 5) for minute in range(20, 50)]
        bars.save_contract(cur, Contract(found[0].contract_id, "MNQZ5", "", tick_size=Decimal("0.25")))
        bars.upsert_bars(cur, found)


def test_evidence_holds_the_bytes_their_hashes_the_events_and_the_proof(app: OpenAPI, db: Database) -> None:
    filled(db)
    page = run(app, "evidence", "--trade", TRADE)
    bodies = [base64.b64decode(text) for text in re.findall(r"<summary>base64</summary><pre>([^<]+)</pre>", page)]
    hashes = re.findall(r"SHA-256 of the bytes</dt><dd><code>(\w{64})", page)
    assert [hashlib.sha256(body).hexdigest() for body in bodies] == hashes
    assert len(bodies) == 3
    assert any(b'"ENTRY"' in body for body in bodies)
    assert "the events below fold to this state" in page
    assert page.count("<rect") == 30
    assert "EXIT_SL" in page


def test_evidence_asks_nothing_of_a_network(app: OpenAPI, db: Database) -> None:
    filled(db)
    page = run(app, "evidence", "--week", "2025-W50")
    assert TRADE in page
    assert re.findall(r"<script|<link|src=|href=|url\(|@import", page) == []


def test_what_an_alert_says_is_text_in_the_evidence(app: OpenAPI, db: Database) -> None:
    deliver(db, entry(TRADE) | {"note": "<script>alert(1)</script>"})
    assert "<script>" not in run(app, "evidence", "--trade", TRADE)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--trade", "no-such"], "There is no signal"),
        (["--week", "2025-W60"], "must look like"),
        ([], "Name one of"),
        (["--trade", "a", "--week", "2025-W50"], "Name one of"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(app: OpenAPI, db: Database, arguments: list[str], said: str) -> None:
    found = app.test_cli_runner().invoke(args=["export", "evidence", *arguments])
    assert found.exit_code != 0
    assert said in found.output


def test_a_week_without_signals_is_a_page_that_says_so(app: OpenAPI, db: Database) -> None:
    assert "No signal in this time" in run(app, "evidence", "--week", "2024-W01")
