"""One sample of every dialect, the samples of the documentation."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from core.lifecycle import Kind, mfe_slot
from tests.support_dialects import ARRIVAL, EXAMPLES, RECEIPT, read, read_example

TEN_PAST_TEN = datetime(2025, 11, 20, 15, 6, 2, tzinfo=UTC)


def utc(hour: int, minute: int) -> datetime:
    return datetime(2025, 11, 20, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "dialect", "event_type"),
    [
        ("legacy_entry.json", "legacy", "ENTRY"),
        ("direct_entry.json", "direct", "ENTRY"),
        ("stage_resolved.json", "stage", "EXIT_BE"),
        ("test_telemetry_payload.json", "telemetry", "ENTRY"),
        ("telemetry_wrapped.json", "telemetry", "EXIT_SL"),
        ("mfe_update_batch.json", "batch", "MFE_UPDATE_BATCH"),
        ("event_batch.json", "event_batch", "EVENT_BATCH"),
        ("heartbeat.json", "heartbeat", "HEARTBEAT"),
    ],
)
def test_each_sample_names_its_dialect(name: str, dialect: str, event_type: str) -> None:
    understanding = read_example(name, TEN_PAST_TEN)
    assert (understanding.dialect, understanding.event_type) == (dialect, event_type)
    assert understanding.understood
    assert understanding.errors == ()
    assert understanding.quarantined == 0


def test_there_is_a_sample_of_every_dialect() -> None:
    dialects = {read_example(path.name).dialect for path in EXAMPLES.glob("*.json")}
    assert dialects >= {"legacy", "direct", "stage", "telemetry", "batch", "event_batch", "heartbeat"}


def test_the_telemetry_sample_is_answered_and_read_as_documented() -> None:
    understanding = read_example("test_telemetry_payload.json")
    (event,) = understanding.events
    assert understanding.message == "Telemetry event ENTRY processed"
    assert understanding.schema_version == "1.0.0"
    assert understanding.trade_id == event.trade_id == "20251120_093000000_BULLISH"
    assert understanding.fused is not None
    assert (understanding.fused["signal_date"], understanding.fused["signal_time"]) == ("2025-11-20", "09:30:00")
    assert understanding.fused["session"] == "NY AM"
    assert understanding.fused["position_size"] == 4
    assert event.signal_time == event.event_time == utc(14, 30)
    assert (event.receipt_id, event.received_at, event.slot) == (RECEIPT, ARRIVAL, None)
    assert (event.direction, event.entry_price, event.stop_loss) == ("long", Decimal("20500.25"), Decimal("20480.25"))
    assert event.telemetry == understanding.payload
    assert event.warnings == ()


def test_risk_r_is_a_constant_and_never_the_risk() -> None:
    (event,) = read_example("test_telemetry_payload.json").events
    assert event.risk_distance == 20


def test_a_wrapped_body_is_unwrapped_and_its_telemetry_kept_whole() -> None:
    understanding = read_example("telemetry_wrapped.json")
    (event,) = understanding.events
    assert event.kind is Kind.EXIT_SL
    assert event.telemetry is not None
    assert event.telemetry["event_type"] == "EXIT_STOP_LOSS"
    assert "attributes" not in event.telemetry
    assert understanding.payload["attributes"] == event.telemetry


def test_a_legacy_entry_gives_direction_targets_and_signal_candle() -> None:
    understanding = read_example("legacy_entry.json")
    (event,) = understanding.events
    assert understanding.message == "Legacy payload processed (existing handler)"
    assert (event.direction, event.bias, event.session_label) == ("long", "Bullish", "NY AM")
    assert event.targets is not None
    assert event.targets["tp3_price"] == Decimal("20560.25")
    assert event.signal_time == utc(14, 30)
    assert event.telemetry is None


def test_a_direct_entry_has_a_signal_time_and_lacks_an_event_time() -> None:
    (event,) = read_example("direct_entry.json").events
    assert event.signal_time == utc(14, 30)
    assert event.event_time is None
    assert event.warnings == ("event_time_missing",)


def test_a_resolved_stage_says_which_leg_ended() -> None:
    (event,) = read_example("stage_resolved.json").events
    assert event.kind is Kind.EXIT_BE
    assert (event.final_be_mfe_r, event.final_no_be_mfe_r) == (Decimal("1.3500"), None)
    assert event.exit_price == Decimal("20500.25")


def test_a_batch_gives_one_update_per_member_in_the_slot_of_its_arrival() -> None:
    understanding = read_example("mfe_update_batch.json", TEN_PAST_TEN)
    assert [event.trade_id[-7:] for event in understanding.events] == ["BULLISH", "BEARISH"]
    assert {event.slot for event in understanding.events} == {mfe_slot(TEN_PAST_TEN)} == {utc(15, 5)}
    assert {event.symbol for event in understanding.events} == {"MNQ1!"}
    assert {event.event_time for event in understanding.events} == {utc(15, 5)}
    assert understanding.message == "Batch processed: 2 of 2 members"


def test_an_event_batch_holds_events_of_any_kind() -> None:
    created, cancelled, update = read_example("event_batch.json", TEN_PAST_TEN).events
    assert (created.kind, created.signal_time) == (Kind.SIGNAL_CREATED, utc(15, 5))
    assert (cancelled.kind, cancelled.reason) == (Kind.CANCELLED, "opposite_signal_appeared")
    assert (cancelled.bars_pending, cancelled.cancelled_by) == (7, created.trade_id)
    assert (update.kind, update.slot, update.sequence_number) == (Kind.MFE_UPDATE, utc(15, 5), 417)


def test_a_heartbeat_is_understood_and_is_no_event() -> None:
    understanding = read_example("heartbeat.json", TEN_PAST_TEN)
    assert understanding.events == ()
    assert understanding.heartbeat is not None
    assert (understanding.heartbeat.sent_at, understanding.heartbeat.signal_count) == (utc(15, 5), 12)


def test_kind_and_trade_id_suffice() -> None:
    understanding = read('{"type":"ENTRY","signal_id":"test123","entry_price":20500}')
    (event,) = understanding.events
    assert understanding.message == "Legacy payload processed (existing handler)"
    assert (event.trade_id, event.entry_price) == ("test123", Decimal(20500))
    assert (event.direction, event.stop_loss, event.event_time) == (None, None, None)
    assert event.warnings == ("direction_missing", "stop_loss_missing", "event_time_missing")
