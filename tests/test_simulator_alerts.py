"""The alert simulator: the figures of its stream, the truth behind it, and how it is sent."""

from __future__ import annotations

import math
import threading
from argparse import Namespace
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import islice, pairwise
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from core.clock import ManualClock
from core.lifecycle import Kind, LifecycleEvent
from core.trading_calendar import cme_equity_calendar
from simulator.__main__ import main
from simulator.alert_command import run
from simulator.alert_sender import LOST, NO_ANSWER, RECEIVE_CLOCK_HEADER, AlertSender, Pace
from simulator.alert_stream import Alert, Faults, generate
from simulator.alert_text import alert_log
from simulator.price_path import MINUTE, TICK, PricePath
from simulator.strategy import Trade
from telemetry import routes
from telemetry.dialects import Understanding
from tests.support_dialects import read

MONDAY = datetime(2025, 12, 8, 15, tzinfo=UTC)
DAY = 24 * 60


class Stream:
    """A stream with what the normaliser makes of it."""

    def __init__(self, seed: int, minutes: int, faults: Faults) -> None:
        self.truth: dict[str, Trade] = {}
        self.alerts = list(generate(seed, MONDAY, minutes, faults, self.truth))
        self.understood = [read(alert.body, alert.sent_at) for alert in self.alerts]
        self.events = [event for understanding in self.understood for event in understanding.events]

    def of(self, kind: Kind) -> list[LifecycleEvent]:
        return [event for event in self.events if event.kind is kind]

    @property
    def batches(self) -> list[tuple[Alert, Understanding]]:
        pairs = zip(self.alerts, self.understood, strict=True)
        return [(alert, one) for alert, one in pairs if one.event_type == "MFE_UPDATE_BATCH"]


@pytest.fixture(scope="module")
def real() -> Stream:
    return Stream(1, 2 * DAY, Faults())


@pytest.fixture(scope="module")
def clean() -> Stream:
    return Stream(2, DAY, Faults.only())


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not() -> None:
    first, again, other = (list(islice(generate(seed, MONDAY), 300)) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_prices_do_not_depend_on_where_one_starts_to_look() -> None:
    later = MONDAY + timedelta(hours=30)
    from_monday = {bar.opens_at: bar for bar in islice(PricePath(3).bars(MONDAY), 2_000)}
    assert [from_monday[bar.opens_at] for bar in islice(PricePath(3).bars(later), 60)] != []
    assert all(from_monday[bar.opens_at] == bar for bar in islice(PricePath(3).bars(later), 60))


def test_bars_are_whole_ticks_and_join_within_a_session() -> None:
    bars = list(islice(PricePath(3).bars(MONDAY), 400))
    for bar in bars:
        assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert all((price / TICK).is_integer() for price in (bar.open, bar.high, bar.low, bar.close))
    assert all(
        earlier.close == later.open for earlier, later in pairwise(bars) if later.opens_at - earlier.opens_at == MINUTE
    )


def test_every_body_is_understood_without_a_doubt_but_repairs(real: Stream) -> None:
    assert len(real.alerts) > 3_000
    assert all(one.understood and not one.errors for one in real.understood)
    assert {warning for one in real.understood for warning in one.warnings} == {"repaired"}


def test_alerts_leave_in_order_at_the_close_of_open_minutes(real: Stream) -> None:
    times = [alert.sent_at for alert in real.alerts]
    assert times == sorted(times)
    assert max(time.second for time in times) <= 16
    assert 0.85 < mean(time.second == 0 for time in times) < 0.97
    calendar = cme_equity_calendar()
    assert all(calendar.is_open(time.replace(second=0) - MINUTE) for time in times)


def test_the_script_keeps_within_the_limits_of_tradingview(real: Stream) -> None:
    a_minute = Counter(alert.sent_at.replace(second=0) for alert in real.alerts)
    assert max(sum(a_minute[minute + n * MINUTE] for n in range(3)) for minute in a_minute) <= 15
    assert max(len(alert.body) for alert in real.alerts) <= 4_096


def test_batches_have_the_size_of_real_ones(real: Stream) -> None:
    settled = [len(one.events) for alert, one in real.batches if alert.sent_at > MONDAY + timedelta(hours=12)]
    assert 8 < mean(settled) < 17
    assert 15 < max(settled) <= 22
    per_minute = Counter(alert.sent_at.replace(second=0) for alert, _ in real.batches)
    assert set(per_minute.values()) == {1}


def test_risk_and_confirmation_are_those_of_real_trades(real: Stream) -> None:
    entered = [trade for trade in real.truth.values() if trade.confirmation_time]
    risks = sorted(trade.risk for trade in entered)
    assert 13 < risks[len(risks) // 2] < 25
    assert 4 <= risks[0] <= risks[-1] < 150
    assert mean((trade.bars_to_confirmation or 0) <= 3 for trade in entered) > 0.8


def test_minutes_are_missing_as_they_are_in_reality(real: Stream) -> None:
    owed = {excursion.opens_at for trade in real.truth.values() for excursion in trade.excursions}
    arrived = {alert.sent_at.replace(second=0) - MINUTE for alert, _ in real.batches if not alert.lost}
    assert 0.03 < len(owed - arrived) / len(owed) < 0.18
    fired = {alert.sent_at.replace(second=0) - MINUTE for alert, _ in real.batches}
    holes, length = [], 0
    for minute in sorted(owed):
        if minute in fired and length:
            holes.append(length)
        length = 0 if minute in fired else length + 1
    assert any(7 <= hole <= 24 for hole in holes)
    assert any(alert.lost for alert in real.alerts)


def test_one_shots_are_repeated_at_times_and_never_within_the_window_of_matching(real: Stream) -> None:
    fired = Counter((event.kind, event.trade_id) for event in real.of(Kind.BE_TRIGGERED) + real.of(Kind.EXIT_BE))
    assert 5 < max(fired.values()) <= 41
    times = defaultdict(list)
    for alert in real.alerts:
        times[alert.body].append(alert.sent_at)
    gaps = [later - earlier for sent in times.values() for earlier, later in pairwise(sent)]
    assert min(gaps) > timedelta(seconds=25)


def test_stray_quotes_cost_no_price(real: Stream) -> None:
    repaired = [one.events[0] for one in real.understood if one.repair]
    assert len(repaired) > 0
    for event in repaired:
        trade = real.truth[event.trade_id]
        assert event.kind is Kind.ENTRY
        assert (event.entry_price, event.stop_loss) == (trade.entry_price, trade.stop_loss)


def test_phantoms_contradict_the_bias_and_are_never_entered(real: Stream) -> None:
    created = {event.trade_id: event for event in real.of(Kind.SIGNAL_CREATED)}
    phantoms = [trade for trade in real.truth.values() if trade.is_phantom]
    assert 0.03 < len(phantoms) / len(created) < 0.16
    for event in created.values():
        regime = (event.market_state or {})["trend_regime"]
        assert (regime != real.truth[event.trade_id].direction) == real.truth[event.trade_id].is_phantom
    assert not {trade.trade_id for trade in phantoms} & {event.trade_id for event in real.of(Kind.ENTRY)}


def test_the_truth_keeps_the_invariants_of_excursions(real: Stream, clean: Stream) -> None:
    for trade in [*real.truth.values(), *clean.truth.values()]:
        for at in trade.excursions:
            assert -1 <= at.mae_r <= 0 <= at.be_mfe_r <= at.no_be_mfe_r
            assert at.mae_r > -1 or at.opens_at == trade.exit_sl_time
        for earlier, later in pairwise(trade.excursions):
            assert earlier.opens_at < later.opens_at
            assert earlier.no_be_mfe_r <= later.no_be_mfe_r
            assert earlier.be_mfe_r <= later.be_mfe_r
            assert earlier.mae_r >= later.mae_r
        assert (trade.be_time is not None) == (trade.no_be_mfe_r >= 1)
        assert not trade.exit_be_time or (trade.be_time is not None and trade.exit_be_time > trade.be_time)
        assert not trade.cancelled_time or trade.confirmation_time is None


def test_without_faults_the_alerts_tell_the_truth_and_all_of_it(clean: Stream) -> None:
    told = {(event.kind, event.trade_id, event.received_at - MINUTE) for event in clean.events if not event.slot}
    assert len(told) == len([event for event in clean.events if not event.slot])
    happened: set[tuple[Kind, str, datetime | None]] = set()
    for trade in clean.truth.values():
        happened |= {
            (Kind.SIGNAL_CREATED, trade.trade_id, trade.candle.opens_at),
            (Kind.ENTRY, trade.trade_id, trade.confirmation_time),
            (Kind.CANCELLED, trade.trade_id, trade.cancelled_time),
            (Kind.BE_TRIGGERED, trade.trade_id, trade.be_time),
            (Kind.EXIT_BE, trade.trade_id, trade.exit_be_time),
            (Kind.EXIT_SL, trade.trade_id, trade.exit_sl_time),
        }
    assert told == {fact for fact in happened if fact[2]}


@pytest.mark.parametrize("name", ["clean", "real"])
def test_every_update_says_what_was_true_in_its_minute(name: str, request: pytest.FixtureRequest) -> None:
    stream: Stream = request.getfixturevalue(name)
    reached = {(trade.trade_id, at.opens_at): at for trade in stream.truth.values() for at in trade.excursions}
    updates = stream.of(Kind.MFE_UPDATE)
    assert len(updates) > 5_000
    for event in updates:
        assert event.slot is not None
        at = reached[event.trade_id, event.slot]
        assert float(event.no_be_mfe_r or 0) == pytest.approx(at.no_be_mfe_r, abs=1e-4)
        assert float(event.mae_r or 0) == pytest.approx(at.mae_r, abs=1e-4)
        if stream.truth[event.trade_id].early_exit_be_time is None:
            assert float(event.be_mfe_r or 0) == pytest.approx(at.be_mfe_r, abs=1e-4)


def test_early_exits_come_before_one_r_and_only_once(real: Stream) -> None:
    early = {trade_id: trade for trade_id, trade in real.truth.items() if trade.early_exit_be_time}
    assert early
    for event in real.of(Kind.EXIT_BE):
        if event.trade_id in early:
            assert event.final_be_mfe_r is not None
            assert event.final_be_mfe_r < 1
    assert not {event.trade_id for event in real.of(Kind.BE_TRIGGERED)} & set(early)


def test_faults_can_be_chosen_one_by_one() -> None:
    only_holes = list(generate(4, MONDAY, 600, Faults.only("holes_per_day")))
    assert Faults.only().phantom == 0
    assert not any(alert.lost for alert in only_holes)
    assert all(read(alert.body, alert.sent_at).repair is None for alert in only_holes)
    assert len(only_holes) < len(list(generate(4, MONDAY, 600, Faults.only())))
    with pytest.raises(KeyError):
        Faults.only("gremlins")


# --- the sender --------------------------------------------------------------------------------------------------


class Webhook:
    """Answers with given statuses, then 200, and remembers what came."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []

    @contextmanager
    def listening(self) -> Iterator[str]:
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                webhook.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                webhook.headers.append(dict(self.headers))
                self.send_response(webhook.statuses.pop(0) if webhook.statuses else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: Any) -> None:
                pass

        with HTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}/hook/token"
            server.shutdown()
            thread.join()


def send(webhook: Webhook, alerts: list[Alert], clock: ManualClock, **pace: Any) -> AlertSender:
    with webhook.listening() as url:
        sender = AlertSender(url, clock)
        sender.wait_until_listening()
        sender.send_all(alerts, Pace(clock, alerts[0].sent_at, **pace))
    return sender


def alert(seconds: int, body: bytes = b"{}", *, lost: bool = False) -> Alert:
    return Alert(MONDAY + timedelta(seconds=seconds), body, lost)


def test_bodies_arrive_byte_for_byte_with_tradingviews_content_types() -> None:
    webhook = Webhook()
    sender = send(webhook, [alert(0, b'{"a":1}'), alert(0, b'{"a":1"}'), alert(0, lost=True)], ManualClock(MONDAY))
    assert webhook.bodies == [b'{"a":1}', b'{"a":1"}']
    assert [headers["Content-Type"].split(";")[0] for headers in webhook.headers] == ["application/json", "text/plain"]
    assert sender.outcomes == {"200": 2, LOST: 1}


def test_a_server_error_is_sent_again_after_five_seconds_while_later_alerts_pass() -> None:
    webhook, clock = Webhook(503, 200, 500), ManualClock(MONDAY)
    sender = send(webhook, [alert(0, b"1"), alert(1, b"2")], clock)
    assert webhook.bodies == [b"1", b"2", b"1", b"1"]
    assert clock.now() == MONDAY + timedelta(seconds=10)
    assert sender.outcomes == {"200": 2}


def test_a_server_error_is_given_up_after_three_repeats() -> None:
    webhook = Webhook(503, 503, 503, 503)
    assert send(webhook, [alert(0)], ManualClock(MONDAY)).outcomes == {"503": 1}
    assert len(webhook.bodies) == 4


@pytest.mark.parametrize("status", [404, 413, 422, 504])
def test_other_answers_are_final(status: int) -> None:
    webhook = Webhook(status)
    assert send(webhook, [alert(0)], ManualClock(MONDAY)).outcomes == {str(status): 1}
    assert len(webhook.bodies) == 1


def test_an_alert_without_an_answer_is_not_sent_again() -> None:
    with Webhook().listening() as url:
        pass
    told: list[str] = []
    clock = ManualClock(MONDAY)
    sender = AlertSender(url, clock, report=told.append)
    sender.send_all([alert(0)], Pace(clock, MONDAY))
    assert sender.outcomes == {NO_ANSWER: 1}
    assert told == ["2025-12-08 15:00:00 UTC: no answer"]


def test_the_receive_clock_is_set_for_what_is_past_and_not_for_what_is_live() -> None:
    webhook = Webhook()
    send(webhook, [alert(-3_600), alert(60)], ManualClock(MONDAY))
    assert [headers.get(RECEIVE_CLOCK_HEADER) for headers in webhook.headers] == ["2025-12-08T14:00:00+00:00", None]
    assert RECEIVE_CLOCK_HEADER == routes.RECEIVE_CLOCK_HEADER


@pytest.mark.parametrize(
    ("speed", "follows_clock", "seconds"), [(1, True, 3_600), (60, False, 60), (math.inf, False, 0)]
)
def test_an_hour_of_alerts_takes_what_the_pace_says(speed: float, follows_clock: bool, seconds: int) -> None:
    clock = ManualClock(MONDAY)
    send(Webhook(), [alert(0), alert(3_600)], clock, speed=speed, follows_clock=follows_clock)
    assert clock.now() == MONDAY + timedelta(seconds=seconds)


def test_the_command_writes_an_alert_log_newest_first(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    begin = "2025-12-08T15:00:00Z"
    assert main(["alerts", "--csv", str(path), "--from", begin, "--minutes", "90", "--seed", "5"]) == 0
    fired = [(one.sent_at, one.body) for one in generate(5, MONDAY, 90)]
    assert path.read_text(encoding="utf-8") == alert_log(fired)
    assert path.read_text(encoding="utf-8").splitlines()[0] == "Alert ID,Ticker,Name,Description,Time"


def test_the_command_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    place, total = tmp_path / "place.json", [one.body for one in generate(5, MONDAY, 60, Faults.only())]
    options = {"seed": 5, "speed": math.inf, "start": MONDAY, "minutes": 60, "faults": Faults.only(), "csv": None}
    webhook = Webhook()
    with webhook.listening() as url:
        arguments = Namespace(url=url, resume=place, history_hours=12, **options)
        run(arguments, ManualClock(MONDAY))
        assert webhook.bodies == total
        place.write_text(place.read_text().replace(f'"done": {len(total) - 1}', '"done": 40'))
        run(arguments, ManualClock(MONDAY + timedelta(days=1)))
    assert webhook.bodies[len(total) :] == total[40:]


def test_history_counts_hours_of_open_market() -> None:
    sunday_noon, calendar = datetime(2025, 12, 7, 17, tzinfo=UTC), cme_equity_calendar()
    webhook = Webhook()
    with webhook.listening() as url:
        options = {"speed": math.inf, "minutes": 120, "faults": Faults.only(), "csv": None, "resume": None}
        run(Namespace(url=url, seed=1, start=None, history_hours=2, **options), ManualClock(sunday_noon))
    first = datetime.fromisoformat(webhook.headers[0][RECEIVE_CLOCK_HEADER])
    assert timedelta() < first - datetime(2025, 12, 5, 20, tzinfo=UTC) < timedelta(hours=1)
    assert calendar.open_minutes_between(first, sunday_noon) <= 120
    assert len(webhook.bodies) > 10


def test_options_that_do_not_fit_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["alerts"]) == 2
    assert main(["alerts", "--csv", "x.csv"]) == 2
    assert "minutes" in capsys.readouterr().err
