"""Everything that goes wrong between the gateway and us, scripted: ticks come back, and every bar ends up exact."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from core.clock import SystemClock
from database.engine import Database
from database.leader import try_to_lead
from ingestion.feed.inbox import Inbox, Listening, Trades
from simulator.gateway.hub import RS
from tests.support_feed import Rig, rig, wait_for
from tests.support_market import tick


@pytest.fixture
def live(db: Database) -> Iterator[Rig]:
    with rig(db) as found:
        found.wait_connected()
        found.wait_for_ticks()
        yield found


def fin(live: Rig) -> None:
    for client in list(live.hub.clients):  # the last fault's may still be among them, and another end of it is none
        live.hub.fin(client)


def rst(live: Rig) -> None:
    live.hub.reset_all()


def close(live: Rig) -> None:
    for client in list(live.hub.clients):
        live.hub.close_record(client, allow_reconnect=False)


def mute(live: Rig) -> None:
    live.hub.faults.is_mute = True
    wait_for(lambda: not live.feed.state.is_connected)
    live.hub.faults.is_mute = False


def down(live: Rig) -> None:
    failures = live.feed.state.failures
    live.hub.stop()
    wait_for(lambda: live.feed.state.failures >= failures + 3)
    live.hub.start()


def expire(live: Rig) -> None:
    live.gateway.tokens.revoke_all()
    live.hub.reset_all()


def forget(live: Rig) -> None:
    live.hub.forget_subscriptions()


def shake_badly(live: Rig) -> None:
    failures = live.feed.state.failures
    live.hub.faults.handshake_error = "no"
    live.hub.reset_all()
    wait_for(lambda: live.feed.state.failures > failures)
    live.hub.faults.handshake_error = None


def refuse_subscriptions(live: Rig) -> None:
    failures = live.feed.state.failures
    live.hub.faults.subscribe_error = "no"
    live.hub.reset_all()
    wait_for(lambda: live.feed.state.failures > failures)
    live.hub.faults.subscribe_error = None


FAULTS: tuple[Callable[[Rig], None], ...] = (
    fin, rst, close, mute, down, expire, forget, shake_badly, refuse_subscriptions,
)  # fmt: skip


QUICK = (fin, rst, close)
FAULTS_IN_A_TEST = 200
FAULTS_IN_A_SOAK = 500


def test_after_each_kind_of_fault_ticks_come_back_and_every_bar_ends_up_exact(live: Rig) -> None:
    for fault in FAULTS:
        suffer(live, fault)
    assert live.feed.state.probes >= 1  # only the history tells a forgotten subscription from a quiet market
    live.wait_exact(live.first_second)


def test_two_hundred_faults_leave_nothing_stuck_and_every_bar_exact(live: Rig) -> None:
    suffer_many(live, FAULTS_IN_A_TEST - len(FAULTS))


@pytest.mark.soak
def test_five_hundred_faults_leave_nothing_stuck_and_every_bar_exact(live: Rig) -> None:
    suffer_many(live, FAULTS_IN_A_SOAK)


def suffer(live: Rig, fault: Callable[[Rig], None]) -> None:
    """One fault; returns when ticks come again. A feed that is stuck fails here."""
    connections = live.feed.state.connections
    wait_for(lambda: bool(live.hub.clients))
    fault(live)
    live.wait_connected(connections + 1)
    live.wait_for_ticks()


def suffer_many(live: Rig, count: int) -> None:
    for number in range(count):
        suffer(live, QUICK[number % len(QUICK)])
    live.wait_exact(live.first_second)


def test_what_a_healthy_connection_survives_costs_no_reconnect_and_no_tick(live: Rig) -> None:
    start = live.first_second
    (client,) = live.hub.clients
    for size in range(126):
        live.hub.ping(client, b"x" * size)
    for text in ("{broken" + RS, "[]" + RS, '{"type":99}' + RS, json.dumps({"type": 1, "target": "GatewayTrade"}) + RS):
        live.hub.send_text(client, text)
    bad = (None, "x", [None], [{}], {"price": "1"}, [{"price": -1, "volume": 1, "timestamp": "2026-11-18T15:00:00Z"}])
    for data in bad:
        live.hub.invoke("GatewayTrade", live.contract_id, data)
    live.hub.invoke(
        "GatewayTrade", live.contract_id, [{"price": 0.1, "volume": 1, "timestamp": "2026-11-18T15:00:00Z"}]
    )
    live.hub.faults.splits_records = True
    live.wait_for_ticks()
    live.hub.faults.splits_records, live.hub.faults.joins_records = False, True
    live.wait_for_ticks()
    live.wait_exact(start)
    assert live.feed.state.connections == 1
    assert live.feed.state.refused == len(bad) + 1


def test_a_hub_may_say_nothing_for_longer_than_it_takes_to_connect(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingestion.feed.hub._Socket.seconds", 0.2)  # and the hub's signs of life come every 0.5 s
    with rig(db, ticks=False) as live:
        live.wait_connected()
        heard = live.feed.state.last_heard_at
        wait_for(lambda: live.feed.state.last_heard_at != heard)
        wait_for(lambda: live.feed.state.probes >= 1)
        assert live.feed.state.connections == 1


def test_a_token_is_renewed_with_an_overlap_and_nothing_is_lost_or_doubled(db: Database) -> None:
    with rig(db, token_life=timedelta(seconds=3)) as live:
        start = live.first_second
        live.wait_connected(4)
        live.wait_exact(start)
        assert live.feed.state.failures == 0
        assert live.feed.state.dropped == 0


def test_a_restart_in_the_middle_of_a_bar_ends_with_the_whole_bar(live: Rig) -> None:
    start = live.first_second
    for _ in range(2):
        live.feed.stop()
        live.feed = live.make_feed()
        live.feed.start()
        live.wait_connected()
        live.wait_for_ticks()
    live.wait_exact(start)
    assert not any(bar.is_partial for bar in live.stored(start, SystemClock().now() - timedelta(seconds=8)))


def test_bars_wait_for_a_database_that_is_away_and_none_is_lost(live: Rig) -> None:
    start = live.first_second
    live.wait_exact(start)
    url = live.db._url
    live.db._url = lambda: "postgresql://nobody@127.0.0.1:1/nowhere"
    live.db._engine.dispose()
    seen = live.feed.state.ticks
    wait_for(lambda: live.feed.state.ticks > seen + 20)
    live.db._url = url
    live.wait_exact(start)


def test_two_processes_never_feed_at_once_and_the_second_takes_over(live: Rig) -> None:
    second = live.make_feed()
    second.start()
    wait_for(lambda: second.state.detail == "another process has the feed")
    assert try_to_lead(live.db, "feed market") is None
    live.feed.stop()
    wait_for(lambda: second.state.is_connected)
    live.feed = second
    live.wait_exact(live.first_second)


def test_no_token_is_in_any_log(db: Database, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("websockets").setLevel(logging.WARNING)  # the simulated gateway's own log
    with caplog.at_level(logging.DEBUG), rig(db) as live:
        live.wait_connected()
        expire(live)
        live.wait_connected(2)
        tokens = set(live.gateway.tokens._valid)
    assert tokens
    assert not any(token in caplog.text for token in tokens)
    assert "demo-api-key" not in caplog.text


def test_a_full_inbox_counts_what_it_drops_and_the_pump_learns_which_time_was_lost() -> None:
    inbox, now = Inbox(6), SystemClock().now()
    later = now + timedelta(seconds=5)
    for _ in range(8):
        inbox.put_trades(Trades("A", 1, [tick("2026-11-18 15:00", 5800)] * 3), now)
    assert inbox.dropped == 6
    assert len(inbox.get(0)) == 6
    inbox.put_trades(Trades("A", 1, []), later)
    assert inbox.get(0) == [
        Listening("A", now, is_on=False), Listening("A", later, is_on=True), Trades("A", 1, []),
    ]  # fmt: skip
