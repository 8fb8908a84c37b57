"""The body of an upload: plain, or gzipped so that a long export fits into a request."""

from __future__ import annotations

import zlib

from core.errors import InvalidInputError, TooLargeError

MAX_UNPACKED = 32 * 1024 * 1024
_GZIP = b"\x1f\x8b"


def unpacked(body: bytes) -> bytes:
    """What was uploaded. TooLargeError beyond 32 MiB, InvalidInputError naming `file` where it is cut off or empty."""
    if not body:
        raise InvalidInputError("file: is empty", field="file")
    if not body.startswith(_GZIP):
        return body
    unpacker = zlib.decompressobj(wbits=31)
    try:
        found = unpacker.decompress(body, MAX_UNPACKED + 1)
    except zlib.error:
        raise InvalidInputError("file: is no whole gzip file", field="file") from None
    if len(found) > MAX_UNPACKED:
        raise TooLargeError("file: holds more than 32 MiB", field="file")
    if not unpacker.eof:
        raise InvalidInputError("file: is no whole gzip file", field="file")
    return found
