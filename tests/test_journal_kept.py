"""Is the data directory kept from one start to the next? Said only when it is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.settings import Settings
from database.engine import Database
from telemetry.parts import build
from tests.support_intake import WEBHOOK, await_stored, parts_of, running_app

BODY = b'{"type":"ENTRY","signal_id":"S1","entry_price":20500}'


def is_kept(settings: Settings, db: Database) -> bool | None:
    """What another process says when it starts."""
    parts = build(settings, db, SystemClock())
    parts.settle()
    parts.journal.close()
    return parts.journal.stats().persistent


@pytest.fixture
def stored(settings: Settings, db: Database) -> None:
    """An alert came while the first start was under way, which says nothing of the directory."""
    with running_app(settings, db) as app:
        assert app.test_client().post(WEBHOOK, data=BODY).status_code == 200
        await_stored(app)
        parts_of(app).settle()
        assert parts_of(app).journal.stats().persistent is None


@pytest.mark.usefixtures("stored")
def test_a_directory_that_is_still_there_is_known_to_be_kept(settings: Settings, db: Database) -> None:
    assert is_kept(settings, db) is True


@pytest.mark.usefixtures("stored")
def test_a_directory_that_is_gone_is_missed(settings: Settings, db: Database, tmp_path: Path) -> None:
    assert is_kept(replace(settings, data_dir=tmp_path / "redeployed"), db) is False


@pytest.mark.usefixtures("stored")
def test_what_was_imported_before_the_first_start_says_nothing(
    settings: Settings, db: Database, tmp_path: Path
) -> None:
    with db.transaction() as cur:
        cur.execute("UPDATE telemetry_automated_signals_log SET source = 'import'")
    assert is_kept(replace(settings, data_dir=tmp_path / "first"), db) is None
