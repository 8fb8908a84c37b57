"""TradingView's alert-log export: reading it, merging overlaps, matching it with what was delivered."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInputError
from simulator.alert_stream import generate
from simulator.alert_text import alert_log
from telemetry.history import alert_log as log_reader
from telemetry.history.alert_log import AlertRow, Stored, is_capped, merge_alert_logs, parse_alert_log
from telemetry.prepare import delivery_key

CHECKOUT = Path(__file__).parent.parent
ALERTS = Path(os.environ.get("SIGNALBOOK_DATA", CHECKOUT.parent / "shared" / "data")) / "alerts"
NOON = datetime(2025, 12, 8, 12, tzinfo=UTC)
HEADER = "Alert ID,Ticker,Name,Description,Time\n"


def row(seconds: float, body: bytes = b"body") -> AlertRow:
    return AlertRow("1", "MNQ1!", "", body, NOON + timedelta(seconds=seconds))


def stored(seconds: float, body: bytes = b"body", stream: str = "main") -> Stored:
    return delivery_key(stream, body), NOON + timedelta(seconds=seconds)


def match_deliveries(
    rows: Sequence[AlertRow], held: Sequence[Stored]
) -> tuple[list[AlertRow], list[tuple[AlertRow, Stored]]]:
    return log_reader.match_deliveries(rows, held, key_of=lambda one: delivery_key("main", one.body))


# --- reading -----------------------------------------------------------------------------------------------------


def test_rows_come_oldest_first_with_the_exact_body() -> None:
    log = HEADER + '7,"CME:MNQ1!, 1m",,"{""a"":2}",2025-12-08T12:01:00Z\n7,x,Nm,plain text,2025-12-08T12:00:00Z\n'
    assert parse_alert_log(log) == [
        AlertRow("7", "x", "Nm", b"plain text", NOON),
        AlertRow("7", "CME:MNQ1!, 1m", "", b'{"a":2}', NOON + timedelta(minutes=1)),
    ]


def test_alerts_of_one_second_come_in_the_order_in_which_they_were_fired() -> None:
    log = HEADER + "".join(f"1,,,{body},2025-12-08T12:00:00Z\n" for body in ("third", "second", "first"))
    assert [one.body for one in parse_alert_log(log)] == [b"first", b"second", b"third"]


def test_a_file_that_someone_sorted_keeps_its_order() -> None:
    log = HEADER + "1,,,a,2025-12-08T12:00:00Z\n1,,,b,2025-12-08T12:00:00Z\n1,,,c,2025-12-08T12:00:09Z\n"
    assert [one.body for one in parse_alert_log(log)] == [b"a", b"b", b"c"]


@pytest.mark.parametrize(
    "header",
    [
        "\ufeffAlert ID,Ticker,Name,Description,Time",
        '"ALERT_ID","SYMBOL","Alert Name","Message","Time (UTC)"',
        " alert id , ticker,name,description,TIME ,Extra",
    ],
)
def test_header_variants_and_crlf_are_read(header: str) -> None:
    content = f'{header}\r\n1,T,N,"two\r\nlines, and ""quotes""",2025-12-08T13:00:00+01:00,x\r\n\r\n'.encode()
    assert parse_alert_log(content) == [AlertRow("1", "T", "N", b'two\r\nlines, and "quotes"', NOON)]


def test_only_line_feeds_end_a_row() -> None:
    log = HEADER + "1,,,a\u2028b\x0bc\x85d,2025-12-08T12:00:00Z\n"
    assert parse_alert_log(log)[0].body == "a\u2028b\x0bc\x85d".encode()


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"", "line 1, column Alert ID"),
        (b"date,open,high\n", "line 1, column Alert ID"),
        (b"Alert ID,Ticker,Name,Time\n", "line 1, column Description"),
        (b"Alert ID,Description,Time\n1,x,yesterday\n", "line 2, column Time: is no ISO"),
        (b"Alert ID,Description,Time\n1,x,0001-01-01T00:00:00+14:00\n", "line 2, column Time: is no ISO"),
        (b"Alert ID,Description,Time\n1,x,2025-12-08 12:00:00\n", "line 2, column Time: has no offset"),
        (b'Alert ID,Description,Time\n1,"a\nb",2025-12-08T12:00:00Z\n1,x\n', "line 4, column Time: is missing"),
        (b'Alert ID,Description,Time\n1,x,2025-12-08T12:00:00Z\n1,"cut off', "line 3: is no CSV"),
        (b"Alert ID,Description,Time\n\n1,\xff,2025-12-08T12:00:00Z\n", "line 3: is not UTF-8"),
        (b"PK\x03\x04\x00\x00", "line 1, column Alert ID"),
    ],
)
def test_what_is_no_alert_log_is_refused_with_its_place(content: bytes, place: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        parse_alert_log(content)
    assert refusal.value.message.startswith(place)


def test_a_log_without_rows_is_empty_and_a_full_one_is_capped() -> None:
    assert parse_alert_log(HEADER) == []
    assert is_capped([row(0)] * 2_000)
    assert not is_capped([row(0)] * 1_999)


def test_what_the_simulator_exports_is_read_back() -> None:
    fired = [(alert.sent_at, alert.body) for alert in generate(3, NOON, 300)]
    assert [(one.sent_at, one.body) for one in parse_alert_log(alert_log(fired))] == fired


# --- overlaps ----------------------------------------------------------------------------------------------------


def test_rows_of_overlapping_exports_count_once_and_repeats_within_one_export_count() -> None:
    first = [row(0, b"a"), row(5, b"twice"), row(5, b"twice"), row(9, b"b")]
    second = [row(5, b"twice"), row(9, b"b"), row(60, b"b")]
    expected = [row(0, b"a"), row(5, b"twice"), row(5, b"twice"), row(9, b"b"), row(60, b"b")]
    assert merge_alert_logs([first, second]) == expected
    assert merge_alert_logs([second, first]) == expected
    assert merge_alert_logs([]) == []


# --- matching ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "is_known"), [(0, True), (25, True), (-25, True), (25.001, False), (-26, False)])
def test_a_row_is_known_within_25_seconds_of_its_delivery(seconds: float, is_known: bool) -> None:
    new, known = match_deliveries([row(0)], [stored(seconds)])
    assert (new, known) == (([], [(row(0), stored(seconds))]) if is_known else ([row(0)], []))


def test_other_bytes_or_another_stream_are_another_delivery() -> None:
    rows = [row(0), row(1, b"b")]
    assert match_deliveries(rows, [stored(0, stream="demo"), stored(1, b"c")]) == (rows, [])


def test_matching_is_one_to_one_and_nearest_first() -> None:
    rows = [row(0), row(12)]
    assert match_deliveries(rows, [stored(10)]) == ([row(0)], [(row(12), stored(10))])
    new, known = match_deliveries(rows, [stored(10), stored(3), stored(-20)])
    assert new == []
    assert known == [(row(0), stored(3)), (row(12), stored(10))]


def test_a_delivery_that_lost_its_neighbour_matches_the_next_one() -> None:
    _, known = match_deliveries([row(0), row(14)], [stored(9), stored(13)])
    assert known == [(row(0), stored(9)), (row(14), stored(13))]


def by_brute_force(rows: Sequence[AlertRow], held: Sequence[Stored]) -> set[float]:
    """The distances of the pairs, found by trying all."""
    pairs = sorted(
        (abs((one.sent_at - other[1]).total_seconds()), r, s)
        for r, one in enumerate(rows)
        for s, other in enumerate(held)
    )
    used: set[tuple[str, int]] = set()
    distances = set()
    for distance, r, s in pairs:
        if distance <= 25 and not {("row", r), ("stored", s)} & used:
            used |= {("row", r), ("stored", s)}
            distances.add(distance)
    return distances


# Powers of two and sums of them differ pairwise, so no two pairs are equally near and the answer is unique.
SPREAD = st.sets(st.integers(0, 9), min_size=0, max_size=10)


@given(SPREAD, st.randoms(use_true_random=False))
def test_matching_agrees_with_trying_all_pairs(places: set[int], dice: random.Random) -> None:
    instants = [2.0**place / 8 for place in sorted(places)]
    rows = [row(at) for at in instants if dice.random() < 0.5]
    held = [stored(at) for at in instants if row(at) not in rows]
    new, known = match_deliveries(rows, held)
    found = {abs((one.sent_at - other[1]).total_seconds()) for one, other in known}
    assert found == by_brute_force(rows, held)
    assert sorted([*new, *(one for one, _ in known)], key=lambda one: one.sent_at) == rows


def test_a_second_import_finds_nothing_new() -> None:
    rows = parse_alert_log(alert_log((alert.sent_at, alert.body) for alert in generate(3, NOON, 600)))
    arrived = [stored((one.sent_at - NOON).total_seconds() + 0.7, one.body) for one in rows[::2]]
    new, known = match_deliveries(rows, arrived)
    assert new == rows[1::2]
    assert len(known) == len(arrived)
    imported = [stored((one.sent_at - NOON).total_seconds(), one.body) for one in new]
    assert match_deliveries(rows, arrived + imported)[0] == []


def test_a_hundred_thousand_rows_of_one_body_are_matched_without_delay() -> None:
    rows = [row(n / 10) for n in range(100_000)]
    held = [stored(n / 10 + 0.01) for n in range(0, 100_000, 2)]
    started = time.process_time()
    new, known = match_deliveries(rows, held)
    assert time.process_time() - started < 15
    assert (len(new), len(known)) == (50_000, 50_000)


# --- the real thing ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(not ALERTS.is_dir(), reason="the real alert logs are not here (SIGNALBOOK_DATA)")
def test_real_logs_are_read_whole_and_match_themselves() -> None:
    logs = [parse_alert_log(path.read_bytes()) for path in sorted(ALERTS.glob("*.csv"))]
    assert sorted(len(log) for log in logs) == [62, 624, 1_003, 1_183]
    for log in logs:
        assert all(earlier.sent_at <= later.sent_at for earlier, later in pairwise(log))
        assert all(one.body.startswith(b"{") and one.ticker == "CME_MINI:MNQ1!, 1m" for one in log)
        assert not is_capped(log)
    rows = merge_alert_logs([*logs, *reversed(logs)])
    assert len(rows) == sum(len(log) for log in logs)
    delivered = [replace(one, sent_at=one.sent_at + timedelta(seconds=2)) for one in rows]
    held = [(delivery_key("main", one.body), one.sent_at) for one in delivered]
    new, known = match_deliveries(rows, held)
    assert new == []
    assert all(other[1] - one.sent_at == timedelta(seconds=2) for one, other in known)
