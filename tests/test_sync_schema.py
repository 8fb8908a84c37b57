"""The tables, views and functions of hybrid sync: the formula, the monitoring queries, older tables, the way down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.lifecycle import Kind, Source
from database import migrate, verify
from database.engine import Database
from hybrid_sync.gaps import GAP_TYPES
from tests.support_postgres import older_installation
from tests.support_signals import START, add, event, mfe
from tests.support_sync import rows

MONITORING = (
    "SELECT action_type, COUNT(*) AS count, AVG(confidence_score) AS avg_confidence FROM sync_audit_log "
    "WHERE action_timestamp > NOW() - INTERVAL '7 days' GROUP BY action_type",
    "SELECT AVG(health_score), MIN(health_score), MAX(health_score), COUNT(*) FILTER (WHERE health_score < 100) "
    "FROM signal_health_metrics",
    "SELECT * FROM sync_audit_log ORDER BY action_timestamp DESC LIMIT 50",
    "SELECT * FROM signal_health_metrics WHERE health_score < 100",
    "SELECT COUNT(*) FROM automated_signals WHERE event_type = 'SIGNAL_CREATED'",
    "SELECT * FROM signals_with_health LIMIT 5",
    "SELECT * FROM signals_with_gaps LIMIT 5",
)
OLDER = """
CREATE TABLE signal_health_metrics (
    id serial PRIMARY KEY, trade_id varchar(100) UNIQUE NOT NULL, health_score numeric(5,2), gap_flags text,
    last_checked timestamp, mood text);
INSERT INTO signal_health_metrics (trade_id, health_score, gap_flags, mood) VALUES ('T1', 87.6, '["no_mae"]', 'fair');
CREATE TABLE sync_audit_log (
    id serial PRIMARY KEY, trade_id varchar(100) NOT NULL, action_type text, action_timestamp timestamp DEFAULT now(),
    data_source varchar(20), confidence_score double precision, fields_filled jsonb);
INSERT INTO sync_audit_log (trade_id, action_type, action_timestamp, confidence_score, fields_filled)
VALUES ('T1', 'gap_filled_targets', '2025-11-14 14:31:02', 1.0, '{"targets": true}');
"""


@pytest.fixture
def older(empty_database_url: str) -> Iterator[Database]:
    """A database whose sync tables an older installation made, migrated."""
    with older_installation(empty_database_url, OLDER, known_until="0008") as db:
        yield db


def score(db: Database, applies: list[str], gaps: list[str]) -> Any:
    flags = json.dumps({"applies": applies, "gaps": gaps})
    return rows(db, "SELECT calculate_signal_health_score(%(flags)s::jsonb) AS score", {"flags": flags})[0].score


def test_the_score_is_the_share_of_the_weights_that_is_known(db: Database) -> None:
    assert score(db, [], []) == 100
    assert score(db, list(GAP_TYPES), []) == 100
    assert score(db, list(GAP_TYPES), list(GAP_TYPES)) == 0
    assert score(db, ["no_mfe_update", "no_mae", "no_session"], ["no_mfe_update"]) == 47  # 1 - 20/38
    assert score(db, ["no_mae"], ["no_session"]) == 56  # a gap always applies: 1 - 8/18
    assert score(db, ["no_mae"], ["of another house"]) == 100


def test_every_gap_type_has_a_weight(db: Database) -> None:
    assert [score(db, [gap], [gap]) for gap in GAP_TYPES] == [0] * len(GAP_TYPES)


def test_a_signal_is_scored_again_from_its_stored_flags(db: Database) -> None:
    flags = '{"applies": ["no_mae", "no_entry"], "gaps": ["no_mae"]}'
    for stream in ("main", "other"):
        rows(
            db,
            "INSERT INTO signal_health_metrics (stream, trade_id, gap_flags) VALUES (%(s)s, 'T', %(f)s) RETURNING id",
            {"s": stream, "f": flags},
        )
    assert rows(db, "SELECT update_signal_health('T') AS score")[0].score == 60
    found = rows(db, "SELECT stream, health_score FROM signal_health_metrics ORDER BY stream")
    assert [tuple(row) for row in found] == [("main", 60), ("other", 100)]
    assert rows(db, "SELECT update_signal_health('nobody', 'main') AS score")[0].score is None


@pytest.mark.parametrize("query", MONITORING)
def test_the_monitoring_queries_run_as_they_stand(db: Database, query: str) -> None:
    add(db, event("T", Kind.SIGNAL_CREATED), event("T", Kind.ENTRY))
    assert isinstance(rows(db, query), list)


def test_a_reader_of_sql_sees_repairs(db: Database) -> None:
    repair = mfe("T", 5, "0.4", "0.4", "-0.3")
    healed = {"source": Source.RECONCILED, "confidence": Decimal("0.9"), "reconciliation_reason": "own_bars"}
    add(db, event("T", Kind.ENTRY), mfe("T", 2, "0.1", "0.1"), type(repair)(**_values(repair) | healed))
    (row,) = rows(db, "SELECT no_be_mfe, mae_global_r, last_mfe_slot, sources, health_score FROM signals_with_health")
    assert (row.no_be_mfe, row.mae_global_r, row.health_score) == (Decimal("0.4"), Decimal("-0.3"), 100)
    assert row.last_mfe_slot == START + timedelta(minutes=4)
    assert row.sources["no_be_mfe_r"] == "reconciled"


def _values(found: Any) -> dict[str, Any]:
    return {name: getattr(found, name) for name in found.__slots__}


def test_verify_lists_the_parts_of_hybrid_sync(db: Database) -> None:
    with db.transaction() as cur:
        report = verify.inspect(cur)
    tables = {"signal_health_metrics", "sync_audit_log", "sync_gaps", "stream_outages", "sync_cycles"}
    assert {f"public.{name}" for name in (*tables, "heal_calibrations")} <= set(report["tables"])
    assert report["tables"]["public.sync_audit_log"]["confidence_score"] == "numeric(5,4)"
    assert {"public.signals_with_health", "public.signals_with_gaps"} <= set(report["views"])
    functions = {row["name"] for row in report["functions"]}
    assert {"public.calculate_signal_health_score", "public.update_signal_health"} <= functions
    own = [row for row in report["indexes"] if row["relation"].partition(".")[2] in (*tables, "heal_calibrations")]
    assert len(own) >= 10
    assert [problem for problem in report["problems"] if "migrat" in problem or "index" in problem] == []


def test_older_tables_keep_their_rows_and_unknown_columns(older: Database) -> None:
    (health,) = rows(older, "SELECT trade_id, stream, health_score, gap_flags, mood FROM signal_health_metrics")
    assert (health.trade_id, health.stream, health.health_score, health.mood) == ("T1", "main", 88, "fair")
    assert health.gap_flags == {"applies": [], "gaps": []}
    (audit,) = rows(older, "SELECT * FROM sync_audit_log")
    assert (audit.action_type, audit.confidence_score) == ("gap_filled_targets", Decimal("1.0000"))
    assert audit.fields_filled == {"targets": True}
    assert audit.action_timestamp.isoformat() == "2025-11-14T14:31:02+00:00"
    for query in MONITORING:
        rows(older, query)


def test_the_way_down_keeps_the_columns_of_events(db: Database) -> None:
    add(db, event("T", Kind.ENTRY, confidence=Decimal("0.5"), source=Source.INFERRED))
    migrate.downgrade(db, "0008")
    (row,) = rows(
        db, "SELECT data_source, confidence_score, reconciliation_timestamp, revoked_at FROM automated_signals"
    )
    assert (row.data_source, row.confidence_score) == ("inferred", Decimal("0.5"))
    migrate.upgrade(db)
    assert rows(db, "SELECT * FROM signals_with_gaps") == []
