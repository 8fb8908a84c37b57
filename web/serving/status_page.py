"""What the status page shows beside the checks: alarms, what was told about them, and the last rehearsals."""

from __future__ import annotations

import re
from typing import Any

from flask import request

from core.errors import DatabaseUnavailableError
from database import alarms
from database.engine import Database

SHOWN = 12
DELIVERY_WORDS = {"pending": "waiting", "delivered": "sent", "failed": "given up", "nowhere": "no address"}
DRILL_WORDS = {"database": "Database taken away", "feed": "Feed taken away", "restore": "Backup restored"}
FIGURES = (
    "accepted",
    "journalled",
    "drained",
    "missed",
    "healed",
    "lost",
    "seconds",
    "healed_seconds",
    "rows",
    "signals",
    "hash_equal",
)


def told(db: Database) -> dict[str, Any]:
    """Alarms, notices and drills for the page; `is_known` is False while the database is away."""
    words = {"delivery_words": DELIVERY_WORDS, "drill_words": DRILL_WORDS, "figures": FIGURES, "tested": _tested()}
    try:
        with db.transaction() as cur:
            found = {
                "raised": alarms.list_raised(cur),
                "notices": alarms.list_notices(cur, SHOWN),
                "drills": alarms.last_drills(cur),
            }
    except DatabaseUnavailableError:
        return {"is_known": False, "raised": [], "notices": [], "drills": []} | words
    return {"is_known": True} | found | words


def _tested() -> tuple[int, int] | None:
    """(taken, addresses) of a test that has just been made."""
    found = re.fullmatch(r"(\d{1,3})-of-(\d{1,3})", request.args.get("tested", ""))
    return (int(found[1]), int(found[2])) if found else None
