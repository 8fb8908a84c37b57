"""The picture of a trade: which bars are chosen, where levels and markers lie, and how the paths run."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask.testing import FlaskClient

from core.instruments import contracts_of
from core.lifecycle import Kind, Source
from core.records import Bar, Timeframe
from database import bars
from database.bars import Contract
from database.engine import Database
from tests.support_http import ask
from tests.support_signals import MINUTE, START, add, event, mfe
from web.dashboards.trade import picture
from web.dashboards.trade.picture import Series

MNQ = Contract("CON.F.US.MNQ.Z25", "MNQZ5", "Micro Nasdaq", Decimal("0.25"))
ONE_MINUTE = Timeframe.parse("1m")


def bar(minute: int, close: str = "20500", *, timeframe: Timeframe = ONE_MINUTE) -> Bar:
    price = Decimal(close)
    return Bar(
        contract_id=MNQ.contract_id, timeframe=timeframe, starts_at=START + minute * MINUTE, open=price, high=price + 1,
        low=price - 1, close=price, volume=5, source="history",
    )  # fmt: skip


def store(db: Database, *found: Bar) -> None:
    with db.transaction() as cur:
        bars.save_contract(cur, MNQ)
        bars.upsert_bars(cur, found)


def picture_of(caller: FlaskClient, trade_id: str) -> Any:
    return ask(caller, f"/trade/{trade_id}/chart")


def trade(db: Database) -> None:
    """A long trade that ran 2R, came back to its entry and was stopped."""
    add(
        db,
        event("T1", Kind.SIGNAL_CREATED, 1),
        event("T1", Kind.ENTRY, 3),
        mfe("T1", 4, "1.2", "1.2"),
        event("T1", Kind.BE_TRIGGERED, 4),
        event("T1", Kind.EXIT_BE, 6),
        mfe("T1", 7, "1.2", "2"),
        event("T1", Kind.EXIT_SL, 9),
    )


def test_candles_levels_and_markers_of_a_trade(caller: FlaskClient, db: Database) -> None:
    trade(db)
    store(db, *(bar(minute) for minute in range(-70, 80)))
    found = picture_of(caller, "T1")
    assert (found["timeframe"], found["contract"]["name"], found["no_bars"]) == ("1m", "MNQZ5", None)
    assert found["bars"]["time"][0] == int((START - 60 * MINUTE).timestamp())
    assert found["bars"]["time"][-1] == int((START + 67 * MINUTE).timestamp())
    levels = {level["name"]: level["price"] for level in found["levels"]}
    assert (levels["Entry, BE stop"], levels["Stop"], levels["1R, BE trigger"], levels["3R"]) == (
        20500.5,
        20490,
        20511,
        20532,
    )
    assert (levels["No-BE MFE"], levels["MAE"]) == (20521.5, pytest.approx(20497.875))
    assert [marker["text"] for marker in found["markers"]] == ["Signal", "Entry", "BE", "BE exit", "Stop"]
    assert {marker["time"] for marker in found["markers"]} <= set(found["bars"]["time"])


def test_paths_run_in_r_and_the_be_leg_ends_with_its_exit(caller: FlaskClient, db: Database) -> None:
    trade(db)
    found = picture_of(caller, "T1")["paths"]
    assert (found["no_be"], found["be"], found["mae"]) == ([1.2, 2], [1.2, None], [-0.25, -0.25])
    assert found["time"] == [int((START + minute * MINUTE).timestamp()) for minute in (3, 6)]


def test_a_path_reaches_as_far_as_its_exit_tells(caller: FlaskClient, db: Database) -> None:
    last = {"no_be_mfe_r": Decimal("0.9"), "mae_r": Decimal(-1), "exit_price": Decimal("20490")}
    silent = event("T1", Kind.EXIT_BE, 4)
    add(db, event("T1", Kind.ENTRY), mfe("T1", 3, "0.9", "0.9"), silent, event("T1", Kind.EXIT_SL, 5, **last))
    found = picture_of(caller, "T1")["paths"]
    assert (found["no_be"], found["mae"], found["price"]) == ([0.9, 0.9], [-0.25, -1], [None, None])


def test_a_path_never_shrinks_and_says_how_far_the_price_was(caller: FlaskClient, db: Database) -> None:
    late = event(
        "T1", Kind.MFE_UPDATE, 6, slot=START + 5 * MINUTE, no_be_mfe_r=Decimal("0.4"), current_price=Decimal("20511")
    )
    add(db, event("T1", Kind.ENTRY), mfe("T1", 3, "0.9", "0.9"), late)
    found = picture_of(caller, "T1")["paths"]
    assert (found["no_be"], found["price"]) == ([0.9, 0.9], [None, 1])


def test_a_long_path_keeps_its_extremes_and_its_end(caller: FlaskClient, db: Database) -> None:
    updates = [mfe("T1", minute, "0.1", f"{minute / 1000}") for minute in range(1, 2002)]
    add(db, event("T1", Kind.ENTRY), *updates)
    found = picture_of(caller, "T1")["paths"]
    assert len(found["time"]) <= 1500
    assert found["no_be"][-1] == max(found["no_be"]) == 2.001


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"symbol": None}, "symbol of this signal is not known"),
        ({"symbol": "MES1!"}, "No contract of MES1! is followed"),
        ({}, "No bars of MNQZ5 are stored"),
    ],
)
def test_without_bars_it_says_why(caller: FlaskClient, db: Database, given: dict[str, Any], words: str) -> None:
    store(db, bar(-1000))
    add(db, event("T1", Kind.ENTRY, **given))
    found = picture_of(caller, "T1")
    assert (found["bars"], found["contract"]) == (None, None)
    assert words in found["no_bars"]


def test_a_repaired_event_is_marked_as_repaired_and_a_live_one_goes_first(
    caller: FlaskClient,
    db: Database,
) -> None:
    repair = {"source": Source.RECONCILED, "confidence": Decimal("0.9")}
    add(
        db,
        event("T1", Kind.ENTRY),
        event("T1", Kind.EXIT_SL, 9, **repair, event_time=START + 7 * MINUTE),
        event("T1", Kind.ENTRY, 2, **repair, event_time=START),
    )
    markers = {marker["event_type"]: marker for marker in picture_of(caller, "T1")["markers"]}
    assert (markers["ENTRY"]["text"], markers["ENTRY"]["source"]) == ("Entry", "live")
    assert (markers["EXIT_SL"]["text"], markers["EXIT_SL"]["confidence"]) == ("Stop (reconciled)", 0.9)
    assert markers["EXIT_SL"]["time"] == int((START + 7 * MINUTE).timestamp())


def test_the_picture_is_sent_again_only_when_it_has_changed(caller: FlaskClient, db: Database) -> None:
    trade(db)
    path = "/api/automated-signals/trade/T1/chart"
    again = {"If-None-Match": caller.get(path).headers["ETag"]}
    assert caller.get(path, headers=again).status_code == 304
    store(db, bar(0))
    assert caller.get(path, headers=again).status_code == 200


def series(text: str, count: int = 10, contract: str = "A") -> Series:
    return Series(contract, Timeframe.parse(text), count)


@pytest.mark.parametrize(
    ("held", "hours", "chosen"),
    [
        (["1s", "5m", "1m"], 1, "1m"),
        (["1s", "30s"], 0.1, "30s"),
        (["1m", "5m", "1h"], 60, "5m"),
        (["1m"], 600, None),
        (["1d"], 1, None),
        ([], 1, None),
    ],
)
def test_the_shortest_bars_that_show_the_trade_whole_are_drawn(
    held: list[str], hours: float, chosen: str | None
) -> None:
    found = picture.choose_series([series(text) for text in held], START, START + timedelta(hours=hours))
    assert (found and str(found.timeframe)) == chosen


def test_of_two_contracts_the_fuller_is_drawn() -> None:
    found = picture.choose_series([series("1m", 3, "old"), series("1m", 90, "new")], START, START + MINUTE)
    assert found is not None
    assert found.contract_id == "new"


@pytest.mark.parametrize(
    ("symbol", "names"),
    [("CME_MINI:MNQ1!", ["MNQZ5"]), ("NQ1!", ["NQZ5"]), ("nothing", []), (None, [])],
)
def test_symbols_find_the_contracts_of_their_root(symbol: str | None, names: list[str]) -> None:
    listed = [MNQ, Contract("CON.F.US.ENQ.Z25", "NQZ5", "Nasdaq", Decimal("0.25"))]
    assert [each.name for each in contracts_of(symbol, listed)] == names
