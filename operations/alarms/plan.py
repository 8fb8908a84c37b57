"""What to remember and what to tell, from what is held and what was judged. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from operations.alarms.rules import FINE, RULES, UNKNOWN, Judgement, Verdict


@dataclass(frozen=True, slots=True)
class Held:
    """A cause that is remembered: raised, or seen too briefly to be told (`raised_at` None)."""

    cause: str
    rule: str
    severity: str
    seen_at: datetime
    raised_at: datetime | None
    detail: str

    @property
    def is_raised(self) -> bool:
        return self.raised_at is not None


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell: `kind` is raised or recovered."""

    cause: str
    rule: str
    kind: str
    severity: str
    at: datetime
    detail: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Causes to remember, causes to forget, and what to tell."""

    held: tuple[Held, ...]
    gone: tuple[str, ...]
    notices: tuple[Notice, ...]


def plan(held: Mapping[str, Held], judgement: Judgement, now: datetime) -> Plan:
    """The next state: each cause is told once when it is raised and once when it is over."""
    kept: list[Held] = []
    gone: list[str] = []
    notices: list[Notice] = []
    for cause in sorted(held.keys() | judgement.verdicts.keys()):
        before, verdict = held.get(cause), judgement.verdicts.get(cause)
        if verdict is not None and verdict.severity not in (FINE, UNKNOWN):
            after = _seen(before, verdict, now)
            kept.append(after)
            if after.is_raised and not (before and before.is_raised):
                notices.append(Notice(cause, verdict.rule, "raised", verdict.severity, now, verdict.detail))
        elif before is not None and _is_over(before, verdict, judgement):
            gone.append(cause)
            if before.raised_at is not None:
                notices.append(_recovery(before, before.raised_at, now))
    return Plan(tuple(kept), tuple(gone), tuple(notices))


def _seen(before: Held | None, verdict: Verdict, now: datetime) -> Held:
    seen_at = before.seen_at if before else now
    raised_at = before.raised_at if before else None
    if raised_at is None and now - seen_at >= RULES[verdict.rule].patience:
        raised_at = now
    return Held(verdict.cause, verdict.rule, verdict.severity, seen_at, raised_at, verdict.detail)


def _is_over(before: Held, verdict: Verdict | None, judgement: Judgement) -> bool:
    """Over is what is judged to be fine, and a cause whose subject has gone; what cannot be judged stays."""
    if verdict is not None:
        return verdict.severity == FINE
    return before.rule not in judgement.unmeasured


def _recovery(before: Held, raised_at: datetime, now: datetime) -> Notice:
    minutes = (now - raised_at).total_seconds() / 60
    detail = f"over after {minutes:.0f} minutes; it was: {before.detail}"
    return Notice(before.cause, before.rule, "recovered", before.severity, now, detail)
