"""A trade followed through bars: minutes, triggers and exits that no alert told, and what stays ambiguous."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_sync.healing.contracts import agrees, candidates
from hybrid_sync.healing.excursions import Followed, Range, Reached, Walk, walk

LONG = Followed(sign=1, entry=100.0, stop=90.0, entered_at=0)
SHORT = Followed(sign=-1, entry=100.0, stop=110.0, entered_at=0)


def follow(bars: Mapping[int, tuple[float, float]], trade: Followed = LONG, **given: Any) -> Walk:
    """Walk minutes 1 to 9 with bars as (high, low)."""
    known = {minute: Reached(*values) for minute, values in given.pop("known", {}).items()}
    return walk(trade, range(1, 10), {minute: Range(*bar) for minute, bar in bars.items()}, known, **given)


def test_excursions_run_and_never_step_back() -> None:
    found = follow({1: (103, 99), 2: (101, 97), 3: (104, 100.5)})
    assert found.healed == {1: (0.3, 0.3, -0.1), 2: (0.3, 0.3, -0.3), 3: (0.4, 0.4, -0.3)}
    assert found.missing == 6
    assert found.complete_until == 4


def test_a_short_trade_is_the_mirror_of_a_long_one() -> None:
    bars = {1: (103.0, 99.0), 2: (111.0, 88.0), 3: (106.0, 94.0)}
    mirrored = {minute: (200 - low, 200 - high) for minute, (high, low) in bars.items()}
    assert follow(bars) == follow(mirrored, SHORT)


def test_the_trigger_the_break_even_exit_and_the_stop_are_found() -> None:
    found = follow({1: (105, 101), 2: (111, 104), 3: (108, 99), 4: (115, 95), 5: (96, 89)})
    assert (found.be_trigger_at, found.exit_be_at, found.exit_sl_at) == (2, 3, 5)
    assert found.healed[4] == (1.1, 1.5, -0.5)
    assert 5 not in found.healed
    assert found.ambiguous == []
    assert found.missing == 0


def test_after_an_uncovered_minute_nothing_is_made_up_until_an_alert_says_where_it_stands() -> None:
    found = follow({1: (103, 99), 3: (104, 98), 5: (105, 98), 6: (106, 97)}, known={5: (0.9, 0.9, -0.4)})
    assert sorted(found.healed) == [1, 6]
    assert found.healed[6] == (0.9, 0.9, -0.4)
    assert found.missing == 6
    assert found.complete_until == 2


def test_a_minute_without_a_trade_leaves_the_extremes_as_they_are() -> None:
    found = follow({1: (103, 99), 3: (104, 98)}, is_quiet=lambda minute: minute == 2)
    assert found.healed[2] == found.healed[1]
    assert sorted(found.healed) == [1, 2, 3]


def test_what_was_sent_is_the_truth_for_its_minute_and_corrects_the_course() -> None:
    found = follow(dict.fromkeys(range(1, 10), (103, 99)), known={2: (0.5, 0.5, -0.2)})
    assert found.healed[1] == (0.3, 0.3, -0.1)
    assert 2 not in found.healed
    assert found.healed[3] == (0.5, 0.5, -0.2)


def test_one_r_and_the_stop_in_one_bar_is_ambiguous_and_told_with_both_readings() -> None:
    found = follow({1: (111, 89)})
    assert found.exit_sl_at == 1
    assert found.be_trigger_at is None
    assert [(one.question, one.worst, one.best) for one in found.ambiguous] == [
        ("be_result_r", -1.0, 0.0),
        ("no_be_mfe_r", 0.0, 1.1),
    ]


def test_finer_bars_decide_what_a_minute_leaves_open() -> None:
    first_up = follow({1: (111, 89)}, finer={1: [Range(111, 101), Range(105, 89)]})
    assert (first_up.be_trigger_at, first_up.exit_be_at, first_up.exit_sl_at) == (1, 1, 1)
    assert first_up.ambiguous == []
    first_down = follow({1: (111, 89)}, finer={1: [Range(101, 89), Range(111, 101)]})
    assert (first_down.be_trigger_at, first_down.exit_sl_at) == (None, 1)


def test_the_trigger_bar_that_touches_the_entry_too_concludes_no_exit() -> None:
    found = follow({1: (111, 99), 2: (112, 105)})
    assert (found.be_trigger_at, found.exit_be_at) == (1, None)
    assert [one.question for one in found.ambiguous] == ["exit_be"]


def test_bars_that_stop_a_trade_which_is_followed_on_are_of_another_market() -> None:
    trade = Followed(sign=1, entry=100.0, stop=90.0, entered_at=0, last_sent_at=6)
    assert follow({1: (103, 89)}, trade).is_contradicted


def test_an_exit_that_is_known_ends_the_expected_minutes() -> None:
    trade = Followed(sign=1, entry=100.0, stop=90.0, entered_at=0, exit_at=4, is_stopped=True, be_at=2)
    found = follow({1: (105, 99), 2: (111, 104), 3: (109, 103), 4: (104, 89)}, trade)
    assert sorted(found.healed) == [1, 2, 3]
    assert (found.exit_be_at, found.exit_sl_at) == (4, None)
    assert found.complete_until == 4


def test_an_excursion_that_was_sent_proves_what_was_not() -> None:
    found = follow({}, known={1: (1.2, 1.2, -0.1), 2: (1.2, 1.2, -1.0)})
    assert (found.be_trigger_at, found.exit_sl_at) == (1, 2)
    assert found.proven == {"be_trigger", "exit_sl"}


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.sets(st.integers(1, 59), max_size=50))
def test_healing_hidden_minutes_gives_what_following_every_minute_gives(seed: int, hidden: set[int]) -> None:
    dice = Random(seed)
    price, bars = 100.0, {}
    for minute in range(1, 60):
        ups = sorted(price + dice.randint(-8, 8) * 0.25 for _ in range(4))
        bars[minute], price = Range(max(ups[-1], price), min(ups[0], price)), dice.choice(ups)
    whole = walk(LONG, range(1, 60), bars, {})
    told = {minute: reached for minute, reached in whole.healed.items() if minute not in hidden}
    again = walk(LONG, range(1, 60), bars, told)
    assert again.exit_sl_at == whole.exit_sl_at
    assert {**told, **again.healed} == whole.healed


def test_the_settings_name_the_contract_by_its_roll_date_else_the_root_does() -> None:
    mapping = [("MNQ1!", "CON.F.US.MNQ.Z25", date.min), ("MNQ1!", "CON.F.US.MNQ.H26", date(2025, 12, 15))]
    held = ["CON.F.US.MNQ.H26", "CON.F.US.MES.Z25", "CON.F.US.MNQ.Z25", "CON.F.US.ENQ.Z25"]
    first, second = candidates("MNQ1!", mapping, held)
    assert (first.contract_id, first.after) == ("CON.F.US.MNQ.Z25", date(2025, 12, 15))
    assert second.first == first.after
    assert [one.contract_id for one in candidates("MNQ1!", [], held)] == ["CON.F.US.MNQ.H26", "CON.F.US.MNQ.Z25"]
    assert [one.contract_id for one in candidates("NQ1!", [], held)] == ["CON.F.US.ENQ.Z25"]
    assert candidates(None, mapping, held) == []


def test_prices_outside_the_bars_prove_nothing_and_too_few_are_no_proof() -> None:
    bars = {1: Range(103, 99), 2: Range(104, 100)}
    assert agrees([(1, 100.0), (2, 104.25)], bars, 0.25) is True
    assert agrees([(1, 100.0), (2, 120.0)], bars, 0.25) is False
    assert agrees([(9, 100.0)], bars, 0.25) is None
