"""The delivery log and the connection page for people: what came is shown as it came, secrets only once."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from database import deliveries, tokens
from database.engine import Database
from database.storable import MAX_ID, id_or_none
from telemetry import presenting
from telemetry.dialects import fields
from tests.support_deliveries import deliver
from tests.support_http import PAGE, csrf_token, get, words
from tests.support_signals import START

LOG = "/automated-signals-telemetry"
HOSTILE = "<img src=x onerror=alert(1)>"
STRAY_QUOTES = b'{"type":"ENTRY","signal_id":"20251114_000200000_BEARISH","entry_price":24847","sl_price":24860"}'
ENTRY: dict[str, Any] = {"event_type": "ENTRY", "trade_id": "T1", "direction": "LONG", "entry_price": 20500}
HEARTBEAT: dict[str, Any] = {"event_type": "HEARTBEAT", "signal_count": 3}


def ids(answer: TestResponse) -> list[int]:
    return [int(found) for found in re.findall(r'<tr data-id="(\d+)"', answer.text)]


def replay(client: FlaskClient, path: str) -> TestResponse:
    return client.post(f"/api/automated-signals/telemetry/{path}", headers={"X-CSRFToken": csrf_token(client, LOG)})


def test_an_empty_log_leads_to_the_connection_page(reader: FlaskClient) -> None:
    answer = get(reader, LOG)
    assert "Nothing has been delivered yet" in words(answer)
    assert 'class="button" href="/connect"' in answer.text


def test_the_log_is_filtered_by_status_and_dialect(reader: FlaskClient, db: Database) -> None:
    entry, heartbeat, broken = deliver(db, ENTRY, HEARTBEAT, b"no json")
    assert ids(get(reader, LOG)) == [broken, heartbeat, entry]
    assert ids(get(reader, f"{LOG}?status=quarantined")) == [broken]
    assert ids(get(reader, f"{LOG}?dialect=heartbeat")) == [heartbeat]
    assert "No delivery fits this filter" in words(get(reader, f"{LOG}?dialect=stage"))


def test_a_delivery_that_brought_nothing_new_says_why(reader: FlaskClient, db: Database) -> None:
    _, other = deliver(db, ENTRY, {**ENTRY, "entry_price": 20501})
    said = words(get(reader, f"{LOG}?delivery={other}"))
    assert "A one-shot fact that was known already; the earlier one is believed." in said


def test_paging_older_and_newer_meets_every_delivery_once(
    reader: FlaskClient, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telemetry.routes.PAGE_SIZE", 2)
    stored = deliver(db, *({**HEARTBEAT, "signal_count": number} for number in range(7)))
    for rel, start in (("next", LOG), ("prev", f"{LOG}?before_id={stored[0] + 1}")):
        path, seen = start, []
        while path:
            answer = get(reader, path)
            seen += ids(answer)
            link = re.search(rf'rel="{rel}"[^>]* href="([^"]+)"', answer.text)
            path = html.unescape(link[1]) if link else ""
        assert sorted(set(seen)) == stored
        assert rel == "prev" or len(seen) == len(stored)


@pytest.mark.parametrize("number", [0, -1, MAX_ID + 1])
def test_a_number_that_can_be_no_id_counts_as_absent(reader: FlaskClient, db: Database, number: int) -> None:
    (delivery,) = deliver(db, ENTRY)
    assert id_or_none(number) is None
    assert ids(get(reader, f"{LOG}?before_id={number}&delivery={number}")) == [delivery]


def test_the_first_and_the_last_id_are_ids() -> None:
    assert [id_or_none(number) for number in (None, 1, MAX_ID)] == [None, 1, MAX_ID]


@pytest.mark.parametrize("query", ["before_id=x", "delivery=-1", f"before_id={10**30}", "status=%00", "dialect=%27"])
def test_nonsense_in_the_address_does_no_harm(reader: FlaskClient, db: Database, query: str) -> None:
    deliver(db, ENTRY)
    assert get(reader, f"{LOG}?{query}").status_code == 200


def test_a_delivery_shows_its_bytes_its_meaning_and_its_trade(reader: FlaskClient, db: Database) -> None:
    (delivery,) = deliver(db, {**ENTRY, "note": HOSTILE})
    answer = get(reader, f"{LOG}?delivery={delivery}")
    assert HOSTILE not in answer.text
    said = words(answer)
    assert f'"note": "{HOSTILE}"' in said
    assert "Event ENTRY processed" in said
    assert "no event time An alert that ought to give the event time did not" in said
    assert 'href="/automated-signals/T1?stream=main"' in answer.text


def test_a_body_that_is_no_text_is_shown_in_hex(reader: FlaskClient, db: Database) -> None:
    (delivery,) = deliver(db, b"\xff\xfe<b>")
    answer = get(reader, f"{LOG}?delivery={delivery}")
    assert "5 bytes, not UTF-8" in words(answer)
    assert "000000 ff fe 3c 62 3e ..<b>" in words(answer)


def test_a_repair_shows_each_edit_in_its_place(reader: FlaskClient, db: Database) -> None:
    (delivery,) = deliver(db, STRAY_QUOTES)
    text = html.unescape(get(reader, f"{LOG}?delivery={delivery}").text)
    assert '"entry_price":24847<del>\N{MINUS SIGN}"</del>,"sl_price":24860<del>\N{MINUS SIGN}"</del>}' in text
    assert "entry_price: stray quote at byte 76" in text


def test_a_receipt_leads_to_its_delivery(reader: FlaskClient, db: Database) -> None:
    (delivery, _) = deliver(db, ENTRY, HEARTBEAT)
    with db.transaction() as cur:
        receipt = deliveries.get_delivery(cur, delivery).receipt_id
    location = get(reader, f"{LOG}?receipt={receipt}").headers["Location"]
    assert ids(get(reader, location)) == [delivery]
    assert get(reader, f"{LOG}?receipt=nonsense").status_code == 404
    assert get(reader, f"{LOG}?receipt=00000000-0000-0000-0000-000000000000").status_code == 404
    assert get(reader, f"{LOG}?delivery={delivery + 9}").status_code == 404


def test_a_quarantined_delivery_can_be_replayed(
    reader: FlaskClient, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as lacking:  # a service that does not know this kind yet
        lacking.delitem(fields.KINDS, "ENTRY")
        (delivery, other) = deliver(db, ENTRY, {**ENTRY, "trade_id": "T2"})
    assert "data-replay" in get(reader, f"{LOG}?delivery={delivery}").text
    assert replay(reader, f"{delivery}/replay").get_json() == {"success": True, "tried": 1, "understood": 1}
    assert ids(get(reader, f"{LOG}?status=quarantined")) == [other]
    assert replay(reader, "replay").get_json() == {"success": True, "tried": 1, "understood": 1}
    assert get(reader, "/automated-signals/T2").status_code == 200


def test_a_replay_of_what_is_not_there_or_without_its_token_is_refused(reader: FlaskClient, db: Database) -> None:
    (delivery,) = deliver(db, b"no json")
    assert replay(reader, f"{delivery + 1}/replay").status_code == 404
    assert reader.post(f"/api/automated-signals/telemetry/{delivery}/replay").status_code == 403
    assert replay(reader, f"{delivery}/replay").get_json() == {"success": True, "tried": 1, "understood": 0}


def test_a_new_address_is_shown_whole_once_and_kept_by_nobody(reader: FlaskClient, db: Database) -> None:
    answer = reader.post(
        "/connect/rotate", data={"stream": "nq", "csrf_token": csrf_token(reader, "/connect")}, headers=PAGE
    )
    found = re.search(r'id="webhook-url">http://localhost/api/automated-signals/webhook/([\w-]{32})<', answer.text)
    assert found
    assert answer.headers["Cache-Control"] == "no-store"
    later = get(reader, "/connect").text
    assert found[1] not in later
    assert f"…{found[1][-4:]}" in later


def test_a_revoked_address_stays_in_the_list_as_revoked(reader: FlaskClient, db: Database) -> None:
    with db.transaction() as cur:
        tokens.add_token(cur, token="t" * 32, stream="main", created_by="ann")
        (row,) = tokens.list_tokens(cur)
    form = {"csrf_token": csrf_token(reader, "/connect")}
    answer = reader.post(f"/connect/revoke/{row.id}", data=form, headers=PAGE)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/connect")
    assert re.search(r"…tttt main revoked .* ann revoked", words(get(reader, "/connect")))


def test_the_connection_page_tells_waiting_from_heard_and_silent(reader: FlaskClient, db: Database) -> None:
    with db.transaction() as cur:
        tokens.add_token(cur, token="t" * 32, stream="main", created_by="ann")
    assert "Waiting for your first alert on stream main" in words(get(reader, "/connect"))
    deliver(db, HEARTBEAT, received_at=START)
    assert re.search(r"Silent for \d+d", words(get(reader, "/connect")))


@pytest.mark.parametrize(
    ("address", "faults"),
    [
        ("https://signals.example.com", ()),
        ("https://signals.example.com:443", ()),
        ("http://signals.example.com", ("not https",)),
        ("https://signals.example.com:5000", ("port is 5000",)),
        ("http://127.0.0.1:5000", ("not https", "port is 5000", "this machine only")),
    ],
)
def test_an_address_that_tradingview_cannot_use_is_told(address: str, faults: tuple[str, ...]) -> None:
    found = presenting.address_faults(address)
    assert len(found) == len(faults)
    assert all(words_of in text for words_of, text in zip(faults, found, strict=True))


def test_repair_pieces_keep_the_body_and_leave_out_what_lies_far_off() -> None:
    raw = b"a" * 500 + b"1" + b'"' + b"b" * 500
    pieces = presenting.repair_pieces(raw, [{"offset": 501, "removed": '"', "inserted": "é"}])
    assert [kind for kind, _ in pieces] == ["gap", "same", "removed", "inserted", "same", "gap"]
    assert pieces[0][1] == "441 bytes"
    near = presenting.repair_pieces(b'{"a":1"}', [{"offset": 6, "removed": '"', "inserted": ""}])
    assert near == [("same", '{"a":1'), ("removed", '"'), ("same", "}")]


def test_a_latency_is_written_in_the_unit_that_fits() -> None:
    assert [presenting.latency(value) for value in (None, 0.84, 12.3, 1240)] == ["—", "0.8 ms", "12 ms", "1.2 s"]


def test_old_addresses_are_expiring_after_a_rotation(reader: FlaskClient, db: Database) -> None:
    with db.transaction() as cur:
        tokens.add_token(cur, token="t" * 32, stream="main", created_by="ann")
        tokens.rotate_token(cur, stream="main", created_by="ann", old_expires_at=START + timedelta(days=1))
    assert "expired" in words(get(reader, "/connect"))
