"""The keeper of the way to the database: one that comes late, goes, and returns; and what it then does once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from core.errors import InvalidInputError
from database import keeper, migrate
from database.engine import Database
from database.keeper import DatabaseKeeper
from database.notify import Listener
from tests.support_service import turn_off, turn_on

PATIENCE = 15.0


class Watched(DatabaseKeeper):
    """A keeper whose words can be waited for."""

    def __init__(self, db: Database, on_ready: Callable[[], None]) -> None:
        self.said: list[tuple[bool, str]] = []
        self._news = threading.Condition()
        super().__init__(db, None, on_ready=on_ready)

    def _say(self, is_up: bool, detail: str) -> None:
        super()._say(is_up, detail)
        with self._news:
            self.said.append((is_up, detail))
            self._news.notify_all()

    def wait_until(self, is_up: bool) -> str:
        """Wait for the next word and on until one says so; returns the detail."""
        with self._news:
            self.said.clear()
            assert self._news.wait_for(lambda: self.said and self.said[-1][0] is is_up, PATIENCE), self.said
            return self.said[-1][1]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "CHECK_SECONDS", 0.05)


@contextmanager
def keeping(url: str, on_ready: Callable[[], None] = lambda: None) -> Iterator[Watched]:
    db = Database(url, pool_size=2)
    watched = Watched(db, on_ready)
    watched.start()
    try:
        yield watched
    finally:
        watched.stop()
        db.close()


def revision_of(url: str) -> str | None:
    db = Database(url, pool_size=1)
    try:
        return migrate.current_revision(db)
    finally:
        db.close()


def test_a_database_that_comes_late_is_migrated_and_prepared_once(postgres: str, empty_database_url: str) -> None:
    turn_off(postgres, empty_database_url)
    prepared: list[bool] = []
    with keeping(empty_database_url, lambda: prepared.append(True)) as watched:
        assert watched.wait_until(False) == "The database cannot be reached."
        assert (watched.is_up, watched.ready.is_set(), prepared) == (False, False, [])
        turn_on(postgres, empty_database_url)
        assert watched.wait_until(True) == "reachable"
        assert watched.ready.is_set()
        turn_off(postgres, empty_database_url)
        watched.wait_until(False)
        assert watched.ready.is_set()
        turn_on(postgres, empty_database_url)
        watched.wait_until(True)
        assert prepared == [True]
    assert revision_of(empty_database_url) == migrate.head_revision()


def test_what_fails_after_the_migration_is_tried_again(database_url: str) -> None:
    attempts: list[int] = []

    def fail_twice() -> None:
        attempts.append(len(attempts))
        if len(attempts) <= 2:
            raise InvalidInputError("not yet")

    with keeping(database_url, fail_twice) as watched:
        watched.wait_until(True)
        assert (attempts, watched.ready.is_set()) == ([0, 1, 2], True)


def test_a_schema_from_the_future_is_told_and_watched(database_url: str) -> None:
    set_revision(database_url, "9999")
    with keeping(database_url) as watched:
        assert "9999" in watched.wait_until(False)
        assert not watched.ready.is_set()
        set_revision(database_url, migrate.head_revision())
        watched.wait_until(True)
        assert watched.ready.is_set()


def set_revision(url: str, revision: str) -> None:
    db = Database(url, pool_size=1)
    with db.transaction() as cur:
        cur.execute("UPDATE alembic_version SET version_num = %s", [revision])
    db.close()


def test_it_stops_at_once_while_the_database_is_away(postgres: str, empty_database_url: str) -> None:
    turn_off(postgres, empty_database_url)
    with keeping(empty_database_url) as watched:
        watched.wait_until(False)
    assert not any(thread.name == "database-keeper" for thread in threading.enumerate())


class Ear:
    """A subscriber whose notifications can be waited for."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self._news = threading.Condition()

    def __call__(self, payload: str) -> None:
        with self._news:
            self.heard.append(payload)
            self._news.notify_all()

    def wait_for(self, payload: str) -> None:
        with self._news:
            assert self._news.wait_for(lambda: payload in self.heard, PATIENCE), self.heard
            self.heard.clear()


def test_a_listener_waits_for_the_tables_then_hears_and_hears_again_after_an_outage(
    postgres: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("database.notify.RETRY_SECONDS", 0.05)
    db, ear, is_ready = Database(database_url, pool_size=1), Ear(), threading.Event()
    listener = Listener(db, {"news": ear}, wait_for=is_ready)
    listener.start()
    assert ear.heard == []
    is_ready.set()
    ear.wait_for("")
    notify(db, "one")
    ear.wait_for("one")
    turn_off(postgres, database_url)
    ear.wait_for("")  # that it is away is news too: pages look, and say that they are stale
    turn_on(postgres, database_url)
    ear.wait_for("")
    notify(db, "two")
    ear.wait_for("two")
    listener.stop()
    db.close()


def notify(db: Database, payload: str) -> None:
    with db.transaction() as cur:
        cur.execute("SELECT pg_notify('news', %s)", [payload])
