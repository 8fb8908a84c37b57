"""What no sender can make the normaliser swallow."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from tests.support_dialects import code_of, read

NOT_FINITE = ["NaN", "nan", "NAN", "-NaN", "+NaN", "Infinity", "-Infinity", "+Infinity", "inf", "-inf", "Inf", "na"]


def entry(price: str) -> str:
    return f'{{"event_type":"ENTRY","trade_id":"T1","entry_price":{price}}}'


@pytest.mark.parametrize("spelling", [*NOT_FINITE, *(f'"{word}"' for word in NOT_FINITE)])
def test_a_price_that_is_no_number_is_null_and_named(spelling: str) -> None:
    understanding = read(entry(spelling))
    (event,) = understanding.events
    assert event.entry_price is None
    assert {"entry_price_not_finite", "entry_price_missing"} <= set(event.warnings)


@pytest.mark.parametrize("spelling", ["1e999", "-1e999", "1e100000", "1E+41", "1e-999"])
def test_an_extreme_number_is_null_and_keeps_the_body_out_of_jsonb(spelling: str) -> None:
    understanding = read(entry(spelling))
    assert understanding.understood
    assert understanding.payload is None
    assert {"payload_not_storable", "entry_price_out_of_range"} <= set(understanding.warnings)
    assert understanding.events[0].entry_price is None


def test_an_extreme_number_in_an_unknown_field_is_not_kept() -> None:
    understanding = read('{"event_type":"ENTRY","trade_id":"T1","mood":[1e999]}')
    assert understanding.fused is not None
    assert understanding.fused["mood"] == [None]
    assert "mood_out_of_range" in understanding.warnings


@pytest.mark.parametrize("spelling", ["1" * 41, "1" * 5000, "0." + "3" * 60])
def test_a_number_of_too_many_digits_is_refused(spelling: str) -> None:
    assert code_of(entry(spelling)) == "number_too_long"


def test_forty_digits_are_allowed() -> None:
    assert read('{"event_type":"ENTRY","trade_id":"T1","mood":' + "1" * 40 + "}").payload["mood"] == int("1" * 40)


def test_a_repeated_key_is_refused_by_name() -> None:
    understanding = read('{"event_type":"ENTRY","trade_id":"T1","entry_price":1,"entry_price":2}')
    assert [(error.code, error.field) for error in understanding.errors] == [("duplicate_key", "entry_price")]


def test_a_repeated_key_is_refused_at_any_depth() -> None:
    assert code_of('{"event_type":"ENTRY","trade_id":"T1","setup":{"a":1,"a":1}}') == "duplicate_key"


@pytest.mark.parametrize("depth", [65, 1000, 30_000])
def test_a_deep_body_is_refused(depth: int) -> None:
    assert code_of('{"a":' + "[" * depth + "]" * depth + "}") == "too_deep"
    assert code_of("[" * depth) == "too_deep"


def test_sixty_four_levels_are_allowed() -> None:
    deep = "[" * 63 + "]" * 63
    assert read('{"event_type":"ENTRY","trade_id":"T1","mood":' + deep + "}").understood


def test_brackets_inside_text_have_no_depth() -> None:
    assert read({"event_type": "ENTRY", "trade_id": "T1", "mood": '[{\\"' * 200}).understood


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b"\xff\xfe{", "not_utf8"),
        ('{"event_type":"ENTRY"}'.encode("utf-16"), "not_utf8"),
        ('{"event_type":"ENTRY"}'.encode("utf-16-le"), "malformed_json"),
        (b'{"trade_id":"\xed\xa0\x80"}', "not_utf8"),
        (b"hello", "malformed_json"),
        (b'{"a":"\x00"}', "malformed_json"),
        (b"{" + b" " * 65536 + b"}", "too_large"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'"ENTRY"', "not_an_object"),
        (b"{}", "missing"),
    ],
)
def test_what_is_no_alert_is_refused_with_a_reason(body: bytes, code: str) -> None:
    assert code_of(body) == code


def test_a_byte_order_mark_is_tolerated_and_flagged() -> None:
    understanding = read(b"\xef\xbb\xbf" + json.dumps({"event_type": "ENTRY", "trade_id": "T1"}).encode())
    assert understanding.understood
    assert "byte_order_mark" in understanding.warnings


@pytest.mark.parametrize("text", ["\\u0000", "\\ud800", "\\udc00\\ud800"])
def test_text_that_jsonb_cannot_hold_is_cleaned_and_flagged(text: str) -> None:
    understanding = read(f'{{"event_type":"ENTRY","trade_id":"T1","symbol":"M{text}","a{text}":1}}')
    assert understanding.payload is None
    assert "payload_not_storable" in understanding.warnings
    (event,) = understanding.events
    assert event.symbol == "M" + "\ufffd" * (len(text) // 6)
    assert "\\u0000" not in json.dumps(understanding.fused, default=str)


def test_escapes_that_mean_something_are_kept() -> None:
    understanding = read('{"event_type":"ENTRY","trade_id":"T1","symbol":"\\u00e9\\ud83d\\ude00"}')
    assert understanding.payload["symbol"] == understanding.events[0].symbol == "\u00e9\U0001f600"
    assert "payload_not_storable" not in understanding.warnings


def test_the_payload_is_the_body_whatever_is_concluded() -> None:
    assert read("[1, 2]").payload == [1, 2]
    assert read({"event_type": "PARTY", "trade_id": "T1"}).payload == {"event_type": "PARTY", "trade_id": "T1"}


def test_an_error_says_what_to_correct() -> None:
    understanding = read({"event_type": "ENTRY"})
    assert understanding.message == "Not understood: the alert names no trade"
    assert understanding.errors[0].as_json()["field"] == "trade_id"


def test_hostile_shapes_leave_no_memory_behind() -> None:
    read({"event_type": "ENTRY", "trade_id": "T1"})
    tracemalloc.start()
    try:
        for number in range(200):
            keys = {f"{'k' * 600}{number}-{key}": key for key in range(60)}
            read({"event_type": "ENTRY", "trade_id": "T1", "timestamp": "9" * 20_000 + str(number)} | keys)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000


@pytest.mark.parametrize("key", ["a\\u0000", "a\\ud800", "k" * 5000])
@pytest.mark.parametrize("value", ["1e999", "NaN"])
def test_the_key_of_a_lost_number_can_be_shown_and_stored(key: str, value: str) -> None:
    understanding = read(f'{{"event_type":"ENTRY","trade_id":"T1","{key}":{value}}}')
    assert understanding.repair is None or len(understanding.repair.edits[0].field) <= 100
    for warning in understanding.warnings:
        assert len(warning.encode()) < 120
        assert "\0" not in warning
