"""What a signal's page rests on: bodies byte for byte, gaps with what closed them, repairs with their confidence."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from core.lifecycle import Kind
from core.sync.words import ACTION_WORDS, GAP_WORDS
from database import sync
from database.engine import Database
from hybrid_sync.gaps import GAP_TYPES
from hybrid_sync.payloads import ACTIONS
from tests.support_deliveries import deliver
from tests.support_http import get, words
from tests.support_signals import MINUTE, START, add, event, measure
from web.dashboards.trade import evidence

HOSTILE = "<img src=x onerror=alert(1)>"
ID = "20251210_093000000_BULLISH"
PAGE = f"/automated-signals/{ID}"


def entry(**more: object) -> dict[str, object]:
    sent = {"type": "ENTRY", "signal_id": ID, "bias": "Bullish", "entry_price": 20500.5, "sl_price": 20490}
    return {**sent, "timestamp": int(START.timestamp() * 1000), **more}


def audit(db: Database, **row: Any) -> None:
    """A line of the audit log, of the signal ID."""
    empty = dict.fromkeys(
        ("gap_type", "field", "old_value", "new_value", "data_source", "confidence_score", "reason", "evidence", "tier")
    )
    with db.transaction() as cur:
        sync.add_audit(cur, [empty | {"stream": "main", "trade_id": ID} | row], now=START, actor="service")


def test_the_bytes_of_an_alert_stand_on_the_page_of_its_signal_with_receipt_and_delay(
    reader: FlaskClient, db: Database
) -> None:
    deliver(db, entry(note=HOSTILE), received_at=START + 3 * MINUTE / 60)
    answer = get(reader, PAGE)
    said = words(answer)
    assert f'"signal_id": "{ID}", "bias": "Bullish", "entry_price": 20500.5' in said
    assert "ENTRY received 2025-12-10 09:31:03 EST , 3s after its bar, webhook" in said
    assert HOSTILE not in answer.text
    with db.transaction() as cur:
        cur.execute("SELECT receipt_id FROM telemetry_automated_signals_log")
        receipt = str(cur.fetchone().receipt_id)
    assert f'data-copy="receipt-{receipt}"' in answer.text


def test_bytes_that_are_kept_no_longer_are_said_to_be_gone(reader: FlaskClient, db: Database) -> None:
    deliver(db, entry())
    with db.transaction() as cur:
        cur.execute("UPDATE telemetry_automated_signals_log SET raw_body = NULL")
    assert "Its bytes are kept no longer." in words(get(reader, PAGE))


@pytest.mark.parametrize(
    ("raw", "text"), [(b"plain", "plain"), (b"\xff\xfe", "\\xff\\xfe"), (b"a\0b", "a\\x00b"), ("ü".encode(), "ü")]
)
def test_no_byte_is_hidden(raw: bytes, text: str) -> None:
    assert evidence.text_of(raw) == text


def test_gaps_and_their_repairs_stand_with_source_and_confidence(reader: FlaskClient, db: Database) -> None:
    add(db, event(ID, Kind.ENTRY))
    measure(db, ID, "no_mae", "no_mfe_update")
    with db.transaction() as cur:
        sync.resolve_gaps(cur, {("main", ID, "no_mae"): "gap_filled_mfe_mae"}, START + 4 * MINUTE)
    audit(db, action_type="gap_detected", gap_type="no_mae")
    audit(
        db, action_type="gap_filled_mfe_mae", field="mae_global_r", new_value={"mae": -0.5}, data_source="reconciled",
        confidence_score=0.8, reason="own_bars",
    )  # fmt: skip
    said = words(get(reader, PAGE))
    assert "health 0 of 100, looked at 2025-12-10 09:31 EST" in said
    assert "MFE update overdue 2025-12-10 09:31 EST open" in said
    assert "MAE unknown 2025-12-10 09:31 EST 2025-12-10 09:35 EST gap filled mfe mae" in said
    assert said.index("MFE update overdue 2") < said.index("MAE unknown 2")  # what is open comes first
    assert "Excursions filled 2025-12-10 09:31 EST mae global r: MAE −0.50R reconciled 80.0% own bars" in said
    assert "Gap found" not in said


def test_a_signal_that_no_cycle_has_looked_at_says_so(reader: FlaskClient, db: Database) -> None:
    add(db, event(ID, Kind.ENTRY))
    assert "health not measured: hybrid sync has not looked at this signal yet" in words(get(reader, PAGE))
    measure(db, ID)
    assert "No gap has been found." in words(get(reader, PAGE))


def test_every_gap_and_every_deed_has_its_words() -> None:
    assert set(GAP_WORDS) == set(GAP_TYPES)
    assert set(ACTION_WORDS) == set(ACTIONS)


def test_of_many_events_the_newest_bodies_are_taken_each_once() -> None:
    receipts = [uuid4() for _ in range(evidence.MOST_BODIES + 5)]
    lines = [SimpleNamespace(receipt_id=receipt) for receipt in receipts for _ in range(2)]
    lines.insert(3, SimpleNamespace(first=START))  # a folded run names no receipt
    lines.append(SimpleNamespace(receipt_id=None))
    assert evidence.receipts_of(lines) == receipts[::-1][: evidence.MOST_BODIES]


def test_a_repair_is_told_with_what_it_filled() -> None:
    row = SimpleNamespace(
        action_timestamp=START, action_type="gap_filled_metadata", field="be_trigger", old_value=None,
        new_value="long", data_source=None, confidence_score=Decimal(1), reason=None,
    )  # fmt: skip
    (told,) = evidence.repairs([row])
    assert (told.words, told.field, told.old, told.new) == ("Facts filled", "be trigger", None, "long")
    assert (told.source, told.reason) == ("", "")
