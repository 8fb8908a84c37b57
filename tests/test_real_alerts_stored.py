"""Every alert of the real logs, posted with its own time: stored byte for byte, and folded to the known facts."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
from flask_openapi3 import OpenAPI

from core.settings import Settings
from database.engine import Database
from tests.support_intake import RECEIVED_AT, WEBHOOK, await_stored, running_app, stored_bodies

THREADS = 8
CHECKOUT = Path(__file__).parent.parent
ALERTS = Path(os.environ.get("SIGNALBOOK_DATA", CHECKOUT.parent / "shared" / "data")) / "alerts"
pytestmark = pytest.mark.skipif(not ALERTS.is_dir(), reason="the real alert logs are not here (SIGNALBOOK_DATA)")


def real_alerts() -> Iterator[tuple[bytes, datetime]]:
    """Body and UTC time of every row, in the order of the logs: newest first."""
    for path in sorted(ALERTS.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as rows:
            for row in csv.DictReader(rows):
                yield row["Description"].encode(), datetime.fromisoformat(row["Time"])


def post_all(app: OpenAPI) -> tuple[Counter[bytes], Counter[int]]:
    """Post every alert from several threads: what was sent, and the statuses of the answers."""
    alerts = list(real_alerts())

    def post(share: int) -> Counter[int]:
        client = app.test_client()
        return Counter(
            client.post(WEBHOOK, data=body, headers={RECEIVED_AT: received_at.isoformat()}).status_code
            for body, received_at in alerts[share::THREADS]
        )

    with ThreadPoolExecutor(THREADS) as pool:
        statuses = sum(pool.map(post, range(THREADS)), Counter[int]())
    return Counter(body for body, _ in alerts), statuses


def one(db: Database, query: str) -> object:
    with db.transaction() as cur:
        cur.execute(query)
        return cur.fetchone()[0]


def test_all_real_alerts_are_stored_and_give_the_known_facts(settings: Settings, db: Database) -> None:
    with running_app(settings, db) as app:
        sent, statuses = post_all(app)
        await_stored(app)
    assert sum(sent.values()) > 2_800
    assert stored_bodies(db) == sent
    assert set(statuses) <= {200, 422}
    assert one(db, "SELECT count(*) FROM automated_signals WHERE event_type = 'MFE_UPDATE'") == 11_781
    assert one(db, "SELECT count(*) FROM trade_states WHERE be_exit_at IS NOT NULL") == 114
    assert one(db, "SELECT count(*) FROM trade_states WHERE flags @> ARRAY['exit_be_without_1r']") == 61
    assert one(db, REPEATED) == 0


REPEATED = """
SELECT count(*) FROM (
    SELECT FROM automated_signals WHERE event_type <> 'MFE_UPDATE' AND revoked_at IS NULL
    GROUP BY stream, trade_id, event_type, source_rank HAVING count(*) > 1
) AS repeated
"""
