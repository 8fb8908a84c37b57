"""Mutations of good alerts: never an exception, never a value that a column refuses."""

from __future__ import annotations

import json
import random
import re
from decimal import Decimal
from typing import Any

from tests.support_dialects import EXAMPLES, read

SEEDS = [path.read_bytes() for path in sorted(EXAMPLES.glob("*.json"))]
EXTREMES = [
    b"1e999",
    b"NaN",
    b"-0",
    b"9" * 60,
    b"null",
    b"true",
    b'""',
    b"[]",
    b"{}",
    b'"\\u0000"',
    b'"\\ud800"',
    b"1e-400",
]
PIECES = [
    b'"',
    b",",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b"\\",
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    "\u0410".encode(),
    *EXTREMES,
]


VALUE = re.compile(rb'(?<=:)[ ]?(?:"[^"]*"|[-0-9.]+|null|true|false)')


def swap_value(body: bytes, chance: random.Random) -> bytes:
    """Another value, of another type or extreme, under one of the keys."""
    values = list(VALUE.finditer(body))
    if not values:
        return body
    old, new = chance.choice(values), chance.choice([*EXTREMES, chance.choice(values)[0]])
    return body[: old.start()] + new + body[old.end() :]


def tear(body: bytes, chance: random.Random) -> bytes:
    """Some bytes gone, replaced, inserted or repeated."""
    place = chance.randrange(len(body) + 1)
    other = min(len(body), place + chance.randint(0, 12))
    piece = chance.choice([b"", chance.choice(PIECES), bytes([chance.randrange(256)]), body[other : other + 40]])
    return body[:place] + piece + body[other:]


def mutate(body: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.randint(1, 3)):
        body = chance.choice([swap_value, swap_value, tear])(body, chance)
    return body


def test_no_mutation_raises_or_gives_an_unstorable_value() -> None:
    chance = random.Random(20251120)
    understood = 0
    for _ in range(20_000):
        understanding = read(mutate(chance.choice(SEEDS), chance))
        assert understanding.understood or understanding.errors
        understood += understanding.understood
        for event in understanding.events:
            assert event.be_mfe_r is None or 0 <= event.be_mfe_r < 1_000_000
            assert event.entry_price is None or 0 < event.entry_price < 1_000_000_000
        repair = understanding.repair.as_json() if understanding.repair else None
        said = [understanding.message, understanding.warnings, [error.as_json() for error in understanding.errors]]
        unwrapped = [event.telemetry for event in understanding.events if understanding.payload is None]
        _assert_storable([understanding.payload, understanding.fused, unwrapped, repair, said])
    assert 2_000 < understood < 18_000


def _assert_storable(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, default=_finite)
    text.encode()
    assert "\\u0000" not in text


def _finite(number: object) -> str:
    assert isinstance(number, Decimal)
    assert number.is_finite()
    return str(number)
