"""The Pine sender: what it builds is run bar by bar and read by the real normaliser, beside a strategy in Python."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import islice, pairwise
from uuid import UUID

import pytest

from core.lifecycle import Kind, Source
from core.timezones import to_new_york
from simulator.price_path import MINUTE, Bar, PricePath
from simulator.strategy import Strategy, Trade
from telemetry.dialects.understand import understand
from telemetry.kit import limits
from telemetry.kit.lexical import find_slips
from tests.pine.support_pine import SENDER, Fired, facts_of, run_sender

START = datetime(2025, 11, 20, 14, 0, tzinfo=UTC)
BARS = list(islice(PricePath(7).bars(START), 700))
ONE_TIME = {"SIGNAL_CREATED", "CANCELLED", "ENTRY", "BE_TRIGGERED", "EXIT_BE", "EXIT_SL"}


@pytest.fixture(scope="module")
def fired() -> list[Fired]:
    """Everything the sender says of seven hundred live bars."""
    return run_sender(BARS)


@pytest.fixture(scope="module")
def crowded() -> list[Fired]:
    """The same with stops so far away that up to fifty trades are open."""
    far = {'input.float(4.0, "Least risk': 'input.float(400.0, "Least risk', "input.int(22,": "input.int(50,"}
    return run_sender(BARS, inputs=far)


def truth() -> list[tuple[int, Kind, Trade]]:
    """What the strategy says of the same bars: (bar, kind, trade)."""
    strategy = Strategy()
    return [(number, said.kind, said.trade) for number, bar in enumerate(BARS) for said in strategy.on_bar(bar)]


def test_every_alert_is_json_of_at_most_3900_characters(fired: list[Fired], crowded: list[Fired]) -> None:
    assert max(len(alert.text) for alert in crowded) > 3000
    for alert in fired + crowded:
        assert len(alert.text) <= limits.SENT_CHARS
        assert alert.body["event_type"] == "EVENT_BATCH"
        assert "NaN" not in alert.text


def test_the_real_normaliser_understands_every_fact(fired: list[Fired]) -> None:
    for alert in fired:
        closes_at = BARS[alert.bar].closes_at
        read = understand(
            alert.text.encode(),
            stream="main",
            received_at=closes_at,
            source=Source.LIVE,
            receipt_id=UUID(int=alert.bar),
        )
        assert (read.dialect, read.errors, read.quarantined) == ("event_batch", (), 0)
        assert [warning for warning in read.warnings if "be_mfe_above" not in warning] == []
        assert len(read.events) + bool(read.heartbeat) == len(alert.body["events"])
        assert all(event.event_time and closes_at - event.event_time <= 600 * MINUTE for event in read.events)


def test_it_tells_the_same_lives_as_the_strategy_in_python(fired: list[Fired]) -> None:
    sent = [(bar, fact["event_type"], fact["trade_id"]) for bar, fact in facts_of(fired) if "trade_id" in fact]
    expected = [(bar, kind.value, trade.trade_id) for bar, kind, trade in truth()]
    assert len(expected) > 100
    assert sorted(one for one in sent if one[1] in ONE_TIME) == sorted(expected)


def test_entries_carry_prices_targets_confirmation_and_alignment(fired: list[Fired]) -> None:
    trades = {trade.trade_id: trade for _, kind, trade in truth() if kind is Kind.ENTRY}
    entries = [fact for _, fact in facts_of(fired) if fact["event_type"] == "ENTRY"]
    assert len(entries) == len(trades)
    for fact in entries:
        trade = trades[fact["trade_id"]]
        assert (fact["entry_price"], fact["stop_loss"]) == (trade.entry_price, trade.stop_loss)
        assert fact["bars_to_confirmation"] == trade.bars_to_confirmation
        assert trade.confirmation_time is not None
        assert fact["confirmation_time"] == trade.confirmation_time.timestamp() * 1000
        assert datetime.fromisoformat(fact["event_timestamp"]) == trade.confirmation_time
        assert fact["targets"]["tp2_price"] == trade.entry_price + 2 * trade.sign * trade.risk
        assert set(fact["htf_alignment"]) == {"daily", "h4", "h1", "m15", "m5", "m1", "all_bullish", "all_bearish"}
        assert {"setup", "market_state", "session"} <= fact.keys()


def test_the_updates_of_a_bar_are_a_batch_with_an_id_for_each_open_trade(fired: list[Fired]) -> None:
    told: dict[int, list[tuple[str, str]]] = {}
    for bar, fact in facts_of(fired):
        if fact["event_type"] == "MFE_UPDATE":
            told.setdefault(bar, []).append((fact["trade_id"], fact["event_id"]))
            assert {"be_mfe", "no_be_mfe", "mae_global_r", "current_price"} <= fact.keys()
    assert max(map(len, told.values())) >= 3
    for updates in told.values():
        trades, ids = zip(*updates, strict=True)
        assert len(set(trades)) == len(set(ids)) == len(updates)


def test_excursions_follow_the_trade_minute_by_minute(fired: list[Fired]) -> None:
    strategy, known = Strategy(), {}
    for number, bar in enumerate(BARS):
        strategy.on_bar(bar)
        known |= {(number, trade.trade_id): (trade.no_be_mfe_r, trade.mae_r) for trade in strategy.open_trades}
    updates = [(bar, fact) for bar, fact in facts_of(fired) if fact["event_type"] == "MFE_UPDATE"]
    assert len(updates) > 1000
    for bar, fact in updates:
        assert (fact["no_be_mfe"], fact["mae_global_r"]) == pytest.approx(known[bar, fact["trade_id"]], abs=1e-6)


def test_a_cancelled_signal_says_by_what_and_after_how_long(fired: list[Fired]) -> None:
    cancelled = {trade.trade_id: trade for _, kind, trade in truth() if kind is Kind.CANCELLED}
    facts = [fact for _, fact in facts_of(fired) if fact["event_type"] == "CANCELLED"]
    assert facts
    for fact in facts:
        trade = cancelled[fact["trade_id"]]
        assert fact["cancelled_by"] == trade.cancelled_by
        assert trade.cancelled_time is not None
        assert fact["bars_pending"] == (trade.cancelled_time - trade.candle.opens_at) / MINUTE


def test_alignment_is_null_until_a_timeframe_has_closed_enough_bars_and_then_a_side(fired: list[Fired]) -> None:
    created = [fact["htf_alignment"] for _, fact in facts_of(fired) if fact["event_type"] == "SIGNAL_CREATED"]
    assert (created[0]["m5"], created[0]["all_bullish"]) == (None, False)
    assert created[-1]["m5"] in {"Bullish", "Bearish", "Neutral"}
    assert created[-1]["m15"] in {"Bullish", "Bearish", "Neutral"}
    assert all(not (found["all_bullish"] and found["all_bearish"]) for found in created)


def test_no_four_bars_send_more_than_fifteen_alerts_even_with_fifty_trades(crowded: list[Fired]) -> None:
    counts = [0] * len(BARS)
    for alert in crowded:
        counts[alert.bar] += 1
    assert max(counts) >= 3
    assert max(counts) <= limits.MOST_PER_BAR
    assert max(sum(counts[at : at + limits.WINDOW_BARS]) for at in range(len(BARS))) <= limits.MOST_ALERTS


def test_with_fifty_trades_nothing_is_lost_and_each_gets_its_turn(crowded: list[Fired]) -> None:
    facts = facts_of(crowded)
    one_time = [fact["event_id"] for _, fact in facts if fact["event_type"] in ONE_TIME]
    assert len(one_time) == len(set(one_time))
    last: dict[str, int] = {}
    waits = []
    for bar, fact in facts:
        if fact["event_type"] == "MFE_UPDATE":
            waits.append(bar - last.get(fact["trade_id"], bar - 1))
            last[fact["trade_id"]] = bar
    assert len(last) >= 40
    assert max(waits) <= 3


def test_the_linter_counts_on_facts_at_least_as_long_as_those_sent(crowded: list[Fired]) -> None:
    sizes: dict[str, int] = {}
    for alert in crowded:
        place = alert.text.index('"events":[') + len('"events":[')
        assert place + len("]}") + 60 - len("NQ_FVG_CORE") <= limits.HEAD_CHARS
        while alert.text[place] != "]":
            fact, end = json.JSONDecoder().raw_decode(alert.text, place)
            sizes[fact["event_type"]] = max(end - place, sizes.get(fact["event_type"], 0))
            place = end + (alert.text[end] == ",")
    assert sizes.pop("MFE_UPDATE") <= limits.UPDATE_CHARS
    assert max(sizes.values()) <= limits.FACT_CHARS


def test_heartbeats_and_alerts_are_numbered_without_a_hole(fired: list[Fired]) -> None:
    assert [alert.body["seq"] for alert in fired] == list(range(1, len(fired) + 1))
    counters = [(bar, fact["counter"]) for bar, fact in facts_of(fired) if fact["event_type"] == "HEARTBEAT"]
    assert [counter for _, counter in counters] == list(range(1, len(counters) + 1))
    assert {later - earlier for (earlier, _), (later, _) in pairwise(counters)} == {5}


def test_a_fact_has_one_id_and_an_id_one_fact(fired: list[Fired]) -> None:
    ids = [fact["event_id"] for _, fact in facts_of(fired) if "event_id" in fact]
    assert len(ids) == len(set(ids))
    assert max(map(len, ids)) <= 100


def test_the_trade_id_is_the_open_of_the_candle_in_new_york(fired: list[Fired]) -> None:
    for bar, fact in facts_of(fired):
        if fact["event_type"] == "SIGNAL_CREATED":
            opened = to_new_york(BARS[bar].opens_at)
            assert fact["trade_id"] == f"{opened:%Y%m%d_%H%M%S}000_{fact['direction'].upper()}"


def test_loading_the_script_sends_nothing_of_the_past() -> None:
    assert {alert.bar for alert in run_sender(BARS[:200], live_from=None)} <= {199}


def test_trades_from_before_the_start_are_followed_on_without_their_past(fired: list[Fired]) -> None:
    later = facts_of(run_sender(BARS[:400], live_from=300))
    before = {fact["trade_id"] for bar, fact in facts_of(fired) if bar < 300 and fact["event_type"] == "ENTRY"}
    updated = {fact["trade_id"] for _, fact in later if fact["event_type"] == "MFE_UPDATE"}
    assert updated & before
    assert not {fact["trade_id"] for _, fact in later if fact["event_type"] == "ENTRY"} & before
    assert min(bar for bar, _ in later) == 300


def test_texts_of_the_trader_cannot_break_the_json() -> None:
    hostile = {'input.string("NQ_FVG_CORE"': 'input.string("a\\"b\\\\c\\nd' + "x" * 80 + '"'}
    found = run_sender(BARS[:30], inputs=hostile)
    assert found
    assert all(alert.body["strategy_name"].startswith('a"b\\c dx') for alert in found)
    assert all(len(alert.body["strategy_name"]) <= 60 for alert in found)


def test_prices_of_any_size_give_json() -> None:
    tiny = [Bar(bar.opens_at, bar.open / 1e5, bar.high / 1e5, bar.low / 1e5, bar.close / 1e5) for bar in BARS[:120]]
    flat = [Bar(bar.opens_at, 100.0, 100.0, 100.0, 100.0) for bar in BARS[:60]]
    for bars in (tiny, flat):
        assert all(json.loads(alert.text) for alert in run_sender(bars))


def test_the_script_has_no_slip() -> None:
    source = SENDER.read_text(encoding="utf-8")
    assert find_slips(source) == []
    assert {"f_htfAlignmentJson(", "f_buildTradeId(", "f_isoTimestamp("} <= {
        word for word in source.replace("(", "( ").split() if word.startswith("f_")
    }
    assert source.isascii()
    assert "\t" not in source
    assert "import " not in source
