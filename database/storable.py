"""What PostgreSQL can keep: text without NUL and lone surrogates, whole numbers of 64 bits."""

from __future__ import annotations

MAX_ID = 2**63 - 1
"""The largest id of a bigint column."""

NO_NUL = r"^[^\x00]*$"
"""The pattern of a field that refuses NUL at the door; where somebody only types a filter, `without_nul` will do."""


def id_or_none(number: int | None) -> int | None:
    """The number where it can be the id of a row, else None: of an address that somebody typed."""
    return number if number is not None and 0 < number <= MAX_ID else None


def without_nul(text: str) -> str:
    """The text without NUL."""
    return text.replace("\x00", "")


def storable(text: str) -> str:
    """The text with whatever PostgreSQL refuses left out or replaced."""
    return without_nul(text if text.isascii() else text.encode("utf-8", "replace").decode())
