"""The feed against the simulator's signal server: log-in, questions, pushes, silence, loss, several processes."""

from __future__ import annotations

import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from core.clock import SystemClock
from core.errors import InvalidInputError
from core.settings import Settings
from database import params, waves
from database.engine import Database
from simulator import wave_command
from simulator.__main__ import main
from simulator.wave_market import WaveMarket
from simulator.wave_server import WaveServer
from tests.support_waves import FOUR, QUARTER, RECEIVED, RULES, WAVE, held, raw_signal
from waves import parts, processor
from waves.feed.protocol import parse_message
from waves.feed.supervisor import FeedConfig, WaveFeed
from waves.schedule import backoff_seconds

PATIENCE = 30.0


class TimeOfDay(SystemClock):
    """A wall clock that a test sets; durations are real."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


class Sky:
    """A server whose signals a test decides."""

    def __init__(self, **options: Any) -> None:
        self.signals: list[dict[str, Any]] = []
        self.server = WaveServer(lambda: self.signals, **options)

    def __enter__(self) -> Sky:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()


def config_of(url: str, **changes: Any) -> FeedConfig:
    usual = FeedConfig(
        url=url,
        token="secret",
        check_minutes=(6, 20, 35, 50),
        check_duration=timedelta(seconds=120),
        check_interval=0.05,
        reconnect_interval=0.05,
    )
    return replace(usual, **changes)


@contextmanager
def feeding(db: Database, url: str, clock: TimeOfDay | None = None, **changes: Any) -> Iterator[WaveFeed]:
    ready = threading.Event()
    ready.set()
    feed = WaveFeed(db, clock or TimeOfDay(RECEIVED), config_of(url, **changes), RULES, ready)
    feed.start()
    try:
        yield feed
    finally:
        feed.stop()


def eventually(is_true: Callable[[], Any]) -> None:
    until = time.monotonic() + PATIENCE
    while not is_true():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


def statuses(db: Database) -> dict[datetime, str]:
    with db.transaction() as cur:
        return {row.wave_time: row.status for row in waves.list_waves(cur, limit=100)}


def signals_of(db: Database, wave_time: datetime) -> int:
    with db.transaction() as cur:
        return len(waves.get_wave_signals(cur, wave_time))


def saved_state(db: Database) -> Any:
    with db.transaction() as cur:
        return waves.get_feed_state(cur)


def test_what_the_server_has_at_the_log_in_is_applied(db: Database) -> None:
    with Sky(token="secret") as sky:
        sky.signals = [raw_signal(1, 1, **FOUR), raw_signal(2, 2, stop_loss_filter=3)]
        with feeding(db, sky.server.url) as feed:
            eventually(lambda: held(db, 2))
            assert feed.check()[0] == "pass"
            eventually(lambda: feed.state.last_heard_at)
        assert held(db, 1)["max_trades_filter"] == 6
        assert sky.server.logins == [True]
        assert saved_state(db).state == "stopped"


def test_within_its_window_a_wave_is_asked_for_until_it_comes(db: Database) -> None:
    with Sky(token="secret") as sky, feeding(db, sky.server.url, TimeOfDay(WAVE + timedelta(minutes=20, seconds=5))):
        eventually(lambda: sky.server.requests > 5)
        sky.signals = [raw_signal(1, **FOUR)]
        eventually(lambda: statuses(db).get(WAVE) == "completed")


def test_outside_its_window_nothing_is_asked_but_pushes_are_taken(db: Database) -> None:
    clock = TimeOfDay(WAVE + timedelta(minutes=25))
    with Sky(token="secret") as sky, feeding(db, sky.server.url, clock):
        eventually(lambda: sky.server.requests == 1)
        for number in (1, 2):
            sky.server.push({"type": "signal", "data": raw_signal(number, 1, **FOUR)})
        sky.server.push({"type": "heartbeat", "ts": 0})
        eventually(lambda: signals_of(db, WAVE) == 2)  # each of them puts the end of its wave off
        assert statuses(db)[WAVE] == "collecting"
        clock.at += processor.PUSH_SETTLES
        eventually(lambda: statuses(db)[WAVE] == "completed")
        assert sky.server.requests == 1


def test_a_wave_that_does_not_come_in_its_window_is_recorded_and_taken_when_late(db: Database) -> None:
    clock = TimeOfDay(WAVE + timedelta(minutes=20, seconds=5))
    with Sky(token="secret") as sky, feeding(db, sky.server.url, clock):
        eventually(lambda: sky.server.requests > 2)
        clock.at += timedelta(minutes=3)
        eventually(lambda: statuses(db).get(WAVE) == "not_found")
        sky.server.push({"type": "signals_snapshot", "signals": [raw_signal(1, **FOUR)]})
        eventually(lambda: statuses(db)[WAVE] == "completed")


def test_the_snapshot_of_a_later_server_is_taken(db: Database) -> None:
    with Sky(token="secret", sends_snapshot=True) as sky:
        sky.signals = [raw_signal(1, **FOUR)]
        with feeding(db, sky.server.url):
            eventually(lambda: held(db))


def test_a_refused_token_is_told_as_it_is_and_tried_less_and_less_often(db: Database) -> None:
    clock = TimeOfDay(WAVE + timedelta(minutes=20, seconds=5))
    with Sky(token="another") as sky, feeding(db, sky.server.url, clock) as feed:
        eventually(lambda: len(sky.server.logins) >= 3)
        assert not any(sky.server.logins)
        eventually(lambda: "refuses the token: invalid token" in feed.check()[1])
        assert feed.check()[0] == "warn"
        assert saved_state(db).state in ("waiting", "connecting")
        clock.at += timedelta(minutes=3)
        eventually(lambda: statuses(db).get(WAVE) == "not_found")
        sky.server.token = "secret"
        eventually(lambda: feed.state.state == "connected")


def test_the_wait_doubles_up_to_a_minute_and_is_never_the_same_for_all() -> None:
    assert [backoff_seconds(number, 5, 0) for number in range(1, 8)] == [5, 10, 20, 40, 60, 60, 60]
    assert backoff_seconds(1_000, 5, 0) == 60
    assert backoff_seconds(3, 5, 0.999) == pytest.approx(15, abs=0.1)
    assert backoff_seconds(1, 120, 0) == 120


def test_a_feed_gives_up_after_the_attempts_it_was_given_and_says_so(db: Database) -> None:
    with Sky(token="another") as sky, feeding(db, sky.server.url, max_attempts=2) as feed:
        eventually(lambda: feed.state.state == "gave up")
        assert len(sky.server.logins) == 3


def test_a_server_that_cannot_be_reached_is_said_so(db: Database) -> None:
    with feeding(db, "ws://127.0.0.1:9") as feed:
        eventually(lambda: "cannot be reached" in feed.check()[1])


def test_a_silent_server_is_left_and_tried_again(db: Database) -> None:
    with Sky(token="secret", is_silent=True) as sky:
        sky.signals = [raw_signal(1, **FOUR)]
        with feeding(db, sky.server.url, silent_seconds=0.3):
            eventually(lambda: len(sky.server.logins) >= 2)
            assert held(db) == {}
            sky.server.is_silent = False
            eventually(lambda: held(db))


def test_a_lost_connection_is_made_again_and_nothing_is_applied_twice(db: Database) -> None:
    with Sky(token="secret") as sky:
        sky.signals = [raw_signal(1, **FOUR)]
        with feeding(db, sky.server.url):
            eventually(lambda: held(db))
            sky.server.drop_all()
            eventually(lambda: len(sky.server.logins) == 2)
            sky.signals += [raw_signal(2, wave=WAVE - QUARTER, **FOUR)]
            sky.server.push({"type": "signals", "data": sky.signals})
            eventually(lambda: len(statuses(db)) == 2)
    with db.transaction() as cur:
        assert len(params.list_history(cur, 1, limit=9, is_all=True)) == 2


def test_of_two_feeds_one_stands_by_and_takes_over(database_url: str, db: Database) -> None:
    other = Database(database_url)
    with Sky(token="secret") as sky, feeding(db, sky.server.url) as first:
        eventually(lambda: first.state.state == "connected")
        with feeding(other, sky.server.url) as second:
            eventually(lambda: second.state.state == "standby")
            assert second.check()[0] == "pass"
            assert sky.server.logins == [True]
            first.stop()
            eventually(lambda: second.state.state == "connected")
            assert sky.server.logins == [True, True]
    other.close()


def test_what_is_received_while_the_database_refuses_is_stored_when_it_is_back(
    db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real, is_away = processor.receive, threading.Event()

    def receive(*args: Any, **named: Any) -> Any:
        if is_away.is_set():
            raise processor.psycopg2.OperationalError("away")
        return real(*args, **named)

    monkeypatch.setattr(processor, "receive", receive)
    with Sky(token="secret") as sky, feeding(db, sky.server.url, buffer_size=2):
        eventually(lambda: sky.server.requests)
        is_away.set()
        for number in range(1, 4):
            sky.server.push({"type": "signals", "data": [raw_signal(number, number, **FOUR)]})
        eventually(lambda: "wave_buffer_exhausted" in caplog.messages)
        is_away.clear()
        eventually(lambda: 3 in params_of(db))
        assert held(db, 2)
        assert held(db, 1) == {}
        sky.server.push({"type": "signals", "data": [raw_signal(1, 1, **FOUR)]})
        eventually(lambda: held(db, 1))
    with db.transaction() as cur:
        (event,) = params.list_events(cur, limit=5, event_type="wave_buffer_exhausted")
    assert event.event_data == {"messages": 1}


def params_of(db: Database) -> dict[int, Any]:
    with db.transaction() as cur:
        return params.get_all_params(cur)


def test_without_a_server_the_feed_is_off_and_no_job_runs(db: Database, settings: Settings) -> None:
    built = parts.build(settings, db, SystemClock())
    feed = parts.feed(built, threading.Event())
    feed.start()
    feed.stop()
    assert feed.check() == ("pass", "off")
    assert parts.jobs(settings) == ()
    assert [job.name for job in parts.jobs(replace(settings, demo=True))] == ["process_waves"]
    web = parts.feed(parts.build(replace(settings, demo=True, role="web"), db, SystemClock()), threading.Event())
    assert web.check() == ("pass", "off")


def test_the_command_serves_waves_of_both_exchanges_to_the_feed(
    db: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    stop, clock = threading.Event(), TimeOfDay(RECEIVED)
    args = Namespace(port=0, token="secret", seed=1, exchanges=(1, 2), history_hours=2.0, oddities=0.0)
    thread = threading.Thread(target=wave_command.run, args=(args, clock, stop))
    thread.start()
    said: list[str] = []
    eventually(lambda: said.append(capsys.readouterr().out) or "waves on ws://" in "".join(said))  # type: ignore[func-returns-value]
    url = "".join(said).split()[2].rstrip(",")
    with feeding(db, url, clock):
        eventually(lambda: held(db, 1) and held(db, 2))
        eventually(lambda: WAVE in statuses(db))
    stop.set()
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_a_port_that_is_taken_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with Sky() as sky:
        assert main(["waves", "--port", str(sky.server.port)]) == 2
    assert capsys.readouterr().err.startswith("port: cannot listen on")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"type": 1}', "[" * 100_000, "\x00", b"\xff"])
def test_what_is_no_message_is_refused_by_name(text: str | bytes) -> None:
    with pytest.raises(InvalidInputError):
        parse_message(text)


def test_junk_on_the_wire_costs_neither_the_connection_nor_the_next_wave(db: Database) -> None:
    with Sky(token="secret") as sky, feeding(db, sky.server.url):
        eventually(lambda: sky.server.requests)
        sky.server.push({"type": "signals", "data": [1, None, "x", {"id": "\x00\ud800"}, {"nested": [[[]]] * 3}]})
        sky.server.push({"type": "error", "message": "busy"})
        sky.server.push({"type": "no such thing"})
        sky.server.push({"type": "signals", "data": [raw_signal(1, **FOUR, note="a\x00b", huge=10**400)]})
        eventually(lambda: held(db))
        assert sky.server.logins == [True]


def test_a_day_of_the_simulator_ends_with_its_newest_parameters(db: Database) -> None:
    """End to end: twelve hours of made-up waves, both exchanges."""
    market = WaveMarket(seed=3, signals_per_exchange=4, oddities=0.2)
    now = RECEIVED + timedelta(hours=12)
    with Sky(token="secret") as sky:
        sky.signals = market.available(now, timedelta(hours=12))
        with feeding(db, sky.server.url, TimeOfDay(now)):
            due = {datetime.fromisoformat(one["timestamp"] + "+00:00") for one in sky.signals}
            eventually(lambda: sum(status == "completed" for status in statuses(db).values()) == len(due))
    expected: dict[int, dict[str, float]] = {1: {}, 2: {}}
    for exchange, values in expected.items():
        for wave in sorted(due):
            of_exchange = [one for one in market.signals_of(wave) if one["exchange_id"] == exchange]
            best = {name: of_exchange[0][name] for name in FOUR}
            values.update({name: value for name, value in best.items() if isinstance(value, int | float) and value > 0})
    for exchange, values in expected.items():
        found = held(db, exchange)
        assert {name: float(found[name]) for name in FOUR} == values
