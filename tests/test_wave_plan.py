"""What a wave decides, without a database."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from waves.plan import Held, StoredSignal, find_leaders, plan_change, plan_selection


def stored(number: int, exchange: int | None = 1, week: Any = 50, month: Any = 50, **params: Any) -> StoredSignal:
    return StoredSignal(
        id=number,
        signal_key=str(number),
        exchange_id=exchange,
        score_week=None if week is None else Decimal(week),
        score_month=None if month is None else Decimal(month),
        filter_params={name: Decimal(str(value)) for name, value in params.items()} or None,
    )


def change(params: dict[str, Any], **held: dict[str, Any]) -> Any:
    known = {name: {key: Decimal(str(v)) for key, v in values.items()} for name, values in held.items()}
    return plan_change(stored(1, **params), Held(**known))  # type: ignore[arg-type]


def test_an_exchange_far_below_in_the_ranking_has_its_own_leader() -> None:
    signals = [stored(number, 1, week=99, stop_loss_filter=4) for number in range(1, 60)]
    signals.append(stored(99, 2, week=1, stop_loss_filter=3))
    assert {exchange: leader.id for exchange, leader in find_leaders(signals).items()} == {1: 1, 2: 99}


def test_when_the_first_has_no_parameters_the_first_that_has_leads() -> None:
    signals = [stored(1, week=90), stored(2, week=80, stop_loss_filter=4), stored(3, week=70, stop_loss_filter=5)]
    assert find_leaders(signals)[1].id == 2


def test_the_month_decides_between_equal_weeks_and_no_score_comes_last() -> None:
    signals = [
        stored(1, week=None, stop_loss_filter=1),
        stored(2, week=80, month=10, stop_loss_filter=2),
        stored(3, week=80, month=20, stop_loss_filter=3),
    ]
    assert find_leaders(signals)[1].id == 3


def test_only_what_differs_is_applied() -> None:
    found = change(
        {"stop_loss_filter": 4, "max_trades_filter": 6},
        latest={"stop_loss_filter": 4, "max_trades_filter": 5},
        older={"stop_loss_filter": 4, "max_trades_filter": 5},
    )
    assert found.applied == {"max_trades_filter": Decimal(6)}
    assert found.seen == {"stop_loss_filter": Decimal(4), "max_trades_filter": Decimal(6)}


def test_a_field_that_is_missing_keeps_the_previous_value() -> None:
    found = change({"max_trades_filter": 6}, latest={"stop_loss_filter": 4}, older={"stop_loss_filter": 4})
    assert found.applied == {"max_trades_filter": Decimal(6)}


def test_an_older_wave_never_overwrites_a_newer_one_but_fills_what_it_left_open() -> None:
    found = change(
        {"stop_loss_filter": 9, "max_trades_filter": 9},
        latest={"stop_loss_filter": 4},
        newer={"stop_loss_filter": 4},
    )
    assert found.applied == {"max_trades_filter": Decimal(9)}


def test_a_better_signal_of_the_same_wave_takes_back_what_the_first_said() -> None:
    found = change(
        {"max_trades_filter": 7},
        latest={"stop_loss_filter": 4, "max_trades_filter": 6},
        same={"stop_loss_filter": 4, "max_trades_filter": 6},
        older={"stop_loss_filter": 3},
    )
    assert found.applied == {"max_trades_filter": Decimal(7), "stop_loss_filter": Decimal(3)}


def test_the_relative_change_is_against_the_old_value_and_a_first_value_has_none() -> None:
    found = change(
        {"stop_loss_filter": 4.4, "max_trades_filter": 6}, latest={"stop_loss_filter": 4}, older={"stop_loss_filter": 4}
    )
    assert found.relative == {"stop_loss_filter": Decimal("0.1")}
    assert found.max_relative == Decimal("0.1")


def test_the_best_of_each_exchange_are_selected_up_to_its_limit() -> None:
    signals = [stored(number, 1 + number % 2, week=number) for number in range(1, 9)]
    verdicts = {one.signal_id: one for one in plan_selection(signals, {1: 2}, default=3)}
    assert sorted(number for number, one in verdicts.items() if one.verdict == "selected") == [3, 5, 6, 7, 8]
    assert verdicts[2].reason == "rank 4 of at most 2 trades a wave"


def test_an_invalid_signal_is_skipped_with_its_faults_and_takes_no_place() -> None:
    broken = StoredSignal(id=1, signal_key="1", exchange_id=1, score_week=Decimal(99), faults=("symbol: missing",))
    verdicts = plan_selection([broken, stored(2)], {1: 1}, default=1)
    assert [(one.signal_id, one.verdict, one.rank, one.reason) for one in verdicts] == [
        (1, "skipped", None, "symbol: missing"),
        (2, "selected", 1, "rank 1 of at most 1 trades a wave"),
    ]
