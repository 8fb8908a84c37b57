"""Repairs of malformed JSON that are certain, as a list of edits to the raw bytes.

It reads token by token, because a rule like "digits, then a quote" would also eat the closing quotes of
`"time":"06:22:00"`. Four faults are known: a stray quote after a number, a comma before a closing bracket, a number
that is none (`NaN`, `Infinity`, `na`), a missing closing quote before the comma that ends a text. Whether the
repaired text is JSON is for the caller to find out; if it is not, nothing is repaired.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from telemetry.dialects.values import NOT_FINITE

STRAY_QUOTE = "stray_quote"
TRAILING_COMMA = "trailing_comma"
MISSING_QUOTE = "missing_quote"

MAX_EDITS = 200
MAX_NAME = 100

# Possessive, and an unclosed string runs to the end: every byte is read once, whatever the input.
_TOKEN = re.compile(
    rb"(?P<string>\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\"?)"
    rb"|(?P<number>-?[0-9]++(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?)"
    rb"|(?P<word>[+-]?[A-Za-z_]++)"
    rb"|(?P<space>[ \t\r\n]++)"
    rb"|(?P<mark>.)",
    re.DOTALL,
)
_NOT_FINITE_WORD = re.compile(rb"[+-]?(?:nan|na|inf|infinity)", re.IGNORECASE)
_UNCLOSED = re.compile(rb"\"[^\",:{}\[\]\\]*,\"")
_VALUE_ENDS = re.compile(rb"[ \t\r\n]*[,}\]]")
_KEY_GOES_ON = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*\"[ \t\r\n]*:")
_CLOSING = re.compile(rb"[ \t\r\n]*[}\]]")


@dataclass(frozen=True, slots=True)
class Edit:
    """At byte `offset` of the raw body, `removed` gives way to `inserted`; `field` is the key it happened under."""

    offset: int
    removed: str
    inserted: str
    reason: str
    field: str = ""

    def as_json(self) -> dict[str, int | str]:
        return {
            "offset": self.offset,
            "removed": self.removed,
            "inserted": self.inserted,
            "reason": self.reason,
            "field": self.field,
        }


@dataclass(frozen=True, slots=True)
class Repair:
    """The difference between a malformed body and the JSON that was meant."""

    edits: tuple[Edit, ...]

    def apply(self, body: bytes) -> bytes:
        """The repaired body."""
        pieces, done = [], 0
        for edit in self.edits:
            pieces += [body[done : edit.offset], edit.inserted.encode()]
            done = edit.offset + len(edit.removed)
        return b"".join([*pieces, body[done:]])

    def as_json(self) -> list[dict[str, int | str]]:
        return [edit.as_json() for edit in self.edits]


def plan_repair(body: bytes) -> Repair | None:
    """The certain repairs of a body, or None if there are none (or too many to be certain of anything)."""
    edits = []
    for edit in _edits(body):
        edits.append(edit)
        if len(edits) > MAX_EDITS:
            return None
    return Repair(tuple(edits)) if edits else None


def _edits(body: bytes) -> Iterator[Edit]:
    position, previous, key, text = 0, b"", "", ""
    while token := _TOKEN.match(body, position):
        kind, raw, position = token.lastgroup, token[0], token.end()
        if kind == "space":
            continue
        if raw == b":":
            key = text
        edit = _edit_of(kind, body, token, previous, key)
        if edit:
            yield edit
            # What follows is read as if the edit had been made; an inserted quote ends the text before its comma.
            position = edit.offset if edit.inserted == '"' else max(position, edit.offset + len(edit.removed))
        if kind == "string":
            text = raw[1:-1][:MAX_NAME].decode(errors="replace")
        previous = b'"' if kind == "string" else raw


def _edit_of(kind: str | None, body: bytes, token: re.Match[bytes], previous: bytes, key: str) -> Edit | None:
    start, end = token.span()
    is_value = previous in (b":", b"[", b",")
    if kind == "number" and is_value and body[end : end + 1] == b'"' and _VALUE_ENDS.match(body, end + 1):
        return Edit(end, '"', "", STRAY_QUOTE, key)
    if kind == "word" and is_value and _NOT_FINITE_WORD.fullmatch(token[0]):
        return Edit(start, token[0].decode(), "null", NOT_FINITE, key)
    if kind == "string" and previous == b":" and _UNCLOSED.fullmatch(token[0]) and _KEY_GOES_ON.match(body, end):
        return Edit(end - 2, "", '"', MISSING_QUOTE, key)
    if token[0] == b"," and previous not in (b",", b"{", b"[", b":", b"") and _CLOSING.match(body, end):
        return Edit(start, ",", "", TRAILING_COMMA, key)
    return None
