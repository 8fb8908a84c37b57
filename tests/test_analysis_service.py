"""Analysis in the database: live as in batch, in any order, corrected, killed, by several at once, each signal once."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import groupby

import pytest

from analysis import series
from analysis.config import Plan, parse_plan
from analysis.worker import Analyst
from core.records import Bar, Timeframe
from database import analysis as store
from database.analysis import Choice
from database.engine import Database
from tests.support_analysis import (
    PLAN,
    closes_at,
    expected,
    held,
    history,
    in_order,
    run_all,
    save,
    series_of,
    taken_back,
)
from tests.support_feed import wait_for
from tests.support_trend import CONTRACT

QUARTER = Timeframe.parse("15m")


def pending(db: Database) -> list[tuple[str, Timeframe]]:
    with db.transaction() as cur:
        return store.list_pending(cur)


def catch_up(db: Database, plan: Plan = PLAN) -> tuple[int, int]:
    return run_all(db, plan, pending(db))


def test_a_batch_holds_what_the_pure_parts_say(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "AT_ONCE", 500)
    given = history()
    save(db, given)
    catch_up(db)
    found = held(db)
    assert found == expected(given)
    assert len(found["signals"]) > 500
    assert {each[0] for each in found["decisions"]} == {"confluence", "guarded"}
    assert catch_up(db) == (0, 0)
    assert pending(db) == []


def test_close_by_close_nothing_is_taken_back_and_the_end_is_the_batch(db: Database) -> None:
    given = in_order(history(260, seed=2))
    for _, together in groupby(given, key=closes_at):
        save(db, list(together))
        catch_up(db)
    assert held(db) == expected(given)
    assert taken_back(db) == (0, 0)


@pytest.mark.parametrize("seed", range(3))
def test_order_and_corrections_do_not_matter(db: Database, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(series, "CHECKPOINT_BARS", 32)
    dice = random.Random(seed)
    given = history(300, seed=seed)
    wrong = [
        replace(bar, close=(bar.high + bar.low) / 2, high=bar.high + Decimal(3), source="live", tick_count=1)
        for bar in dice.sample(given, 60)
    ]
    told = [*wrong, *given]
    dice.shuffle(told)
    for start in range(0, len(told), 25):
        save(db, told[start : start + 25])
        catch_up(db)
    assert held(db) == expected(given)
    assert taken_back(db)[0] > 0


def test_a_corrected_bar_takes_back_what_it_no_longer_confirms(db: Database) -> None:
    given = [bar for bar in history(200) if bar.timeframe == QUARTER]
    save(db, [replace(bar, source="live", tick_count=1) for bar in given])
    catch_up(db)
    before = held(db)
    number = [bar.starts_at for bar in given].index(before["signals"][-20][5])  # a bar that confirms a start
    quiet = given[number - 1].close
    corrected = replace(given[number], open=quiet, high=quiet, low=quiet, close=quiet)
    save(db, [corrected])
    catch_up(db)
    after = held(db)
    assert after == expected([*given[:number], corrected, *given[number + 1 :]])
    kept = [each for each in before["signals"] if each[5] < corrected.starts_at]
    assert [each for each in after["signals"] if each[5] < corrected.starts_at] == kept
    # The key of a signal: analyzer, contract, timeframe, type, bar.
    gone = {each[:5] for each in before["signals"]} - {each[:5] for each in after["signals"]}
    assert taken_back(db)[0] == len(gone) > 0


def test_a_bar_that_is_not_whole_counts_for_nothing_until_it_is(db: Database) -> None:
    given = [bar for bar in history(120) if bar.timeframe == QUARTER]
    partial = replace(given[60], is_partial=True, source="live", high=given[60].high + 50)
    save(db, [*given[:60], partial, *given[61:]])
    catch_up(db)
    assert held(db) == expected([*given[:60], *given[61:]])
    save(db, [given[60]])
    catch_up(db)
    assert held(db) == expected(given)


def test_the_trend_at_any_instant_is_that_of_the_bars_closed_by_then(db: Database) -> None:
    given = history(400)
    save(db, given)
    catch_up(db)
    turns = [each for each in expected(given)["trends"] if each[0] == "trend"]
    dice = random.Random(1)
    for _ in range(50):
        at = given[0].starts_at + dice.random() * timedelta(days=6)
        with db.transaction() as cur:
            found = {row.timeframe: row.trend for row in store.get_trends(cur, CONTRACT, "trend", at)}
        known = [each for each in turns if each[3] <= at]
        assert found == {each[2]: each[4] for each in sorted(known, key=lambda each: each[3])}


def test_other_parameters_mean_to_begin_anew(db: Database) -> None:
    given = history(300)
    save(db, given)
    catch_up(db)
    other = parse_plan(
        {"analyzers": {"cross": {"kind": "ema_cross", "parameters": {"fast": 2, "slow": 5}}}, "rules": {}}
    )
    run_all(db, other, series_of(given))
    fresh = expected(given, other)["signals"]
    assert [each for each in held(db)["signals"] if each[0] == "cross"] == fresh


# --- kills, many at once, waking -------------------------------------------------------------------------------------


@contextmanager
def child_at_work(url: str) -> Iterator[int]:
    """A process that analyses until it is killed; a fork, so that it is at work at once."""
    pid = os.fork()
    if pid == 0:
        try:
            own = Database(url)
            while True:
                catch_up(own)
        finally:
            os._exit(1)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def kill_at_random_points(db: Database, url: str, kills: int, bars: int) -> None:
    given = history(bars, seed=kills)
    save(db, given)
    dice, unfinished = random.Random(kills), 0
    for _ in range(kills):
        with child_at_work(url):
            time.sleep(dice.uniform(0.01, 0.06))
        unfinished += bool(pending(db))
    catch_up(db)
    assert held(db) == expected_once(given)
    assert taken_back(db) == (0, 0)
    assert unfinished > kills * 0.7, "most kills came after the work was done"


EXPECTED: dict[int, dict[str, object]] = {}


def expected_once(given: list[Bar]) -> dict[str, object]:
    return EXPECTED.setdefault(len(given), expected(given))


def test_killed_at_twenty_random_points_nothing_is_missing_or_twice(
    db: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series, "AT_ONCE", 6)
    kill_at_random_points(db, database_url, 20, 1_200)


@pytest.mark.soak
def test_killed_at_two_hundred_random_points_nothing_is_missing_or_twice(
    db: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series, "AT_ONCE", 4)
    kill_at_random_points(db, database_url, 200, 6_000)


def test_several_at_once_do_each_pass_once(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "AT_ONCE", 40)
    given = history(500)
    save(db, given)
    faults: list[BaseException] = []

    def work() -> None:
        try:
            catch_up(db)
        except BaseException as error:
            faults.append(error)
            raise

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    catch_up(db)
    assert faults == []
    assert held(db) == expected(given)
    assert taken_back(db) == (0, 0)


def test_closed_bars_wake_the_analyst(db: Database) -> None:
    given = in_order(history(300))
    save(db, given[:200])
    analyst = Analyst(db, PLAN)
    analyst.start()
    try:
        wait_for(lambda: analyst.check() == ("pass", "up to date"))
        for start in range(200, len(given), 50):
            save(db, given[start : start + 50])
        wait_for(lambda: held(db) == expected(given))
    finally:
        analyst.stop()
    assert analyst.check()[0] == "pass"


def test_lists_are_filtered_and_paged_by_place(db: Database) -> None:
    given = history(300)
    save(db, given)
    catch_up(db)
    with db.transaction() as cur:
        whole = store.list_signals(cur, Choice(timeframe="15m", analyzer_id="trend", trend="bullish"), 1_000)
        first = store.list_signals(cur, Choice(timeframe="15m", analyzer_id="trend", trend="bullish"), 7)
        place = (first[-1].known_at, first[-1].signal_id)
        rest = store.list_signals(
            cur, Choice(timeframe="15m", analyzer_id="trend", trend="bullish", place=place), 1_000
        )
        decided = store.list_coordinated(cur, Choice(rule="guarded"), 1_000)
    assert whole == [*first, *rest]
    assert [row.known_at for row in whole] == sorted((row.known_at for row in whole), reverse=True)
    assert {row.rule for row in decided} == {"guarded"}
    assert all(row.details["confirmed_by"] for row in decided)
