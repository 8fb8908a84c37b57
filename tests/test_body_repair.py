"""Malformed bodies: repaired with certainty or not at all."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.dialects.repair import plan_repair
from tests.support_dialects import code_of, read

STRAY = (
    '{"type":"ENTRY","signal_id":"20251120_093000000_BULLISH","date":"2025-11-20","time":"09:30:00","bias":"Bullish",'
    '"entry_price":20500.25","sl_price":20480.25","risk_distance":20","be_mfe":0.00,"timestamp":1763649000000"}'
)


def repaired(body: str) -> str:
    repair = plan_repair(body.encode())
    assert repair is not None
    return repair.apply(body.encode()).decode()


def test_stray_quotes_go_and_the_quotes_of_dates_and_times_stay() -> None:
    understanding = read(STRAY)
    (event,) = understanding.events
    assert (event.entry_price, event.stop_loss, event.risk_distance) == (Decimal("20500.25"), Decimal("20480.25"), 20)
    assert event.signal_time == event.event_time
    assert understanding.payload is None
    assert "repaired" in understanding.warnings


def test_the_repair_is_a_diff_that_leads_from_the_raw_bytes_to_json() -> None:
    repair = read(STRAY).repair
    assert repair is not None
    first = repair.as_json()[0]
    assert first == {
        "offset": STRAY.index('20500.25"') + 8,
        "removed": '"',
        "inserted": "",
        "reason": "stray_quote",
        "field": "entry_price",
    }
    assert len(repair.edits) == 4
    assert json.loads(repair.apply(STRAY.encode()))["time"] == "09:30:00"


@pytest.mark.parametrize(
    ("broken", "meant"),
    [
        ('{"a":1",}', '{"a":1}'),
        ('{"a":[1, 2,],}', '{"a":[1, 2]}'),
        ('{"a":NaN,"b":[-Infinity]}', '{"a":null,"b":[null]}'),
        ('{"a":"x,"b":"y,"c":1}', '{"a":"x","b":"y","c":1}'),
        ('{"a":-1.5e3" , "b":2"\n}', '{"a":-1.5e3 , "b":2\n}'),
        ('{"a":"\u00e9\u00fc","b":1",}', '{"a":"\u00e9\u00fc","b":1}'),
        ('{"a":"say \\"NaN,}\\"","b":1"}', '{"a":"say \\"NaN,}\\"","b":1}'),
    ],
)
def test_the_known_faults_are_repaired(broken: str, meant: str) -> None:
    assert repaired(broken) == meant


def test_offsets_count_bytes() -> None:
    body = '{"a":"\u20ac","b":1"}'.encode()
    repair = plan_repair(body)
    assert repair is not None
    assert body[repair.edits[0].offset :] == b'"}'


@pytest.mark.parametrize(
    "body",
    [
        '{"event_type":"ENTRY","trade_id":"T1","entry_price":}',
        '{"event_type":"ENTRY","trade_id":"T1","entry_price":20,500}',
        '{"event_type":"ENTRY","trade_id":"T1"',
        '{"event_type":"ENTRY","trade_id":"T1"}}',
        '{"event_type":"ENTRY","trade_id":"T1","a":undefined}',
        '{"event_type":"ENTRY" "trade_id":"T1"}',
        '{"event_type":"ENTRY,"trade_id":T1}',
        '{"event_type":"ENTRY","trade_id":"T1","a":1",,}',
        '{"event_type":"ENTRY","trade_id":"T1","a":"x, y,"b":1}',
        "{'event_type':'ENTRY'}",
        '{"event_type":"ENTRY","trade_id":"T1",,}',
    ],
)
def test_what_is_not_certain_is_not_repaired(body: str) -> None:
    assert code_of(body) == "malformed_json"


def test_a_body_of_nothing_but_faults_is_refused() -> None:
    assert code_of('{"event_type":"ENTRY","trade_id":"T1","a":[' + "NaN," * 300 + "1]}") == "malformed_json"


def test_json_needs_no_repair() -> None:
    assert (
        plan_repair(json.dumps({"time": "09:30:00", "a": [1, -2.5e-3, None, True, {}], "b": "1,\\"}).encode()) is None
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_no_repair_ever_touches_what_is_json_already(value: object) -> None:
    assert plan_repair(json.dumps(value, ensure_ascii=False).encode(errors="replace")) is None


@given(
    st.dictionaries(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1), st.integers(), min_size=1)
)
def test_a_stray_quote_after_every_number_is_taken_back(numbers: dict[str, int]) -> None:
    broken = "{" + ",".join(f'"{key}":{number}"' for key, number in numbers.items()) + "}"
    assert json.loads(repaired(broken)) == numbers
