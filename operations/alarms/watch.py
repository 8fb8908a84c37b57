"""The job `alarms`: gather facts, judge them, remember the outcome, send what is new, beat.

What is to be told is stored in the transaction that decides it and sent afterwards, so a process that dies in between
tells it at the next pass: at least once, and once unless it dies just after sending.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from prometheus_client import Gauge

from core.jobs import Job, Report
from core.timezones import to_new_york
from core.trading_calendar import TradingCalendar
from database import alarms, bars, jobs, sync, verify
from database.engine import Cursor, Database
from operations.alarms.messenger import Messenger
from operations.alarms.plan import Held, Notice, Plan, plan
from operations.alarms.reports import Stats, disk_free, of_others
from operations.alarms.rules import (
    CRITICAL,
    RULES,
    WARNING,
    BarFacts,
    Facts,
    FeedFacts,
    JobFacts,
    JournalFacts,
    KindFacts,
    StreamFacts,
    judge,
    worst_of,
)

log = logging.getLogger(__name__)

EVERY = timedelta(seconds=30)
KIND_WINDOW = timedelta(days=8)
HEALTH_WINDOW = timedelta(hours=24)
MOST_ATTEMPTS = 120
AT_ONCE = 50

RAISED = Gauge("signalbook_alarms_raised", "Alarms that are raised now, as the last pass saw them", ["severity"])


@dataclass(frozen=True, slots=True)
class Watched:
    """What the alarms of this process look at. `journal` answers from memory; None where there is no journal. `owner` is
    the name under which this process reports itself to the others."""

    calendar: TradingCalendar
    data_dir: Path
    has_feed: bool
    jobs: Sequence[Job]
    watched_since: datetime
    journal: Callable[[], Stats] | None = None
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Watch:
    """One pass at a time over all processes, as every job."""

    watched: Watched
    messenger: Messenger

    def job(self) -> Job:
        """The job `alarms`. A slot that was missed is not made up for: only the present matters."""
        return Job("alarms", EVERY, self.run, grace=EVERY)

    def run(self, db: Database, now: datetime) -> Report:
        """One pass."""
        with db.transaction() as cur:
            changes = self._look(cur, now)
        sent, unsent = send_pending(db, self.messenger, now)
        beat = self.messenger.beat()
        for severity in (WARNING, CRITICAL):
            count = sum(held.is_raised and held.severity == severity for held in changes.held)
            RAISED.labels(severity).set(count)
        raised = sum(held.is_raised for held in changes.held)
        counts: dict[str, int | float | str] = {
            "raised": raised,
            "told": len(changes.notices),
            "sent": sent,
            "unsent": unsent,
        }
        return Report("the heartbeat is not taken" if beat is False else "", counts)

    def _look(self, cur: Cursor, now: datetime) -> Plan:
        held = {
            row.cause: Held(row.cause, row.rule, row.severity, row.seen_at, row.raised_at, row.detail)
            for row in alarms.lock_alarms(cur)
            if row.rule in RULES
        }
        changes = plan(held, judge(gather(cur, self.watched, now), self.watched.calendar), now)
        alarms.save_alarms(cur, [asdict(each) | {"is_raised": each.is_raised} for each in changes.held], now)
        alarms.delete_alarms(cur, changes.gone)
        alarms.add_notices(cur, [asdict(notice) for notice in changes.notices])
        for notice in changes.notices:
            log.warning("alarm", extra={"cause": notice.cause, "kind": notice.kind, "detail": notice.detail})
        return changes


def gather(cur: Cursor, watched: Watched, now: datetime) -> Facts:
    """All facts of this moment; what the market's hours make idle is not asked for while it is closed."""
    streams = tuple(
        StreamFacts(row.stream, row.last_at, row.fires, row.trades) for row in alarms.listen_to_streams(cur, now)
    )
    kinds: list[Any] = []
    if streams and watched.calendar.is_open(now):
        kinds = alarms.listen_to_kinds(cur, [each.stream for each in streams], now - KIND_WINDOW, now)
    feed, contracts = _feed(cur) if watched.has_feed else (None, ())
    score = sync.system_health(cur, since=now - HEALTH_WINDOW).score
    successes = jobs.last_successes(cur, [job.name for job in watched.jobs])
    own, disk = _journal(watched.journal()) if watched.journal else None, disk_free(watched.data_dir)
    journals, disks = of_others(cur, watched.owner, now)
    return Facts(
        now=now,
        watched_since=watched.watched_since,
        streams=streams,
        kinds=tuple(KindFacts(row.stream, row.kind, row.last_at, row.days) for row in kinds),
        feed=feed,
        bars=tuple(BarFacts(row.contract_id, row.minutes, row.last_at) for row in alarms.newest_bars(cur, contracts)),
        jobs=tuple(JobFacts(job.name, job.every, successes.get(job.name)) for job in watched.jobs),
        journal=worst_of([*journals, *([own] if own else [])]),
        health_score=None if score is None else float(score),
        open_gaps=sum(gap.total for gap in sync.count_gaps(cur, now=now).values()),
        disk_free=min([*disks, *([] if disk is None else [disk])], default=None),
        durability_off=verify.durability_off(cur),
        calendar_days_left=watched.calendar.days_left(to_new_york(now).date()),
    )


def _feed(cur: Cursor) -> tuple[FeedFacts, Sequence[str]]:
    """What the feed says, and the contracts it follows."""
    found = bars.get_feed_state(cur, bars.FEED)
    if found is None:
        return FeedFacts(False, None), ()
    state, said_at = found
    return FeedFacts(bool(state.get("is_connected")), said_at), tuple(state.get("forming") or ())


def _journal(stats: Stats) -> JournalFacts:
    return JournalFacts(stats.ok, stats.pending, stats.oldest_age_seconds, stats.persistent)


def send_pending(db: Database, messenger: Messenger, now: datetime) -> tuple[int, int]:
    """Send what waits, oldest first: (sent, not sent). After the first refusal the rest waits for the next pass."""
    with db.transaction() as cur:
        pending = alarms.list_pending(cur, AT_ONCE)
    sent = 0
    for row in pending:
        outcome = _send(messenger, row)
        with db.transaction() as cur:
            alarms.save_delivery(cur, row.id, outcome, now if outcome == "delivered" else None)
        if outcome in ("pending", "failed"):
            log.warning("alarm_not_sent", extra={"cause": row.cause, "attempts": row.attempts + 1})
            break
        sent += outcome == "delivered"
    return sent, len(pending) - sent


def _send(messenger: Messenger, row: Any) -> str:
    if not messenger.has_targets:
        return "nowhere"
    title, body = text_of(Notice(row.cause, row.rule, row.kind, row.severity, row.at, row.detail))
    if messenger.send(title, body, is_bad=row.kind == "raised"):
        return "delivered"
    return "failed" if row.attempts + 1 >= MOST_ATTEMPTS else "pending"


def text_of(notice: Notice) -> tuple[str, str]:
    """(title, body) for a person: what, whom, since when, and where to read on."""
    rule = RULES[notice.rule]
    subject = notice.cause.partition(":")[2]
    whom = f" ({subject})" if subject else ""
    word = "Recovered" if notice.kind == "recovered" else notice.severity.capitalize()
    at = to_new_york(notice.at)
    return (
        f"{word}: {rule.title}{whom}",
        f"{notice.detail}\n{at:%Y-%m-%d %H:%M:%S %Z}. Runbook: docs/runbook.md#{notice.rule}",
    )
