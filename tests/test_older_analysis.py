"""Tables of analysis that an older installation made are adopted: rows and unknown columns stay, the new keys hold."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from analysis.config import parse_plan
from database import analysis as store
from database import migrate
from database.analysis import Choice
from database.engine import Database
from tests.support_analysis import expected, history, run_all, save, series_of
from tests.support_postgres import older_installation

OLDER = """
CREATE TABLE detected_signals (
    signal_id serial PRIMARY KEY, analyzer_id varchar(50) NOT NULL, "timestamp" timestamp NOT NULL,
    contract_id varchar(50) NOT NULL, timeframe varchar(10) NOT NULL, signal_type varchar(20) NOT NULL,
    signal_price double precision, details json, comment_of_mine text);
INSERT INTO detected_signals
    (analyzer_id, "timestamp", contract_id, timeframe, signal_type, signal_price, details, comment_of_mine)
VALUES ('older', '2024-03-01 10:00', 'CON.F.US.MES.H24', '1h', 'uptrend_start', 5100.25, '{"a": 1}', 'kept'),
       ('older', '2024-03-01 10:00', 'CON.F.US.MES.H24', '1h', 'uptrend_start', 5100.25, '{"a": 1}', 'twice'),
       ('older', '2024-03-01 12:00', 'CON.F.US.MES.H24', '1h', 'CDS', 5110, NULL, NULL);
CREATE TABLE analyzer_watermarks (
    analyzer_id varchar(50), contract_id varchar(50), timeframe varchar(10), last_processed_timestamp timestamp NOT NULL,
    PRIMARY KEY (analyzer_id, contract_id, timeframe));
INSERT INTO analyzer_watermarks VALUES ('trend', 'CON.F.US.MES.M25', '1h', '2030-01-01 00:00');
CREATE TABLE coordinator_watermarks (coordinator_id varchar(50) PRIMARY KEY, last_processed_signal_id integer NOT NULL);
INSERT INTO coordinator_watermarks VALUES ('older', 17);
"""


@pytest.fixture
def adopted(empty_database_url: str) -> Iterator[Database]:
    with older_installation(empty_database_url, OLDER) as db:
        yield db


def test_older_signals_stay_and_are_listed_once(adopted: Database) -> None:
    with adopted.transaction() as cur:
        rows = store.list_signals(cur, Choice(analyzer_id="older"), 10)
        cur.execute("SELECT comment_of_mine FROM detected_signals WHERE signal_id = 1")
        assert cur.fetchone()[0] == "kept"
    assert [(row.at.isoformat(), row.trend, row.price) for row in rows] == [
        ("2024-03-01T12:00:00+00:00", "bearish", 5110),
        ("2024-03-01T10:00:00+00:00", "bullish", 5100.25),
    ]


def test_analysis_begins_anew_where_no_state_was_kept(adopted: Database) -> None:
    given, plan = history(300), parse_plan({})
    save(adopted, given)
    run_all(adopted, plan, series_of(given))
    with adopted.transaction() as cur:
        found = store.list_signals(cur, Choice(analyzer_id="trend"), 1_000)
        decided = store.list_coordinated(cur, Choice(), 1_000)
    wanted = expected(given, plan)
    assert len(found) == len(wanted["signals"])
    assert len(decided) == len(wanted["decisions"])


def test_the_tables_go_down_and_up_again(adopted: Database) -> None:
    migrate.downgrade(adopted, "base")
    with adopted.transaction() as cur:
        cur.execute("SELECT to_regclass('detected_signals') IS NULL")
        assert cur.fetchone()[0]
    migrate.upgrade(adopted)
    with adopted.transaction() as cur:
        assert store.list_signals(cur, Choice(), 10) == []
