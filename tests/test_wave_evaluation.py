"""The replay: exits by hand-made paths, no look-ahead, thin data said."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI

from core.errors import InvalidInputError
from core.lifecycle import Kind, LifecycleEvent, mfe_slot
from database import params
from database.engine import Database
from database.events import append_events
from tests.support_http import PASSWORD
from tests.support_waves import FOUR, QUARTER, RECEIVED, RULES, WAVE, signal
from waves.evaluation.evaluate import evaluate, parse_variant
from waves.evaluation.known import KnownParams
from waves.evaluation.replay import Figures, Outcome, TradePath, figures, replay
from waves.overrides import set_override, undo_override
from waves.processor import process_due, receive

MINUTE = timedelta(minutes=1)


def path(*minutes: Any, direction: str = "long", is_over: bool = True) -> TradePath:
    """Entry 100, risk 2: one percent is half an R."""
    return TradePath(
        symbol="X",
        direction=direction,
        entry_time=RECEIVED,
        entry_price=100.0,
        risk=2.0,
        minutes=minutes,
        is_over=is_over,
    )


def exits(stop: Any = None, activation: Any = None, distance: Any = None) -> dict[str, Decimal]:
    names = ("stop_loss_filter", "trailing_activation_filter", "trailing_distance_filter")
    found = zip(names, (stop, activation, distance), strict=True)
    return {name: Decimal(str(value)) for name, value in found if value is not None}


@pytest.mark.parametrize(
    ("trade", "params_given", "expected"),
    [
        (path((101, 0.5, 0), (99, 0.5, -0.6)), exits(stop=4), (-0.5, "end")),
        (path((99, 0, -1.2), (105, 2.5, -1.2)), exits(stop=2), (-1.0, "stop")),
        (path((101, 2.0, -1.2)), exits(stop=2), (-1.0, "stop")),  # both in one minute: the worse came first
        (path((104, 2.0, 0), (103, 2.0, 0)), exits(activation=2, distance=1), (1.5, "trail")),
        (path((102, 3.0, 0)), exits(activation=2, distance=1), (2.5, "trail")),
        (path((101.9, 0.95, 0), (99, 0.95, -0.5)), exits(activation=2, distance=1), (-0.5, "end")),
        (path((98, 1.0, 0), (97, 1.5, 0), direction="short"), exits(stop=4), (1.5, "end")),
        (path((101, 0.5, 0), (None, None, -1.0)), exits(stop=2), (-1.0, "stop")),
    ],
)
def test_a_trade_ends_where_its_parameters_end_it(
    trade: TradePath, params_given: dict[str, Decimal], expected: tuple[float, str]
) -> None:
    outcome = replay(trade, params_given)
    assert outcome is not None
    assert (outcome.r, outcome.ended_by) == (pytest.approx(expected[0]), expected[1])
    assert outcome.percent == pytest.approx(outcome.r * 2)


def test_an_open_trade_and_one_without_a_path_have_no_outcome() -> None:
    assert replay(path((101, 0.5, 0), is_over=False), exits(stop=4)) is None
    assert replay(path(), exits(stop=4)) is None


def test_the_interval_holds_the_mean_and_few_trades_are_thin() -> None:
    random.seed(3)
    outcomes = [Outcome(random.gauss(0.3, 1), 0.1, "end") for _ in range(200)]
    found = figures(outcomes, lambda values, n: random.choices(values, k=n))
    assert found.mean_r is not None
    assert found.low_r is not None
    assert found.high_r is not None
    assert found.low_r < found.mean_r < found.high_r
    assert 0.15 < found.high_r - found.low_r < 0.45  # 2 * 1.96 / sqrt(200) is 0.28
    assert not found.is_thin
    assert figures(outcomes[:29], lambda values, n: random.choices(values, k=n)).is_thin
    assert figures([], lambda values, _n: values) == Figures(0, None, None, None, None, None)


@pytest.mark.parametrize(
    "text", ["", "colour=1", "stop_loss_filter", "stop_loss_filter=-1", "score_week_filter=1", "=", "a=b"]
)
def test_a_wrong_variant_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_variant(text)


def test_the_parameters_of_a_replay_are_those_of_the_as_of_query(db: Database) -> None:
    """Late, corrected and overridden: every minute of three hours, both ways."""
    random.seed(7)
    for number in range(30):
        wave = WAVE + random.randrange(8) * QUARTER
        now = WAVE + timedelta(minutes=random.randrange(20, 170))
        fields = {random.choice(list(FOUR)): random.choice([1, 2, 3])}
        one = signal(number, random.choice([1, 2]), wave, score_week=random.randrange(9), **fields)
        receive(db, [one], is_whole=True, now=now)
        process_due(db, now, RULES)
    row = set_override(
        db, exchange_id=1, field="max_trades_filter", value=9, reason="x", by="a", now=RECEIVED + QUARTER
    )
    undo_override(db, row.id, by="a", now=RECEIVED + 3 * QUARTER)
    end = WAVE + timedelta(hours=3)
    with db.transaction() as cur:
        known = KnownParams(params.all_history(cur, end), params.list_overrides(cur, limit=9))
        for minute in range(0, 180, 7):
            at = WAVE + minute * MINUTE
            rows, masks = params.params_as_of(cur, at, at), params.active_overrides(cur, at)
            for exchange in (1, 2):
                recorded = params.values_of(rows[exchange]) if exchange in rows else {}
                masked = {name: mask.value for name, mask in masks.get(exchange, {}).items()}
                assert known.at(exchange, at) == recorded | masked, minute


def test_what_came_after_the_entry_changes_nothing_before_it(db: Database) -> None:
    receive(db, [signal(1, **FOUR)], is_whole=True, now=RECEIVED)
    process_due(db, RECEIVED, RULES)
    at = RECEIVED + timedelta(minutes=2)
    with db.transaction() as cur:
        before = KnownParams(params.all_history(cur, at), []).at(1, at)
    late = [
        signal(2, score_week=99, **FOUR | {"stop_loss_filter": 1}),
        signal(3, wave=WAVE - QUARTER, stop_loss_filter=2),
    ]
    receive(db, late, is_whole=True, now=at + MINUTE)
    process_due(db, at + MINUTE, RULES)
    with db.transaction() as cur:
        after = KnownParams(params.all_history(cur, at + QUARTER), [])
    assert after.at(1, at) == before
    assert after.at(1, at + MINUTE)["stop_loss_filter"] == 1


def trade(
    number: int, entry_time: datetime, symbol: str, prices: list[tuple[float, float, float]]
) -> list[LifecycleEvent]:
    """An entered long trade at 100 with a risk of 2, followed by the minute and stopped out at its end."""
    common: dict[str, Any] = {"stream": "main", "trade_id": f"t{number}", "direction": "long", "symbol": symbol}
    found = [
        LifecycleEvent(
            **common,
            kind=Kind.ENTRY,
            received_at=entry_time,
            event_time=entry_time,
            signal_time=entry_time - MINUTE,
            content_hash=f"e{number}",
            entry_price=Decimal(100),
            stop_loss=Decimal(98),
            risk_distance=Decimal(2),
        )
    ]
    for minute, (price, mfe, mae) in enumerate(prices, start=1):
        at = entry_time + minute * MINUTE
        found.append(
            LifecycleEvent(
                **common,
                kind=Kind.MFE_UPDATE,
                received_at=at,
                content_hash=f"m{number}.{minute}",
                slot=mfe_slot(at),
                current_price=Decimal(str(price)),
                be_mfe_r=Decimal(str(mfe)),
                no_be_mfe_r=Decimal(str(mfe)),
                mae_r=Decimal(str(mae)),
            )
        )
    at = entry_time + (len(prices) + 1) * MINUTE
    found.append(LifecycleEvent(**common, kind=Kind.EXIT_SL, received_at=at, event_time=at, content_hash=f"x{number}"))
    return found


@pytest.fixture
def traded(db: Database) -> Database:
    """Forty trades: half rise and fall back, half fall at once. The wave's first signal was followed by the first of them."""
    wave = [signal(1, 1, pair_symbol="BTCUSDT", **FOUR), signal(2, 1, score_week=1, pair_symbol="ETHUSDT")]
    receive(db, wave, is_whole=True, now=RECEIVED)
    process_due(db, RECEIVED, RULES)
    with db.transaction() as cur:
        for number in range(40):
            at = RECEIVED + MINUTE + number * QUARTER
            rising = [(102.0, 1.0, 0.0), (106.0, 3.0, 0.0), (99.0, 3.0, -0.5)]
            falling = [(99.0, 0.0, -0.5), (95.0, 0.0, -2.5)]
            append_events(cur, trade(number, at, "BTCUSDT", rising if number % 2 == 0 else falling))
    return db


def test_the_report_replays_trades_and_wave_signals_by_exchange(traded: Database) -> None:
    until = RECEIVED + timedelta(days=1)
    report = evaluate(
        traded, stream="main", since=WAVE, until=until, variants=["stop_loss_filter=1", "max_trades_filter=1"]
    )
    lines = {(line.population, line.exchange_id, line.variant): line for line in report.lines}
    held = lines["trades", 1, "as held"].figures
    # rising: activated at 1R, peak 3R, trailed by 0.25R: +2.75R; falling: the stop of 4 % is 2R away
    assert held.trades == 40
    assert held.mean_r == pytest.approx((2.75 - 2.0) / 2)
    assert held.winners == pytest.approx(0.5)
    assert held.mean_percent == pytest.approx(2.75 - 2.0)
    assert lines["trades", 1, "stop_loss_filter=1"].figures.mean_r == pytest.approx((2.75 - 0.5) / 2)
    followed = lines["wave signals", 1, "as held"]
    assert followed.figures.trades == 1
    assert followed.figures.is_thin
    assert "1 of 2 wave signals were followed" in " ".join(report.notes)
    assert "too thin to conclude anything" in " ".join(report.notes)


def test_trades_before_the_first_wave_are_left_out_with_the_reason(traded: Database) -> None:
    with traded.transaction() as cur:
        append_events(cur, trade(99, RECEIVED - timedelta(hours=1), "BTCUSDT", [(99.0, 0.0, -0.5)]))
    report = evaluate(traded, stream="main", since=WAVE - QUARTER * 8, until=RECEIVED + timedelta(days=1), variants=[])
    line = next(line for line in report.lines if line.population == "trades")
    assert line.left_out == {"no parameters known yet": 1}


def test_without_parameters_the_report_says_that_there_is_nothing(db: Database) -> None:
    report = evaluate(db, stream="main", since=WAVE, until=RECEIVED, variants=[])
    assert report.lines == []
    assert "nothing to evaluate" in report.notes[-1]


def test_the_command_and_the_page_show_the_same_report(
    traded: Database, app: OpenAPI, client: FlaskClient, operator: str
) -> None:
    app.config["WTF_CSRF_ENABLED"] = False
    days = (datetime.now(UTC) - WAVE).days + 1
    runner = app.test_cli_runner()
    result = runner.invoke(args=["waves", "evaluate", "--days", str(days), "--set", "stop_loss_filter=1", "--json"])
    assert result.exit_code == 0, result.output
    lines = json.loads(result.output)["lines"]
    assert {line["variant"] for line in lines} == {"as held", "stop_loss_filter=1"}
    assert "too thin" in runner.invoke(args=["waves", "evaluate", "--days", str(days)]).output
    assert runner.invoke(args=["waves", "evaluate", "--set", "colour=1"]).exit_code == 1
    client.post("/login", data={"name": operator, "password": PASSWORD})
    text = client.get("/params/evaluation?days=365&variant=stop_loss_filter=1").get_data(as_text=True)
    assert "Before believing it" in text
    assert client.get("/params/evaluation?variant=colour=1").status_code == 422
    assert client.get("/params/evaluation?days=3").status_code == 422
