"""The bytes of one journal record: what goes in comes out, and damage is noticed."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidInputError, TooLargeError
from telemetry.journal.record import MAX_PAYLOAD_BYTES, Record, decode, encode, index

ANY_TEXT = st.text(st.characters(), max_size=60)
RECORDS = st.builds(
    Record,
    receipt_id=st.uuids(),
    received_at=st.datetimes(timezones=st.just(UTC)),
    stream=ANY_TEXT,
    source_ip=ANY_TEXT,
    content_type=ANY_TEXT,
    source=st.just("webhook"),
    body=st.binary(max_size=300),
)


def a_record(body: bytes = b'{"price": 1}') -> Record:
    received_at = datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
    return Record(uuid.UUID(int=7), received_at, "main", "203.0.113.9", "text/plain", "webhook", body)


@given(st.lists(RECORDS, max_size=4))
@settings(max_examples=150, deadline=None)
def test_whatever_is_written_is_read_back_equal_and_in_order(records: list[Record]) -> None:
    data = b"".join(encode(record) for record in records)
    found = list(decode(data))
    assert [record for record, _ in found] == records
    assert ([0] + [end for _, end in found])[-1] == len(data)


@pytest.mark.parametrize("text", ["\ud800", "\x00", "Ä" * 5000, "a\r\nb"])
def test_odd_header_texts_survive(text: str) -> None:
    record = Record(uuid.UUID(int=1), a_record().received_at, "main", "::1", text, "webhook", b"\xff\x00")
    assert [found for found, _ in decode(encode(record))] == [record]


def test_every_flipped_bit_is_noticed() -> None:
    first, second = encode(a_record(b"first")), encode(a_record(b"second"))
    for position in range(len(second) * 8):
        damaged = bytearray(second)
        damaged[position // 8] ^= 1 << position % 8
        assert [record.body for record, _ in decode(first + damaged)] == [b"first"], position


def test_every_torn_end_leaves_the_records_before_it() -> None:
    first, second = encode(a_record(b"first")), encode(a_record(b"second"))
    for length in range(len(second)):
        assert [end for _, end in decode(first + second[:length])] == [len(first)]


def test_decoding_stops_at_the_first_bad_record() -> None:
    good = encode(a_record())
    assert index(good + b"rubbish" + good) == ({a_record().receipt_id: a_record().received_at}, len(good))


@given(st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_random_bytes_are_no_records(data: bytes) -> None:
    assert list(decode(data)) == []
    assert list(decode(b"SBJR\x01" + data)) == []


def test_a_body_beyond_the_limit_is_refused() -> None:
    with pytest.raises(TooLargeError):
        encode(a_record(bytes(MAX_PAYLOAD_BYTES)))


def test_a_time_without_a_zone_is_refused() -> None:
    naive = replace(a_record(), received_at=a_record().received_at.replace(tzinfo=None))
    with pytest.raises(InvalidInputError):
        encode(naive)
