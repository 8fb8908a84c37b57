"""Soft deletion: a signal leaves everything that is shown, says so when alerts go on, and comes back whole."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI
from werkzeug.test import TestResponse

from core.lifecycle import Kind
from database import deletions, events, states
from database.engine import Database
from database.events import Outcome, append_events
from telemetry.history.rebuild import fold_older_rows, rebuild
from tests.support_http import PAGE, SIGNALS, api_token, ask, csrf_token, get, listed, words
from tests.support_signals import START, add, event, hash_of, mfe

T1 = ("main", "T1")
QUALITY = "/automated-signals-quality"


def trade(db: Database) -> None:
    add(db, event("T1", Kind.ENTRY), mfe("T1", 3, "0.5", "0.5"), event("T2", Kind.ENTRY, 5))


def delete(db: Database, *keys: tuple[str, str]) -> list[tuple[str, str]]:
    with db.transaction() as cur:
        return deletions.delete_signals(cur, keys, reason="a test alert", by="ann", now=START)


def restore(db: Database, *trade_ids: str) -> list[tuple[str, str]]:
    with db.transaction() as cur:
        found = [row.id for name in trade_ids for row in deletions.find_deletions(cur, name)]
        return deletions.restore_signals(cur, found, by="ben", now=START)


def trade_ids(db: Database) -> list[str]:
    with db.transaction() as cur:
        return sorted(state.trade_id for state in states.all_states(cur))


def test_a_deleted_signal_has_no_state_and_keeps_its_events(db: Database) -> None:
    trade(db)
    assert delete(db, T1, ("main", "nothing")) == [T1]
    assert trade_ids(db) == ["T2"]
    with db.transaction() as cur:
        assert len(events.list_events(cur, *T1)) == 2


def test_undo_brings_back_exactly_what_was_there(db: Database) -> None:
    trade(db)
    before = hash_of(db)
    delete(db, T1)
    assert restore(db, "T1") == [T1]
    assert hash_of(db) == before


def test_later_alerts_say_deleted_and_count_only_after_the_undo(db: Database) -> None:
    trade(db)
    delete(db, T1)
    with db.transaction() as cur:
        found = append_events(cur, [mfe("T1", 4, "1.5", "1.5"), mfe("T2", 6, "0.1", "0.1")])
    assert found == [Outcome.DELETED, Outcome.NEW]
    assert trade_ids(db) == ["T2"]
    with db.transaction() as cur:
        (row,) = deletions.list_deletions(cur, limit=10)
    assert (row.events_since, row.reason, row.deleted_by, row.was["status"]) == (2, "a test alert", "ann", "ACTIVE")
    restore(db, "T1")
    with db.transaction() as cur:
        (state,) = states.get_states(cur, "T1")
    assert state.no_be_mfe_r == 1.5


def test_both_may_be_repeated_and_leave_one_audit_row_a_time(db: Database) -> None:
    trade(db)
    assert (delete(db, T1), delete(db, T1)) == ([T1], [])
    assert (restore(db, "T1"), restore(db, "T1")) == ([T1], [])
    assert delete(db, T1) == [T1]
    with db.transaction() as cur:
        rows = deletions.list_deletions(cur, limit=10)
    assert [(row.restored_by is None, row.deleted_by) for row in rows] == [(True, "ann"), (False, "ann")]


def test_the_fold_of_older_rows_leaves_deleted_signals_alone(db: Database) -> None:
    trade(db)
    delete(db, T1)
    assert fold_older_rows(db) == 0
    assert trade_ids(db) == ["T2"]


def test_a_rebuild_leaves_deleted_signals_out_and_finds_nothing_to_change(db: Database) -> None:
    trade(db)
    delete(db, T1)
    assert rebuild(db, is_dry_run=True).is_unchanged
    assert rebuild(db).is_unchanged
    assert trade_ids(db) == ["T2"]
    restore(db, "T1")
    assert trade_ids(db) == ["T1", "T2"]


def test_an_alert_at_the_same_moment_is_either_in_the_state_or_said_to_be_deleted(db: Database) -> None:
    """Appending, deleting and restoring at once: no deadlock, and in the end the state is the fold of all events."""
    trade(db)
    failures: list[BaseException] = []

    def run(work: Callable[[], Any]) -> threading.Thread:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - handed to the test
                failures.append(error)

        thread = threading.Thread(target=guarded)
        thread.start()
        return thread

    def append() -> None:
        for minute in range(10, 40):
            add(db, mfe("T1", minute, str(minute), str(minute)), mfe("T2", minute, "1", "1"))

    def flip() -> None:
        for _ in range(15):
            delete(db, T1, ("main", "T2"))
            restore(db, "T1", "T2")

    for thread in [run(append), run(flip)]:
        thread.join(60)
        assert not thread.is_alive()
    assert failures == []
    held = hash_of(db)
    with db.transaction() as cur:
        events.refold(cur, [T1, ("main", "T2")])
    assert hash_of(db) == held
    with db.transaction() as cur:
        (state,) = states.get_states(cur, "T1")
    assert state.no_be_mfe_r == 39


def post(reader: FlaskClient, path: str, **fields: Any) -> TestResponse:
    token = csrf_token(reader, "/automated-signals")
    return reader.post(path, data={"csrf_token": token, **fields}, headers=PAGE)


def test_the_list_deletes_what_is_ticked_and_the_quality_page_undoes_it(reader: FlaskClient, db: Database) -> None:
    trade(db)
    assert 'name="signal" value="[&#34;main&#34;, &#34;T1&#34;]"' in get(reader, "/automated-signals").text
    answer = post(reader, "/automated-signals/delete", signal=[json.dumps(T1)], reason=" made by <b>hand</b> ")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{QUALITY}#deleted")
    assert listed(get(reader, "/automated-signals")) == ["main/T2"]
    page = get(reader, QUALITY)
    assert "ann made by <b>hand</b> 0" in words(page)
    assert "<b>hand" not in page.text
    gone = get(reader, "/automated-signals/T1")
    assert gone.status_code == 410
    assert "ann deleted this signal" in gone.text
    undo = re.search(r'action="(/automated-signals/restore/\d+)"', page.text)
    assert undo
    assert post(reader, undo[1]).status_code == 303
    assert set(listed(get(reader, "/automated-signals"))) == {"main/T1", "main/T2"}
    assert "by ann" in words(get(reader, QUALITY))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"reason": "x"}, "signals"),
        ({"signal": ['["main", "T1"]'], "reason": "  "}, "reason"),
        ({"signal": ['["main", "T1"]'], "reason": "x" * 301}, "reason"),
        ({"signal": ["T1"], "reason": "x"}, "signal"),
        ({"signal": ["[1]"], "reason": "x"}, "signal"),
        ({"signal": ['["a\\u0000", "T1"]'], "reason": "x"}, "signals"),
    ],
)
def test_a_form_that_does_not_fit_is_named(reader: FlaskClient, fields: dict[str, Any], field: str) -> None:
    answer = post(reader, "/automated-signals/delete", **fields)
    assert answer.status_code == 422
    assert f"{field}: " in answer.text


def test_programs_delete_and_restore_if_they_are_operators(app: OpenAPI, caller: FlaskClient, db: Database) -> None:
    trade(db)
    body = {"signals": [{"stream": "main", "trade_id": "T1"}], "reason": "twice"}
    assert caller.post(f"{SIGNALS}/delete", json=body).status_code == 403
    operator = app.test_client()
    operator.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {api_token(db, 'operator')}"
    assert operator.post(f"{SIGNALS}/delete", json=body).get_json()["deleted"] == [{"stream": "main", "trade_id": "T1"}]
    assert "deleted" in ask(caller, "/trade/T1", 404)["detail"]
    assert ask(caller, "/stats")["stats"]["total"] == 1
    (row,) = ask(caller, "/deletions")["deletions"]
    assert (row["trade_id"], row["reason"], row["restored_at"]) == ("T1", "twice", None)
    restored = operator.post(f"{SIGNALS}/restore", json={"ids": [row["id"]]}).get_json()["restored"]
    assert restored == [{"stream": "main", "trade_id": "T1"}]
    assert ask(caller, "/stats")["stats"]["total"] == 2
    assert operator.post(f"{SIGNALS}/delete", json={"signals": [], "reason": "x"}).status_code == 400


def test_a_viewer_is_offered_no_deletion(app: OpenAPI, db: Database, reader: FlaskClient) -> None:
    trade(db)
    with db.transaction() as cur:
        cur.execute("UPDATE users SET role = 'viewer'")
    delete(db, T1)
    assert "delete-form" not in get(reader, "/automated-signals").text
    assert "/automated-signals/restore/" not in get(reader, QUALITY).text
    assert post(reader, "/automated-signals/delete", signal=[json.dumps(T1)], reason="x").status_code == 403


def test_the_quality_page_says_what_is_empty(reader: FlaskClient, db: Database) -> None:
    said = words(get(reader, QUALITY))
    assert "No signal has arrived yet" in said
    assert "Every delivery was understood" in said
    assert "No signal that is open or has changed" in said
    assert "By type and age" in said
