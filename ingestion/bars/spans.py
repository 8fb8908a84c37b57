"""Spans of time [start, end) as pairs of numbers; lists of them are sorted and do not overlap."""

from __future__ import annotations

from collections.abc import Iterable

Span = tuple[int, int]


def union(spans: Iterable[Span]) -> list[Span]:
    """The same time as the fewest spans; empty ones are dropped."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def without(spans: Iterable[Span], taken: Iterable[Span]) -> list[Span]:
    """What of the spans lies outside those taken."""
    left = union(spans)
    for start, end in taken:
        left = [
            part
            for span in left
            for part in ((span[0], min(span[1], start)), (max(span[0], end), span[1]))
            if part[0] < part[1]
        ]
    return left


def common(first: Iterable[Span], second: Iterable[Span]) -> list[Span]:
    """The time that both have."""
    others = union(second)
    found = [(max(a, c), min(b, d)) for a, b in union(first) for c, d in others if max(a, c) < min(b, d)]
    return union(found)


def total(spans: Iterable[Span]) -> int:
    """How much time the spans hold, in their own unit."""
    return sum(end - start for start, end in spans)
