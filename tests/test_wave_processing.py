"""Waves against a real database: parameters, history, selection, events; late, twice, out of order, interrupted."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg2
import pytest

from core.errors import InvalidInputError, NotFoundError
from core.wave_records import PARAM_FIELDS, WaveSignal
from database import params, waves
from database.engine import Database
from tests.support_waves import FOUR, QUARTER, RECEIVED, RULES, WAVE, held, signal
from waves import processor
from waves.processor import give_up, process_due, receive


def take(db: Database, signals: Sequence[WaveSignal], now: datetime = RECEIVED) -> None:
    receive(db, signals, is_whole=True, now=now)
    process_due(db, now, RULES)


def event_types(db: Database) -> list[str]:
    with db.transaction() as cur:
        return [row.event_type for row in reversed(params.list_events(cur, limit=1000))]


def wave_row(db: Database, wave: datetime = WAVE) -> Any:
    with db.transaction() as cur:
        return next(row for row in waves.list_waves(cur, limit=100) if row.wave_time == wave)


def verdicts(db: Database, wave: datetime = WAVE) -> list[tuple[int, str]]:
    with db.transaction() as cur:
        return [(row.signal_id, row.verdict) for row in waves.get_wave_signals(cur, wave)]


def history(db: Database, exchange_id: int = 1, *, is_all: bool = False) -> list[Any]:
    with db.transaction() as cur:
        return params.list_history(cur, exchange_id, limit=100, is_all=is_all)


def test_both_exchanges_of_a_wave_are_updated_though_one_ranks_far_below(db: Database) -> None:
    many = [signal(number, 1, score_week=99, **FOUR) for number in range(1, 60)]
    take(db, [*many, signal(99, 2, score_week=1, **FOUR | {"stop_loss_filter": 3})])
    assert held(db, 1)["stop_loss_filter"] == Decimal(4)
    assert held(db, 2)["stop_loss_filter"] == Decimal(3)


def test_the_production_values_are_stored_with_their_wave_and_signal(db: Database) -> None:
    take(db, [signal(6340146, 1, **FOUR, score_week_filter=65, score_month_filter=60)])
    assert held(db) == {
        "max_trades_filter": 6,
        "stop_loss_filter": Decimal(4),
        "trailing_activation_filter": Decimal(2),
        "trailing_distance_filter": Decimal("0.5"),
        "score_week_filter": Decimal(65),
        "score_month_filter": Decimal(60),
    }
    (row,) = history(db)
    assert (row.wave_timestamp, row.signal_id, row.changed_at) == (WAVE, 6340146, RECEIVED)
    assert set(row.changed_fields) == set(PARAM_FIELDS)
    assert row.max_relative_change is None


def test_a_wave_without_parameters_changes_none(db: Database) -> None:
    take(db, [signal(1, **FOUR)])
    take(db, [signal(2, wave=WAVE + QUARTER)], RECEIVED + QUARTER)
    assert held(db)["max_trades_filter"] == 6
    assert len(history(db)) == 1


def test_a_partial_wave_keeps_the_previous_values_of_the_rest(db: Database) -> None:
    take(db, [signal(1, **FOUR)])
    take(db, [signal(2, wave=WAVE + QUARTER, stop_loss_filter=4.2)], RECEIVED + QUARTER)
    assert held(db) == {name: Decimal(str(value)) for name, value in FOUR.items()} | {
        "stop_loss_filter": Decimal("4.2")
    }
    assert history(db)[0].changed_fields == ["stop_loss_filter"]


def test_an_invalid_field_costs_itself_alone(db: Database) -> None:
    take(db, [signal(1, **FOUR | {"stop_loss_filter": -1, "max_trades_filter": True})])
    assert set(held(db)) == {"trailing_activation_filter", "trailing_distance_filter"}
    with db.transaction() as cur:
        cur.execute("SELECT warnings FROM wave_signals")
        assert [text.partition(":")[0] for text in cur.fetchone().warnings] == ["max_trades_filter", "stop_loss_filter"]


def test_an_unknown_exchange_gets_a_row_of_its_own(db: Database) -> None:
    take(db, [signal(1, 7, **FOUR)])
    assert held(db, 7)["max_trades_filter"] == 6
    assert held(db, 1) == {}


def test_a_wave_that_comes_twice_is_applied_once_and_said_once(db: Database) -> None:
    for _ in range(3):
        take(db, [signal(1, **FOUR)])
    assert len(history(db)) == 1
    assert event_types(db) == ["wave_detected", "params_updated", "wave_completed", "wave_duplicate_detected"]
    assert wave_row(db).repeats == 2


def test_another_version_of_a_signal_is_kept_but_changes_nothing(db: Database) -> None:
    take(db, [signal(1, **FOUR)])
    take(db, [signal(1, **FOUR | {"stop_loss_filter": 9})])
    assert held(db)["stop_loss_filter"] == Decimal(4)
    with db.transaction() as cur:
        (event,) = params.list_events(cur, limit=5, event_type="wave_duplicate_detected")
    assert event.event_data["signal"]["stop_loss_filter"] == 9


def test_an_older_wave_that_comes_late_never_overwrites_a_newer_one(db: Database) -> None:
    take(db, [signal(2, wave=WAVE + QUARTER, **FOUR | {"stop_loss_filter": 5})], RECEIVED + QUARTER)
    take(db, [signal(1, **FOUR)], RECEIVED + 2 * QUARTER)
    assert held(db)["stop_loss_filter"] == Decimal(5)
    newest, late = history(db)
    assert (newest.stop_loss_filter, late.stop_loss_filter, late.changed_fields) == (Decimal(5), Decimal(4), [])


def test_a_wave_that_was_given_up_is_still_taken_when_it_comes(db: Database) -> None:
    assert give_up(db, WAVE, detail="connected, nothing came", now=RECEIVED)
    assert not give_up(db, WAVE, detail="again", now=RECEIVED)
    assert wave_row(db).status == "not_found"
    take(db, [signal(1, **FOUR)], RECEIVED + timedelta(minutes=7))
    assert wave_row(db).status == "completed"
    assert wave_row(db).delay_seconds == 12 * 60
    assert held(db)["max_trades_filter"] == 6
    assert event_types(db)[0] == "wave_not_found"


def test_a_wave_that_has_come_is_not_given_up(db: Database) -> None:
    receive(db, [signal(1)], is_whole=True, now=RECEIVED)
    assert not give_up(db, WAVE, detail="", now=RECEIVED)


def test_a_restart_between_receipt_and_processing_loses_nothing_and_applies_once(db: Database) -> None:
    receive(db, [signal(1, **FOUR)], is_whole=True, now=RECEIVED)
    assert held(db) == {}
    report = processor.job(RULES).run(db, RECEIVED + timedelta(minutes=1))
    assert report.counts == {"waves": 1}
    assert held(db)["max_trades_filter"] == 6
    assert processor.job(RULES).run(db, RECEIVED + timedelta(minutes=2)).counts == {"waves": 0}
    assert len(history(db)) == 1


def test_a_crash_within_the_processing_leaves_nothing_half_done(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    receive(db, [signal(1, **FOUR)], is_whole=True, now=RECEIVED)
    with monkeypatch.context() as patch:
        patch.setattr(waves, "finish_wave", lambda *_args, **_named: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            process_due(db, RECEIVED, RULES)
    assert held(db) == {}
    assert history(db) == []
    process_due(db, RECEIVED, RULES)
    assert held(db)["max_trades_filter"] == 6


def test_pushed_signals_wait_a_little_for_their_fellows(db: Database) -> None:
    receive(db, [signal(1, score_week=10, **FOUR)], is_whole=False, now=RECEIVED)
    assert process_due(db, RECEIVED, RULES) == 0
    receive(db, [signal(2, score_week=90, **FOUR | {"max_trades_filter": 9})], is_whole=False, now=RECEIVED)
    assert process_due(db, RECEIVED + processor.PUSH_SETTLES, RULES) == 1
    assert held(db)["max_trades_filter"] == 9
    assert len(history(db, is_all=True)) == 1


def test_a_straggler_of_a_complete_wave_corrects_it_and_the_old_belief_stays_readable(db: Database) -> None:
    take(db, [signal(1, score_week=10, **FOUR)])
    later = RECEIVED + timedelta(minutes=1)
    take(db, [signal(2, score_week=90, **FOUR | {"stop_loss_filter": 5})], later)
    assert held(db)["stop_loss_filter"] == Decimal(5)
    assert [row.stop_loss_filter for row in history(db)] == [Decimal(5)]
    with db.transaction() as cur:
        before = params.params_as_of(cur, later, later - timedelta(seconds=1))[1]
        after = params.params_as_of(cur, later, later)[1]
    assert (before.stop_loss_filter, after.stop_loss_filter) == (Decimal(4), Decimal(5))


def test_as_of_tells_what_held_when_a_signal_fired_by_what_was_known_then(db: Database) -> None:
    take(db, [signal(1, **FOUR)])
    take(db, [signal(2, wave=WAVE + 2 * QUARTER, stop_loss_filter=6)], RECEIVED + 2 * QUARTER)
    take(db, [signal(3, wave=WAVE + QUARTER, stop_loss_filter=5)], RECEIVED + 3 * QUARTER)  # late
    fired = RECEIVED + QUARTER + timedelta(minutes=3)
    with db.transaction() as cur:
        then = params.params_as_of(cur, fired, fired)[1]
        now = params.params_as_of(cur, fired, RECEIVED + timedelta(days=1))[1]
        never = params.params_as_of(cur, WAVE, WAVE)
    assert (then.stop_loss_filter, now.stop_loss_filter) == (Decimal(4), Decimal(5))
    assert then.max_trades_filter == 6
    assert never == {}


@pytest.mark.parametrize(("value", "is_alarm"), [(4.4, False), (4.4001, True), (3.6, False), (3.5999, True)])
def test_a_change_by_more_than_a_tenth_is_significant(db: Database, value: float, is_alarm: bool) -> None:
    take(db, [signal(1, stop_loss_filter=4)])
    take(db, [signal(2, wave=WAVE + QUARTER, stop_loss_filter=value)], RECEIVED + QUARTER)
    assert ("params_changed_significantly" in event_types(db)) == is_alarm
    with db.transaction() as cur:
        assert len(params.list_significant(cur, ratio=RULES.alert_ratio, limit=9)) == int(is_alarm)


def test_signals_are_selected_up_to_the_limit_of_their_own_wave(db: Database) -> None:
    members = [signal(number, score_week=100 - number, max_trades_filter=2) for number in range(1, 5)]
    take(db, [*members, signal(9, 2)])
    assert verdicts(db) == [(1, "selected"), (2, "selected"), (3, "skipped"), (4, "skipped"), (9, "selected")]


def test_an_override_of_the_limit_counts_and_the_recording_goes_on(db: Database) -> None:
    with db.transaction() as cur:
        override(cur, "max_trades_filter", Decimal(1))
    take(db, [signal(number, **FOUR) for number in (1, 2)])
    assert verdicts(db) == [(1, "selected"), (2, "skipped")]
    assert held(db)["max_trades_filter"] == 6


def override(cur: Any, field: str, value: Decimal, now: datetime = WAVE, **named: Any) -> Any:
    given = {"exchange_id": 1, "reason": "news", "set_by": "ann", "expires_at": None} | named
    return params.add_override(cur, field=field, value=value, now=now, **given)


def test_overrides_expire_are_replaced_and_undone_and_stay_on_record(db: Database) -> None:
    with db.transaction() as cur:
        override(cur, "stop_loss_filter", Decimal(1), expires_at=WAVE + QUARTER)
        override(cur, "max_trades_filter", Decimal(1))
        second = override(cur, "max_trades_filter", Decimal(2), now=WAVE + QUARTER)
        active = params.active_overrides(cur, WAVE)[1]
        assert {name: row.value for name, row in active.items()} == {"max_trades_filter": 1, "stop_loss_filter": 1}
        assert set(params.active_overrides(cur, WAVE + QUARTER)[1]) == {"max_trades_filter"}
        params.end_override(cur, second.id, ended_by="bob", reason="over", now=WAVE + 2 * QUARTER)
        assert params.active_overrides(cur, WAVE + 2 * QUARTER) == {}
        with pytest.raises(NotFoundError):
            params.end_override(cur, second.id, ended_by="bob", reason="over", now=WAVE + 2 * QUARTER)
        ends = {(row.field, row.value): row.end_reason for row in params.list_overrides(cur, limit=9)}
    assert ends == {
        ("stop_loss_filter", 1): None,
        ("max_trades_filter", 1): "replaced",
        ("max_trades_filter", 2): "over",
    }


def test_a_failure_to_update_parameters_never_breaks_the_wave_and_is_recorded(
    db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with db.transaction() as cur:
        cur.execute(
            "ALTER TABLE monitoring.params ADD CONSTRAINT trap CHECK (exchange_id <> 2 OR stop_loss_filter IS NULL)"
        )
    take(db, [signal(1, 1, **FOUR), signal(2, 2, **FOUR)])
    assert held(db, 1)["max_trades_filter"] == 6
    assert held(db, 2) == {}
    assert wave_row(db).status == "completed"
    assert {verdict for _, verdict in verdicts(db)} == {"selected"}
    assert "params_update_failed" in event_types(db)
    said = [record.getMessage() for record in caplog.records]
    assert "Failed to update params for exchange_id=2" in said
    assert "Updating params for exchange_id=1" in said
    assert any(text.startswith("Params updated for exchange_id=1: ") for text in said)
    assert f"Wave {WAVE.isoformat()} complete" in said
    with db.transaction() as cur:
        cur.execute("ALTER TABLE monitoring.params DROP CONSTRAINT trap")
    assert process_due(db, RECEIVED, RULES) == 0
    assert process_due(db, RECEIVED + processor.RETRY_AFTER, RULES) == 1
    assert held(db, 2)["max_trades_filter"] == 6
    assert event_types(db).count("wave_completed") == 1


def test_a_wave_whose_parameters_always_fail_is_tried_only_a_few_times(db: Database) -> None:
    with db.transaction() as cur:
        cur.execute("ALTER TABLE monitoring.params ADD CONSTRAINT trap CHECK (stop_loss_filter IS NULL)")
    receive(db, [signal(1, **FOUR)], is_whole=True, now=RECEIVED)
    tries = sum(process_due(db, RECEIVED + number * processor.RETRY_AFTER, RULES) for number in range(20))
    assert tries == processor.MAX_FAILURES


def test_signals_that_fit_no_wave_are_kept_whole(db: Database) -> None:
    receipt = receive(db, [signal(1, timestamp="?", created_at="?")], is_whole=True, now=RECEIVED)
    assert (receipt.new, receipt.refused) == (0, 1)
    with db.transaction() as cur:
        (event,) = params.list_events(cur, limit=5)
    assert event.event_type == "wave_signal_refused"
    assert event.event_data["signal"]["pair_symbol"] == "COIN1USDT"


def test_update_params_sets_only_what_is_given(db: Database) -> None:
    with db.transaction() as cur:
        assert params.update_params(cur, 1, max_trades_filter=6, stop_loss_filter=Decimal("2.5"))
        assert params.update_params(cur, 1, max_trades_filter=7, stop_loss_filter=None)
        assert not params.update_params(cur, 1)
        assert not params.update_params(cur, 1, stop_loss_filter=None)
        assert not params.update_params(cur, 99, max_trades_filter=7)
        row = params.get_params(cur, 1)
        assert (row.max_trades_filter, row.stop_loss_filter) == (7, Decimal("2.5"))
        assert params.get_params(cur, 99) is None
        assert set(params.get_all_params(cur)) == {1, 2}
        with pytest.raises(InvalidInputError, match="colour"):
            params.update_params(cur, 1, colour=7)
    with pytest.raises(psycopg2.errors.CheckViolation), db.transaction() as cur:
        params.update_params(cur, 1, stop_loss_filter=-1)


def test_updated_at_moves_by_itself(db: Database) -> None:
    with db.transaction() as cur:
        before = params.get_params(cur, 1).updated_at
    with db.transaction() as cur:
        params.update_params(cur, 1, max_trades_filter=6)
    with db.transaction() as cur:
        row = params.get_params(cur, 1)
    assert row.updated_at > before
    assert row.created_at <= before


def test_eight_processors_at_once_apply_each_wave_once(database_url: str, db: Database) -> None:
    batch = [signal(number, 1 + number % 2, **FOUR) for number in range(20)]

    def work() -> None:
        own = Database(database_url, pool_size=2)
        receive(own, batch, is_whole=True, now=RECEIVED)
        process_due(own, RECEIVED, RULES)
        own.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    process_due(db, RECEIVED, RULES)
    assert len(history(db, 1, is_all=True)) == 1
    assert len(history(db, 2, is_all=True)) == 1
    assert event_types(db).count("wave_completed") == 1
    assert len(verdicts(db)) == 20


HISTORIES = 10_000


def test_ten_thousand_random_histories_leave_the_table_of_the_reference_model(db: Database) -> None:
    """Each exchange is one history: waves late, early, twice, in pieces, partial, without parameters."""
    random.seed(20251027)
    rounds: list[list[WaveSignal]] = [[], []]
    for exchange in range(1, HISTORIES + 1):
        for one in random_history(exchange):
            random.choice(rounds).append(one)
    for batch in rounds:
        receive(db, batch, is_whole=True, now=RECEIVED + timedelta(days=1))
        process_due(db, RECEIVED + timedelta(days=1), RULES)
    expected = reference(one for batch in rounds for one in batch)
    with db.transaction() as cur:
        found = {exchange: params.values_of(row) for exchange, row in params.get_all_params(cur).items()}
    assert {exchange: values for exchange, values in found.items() if values} == expected


def random_history(exchange: int) -> list[WaveSignal]:
    """Up to three waves of up to two signals each, some of them twice."""
    found: list[WaveSignal] = []
    for wave in random.sample(range(4), random.randint(1, 3)):
        for number in range(random.randint(1, 2)):
            fields = {name: random.choice([None, 1, 2, 3, -1]) for name in random.sample(PARAM_FIELDS, 2)}
            score = random.choice([10, 20, 30])
            one = signal(10 * wave + number, exchange, WAVE + wave * QUARTER, score_week=score, **fields)
            found += [one] * random.choice([1, 1, 2])
    return found


def reference(signals: Iterable[WaveSignal]) -> dict[int, dict[str, Decimal]]:
    """The rule said plainly: go through the waves by time; of each take the best signal that has parameters."""
    by_wave: dict[tuple[int, datetime], dict[str, WaveSignal]] = {}
    for one in signals:
        assert one.exchange_id is not None
        assert one.wave_timestamp is not None
        by_wave.setdefault((one.exchange_id, one.wave_timestamp), {}).setdefault(one.signal_key, one)
    table: dict[int, dict[str, Decimal]] = {}
    for (exchange, _), members in sorted(by_wave.items(), key=lambda item: item[0][1]):
        having = [one for one in members.values() if one.filter_params]
        if having:
            best = min(having, key=lambda one: (-(one.score_week or 0), one.signal_key))
            table.setdefault(exchange, {}).update(best.filter_params or {})
    return table
