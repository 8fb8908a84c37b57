"""Batches: one bad member spoils nothing but itself."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from core.lifecycle import Kind
from tests.support_dialects import code_of, read

BAD_MEMBERS: list[Any] = [None, 7, [], {}, {"trade_id": "a,b"}, {"trade_id": 5}, {"be_mfe": 1}]


def batch(members: list[Any]) -> dict[str, Any]:
    return {"event_type": "MFE_UPDATE_BATCH", "timestamp": "2025-11-20T09:30:00", "signals": members}


def test_good_members_are_applied_and_bad_ones_named() -> None:
    understanding = read(batch([{"trade_id": "A", "be_mfe": 1}, {"trade_id": "a,b"}, "x", {"trade_id": "B"}]))
    assert [event.trade_id for event in understanding.events] == ["A", "B"]
    assert (understanding.applied, understanding.quarantined) == (2, 2)
    named = [(error.field, error.code) for error in understanding.errors]
    assert named == [("signals/1/trade_id", "invalid"), ("signals/2", "invalid")]
    assert understanding.message == "Batch processed: 2 of 4 members"


def test_every_member_is_counted_once() -> None:
    chance = random.Random(4)
    for _ in range(300):
        good = [{"trade_id": f"T{number}", "no_be_mfe": 1} for number in range(chance.randint(0, 22))]
        bad = [chance.choice(BAD_MEMBERS) for _ in range(chance.randint(0, 22))]
        members = chance.sample(good + bad, len(good) + len(bad))
        understanding = read(batch(members))
        assert understanding.applied == len(understanding.events) == len(good)
        assert understanding.understood is bool(good)
        if members:
            assert understanding.quarantined == len(bad)


@pytest.mark.parametrize("members", [[], None, {}, "x"])
def test_a_batch_without_members_is_not_understood(members: Any) -> None:
    understanding = read(batch(members))
    assert not understanding.understood
    assert understanding.errors[0].field == "signals"


def test_the_doubts_of_a_member_name_their_place() -> None:
    understanding = read(batch([{"trade_id": "A", "be_mfe": 1, "no_be_mfe": 1}, {"trade_id": "B", "be_mfe": -1}]))
    assert understanding.warnings == ("signals/1/be_mfe_clamped", "signals/1/no_be_mfe_missing")
    assert understanding.events[1].warnings == ("be_mfe_clamped", "no_be_mfe_missing")


def test_the_new_names_of_batch_members_are_known() -> None:
    member = {"trade_id": "A", "triangle_time": 1763649000000, "entry": 100, "stop": 90, "mae": -1, "completed": False}
    (event,) = read(batch([member])).events
    assert (event.entry_price, event.stop_loss, event.risk_distance, event.mae_r) == (100, 90, 10, -1)
    assert event.signal_time is not None


def test_an_event_batch_refuses_members_without_a_kind() -> None:
    members = [{"trade_id": "A"}, {"event_type": "ENTRY", "trade_id": "A"}, {"event_type": "HEARTBEAT"}]
    understanding = read({"schema_version": "2.0.0", "event_type": "EVENT_BATCH", "events": members})
    assert [event.kind for event in understanding.events] == [Kind.ENTRY]
    assert understanding.heartbeat is not None
    assert (understanding.applied, understanding.quarantined) == (2, 1)
    assert understanding.schema_version == "2.0.0"


def test_a_batch_in_a_batch_is_refused() -> None:
    inner = batch([{"trade_id": "A"}])
    assert code_of({"event_type": "EVENT_BATCH", "events": [inner]}) == "unknown"


def test_two_members_of_one_trade_have_hashes_of_their_own() -> None:
    members = '{"trade_id":"A","be_mfe":NaN},{"trade_id":"A","be_mfe":2}'
    first, second = read(f'{{"event_type":"MFE_UPDATE_BATCH","signals":[{members}]}}').events
    assert first.content_hash != second.content_hash


def test_thousands_of_bad_members_are_counted_and_a_hundred_listed() -> None:
    understanding = read(json.dumps(batch([{} for _ in range(5000)])))
    assert (understanding.quarantined, len(understanding.errors)) == (5000, 100)
