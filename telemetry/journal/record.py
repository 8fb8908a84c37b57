"""How one delivery is written in the journal. Pure: bytes and records, no files.

    magic 4 | version 1 | length 4 | header_len 4 | crc32 4 | header | body          (integers big-endian)
    header = receipt_id 16 | received_at 8 | stream | source_ip | content_type | source

`length` counts header and body together, `header_len` the header alone; each text of the header is UTF-8 after its
length in 4 bytes; `received_at` is microseconds since 1970 UTC. The checksum covers everything but itself.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from core.errors import InvalidInputError, TooLargeError
from core.records import from_microseconds, microseconds

MAX_PAYLOAD_BYTES = 1024 * 1024
"""Far above any admitted request; a length beyond it in a file can only be damage."""

_MAGIC = b"SBJR"
_VERSION = 1
_LEAD = struct.Struct(">4sBII")
_CRC = struct.Struct(">I")
_FIXED = struct.Struct(">16sq")
_TEXT_LEN = struct.Struct(">I")
_PREFIX_LEN = _LEAD.size + _CRC.size


@dataclass(frozen=True, slots=True)
class Record:
    """One delivery as it came. `received_at` is aware UTC; `body` is byte for byte what was sent, token masked."""

    receipt_id: uuid.UUID
    received_at: datetime
    stream: str
    source_ip: str
    content_type: str
    source: str
    body: bytes


def encode(record: Record) -> bytes:
    """The record's bytes, ready for one write.

    Raises TooLargeError above MAX_PAYLOAD_BYTES and InvalidInputError for a time without a zone.
    """
    header = _encode_header(record)
    length = len(header) + len(record.body)
    if length > MAX_PAYLOAD_BYTES:
        raise TooLargeError(field="body")
    lead = _LEAD.pack(_MAGIC, _VERSION, length, len(header))
    checksum = zlib.crc32(record.body, zlib.crc32(header, zlib.crc32(lead)))
    return b"".join((lead, _CRC.pack(checksum), header, record.body))


def decode(data: bytes) -> Iterator[tuple[Record, int]]:
    """The whole records at the start of `data`, each with the offset where it ends; stops at the first bad one.

    What lies behind the last offset yielded (0 if there was none) is the torn tail.
    """
    offset = 0
    while (found := _decode_one(data, offset)) is not None:
        yield found
        offset = found[1]


def index(data: bytes) -> tuple[dict[uuid.UUID, datetime], int]:
    """Receipt and time of the whole records at the start of `data`, in their order, and where the last one ends."""
    times: dict[uuid.UUID, datetime] = {}
    end = 0
    for record, record_end in decode(data):
        times[record.receipt_id] = record.received_at
        end = record_end
    return times, end


def _encode_header(record: Record) -> bytes:
    if record.received_at.tzinfo is None:
        raise InvalidInputError("The time of receipt needs a time zone.", field="received_at")
    parts = [_FIXED.pack(record.receipt_id.bytes, microseconds(record.received_at))]
    for text in (record.stream, record.source_ip, record.content_type, record.source):
        # A header of a request may hold anything; surrogatepass keeps even what is not valid Unicode.
        encoded = text.encode("utf-8", "surrogatepass")
        parts += (_TEXT_LEN.pack(len(encoded)), encoded)
    return b"".join(parts)


def _decode_one(data: bytes, offset: int) -> tuple[Record, int] | None:
    start = offset + _PREFIX_LEN
    if len(data) < start:
        return None
    magic, version, length, header_len = _LEAD.unpack_from(data, offset)
    end = start + length
    if magic != _MAGIC or version != _VERSION or length > MAX_PAYLOAD_BYTES or header_len > length or end > len(data):
        return None
    lead, payload = data[offset : offset + _LEAD.size], data[start:end]
    if _CRC.unpack_from(data, offset + _LEAD.size)[0] != zlib.crc32(payload, zlib.crc32(lead)):
        return None
    try:
        return _decode_payload(payload, header_len), end
    except (struct.error, ValueError, OverflowError):
        return None  # A right checksum over a wrong layout: not written by us, so as bad as a torn one.


def _decode_payload(payload: bytes, header_len: int) -> Record:
    receipt, received_us = _FIXED.unpack_from(payload, 0)
    texts: list[str] = []
    offset = _FIXED.size
    for _ in range(4):
        (length,) = _TEXT_LEN.unpack_from(payload, offset)
        offset += _TEXT_LEN.size
        texts.append(payload[offset : offset + length].decode("utf-8", "surrogatepass"))
        offset += length
    if offset != header_len:
        raise ValueError("header_len does not fit the header")
    stream, source_ip, content_type, source = texts
    body = payload[header_len:]
    received_at = from_microseconds(received_us)
    return Record(uuid.UUID(bytes=receipt), received_at, stream, source_ip, content_type, source, body)
