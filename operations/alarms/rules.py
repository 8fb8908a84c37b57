"""What is wrong, judged from facts. Pure.

Each rule gives a verdict for every cause it can judge now. What it cannot judge (the market is closed, the service has
only just started, a table is not there) stays as it was: neither an alarm nor a recovery comes of not knowing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from core.sync.health import CRITICAL_GAPS, CRITICAL_SCORE, WARNING_GAPS, WARNING_SCORE
from core.trading_calendar import TradingCalendar

WARNING, CRITICAL, FINE, UNKNOWN = "warning", "critical", "fine", "unknown"
HEARTBEAT = "HEARTBEAT"
A_SESSION_MINUTES = 23 * 60


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that may go wrong. It must last for `patience` before it is told; `in_market`: not while it is closed."""

    name: str
    title: str
    in_market: bool = True
    patience: timedelta = timedelta(0)


RULES = {
    rule.name: rule
    for rule in (
        Rule("stream_silent", "Stream silent"),
        Rule("kind_silent", "A kind of alert is missing"),
        Rule("throttle_danger", "Close to TradingView's throttle", in_market=False),
        Rule("feed_down", "Market data feed down", patience=timedelta(minutes=1)),
        Rule("bars_late", "Bars are late"),
        Rule("health_low", "Health score low"),
        Rule("gaps_many", "Many open gaps"),
        Rule("journal_pending", "Alerts wait outside the database", in_market=False),
        Rule("journal_broken", "The journal cannot be written", in_market=False),
        Rule("journal_not_kept", "The data directory was lost", in_market=False),
        Rule("job_overdue", "A job is overdue", in_market=False),
        Rule("disk_low", "The disk is nearly full", in_market=False),
        Rule("durability_off", "The database does not keep its promises", in_market=False),
        Rule("calendar_ending", "The trading calendar ends", in_market=False),
        Rule("database_away", "The database is away", in_market=False),
    )
}
"""`database_away` is judged by the sentry, which needs no database."""


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """One stream of alerts: when it was last heard, alerts in three minutes, open trades its last alerts spoke of."""

    stream: str
    last_at: datetime
    fires: int = 0
    trades: int = 0


@dataclass(frozen=True, slots=True)
class KindFacts:
    """One kind of alert of a stream within the last eight days: when last, and on how many days."""

    stream: str
    kind: str
    last_at: datetime
    days: int


@dataclass(frozen=True, slots=True)
class FeedFacts:
    """What the feed last said of itself; `said_at` None: nothing yet."""

    is_connected: bool
    said_at: datetime | None


@dataclass(frozen=True, slots=True)
class BarFacts:
    """The newest bar (its open) of a contract's smallest timeframe in minutes."""

    contract_id: str
    minutes: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class JobFacts:
    """A job of this process and its last success anywhere."""

    name: str
    every: timedelta
    last_success_at: datetime | None


@dataclass(frozen=True, slots=True)
class JournalFacts:
    """The journal: does it take records, how many wait, how old is the oldest, did its directory survive?"""

    ok: bool
    pending: int
    oldest_age_seconds: float
    persistent: bool | None


def worst_of(journals: Sequence[JournalFacts]) -> JournalFacts | None:
    """A journal that is as ill as these together; None without any."""
    if not journals:
        return None
    known = [journal.persistent for journal in journals if journal.persistent is not None]
    return JournalFacts(
        ok=all(journal.ok for journal in journals),
        pending=sum(journal.pending for journal in journals),
        oldest_age_seconds=max(journal.oldest_age_seconds for journal in journals),
        persistent=all(known) if known else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that is known at `now`; None is what nobody measures. `watched_since` is the start of this process."""

    now: datetime
    watched_since: datetime
    streams: tuple[StreamFacts, ...] = ()
    kinds: tuple[KindFacts, ...] = ()
    feed: FeedFacts | None = None
    bars: tuple[BarFacts, ...] = ()
    jobs: tuple[JobFacts, ...] = ()
    journal: JournalFacts | None = None
    health_score: float | None = None
    open_gaps: int | None = None
    disk_free: float | None = None
    durability_off: Mapping[str, str] = field(default_factory=dict)
    calendar_days_left: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one rule says of one cause. The cause is the rule's name, a colon, and whom it is about."""

    rule: str
    cause: str
    severity: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Verdicts by cause, and the rules that could not judge at all."""

    verdicts: Mapping[str, Verdict]
    unmeasured: frozenset[str]


def judge(facts: Facts, calendar: TradingCalendar) -> Judgement:
    """Every verdict of this moment."""
    is_open = calendar.is_open(facts.now)
    found: dict[str, Verdict] = {}
    unmeasured: set[str] = {"database_away"}
    for name, check in CHECKS.items():
        if RULES[name].in_market and not is_open:
            unmeasured.add(name)
            continue
        verdicts = check(facts, calendar)
        if verdicts is None:
            unmeasured.add(name)
            continue
        for subject, severity, detail in verdicts:
            cause = f"{name}:{subject}" if subject else name
            found[cause] = Verdict(name, cause, severity, detail)
    return Judgement(found, frozenset(unmeasured))


Said = Iterator[tuple[str, str, str]]  # subject, severity, detail
Check = Callable[[Facts, TradingCalendar], Said | None]


def _graded(value: float, warn: float, critical: float) -> str:
    """The higher, the worse."""
    if value > critical:
        return CRITICAL
    return WARNING if value > warn else FINE


def _stream_silent(facts: Facts, calendar: TradingCalendar) -> Said:
    for stream in facts.streams:
        is_minutely = stream.trades > 0 or _beats(facts, stream.stream)
        warn, critical = (3.0, 10.0) if is_minutely else (240.0, 480.0)
        silence = calendar.open_minutes_between(stream.last_at, facts.now)
        severity = _graded(silence, warn, critical)
        watched = calendar.open_minutes_between(facts.watched_since, facts.now)
        if severity != FINE and watched <= warn:
            severity = UNKNOWN  # nobody listened before: the alert may have found a closed door
        why = (
            "trades are open or it used to beat every minute"
            if is_minutely
            else "it usually speaks several times a day"
        )
        yield stream.stream, severity, f"no alert for {silence:.0f} minutes of open market, although {why}"


def _beats(facts: Facts, stream: str) -> bool:
    """Whether the stream has sent heartbeats within two days."""
    return any(
        kind.stream == stream and kind.kind == HEARTBEAT and facts.now - kind.last_at < timedelta(days=2)
        for kind in facts.kinds
    )


def _kind_silent(facts: Facts, calendar: TradingCalendar) -> Said:
    silent = {cause.stream for cause in facts.streams if calendar.open_minutes_between(cause.last_at, facts.now) > 240}
    for kind in facts.kinds:
        if kind.stream in silent or kind.days < 3:
            continue  # the stream's own alarm says it, or the kind is too rare to be missed
        limit = 15.0 if kind.kind == HEARTBEAT else float(A_SESSION_MINUTES)
        silence = calendar.open_minutes_between(kind.last_at, facts.now)
        watched = calendar.open_minutes_between(facts.watched_since, facts.now)
        severity = WARNING if silence > limit else FINE
        if severity == WARNING and watched <= min(limit, 15.0):
            severity = UNKNOWN
        detail = f"no {kind.kind} for {silence:.0f} minutes of open market; it came on {kind.days} of the last 8 days"
        yield f"{kind.stream}:{kind.kind}", severity, detail


def _throttle_danger(facts: Facts, _calendar: TradingCalendar) -> Said:
    for stream in facts.streams:
        detail = f"{stream.fires} alerts in 3 minutes; TradingView stops a script after more than 15"
        yield stream.stream, _graded(stream.fires, 11, 15), detail


def _feed_down(facts: Facts, _calendar: TradingCalendar) -> Said | None:
    return _feed_said(facts.feed, facts.now) if facts.feed else None


def _feed_said(feed: FeedFacts, now: datetime) -> Said:
    if feed.said_at is None or now - feed.said_at > timedelta(minutes=1):
        yield "", CRITICAL, "no process has spoken for the feed for a minute"
    else:
        yield "", FINE if feed.is_connected else CRITICAL, "not connected to the gateway"


def _bars_late(facts: Facts, calendar: TradingCalendar) -> Said | None:
    if facts.feed and any(severity != FINE for _, severity, _ in _feed_said(facts.feed, facts.now)):
        return None  # a consequence; the feed's alarm says it
    return _bars_said(facts, calendar)


def _bars_said(facts: Facts, calendar: TradingCalendar) -> Said:
    for bar in facts.bars:
        late = calendar.open_minutes_between(bar.last_at + timedelta(minutes=bar.minutes), facts.now) - bar.minutes
        watched = calendar.open_minutes_between(facts.watched_since, facts.now)
        severity = _graded(late, 4, 15)
        if severity != FINE and watched <= 4 + bar.minutes:
            severity = UNKNOWN
        yield (
            bar.contract_id,
            severity,
            f"the newest {bar.minutes}-minute bar is {late:.0f} minutes of open market late",
        )


def _health_low(facts: Facts, _calendar: TradingCalendar) -> Said | None:
    if facts.health_score is None:
        return None
    severity = _graded(-facts.health_score, -WARNING_SCORE, -CRITICAL_SCORE)
    return iter([("", severity, f"the mean health of open and recent signals is {facts.health_score:.0f} of 100")])


def _gaps_many(facts: Facts, _calendar: TradingCalendar) -> Said | None:
    if facts.open_gaps is None:
        return None
    return iter([("", _graded(facts.open_gaps, WARNING_GAPS, CRITICAL_GAPS), f"{facts.open_gaps} gaps are open")])


def _journal_pending(facts: Facts, _calendar: TradingCalendar) -> Said | None:
    journal = facts.journal
    if journal is None:
        return None
    detail = f"{journal.pending} alerts wait on disk, the oldest for {journal.oldest_age_seconds:.0f} s"
    return iter([("", _graded(journal.oldest_age_seconds, 30, 300), detail)])


def _journal_broken(facts: Facts, _calendar: TradingCalendar) -> Said | None:
    if facts.journal is None:
        return None
    detail = "alerts go to the database only; while it is away they are refused"
    return iter([("", FINE if facts.journal.ok else CRITICAL, detail)])


def _journal_not_kept(facts: Facts, _calendar: TradingCalendar) -> Said | None:
    if facts.journal is None or facts.journal.persistent is None:
        return None
    detail = "it was empty at this start although alerts had come before: mount a volume that survives a redeploy"
    return iter([("", FINE if facts.journal.persistent else WARNING, detail)])


def _job_overdue(facts: Facts, _calendar: TradingCalendar) -> Said:
    for job in facts.jobs:
        waited = facts.now - max(job.last_success_at or facts.watched_since, facts.watched_since)
        late = facts.now - (job.last_success_at or facts.watched_since)
        severity = WARNING if late > 3 * job.every + timedelta(minutes=1) else FINE
        if severity == WARNING and waited <= 3 * job.every + timedelta(minutes=1):
            severity = UNKNOWN  # the service was down; give the job its time
        yield job.name, severity, f"no success for {late.total_seconds() / 60:.0f} minutes; due every {job.every}"


def _disk_low(facts: Facts, _calendar: TradingCalendar) -> Said | None:
    if facts.disk_free is None:
        return None
    percent = 100 * facts.disk_free
    severity = CRITICAL if percent < 5 else WARNING if percent < 10 else FINE
    return iter([("", severity, f"{percent:.0f} % of the disk of DATA_DIR is free")])


def _durability_off(facts: Facts, _calendar: TradingCalendar) -> Said:
    for name, value in facts.durability_off.items():
        yield name, CRITICAL, f"{name} is {value}: stored alerts may not survive a crash"


def _calendar_ending(facts: Facts, _calendar: TradingCalendar) -> Said | None:
    if facts.calendar_days_left is None:
        return None
    severity = WARNING if facts.calendar_days_left < 60 else FINE
    return iter([("", severity, f"{facts.calendar_days_left} days are left; upgrade the service")])


CHECKS: Mapping[str, Check] = {
    "stream_silent": _stream_silent,
    "kind_silent": _kind_silent,
    "throttle_danger": _throttle_danger,
    "feed_down": _feed_down,
    "bars_late": _bars_late,
    "health_low": _health_low,
    "gaps_many": _gaps_many,
    "journal_pending": _journal_pending,
    "journal_broken": _journal_broken,
    "journal_not_kept": _journal_not_kept,
    "job_overdue": _job_overdue,
    "disk_low": _disk_low,
    "durability_off": _durability_off,
    "calendar_ending": _calendar_ending,
}
