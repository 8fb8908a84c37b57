"""What can be told of a Pine script from its text: brackets, quotes, and how it sends its alerts. Pure.

It does not replace TradingView's compiler; it finds the slips that cost alerts although the script compiles.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from telemetry.kit.limits import MOST_PER_BAR

_TEXT = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'")
_COMMENT = re.compile(r"//.*")
_LOOP = re.compile(r"(?:.*=\s*)?(?:for|while)\b")
_CALL = re.compile(r"(?<![\w.])alert\s*\(")
_PAIRS = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True, slots=True)
class Slip:
    """One finding: the line (from 1; 0 for the script as a whole) and what is wrong with it."""

    line: int
    what: str


def find_slips(source: str) -> list[Slip]:
    """Every slip of a script, in the order of its lines."""
    bare = [_COMMENT.sub("", _TEXT.sub('""', line)) for line in source.splitlines()]
    found = [*_version(source), *_brackets(bare), *_quotes(bare), *_alerts(bare)]
    return sorted(found, key=lambda slip: slip.line)


def _version(source: str) -> Iterator[Slip]:
    if not re.search(r"^//@version=[56]$", source, re.MULTILINE):
        yield Slip(0, "does not begin with //@version=6")


def _brackets(lines: list[str]) -> Iterator[Slip]:
    opened: list[tuple[str, int]] = []
    for number, line in enumerate(lines, 1):
        for character in line:
            if character in "([{":
                opened.append((character, number))
            elif character in _PAIRS and (not opened or opened.pop()[0] != _PAIRS[character]):
                yield Slip(number, f"closes {character!r}, which was not opened")
                return
    yield from (Slip(number, f"opens {character!r} and does not close it") for character, number in opened)


def _quotes(lines: list[str]) -> Iterator[Slip]:
    for number, line in enumerate(lines, 1):
        if line.replace('""', "").count('"') or "'" in line:
            yield Slip(number, "a text does not end on its line")


def _alerts(lines: list[str]) -> Iterator[Slip]:
    calls = [number for number, line in enumerate(lines, 1) if _CALL.search(line)]
    text = "\n".join(lines)
    if not calls:
        yield Slip(0, "calls alert() nowhere")
    elif "barstate.isrealtime" not in text:
        yield Slip(0, "does not ask barstate.isrealtime, so the past may be sent when the script is loaded")
    if len(calls) > MOST_PER_BAR:
        yield Slip(calls[MOST_PER_BAR], f"more than {MOST_PER_BAR} calls of alert(): one bar may use up three minutes")
    for number in calls:
        if _is_in_loop(lines, number - 1):
            yield Slip(number, "alert() in a loop: once per bar, TradingView fires the first round only")
        if "alert.freq_all" in lines[number - 1] and "barstate.isconfirmed" not in text:
            yield Slip(number, "alert.freq_all without barstate.isconfirmed fires on every price")


def _is_in_loop(lines: list[str], place: int) -> bool:
    depth = _indent(lines[place])
    for line in reversed(lines[:place]):
        if line.strip() and _indent(line) < depth:
            depth = _indent(line)
            if _LOOP.match(line.strip()):
                return True
    return False


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
