"""The loss ledger: every expected minute of a trade by what became of its update."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from core.lifecycle import Kind, Source
from database import deliveries
from database.engine import Database
from hybrid_sync.ledger import FATES, ledger_bars, ledger_of
from simulator.alert_stream import Alert
from tests.support_signals import MINUTE, START, add, event
from tests.support_sync import deliver

NOW = START + 11 * MINUTE
"""The update of the minute that closes at START + 9 min is the last that is due."""


MEMBERS = [{"event_type": "MFE_UPDATE", "trade_id": name, "be_mfe": 1, "no_be_mfe": 1} for name in ("S", "T")]
OTHERS = [
    '{"event_type": "HEARTBEAT", "signal_count": 1}',
    "no alert of ours",
    '{"event_type": "BE_TRIGGERED", "trade_id": "T"}',
    json.dumps(MEMBERS[0]),
    json.dumps({"event_type": "MFE_UPDATE_BATCH", "signals": MEMBERS[:1]}),
    json.dumps({"event_type": "EVENT_BATCH", "events": [*MEMBERS[:1], {"event_type": "EXIT_SL"}]}),
    json.dumps(MEMBERS[1]),
    json.dumps({"event_type": "MFE_UPDATE_BATCH", "signals": MEMBERS}),
    json.dumps({"event_type": "EVENT_BATCH", "events": MEMBERS}),
]
"""What may come twice within a minute; only the last three tell of trade T how far it went."""


def update(number: int, *, late_by: int = 1) -> Alert:
    """The update of the minute that closes so many minutes after START."""
    body = {"schema_version": "1.0.0", "event_type": "MFE_UPDATE", "trade_id": "T", "be_mfe": number / 10,
            "no_be_mfe": number / 10, "mae_global_r": -0.1}  # fmt: skip
    return alert(START + number * MINUTE + timedelta(seconds=late_by), json.dumps(body))


def alert(at: datetime, body: str) -> Alert:
    return Alert(at, body.encode(), lost=False)


def test_each_expected_minute_has_the_fate_that_is_its_own(db: Database) -> None:
    add(db, event("T", Kind.ENTRY))
    malformed = update(3)
    broken = alert(malformed.sent_at, malformed.body.decode().replace('"be_mfe": 0.3', '"be_mfe": 0.3"'))
    deliver(db, [update(1), update(2, late_by=40), broken, update(4), update(4, late_by=3)])
    deliver(db, [update(5)], source="import")
    add(db, event("T", Kind.MFE_UPDATE, 6, source=Source.RECONCILED, no_be_mfe_r=None))
    deliver(db, [alert(START + 7 * MINUTE + timedelta(seconds=1), "no alert of ours")])
    with db.transaction() as cur:
        deliveries.save_log_span(cur, "main", START + 7 * MINUTE, START + 8 * MINUTE + timedelta(seconds=20))
        deliveries.save_log_span(cur, "other", START, NOW)
        found = ledger_of(cur, NOW)
    assert {fate: found[fate] for fate, _ in FATES} == dict.fromkeys((fate for fate, _ in FATES), 1)
    assert (found["expected"], found["closed"]) == (len(FATES), 0)
    assert [bar["fate"] for bar in ledger_bars(found)] == [fate for fate, _ in FATES]


def test_only_another_update_of_the_same_trade_makes_a_minute_repeated(db: Database) -> None:
    add(db, event("T", Kind.ENTRY))
    deliver(db, [update(number) for number in range(1, 10)])
    for minute, body in enumerate(OTHERS, start=1):
        at = START + minute * MINUTE + timedelta(seconds=2)
        deliver(db, [alert(at, body), alert(at + timedelta(seconds=3), body)])
    with db.transaction() as cur:
        found = ledger_of(cur, NOW)
    assert (found["delivered"], found["repeated"], found["expected"]) == (6, 3, 9)


def test_the_minute_in_which_the_window_begins_is_counted_whole(db: Database) -> None:
    add(db, event("T", Kind.ENTRY))
    deliver(db, [update(number) for number in range(1, 10)])
    with db.transaction() as cur:
        found = ledger_of(cur, NOW + timedelta(seconds=20), window=5 * MINUTE)
    assert found["expected"] == found["delivered"] == 3


def test_minutes_of_a_closed_market_and_after_the_exit_are_not_expected(db: Database) -> None:
    evening = datetime.fromisoformat("2025-12-10T21:55:00+00:00")  # the daily break begins at 22:00
    add(db, event("T", Kind.ENTRY, received_at=evening), event("U", Kind.ENTRY, received_at=evening))
    add(db, event("U", Kind.EXIT_SL, received_at=evening + 3 * MINUTE))
    with db.transaction() as cur:
        found = ledger_of(cur, evening + timedelta(minutes=78))
    assert found["closed"] == 60
    assert found["expected"] == found["missing"] == (5 + 11) + 2
