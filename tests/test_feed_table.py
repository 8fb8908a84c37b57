"""The fault table of the feed, row by row: which test covers which fault, and the tests of the slower rows.

Long runs of the same faults are marked soak.
"""

from __future__ import annotations

import logging
import random
import re
import signal
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.clock import ManualClock, SystemClock
from core.records import Timeframe
from core.settings import load_settings
from database import bars
from database.engine import Database
from ingestion.feed.connections import Connections, Timings
from ingestion.feed.inbox import FeedState, Inbox, Listening
from ingestion.feed.mender import Mender
from ingestion.feed.pump import Pump
from ingestion.gateway.client import HISTORY, GatewayClient
from ingestion.gateway.history import fill_series, follow
from ingestion.parts import MarketData
from simulator.gateway.gateway import Gateway
from simulator.gateway.market import Contract, Market, Trade, front_contracts
from simulator.gateway.rest import HISTORY_LIMIT, Limiter
from tests.support_feed import PATIENCE, rig, wait_for
from tests.support_market import CALENDAR, at

log = logging.getLogger(__name__)  # the figures of the long runs: -o log_cli=true shows them

COVERED = {
    "D1 end, reset, close record": ("two_hundred_faults_leave", "each_kind_of_fault"),
    "D2 gateway away": ("each_kind_of_fault",),
    "D3 silence": ("each_kind_of_fault", "a_quiet_market_is_not_taken_for_a_deaf_feed", "twenty_silences"),
    "D4 token's end": ("a_token_is_renewed_with_an_overlap", "thirty_renewals"),
    "D5 old token refused": ("each_kind_of_fault",),
    "D6 lost subscription": ("each_kind_of_fault",),
    "D7 doubled handlers": ("two_hundred_faults_leave",),
    "D8 bad ticks": ("what_a_healthy_connection_survives", "a_record_that_cannot_be_right_costs_itself_only"),
    "D9 control frames, split records": ("what_a_healthy_connection_survives",),
    "D10 burst": ("a_burst_of_five_thousand_trades_a_second", "a_full_inbox_counts_what_it_drops"),
    "D11 out of order": ("ten_thousand_random_histories",),
    "D12 duplicates": ("replayed_overlaps_of_thirty_seconds", "a_token_is_renewed_with_an_overlap"),
    "D13 no trades": ("a_thousand_silent_minutes",),
    "D14 partial first bar": ("a_restart_in_the_middle_of_a_bar", "the_order_in_which_bars_of_different_worth"),
    "D15 outage": ("two_hours_without_ears", "two_hundred_questions_for_bars_never_pass"),
    "D16 roll, unknown contract, bad price": ("a_contract_that_rolls", "a_record_that_cannot_be_right_costs"),
    "D17 crash": ("a_process_that_is_killed_again_and_again",),
    "D18 token in logs": ("no_token_is_in_any_log", "nothing_secret_is_logged"),
    "C2 frozen or dead leader": ("a_frozen_process_loses_the_feed", "another_process_takes_over_within_thirty_seconds"),
}
NOW = at("2026-11-18 15:00:30")
SECOND, MINUTE = Timeframe.parse("1s"), Timeframe.parse("1m")
HOUR = timedelta(hours=1)
A_SECOND = 5_000


def test_every_row_of_the_table_names_tests_that_exist() -> None:
    files = Path(__file__).parent.glob("test_*.py")
    tests = set(re.findall(r"^def (test_\w+)", "\n".join(file.read_text() for file in files), re.MULTILINE))
    assert {int(row[1:].split()[0]) for row in COVERED if row[0] == "D"} == set(range(1, 19))
    assert [name for names in COVERED.values() for name in names if not any(name in test for test in tests)] == []


# --- D3, D6: quiet or deaf ---------------------------------------------------------------------------------------


def test_a_quiet_market_is_not_taken_for_a_deaf_feed(db: Database) -> None:
    with rig(db, ticks=False) as live:
        live.wait_connected()
        wait_for(lambda: live.feed.state.probes >= 1)
        assert (live.feed.state.connections, live.feed.state.is_connected) == (1, True)


@pytest.mark.soak
def test_twenty_silences_are_each_noticed(db: Database) -> None:
    with rig(db) as live:
        live.wait_connected()
        for _ in range(20):
            live.hub.faults.is_mute = True
            wait_for(lambda: not live.feed.state.is_connected)
            live.hub.faults.is_mute = False
            live.wait_connected()
            live.wait_for_ticks()
        live.wait_exact(live.first_second)


# --- D4 ----------------------------------------------------------------------------------------------------------


@pytest.mark.soak
def test_thirty_renewals_lose_and_double_nothing(db: Database) -> None:
    with rig(db, token_life=timedelta(seconds=4)) as live:
        wait_for(lambda: live.feed.state.connections >= 31, 4 * PATIENCE)
        live.wait_exact(live.first_second)
        assert (live.feed.state.failures, live.feed.state.dropped) == (0, 0)


# --- D10: bursts -------------------------------------------------------------------------------------------------


def test_a_burst_of_five_thousand_trades_a_second_is_stored_whole(db: Database) -> None:
    burst(db, seconds=2)


@pytest.mark.soak
def test_a_burst_of_five_thousand_trades_a_second_goes_on_for_two_minutes(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = time_callbacks(monkeypatch)
    burst(db, seconds=60)  # as long as trades are remembered, in case a second connection tells them again
    before = resident_mb()
    burst(db, seconds=60)
    grown, slowest = resident_mb() - before, sorted(taken)[len(taken) * 99 // 100]
    log.warning("callback p99 %.0f us, memory grew by %.1f MB", slowest * 1e6, grown)
    assert grown < 30
    assert slowest < 0.005


def burst(db: Database, seconds: int) -> None:
    """So many seconds of trades, 50 a record, as fast as they would come; stored is what was told."""
    with rig(db, ticks=False) as live:
        live.wait_connected()
        start = live.feed.state.connected_at + timedelta(seconds=2.2)  # type: ignore[operator]
        wait_for(lambda: SystemClock().now() > start)
        told = 0
        for number in range(seconds * A_SECOND // 50):
            due = start + timedelta(seconds=number * 50 / A_SECOND)
            wait_for(lambda due=due: SystemClock().now() >= due)  # type: ignore[misc]
            now = SystemClock().now()
            live.hub.publish(
                live.contract_id, [Trade(now, 25_000 + (number + n) % 9 / 4, 1 + n % 3) for n in range(50)]
            )
            told += sum(1 + n % 3 for n in range(50))
        end = SystemClock().now() + timedelta(seconds=1)
        wait_for(lambda: sum(bar.volume for bar in live.stored(start.replace(microsecond=0), end)) == told)
        assert (live.feed.state.dropped, live.feed.state.connections) == (0, 1)


def time_callbacks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    taken: list[float] = []
    inner = Connections._on_event

    def timed(self: Connections, *given: Any) -> None:
        began = time.perf_counter()
        inner(self, *given)
        taken.append(time.perf_counter() - began)

    monkeypatch.setattr(Connections, "_on_event", timed)
    return taken


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


# --- D15: an outage ----------------------------------------------------------------------------------------------


def test_two_hours_without_ears_come_back_from_history_within_the_gateways_limits(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(NOW)
    gateway = Gateway(Market(1, front_contracts(NOW.date())), clock)
    gateway.api._history = Limiter(HISTORY_LIMIT, clock.monotonic)
    gateway.start(ticks=False)
    client = GatewayClient(gateway.rest_url, "demo", "demo-api-key", clock)
    found = follow(db, client, ["MNQ", "MES"])
    started = clock.monotonic()
    mend(db, client, clock, found)
    assert clock.monotonic() - started < 60
    assert gateway.api.calls.count(HISTORY) == len(found)
    for contract in found:
        assert labels(db, contract, MINUTE) == [
            NOW.replace(second=0) - n * timedelta(minutes=1) for n in range(120, 0, -1)
        ]
    for module in ("client", "history"):
        monkeypatch.setattr(f"ingestion.gateway.{module}.PAGE", 100)
    fill_series(db, client, found[0].contract_id, SECOND, NOW, depth=2 * HOUR)
    assert gateway.api.calls.count(HISTORY) > HISTORY_LIMIT[0]
    assert gateway.api.refused == 0
    client.close()
    gateway.stop()


def mend(db: Database, client: GatewayClient, clock: ManualClock, found: list[bars.Contract]) -> None:
    """Two hours ago the contracts were lost, now they are heard again."""
    inbox, state = Inbox(), FeedState()
    shared: dict[str, Any] = {"contracts": {contract: [MINUTE, Timeframe.parse("1h")] for contract in found}}
    shared |= {"calendar": CALENDAR, "clock": clock, "database": lambda: db}
    pump = Pump(inbox, state, **shared)
    for contract in found:
        for when, is_on in ((at("2020-01-01"), True), (NOW - 2 * HOUR, False), (NOW, True)):
            inbox.put(Listening(contract.contract_id, when, is_on=is_on))
    pump.turn(0)
    mender = Mender(client, pump, inbox, names=["MNQ", "MES"], timings=Timings(), **shared)
    assert mender.mend() == len(found)
    pump.turn(0)
    assert pump.holes[found[0].contract_id][-1][0] >= bars_end(NOW)


def bars_end(now: datetime) -> int:
    """The last whole minute in microseconds: what is behind it is not final yet."""
    return int(now.replace(second=0).timestamp()) * 1_000_000


def labels(db: Database, contract: bars.Contract, frame: Timeframe) -> list[datetime]:
    with db.transaction() as cur:
        return [bar.starts_at for bar in bars.list_bars(cur, contract.contract_id, frame, before=NOW, limit=9_999)]


# --- D16: a roll -------------------------------------------------------------------------------------------------


def test_a_contract_that_rolls_is_followed_by_the_next_without_a_restart(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    later = Contract("MNQ", "MNQH9", "CON.F.US.MNQ.H29", "Micro E-mini Nasdaq-100", 0.5, 40.0, 3, is_active=False)
    with rig(db, contracts=[later]) as live, caplog.at_level(logging.INFO):
        live.wait_connected()
        live.wait_for_ticks()
        live.hub.send(live.hub.clients[0], {"type": 1, "target": "GatewayTrade", "arguments": ["CON.F.US.X.Z26", [{}]]})
        wait_for(lambda: live.feed.state.refused == 1)
        now = live.market.contracts[live.contract_id]
        live.market.contracts[now.contract_id] = replace(now, is_active=False)
        live.market.contracts[later.contract_id] = replace(later, is_active=True)
        live.contract_id = later.contract_id
        wait_for(lambda: later.contract_id in live.feed.state.quotes and live.feed.state.is_connected)
        live.wait_exact(live.first_second)
        assert "contract_rolled" in caplog.text


# --- D17, C2: processes that die or freeze -----------------------------------------------------------------------


def test_a_process_that_is_killed_again_and_again_leaves_every_bar_exact(db: Database) -> None:
    kill_often(db, 3)


@pytest.mark.soak
def test_a_process_that_is_killed_again_and_again_two_hundred_times_leaves_every_bar_exact(db: Database) -> None:
    kill_often(db, 200)


def kill_often(db: Database, count: int) -> None:
    dice = random.Random(17)
    with rig(db, start=False) as live:
        for _ in range(count):
            with live.process() as running:
                assert says(running) == "leads"
                time.sleep(dice.random())  # any moment will do, and flushes never end
        live.feed.start()
        live.wait_connected()
        live.wait_exact(live.first_second)


def test_a_frozen_process_loses_the_feed_and_writes_nothing_when_it_thaws(db: Database) -> None:
    freeze_often(db, 1)


@pytest.mark.soak
def test_a_frozen_process_loses_the_feed_fifty_times(db: Database) -> None:
    freeze_often(db, 50)


def freeze_often(db: Database, count: int) -> None:
    dice = random.Random(18)
    with rig(db, start=False) as live:
        for _ in range(count):
            with live.process() as running:
                assert says(running) == "leads"
                time.sleep(dice.random())
                running.send_signal(signal.SIGSTOP)
                live.feed = live.make_feed()
                live.feed.start()
                live.wait_connected()
                epoch = epoch_of(db)
                running.send_signal(signal.SIGCONT)
                assert says(running) == "waits"
                live.wait_for_ticks()
                assert epoch_of(db) == epoch
            live.feed.stop()
        live.feed = live.make_feed()
        live.feed.start()
        live.wait_connected()
        live.wait_exact(live.first_second)


@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_another_process_takes_over_within_thirty_seconds(
    db: Database, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support_feed.FAST", Timings())
    with rig(db, start=False) as live, live.process() as running:  # the process has the fast ones, and beats more often
        assert says(running) == "leads"
        live.feed.start()
        wait_for(lambda: live.feed.state.detail == "another process has the feed")
        running.send_signal(number)
        began = time.monotonic()
        live.wait_connected()
        taken = time.monotonic() - began
        log.warning("taken over %.1f s after %s", taken, number.name)
        assert taken <= 30


def says(running: Any) -> str:
    return str(running.stdout.readline()).strip()


def epoch_of(db: Database) -> int:
    with db.transaction() as cur:
        cur.execute("SELECT epoch FROM leaders WHERE name = 'feed market'")
        return int(cur.fetchone().epoch)


# --- what dies inside --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Pump.turn", "Mender.mend"])
def test_a_thread_of_the_feed_that_dies_is_replaced(
    db: Database, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    owner, method = {"Pump.turn": (Pump, "turn"), "Mender.mend": (Mender, "mend")}[name]
    with rig(db) as live:
        live.wait_connected()
        live.wait_for_ticks()
        with monkeypatch.context() as patched:
            patched.setattr(owner, method, lambda *_: 1 / 0)
            wait_for(lambda: "feed_failed" in caplog.text)
        live.wait_connected(live.feed.state.connections + 1)
        live.wait_exact(live.first_second)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_job_revives_a_feed_whose_supervisor_has_died(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with rig(db, start=False) as live:
        market = MarketData(load_settings({}), db, SystemClock(), live.feed)
        keeper, _ = market.jobs
        with monkeypatch.context() as patched:

            def leave(*_: object, **__: object) -> None:
                raise SystemExit  # ends a thread without a word

            patched.setattr("ingestion.feed.supervisor.try_to_lead", leave)
            assert keeper.run(db, NOW).counts["started"] == 1
            wait_for(lambda: not live.feed.is_running)
        assert keeper.run(db, NOW).counts["started"] == 1
        assert keeper.run(db, NOW).counts["started"] == 0
        live.wait_connected()
