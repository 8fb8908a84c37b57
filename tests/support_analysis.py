"""For the tests of analysis: what the pure parts say about some bars, and what the database holds, in the same words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from analysis import series
from analysis.analyzer import NEUTRAL
from analysis.config import Plan, parse_plan
from analysis.coordination import coordinator
from analysis.coordination.rules import Seen, decide
from core.records import Bar, Tick, Timeframe, bucket_of, microseconds
from core.trading_calendar import cme_equity_calendar
from database import bars as bar_store
from database.bars import Contract
from database.engine import Database
from ingestion.bars.aggregator import OHLCBarAggregator
from ingestion.bars.roll_up import roll_up
from simulator.gateway.market import Market, front_contracts
from tests.support_trend import walk

CALENDAR = cme_equity_calendar()
HOUR = timedelta(hours=1)
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
PLAN = parse_plan(
    {
        "analyzers": {
            "trend": {},
            "cross": {"kind": "ema_cross", "parameters": {"fast": 3, "slow": 8}, "timeframes": ["15m"]},
        },
        "rules": {
            "confluence": {"primary": "1h", "confirming": ["15m"]},
            "guarded": {
                "primary": "15m",
                "confirming": ["1h", "4h"],
                "weights": {"15m": 1, "1h": 1, "4h": 2},
                "minimum_score": 2,
                "window_minutes": 240,
                "strategic": {"timeframe": "4h"},
            },
        },
    }
)
State = dict[str, Any]


def history(number: int = 1_200, seed: int = 1) -> list[Bar]:
    """Bars of 15m, 1h and 4h that belong together."""
    base = walk(number, seed)
    return [*base, *(bar for frame in ("1h", "4h") for bar in roll_up(base, Timeframe.parse(frame), CALENDAR))]


def in_order(given: Sequence[Bar]) -> list[Bar]:
    """As a feed would bring them: by close, smaller timeframes first."""
    return sorted(given, key=lambda bar: (closes_at(bar), bar.timeframe))


def closes_at(bar: Bar) -> datetime:
    return bucket_of(bar.starts_at, bar.timeframe, CALENDAR).ends_at


def save(db: Database, given: Sequence[Bar]) -> None:
    with db.transaction(statement_timeout_ms=0) as cur:
        bar_store.upsert_bars(cur, given)


def series_of(given: Sequence[Bar]) -> list[tuple[str, Timeframe]]:
    return sorted({(bar.contract_id, bar.timeframe) for bar in given})


def expected(given: Sequence[Bar], plan: Plan = PLAN) -> State:
    """Everything that should stand in the database, by the pure parts alone."""
    signals: dict[tuple[str, str], list[tuple[Seen, tuple[Any, ...]]]] = {}
    turns, numbers = [], count(1)
    for contract_id, frame in series_of(given):
        own = sorted(
            (bar for bar in given if (bar.contract_id, bar.timeframe) == (contract_id, frame)),
            key=lambda bar: bar.starts_at,
        )
        for watch in plan.watches:
            if watch.looks_at(contract_id, frame):
                found, trends = _series(watch.analyzer_id, watch.build(), own, frame, numbers)
                signals.setdefault((contract_id, watch.analyzer_id), []).extend(found)
                turns += trends
    return {
        "signals": sorted(words for each in signals.values() for _, words in each),
        "decisions": sorted(_decisions(signals, plan)),
        "trends": sorted(turns),
        "stray": 0,
    }


def _series(name: str, machine: Any, own: Sequence[Bar], frame: Timeframe, numbers: Any) -> tuple[list[Any], list[Any]]:
    found, turns, seen, trend = [], [], set(), None
    for bar in own:
        known_at = bucket_of(bar.starts_at, frame, CALENDAR).ends_at
        for place, one in enumerate(machine.step(bar)):
            if one.key not in seen:
                seen.add(one.key)
                words = (name, bar.contract_id, str(frame), one.signal_type, one.at, one.trigger_at, known_at, one.price,
                         one.rule)  # fmt: skip
                signal = Seen(next(numbers), str(frame), one.signal_type, one.trend, one.at, known_at, place)
                found.append((signal, words))
        if machine.trend != trend:
            trend = machine.trend
            turns.append((name, bar.contract_id, str(frame), known_at, trend, bar.starts_at))
    assert turns[0][4] == NEUTRAL
    return found, turns


def _decisions(signals: Mapping[tuple[str, str], list[Any]], plan: Plan) -> list[tuple[Any, ...]]:
    found = []
    for rule in plan.rules:
        for (contract_id, analyzer_id), pairs in signals.items():
            if analyzer_id == rule.analyzer_id:
                seen = [one for one, _ in pairs if one.timeframe in rule.timeframes]
                found += [
                    (rule.name, contract_id, *_of(each.primary), *_of(each.confirming), each.decided_at, each.score)
                    for each in decide(rule, seen, ALWAYS)
                ]
    return found


def _of(seen: Seen) -> tuple[Any, ...]:
    return seen.timeframe, seen.signal_type, seen.at


def held(db: Database) -> State:
    """Everything that stands in the database."""
    with db.transaction() as cur:
        cur.execute(
            'SELECT analyzer_id, contract_id, timeframe, signal_type, "timestamp", trigger_timestamp, known_at,'
            " signal_price, rule FROM detected_signals WHERE superseded_at IS NULL"
        )
        signals = sorted(map(tuple, cur.fetchall()))
        cur.execute(
            'SELECT c.rule, c.contract_id, p.timeframe, p.signal_type, p."timestamp", f.timeframe AS f1, f.signal_type AS f2,'
            ' f."timestamp" AS f3, c.decided_at, c.score::float FROM coordinated_signals c'
            " JOIN detected_signals p ON p.signal_id = primary_signal_id AND p.superseded_at IS NULL"
            " JOIN detected_signals f ON f.signal_id = confirming_signal_id AND f.superseded_at IS NULL"
            " WHERE c.superseded_at IS NULL"
        )
        decisions = sorted(map(tuple, cur.fetchall()))
        cur.execute("SELECT analyzer, contract_id, timeframe, at, trend, bar_timestamp FROM trend_history")
        trends = sorted(map(tuple, cur.fetchall()))
        cur.execute("SELECT count(*) FROM coordinated_signals WHERE superseded_at IS NULL")
        stray = cur.fetchone()[0] - len(decisions)  # decisions that stand on signals that do not
    return {"signals": signals, "decisions": decisions, "trends": trends, "stray": stray}


def taken_back(db: Database) -> tuple[int, int]:
    """How many (signals, decisions) were taken back and do not stand again."""
    with db.transaction() as cur:
        cur.execute("SELECT count(*) FROM detected_signals WHERE superseded_at IS NOT NULL")
        signals = cur.fetchone()[0]
        cur.execute("SELECT count(*) FROM coordinated_signals WHERE superseded_at IS NOT NULL")
        return signals, cur.fetchone()[0]


def simulated_bars(days: int = 3) -> tuple[Contract, list[list[Bar]]]:
    """A contract and its bars (5m, 15m, 1h) from the simulator's ticks, in the batches in which they are completed."""
    start = datetime(2026, 11, 15, 23, 0, tzinfo=UTC)
    front = front_contracts(start.date())[0]
    market = Market(1, (front,))
    frames = [Timeframe.parse(name) for name in ("5m", "15m", "1h")]
    batches: list[list[Bar]] = []
    done: list[Bar] = []
    built = OHLCBarAggregator(front.contract_id, Decimal("0.25"), frames, CALENDAR, done.append)
    built.listen(start)
    for hour in range(days * 24):
        at = start + timedelta(hours=hour)
        trades = market.trades_between(front.contract_id, at, at + timedelta(hours=1))
        built.add_ticks([Tick(microseconds(each.at), round(each.price * 4), each.size) for each in trades], at + HOUR)
        built.close_until(at + HOUR + timedelta(seconds=5))
        if done:
            batches.append(done[:])
            done.clear()
    return Contract(front.contract_id, front.name, front.description, Decimal("0.25")), batches


def save_contract(db: Database, contract: Contract) -> None:
    with db.transaction() as cur:
        bar_store.save_contract(cur, contract)


def run_all(db: Database, plan: Plan, names: Sequence[tuple[str, Timeframe]]) -> tuple[int, int]:
    """Bring these series up to date, here and now; (signals, decisions) stored."""
    signals = decisions = 0
    for contract_id, timeframe in names:
        is_done = False
        while not is_done:
            done = series.advance(db, contract_id, timeframe, plan.watches)
            signals, is_done = signals + done.stored, done.is_done
    is_done = False
    while not is_done:
        coordinated = coordinator.coordinate(db, plan.rules)
        decisions, is_done = decisions + coordinated.stored, coordinated.is_done
    return signals, decisions
