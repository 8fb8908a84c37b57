"""One cycle: look for what should be known and is not, fill it from the best evidence, put on record what was done.

Signals are taken in chunks, each gathered, decided and written in one transaction, so a cycle that dies goes on where it
was; a second cycle on unchanged data writes nothing but its own report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from core.lifecycle import BAR, Kind
from core.records import EPOCH, instant_of
from core.settings import Settings
from core.trading_calendar import TradingCalendar, cme_equity_calendar
from database import repairs as store
from database import sync
from database.engine import Cursor, Database
from database.repairs import append_repairs
from database.states import Key
from hybrid_sync.gaps import Judgement, Proof, judge, last_due
from hybrid_sync.healing import repairs
from hybrid_sync.healing.evidence import FOLLOWED_FOR, Mapped, Shelf, follow
from hybrid_sync.healing.excursions import Walk
from hybrid_sync.healing.repairs import Confidence, Plan

TIERS: Final = (0, 1, 2, 3, 4)
AT_ONCE: Final = 500
WINDOW: Final = timedelta(hours=24)
SLACK: Final = timedelta(minutes=15)
"""A state saved by a long transaction carries the time of its begin: so far back a scan looks again."""


Gap = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a cycle goes by. `due`: the last minute whose update should be known."""

    now: datetime
    due: datetime
    tiers: frozenset[int]
    mapping: Mapped
    measured: Confidence
    calendar: TradingCalendar
    followed_since: datetime
    actor: str


@dataclass(slots=True)
class CycleReport:
    """What a cycle did. Gaps are all that are open, by type; fills by action; scores 0 to 100, None without signals."""

    scanned: int = 0
    attempted: int = 0
    written: int = 0
    withdrawn: int = 0
    gaps_before: Counter[str] = field(default_factory=Counter)
    gaps_after: Counter[str] = field(default_factory=Counter)
    fills: Counter[str] = field(default_factory=Counter)
    minutes_healed: int = 0
    health_before: int | None = None
    health_after: int | None = None
    is_dry_run: bool = False

    def as_json(self) -> dict[str, Any]:
        """The report as plain values."""
        before, after = sum(self.gaps_before.values()), sum(self.gaps_after.values())
        return {
            "scanned": self.scanned,
            "attempted": self.attempted,
            "written": self.written,
            "withdrawn": self.withdrawn,
            "gaps_before": before,
            "gaps_after": after,
            "by_type_before": dict(self.gaps_before),
            "by_type_after": dict(self.gaps_after),
            "fills": dict(self.fills),
            "minutes_healed": self.minutes_healed,
            "health_before": self.health_before,
            "health_after": self.health_after,
            "improvement": (self.health_after or 0) - (self.health_before or 0),
            "dry_run": self.is_dry_run,
        }

    def line(self) -> str:
        """The one line of a cycle's log."""
        told = self.as_json()
        fills = sum(self.fills.values())
        return (
            f"Hybrid Sync cycle: {self.scanned} signals, gaps {told['gaps_before']} -> {told['gaps_after']}, "
            f"{fills} repairs of {self.attempted} signals, {self.minutes_healed} minutes healed, "
            f"health {_score(self.health_before)} -> {_score(self.health_after)}"
        )


@dataclass(slots=True)
class Finding:
    """One signal of a scan: what is missing, and what evidence says about it."""

    state: Any
    judgement: Judgement
    walk: Walk | None
    plan: Plan
    news: set[str] = field(default_factory=set)  # gaps that were not open before this cycle

    @property
    def key(self) -> Key:
        return self.state.stream, self.state.trade_id


def run_cycle(
    db: Database,
    settings: Settings,
    now: datetime,
    *,
    tiers: Sequence[int] = TIERS,
    is_dry_run: bool = False,
    is_all: bool = False,
    actor: str = "service",
) -> CycleReport:
    """Scan and reconcile; the report, which is also stored. A dry run does all of it and takes it back.

    `is_all` looks at every signal, however old; without it at what may have changed, and at 14 days of trades.
    """
    if is_dry_run:
        with rehearsal(db) as rehearsed:
            report = run_cycle(rehearsed, settings, now, tiers=tiers, is_all=is_all, actor=actor)
        report.is_dry_run = True
        return report
    report = CycleReport()
    with db.transaction() as cur:
        scanned_until = sync.server_time(cur)
        last = None if is_all else sync.last_scan(cur)
        since = EPOCH if last is None else last - SLACK
        keys = sync.list_candidates(cur, since=since, mendable_since=now - FOLLOWED_FOR)
        rules = _rules(cur, settings, now, tiers, actor=actor, since=EPOCH if is_all else now - FOLLOWED_FOR)
        cycle_id = sync.start_cycle(cur, now=now, actor=actor, tiers=tiers)
    found: list[Finding] = []
    for chunk in _chunks(keys):
        with db.transaction(statement_timeout_ms=120_000) as cur:
            found += _scan(cur, chunk, rules, report)
    with db.transaction() as cur:
        report.health_before = sync.system_health(cur, since=now - WINDOW).score
        report.gaps_before = _open_gaps(cur, now)
    for group in _chunks(found):
        with db.transaction(statement_timeout_ms=120_000) as cur:
            _mend(cur, group, rules, report)
    with db.transaction() as cur:
        report.health_after = sync.system_health(cur, since=now - WINDOW).score
        report.gaps_after = _open_gaps(cur, now)
        sync.finish_cycle(
            cur,
            cycle_id,
            now=now,
            scanned_until=scanned_until,
            report=report.as_json(),
            health_after=report.health_after,
        )
    return report


@contextmanager
def rehearsal(db: Database) -> Iterator[Database]:
    """A database whose transactions are all one, and are taken back at the end."""

    class Rehearsed(Database):
        def __init__(self, cur: Cursor) -> None:
            self.__dict__.update(db.__dict__)
            self._cur = cur

        @contextmanager
        def transaction(self, *, statement_timeout_ms: int | None = None) -> Iterator[Cursor]:
            yield self._cur

    with db.transaction(statement_timeout_ms=0) as cur:
        yield Rehearsed(cur)
        cur.connection.rollback()


def _rules(
    cur: Cursor, settings: Settings, now: datetime, tiers: Sequence[int], *, actor: str, since: datetime
) -> Rules:
    calendar = cme_equity_calendar()
    measured = {(row.method, row.gap_minutes): row.confidence for row in sync.list_calibrations(cur)}
    due = last_due(now, calendar)
    return Rules(now, due, frozenset(tiers), settings.sync_contracts, measured, calendar, since, actor)


def _open_gaps(cur: Cursor, now: datetime) -> Counter[str]:
    return Counter({gap: row.total for gap, row in sync.count_gaps(cur, now=now).items()})


def _scan(cur: Cursor, keys: Sequence[Key], rules: Rules, report: CycleReport) -> list[Finding]:
    """Gather and decide for a chunk; puts on record what was found, and returns what can be mended."""
    withdrawn = _withdraw_contradicted(cur, keys, rules)
    states = sync.list_signals(cur, keys)
    findings = _decide(cur, states, rules)
    held = sync.list_open_gaps(cur, keys)
    seen = {(*finding.key, gap) for finding in findings for gap in finding.judgement.gaps}
    by_key = {finding.key: finding for finding in findings}
    for stream, trade_id, gap in sync.open_gaps(cur, sorted(seen - held), rules.now):
        by_key[stream, trade_id].news.add(gap)
    _resolve(cur, held - seen, by_key, rules)
    rows = [_health_row(finding, is_mended=not finding.plan.events) for finding in findings]
    report.written += sync.save_health(cur, rows, rules.now)
    _say_found(cur, findings, rules)
    report.scanned += len(findings)
    report.withdrawn += withdrawn
    report.attempted += sum(bool(finding.plan.events) for finding in findings)
    return [finding for finding in findings if finding.plan.events]


def _decide(cur: Cursor, states: Sequence[Any], rules: Rules) -> list[Finding]:
    """What is missing of each signal, and what the evidence of the tiers says about it."""
    directions: dict[Key, Plan] = {}
    if 3 in rules.tiers:
        directions = {_key(state): repairs.plan_direction(state, rules.now) for state in states}
        states = [_with_direction(state, directions[_key(state)]) for state in states]
    shelf = Shelf(cur, rules.mapping, rules.calendar)
    walks = follow(cur, states, shelf, due=rules.due, since=rules.followed_since)
    superseded = sync.list_superseded(cur, [_key(state) for state in states if state.status == "PENDING"])
    alignments = _alignments(cur, states, shelf) if 2 in rules.tiers else {}
    findings = []
    for state in states:
        key = _key(state)
        walk, contract = walks.get(key, (None, None))
        plan = Plan()
        plan.extend(directions.get(key, Plan()))
        if 0 in rules.tiers:
            plan.extend(repairs.plan_confirmation_time(state, rules.now))
        if 2 in rules.tiers:
            plan.extend(repairs.plan_htf(state, alignments.get(key), rules.now))
            if walk is not None:
                plan.extend(repairs.plan_walk(state, walk, repairs.Basis(contract, rules.measured, rules.now)))
        if 4 in rules.tiers and key in superseded:
            plan.extend(repairs.plan_cancellation(state, superseded[key], rules.now))
        findings.append(Finding(state, judge(state, rules.due, _proof(state, walk, key in superseded)), walk, plan))
    return findings


def _mend(cur: Cursor, group: Sequence[Finding], rules: Rules, report: CycleReport) -> None:
    """Append the repairs of a group, and put on record what they filled."""
    stored = append_repairs(cur, [event for finding in group for event in finding.plan.events])
    keys = {event.event_key for event in stored}
    report.written += len(stored)
    report.minutes_healed += sum(event.kind is Kind.MFE_UPDATE for event in stored)
    by_key = {finding.key: finding for finding in group}
    audit: list[dict[str, Any]] = [row for finding in group for row in finding.plan.audit if row["event_key"] in keys]
    after: list[Finding] = []
    resolved: dict[Gap, str] = {}
    for state in sync.list_signals(cur, sorted(by_key)):
        before = by_key[_key(state)]
        # What could not be appended, because an operator has taken it back, is no proof either.
        judgement = judge(state, rules.due)
        finding = Finding(state, judgement, before.walk, before.plan, before.news)
        gone = set(before.judgement.gaps) - set(judgement.gaps)
        resolved |= {(*finding.key, gap): "repair" for gap in gone}
        if "no_targets" in gone:
            audit.append(repairs.targets_row(state))
        after.append(finding)
    sync.resolve_gaps(cur, resolved, rules.now)
    sync.save_health(cur, [_health_row(finding, is_mended=2 in rules.tiers) for finding in after], rules.now)
    sync.add_audit(cur, [*audit, *_attempts(after)], now=rules.now, actor=rules.actor)
    report.fills.update(row["action_type"] for row in audit)


def _withdraw_contradicted(cur: Cursor, keys: Sequence[Key], rules: Rules) -> int:
    """Remove repaired exits of trades that their sender follows on: what was sent is the truth."""
    rows = store.list_contradicted(cur, keys)
    if not rows:
        return 0
    store.withdraw_repairs(cur, [row.id for row in rows], [(row.stream, row.trade_id) for row in rows])
    said = [
        {
            "stream": row.stream,
            "trade_id": row.trade_id,
            "action_type": "reconciliation_failed",
            "gap_type": "no_exit",
            "field": row.event_type.lower(),
            "reason": "withdrawn: the sender follows the trade on",
            "tier": 2,
        }
        for row in rows
    ]
    sync.add_audit(cur, said, now=rules.now, actor=rules.actor)
    return len(rows)


def _resolve(cur: Cursor, gone: set[Gap], findings: Mapping[Key, Finding], rules: Rules) -> None:
    """Gaps that an alert has closed: a late one, or one that was imported, which is put on record."""
    by: dict[Gap, str] = {}
    for gap in sorted(gone):
        sources = findings[gap[:2]].state.sources.values()
        by[gap] = "import" if "import" in sources else "stream"
    sync.resolve_gaps(cur, by, rules.now)
    imported = [
        {
            "stream": stream,
            "trade_id": trade_id,
            "action_type": "event_imported",
            "gap_type": gap_type,
            "data_source": "import",
            "confidence_score": 1,
            "reason": "alert log",
            "tier": 1,
        }
        for (stream, trade_id, gap_type), how in by.items()
        if how == "import"
    ]
    sync.add_audit(cur, imported, now=rules.now, actor=rules.actor)


def _say_found(cur: Cursor, findings: Sequence[Finding], rules: Rules) -> None:
    """Put new gaps on record, and that nothing is known to mend those without a plan."""
    rows = [
        {"stream": finding.key[0], "trade_id": finding.key[1], "action_type": "gap_detected", "gap_type": gap}
        for finding in findings
        for gap in sorted(finding.news)
    ]
    rows += _attempts([finding for finding in findings if not finding.plan.events])
    sync.add_audit(cur, rows, now=rules.now, actor=rules.actor)


def _attempts(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """A row for each signal of which new gaps stay open: there is no evidence."""
    rows = []
    for finding in findings:
        left = sorted(finding.news & set(finding.judgement.gaps))
        if left:
            row = {"stream": finding.key[0], "trade_id": finding.key[1], "action_type": "reconciliation_attempted"}
            rows.append(row | {"reason": "no evidence", "evidence": {"gaps": left}})
    return rows


def _alignments(cur: Cursor, states: Sequence[Any], shelf: Shelf) -> dict[Key, dict[str, str]]:
    wanted: dict[Key, tuple[str, datetime]] = {}
    for state in states:
        at = state.created_at or state.entry_time
        if not state.htf_computed and at is not None and (contract := shelf.contract_at(state.symbol, at)):
            wanted[_key(state)] = (contract, at + BAR)
    return store.list_alignments(cur, wanted) if wanted else {}


def _proof(state: Any, walk: Walk | None, is_superseded: bool) -> Proof:
    found = walk or Walk()
    is_exit = (found.exit_sl_at is not None and state.exit_at is None) or (
        found.exit_be_at is not None and state.be_exit_at is None
    )
    return Proof(found.be_trigger_at is not None and state.be_triggered_at is None, is_exit, is_superseded)


def _health_row(finding: Finding, *, is_mended: bool) -> dict[str, Any]:
    """What is stored of a signal. Until it is mended, the minutes that can be healed are missing."""
    state, walk = finding.state, finding.walk
    complete_until, missing = state.complete_until, state.missing_minutes or 0
    if walk is not None:
        missing = walk.missing + (0 if is_mended else len(walk.healed))
        complete_until = instant_of(walk.complete_until) if is_mended else complete_until
    flags = finding.judgement.as_json()
    return {
        "stream": state.stream,
        "trade_id": state.trade_id,
        "gap_flags": flags,
        "complete_until": complete_until,
        "missing_minutes": missing,
    }


def _with_direction(state: Any, plan: Plan) -> Any:
    return state._replace(direction=plan.events[0].direction) if plan.events else state


def _chunks(things: Sequence[Any]) -> Iterator[Any]:
    return (things[start : start + AT_ONCE] for start in range(0, len(things), AT_ONCE))


def _key(state: Any) -> Key:
    return state.stream, state.trade_id


def _score(score: int | None) -> str:
    return "none" if score is None else str(score)
