"""The content hash tells facts apart, not spellings."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.support_dialects import read

PLAIN = '{"event_type":"ENTRY","trade_id":"T1","entry_price":25692,"setup":{"a":1.5,"b":2}}'


def hash_of(body: str | dict[str, Any]) -> str:
    (event,) = read(body).events
    return event.content_hash


@pytest.mark.parametrize(
    "body",
    [
        '{"setup":{"b":2.0,"a":1.50},"trade_id":"T1","entry_price":25692.0,"event_type":"ENTRY"}',
        '{"type":"entry","signal_id":"T1","actual_entry_price":2.5692e4,"setup":{"a":1.5,"b":2}}',
        '{"event_type":"ENTRY","trade_id":"T1","entry_price":25692,"setup":{"a":1.5,"b":2},"timenow":17,"sent_at":"x"}',
        '{"message":"hi","attributes":{"event_type":"ENTRY","trade_id":"T1","entry":25692,"setup":{"a":1.5,"b":2}}}',
        '{"event_type":"ENTRY","trade_id":"T1","entry_price":25692,"setup":{"a":1.5,"b":2},"token":"***"}',
    ],
)
def test_two_spellings_of_one_fact_have_one_hash(body: str) -> None:
    assert hash_of(body) == hash_of(PLAIN)


@pytest.mark.parametrize(
    "body",
    [
        '{"event_type":"ENTRY","trade_id":"T2","entry_price":25692,"setup":{"a":1.5,"b":2}}',
        '{"event_type":"EXIT_SL","trade_id":"T1","entry_price":25692,"setup":{"a":1.5,"b":2}}',
        '{"event_type":"ENTRY","trade_id":"T1","entry_price":25692.25,"setup":{"a":1.5,"b":2}}',
        '{"event_type":"ENTRY","trade_id":"T1","entry_price":25692,"setup":{"a":1.5,"b":2},"mood":1}',
        '{"event_type":"ENTRY","trade_id":"T1","stop_loss":25692,"setup":{"a":1.5,"b":2}}',
    ],
)
def test_two_facts_have_two_hashes(body: str) -> None:
    assert hash_of(body) != hash_of(PLAIN)


def test_composed_and_decomposed_text_are_the_same_text() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    body = {"event_type": "ENTRY", "trade_id": "T1"}
    assert hash_of(body | {composed: [composed]}) == hash_of(body | {decomposed: [decomposed]})


def test_the_hash_does_not_depend_on_the_arrival() -> None:
    (early,) = read(PLAIN).events
    (late,) = read(PLAIN, early.received_at.replace(hour=23)).events
    assert early.content_hash == late.content_hash


def test_a_body_that_lost_numbers_is_told_apart_by_its_bytes() -> None:
    spellings = ("NaN", "null", "1e999", "1e998", "Infinity")
    hashes = {hash_of(f'{{"event_type":"ENTRY","trade_id":"T1","entry_price":{price}}}') for price in spellings}
    assert len(hashes) == len(spellings)


def test_a_repaired_body_is_hashed_as_what_was_meant() -> None:
    assert hash_of(PLAIN.replace("25692,", '25692",')) == hash_of(PLAIN)


def test_heartbeats_of_two_minutes_differ() -> None:
    bodies = [{"event_type": "HEARTBEAT", "timestamp": f"2025-11-20T09:3{minute}:00"} for minute in (0, 0, 1)]
    hashes = [heartbeat.content_hash for body in bodies if (heartbeat := read(body).heartbeat)]
    assert [one == other for one, other in pairwise(hashes)] == [True, False]
