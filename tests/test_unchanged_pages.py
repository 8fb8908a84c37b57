"""A page that says what it said before is not sent again; one that says anything else is."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI
from werkzeug.test import TestResponse

from core.lifecycle import Kind
from database.engine import Database
from tests.support_http import csrf_token, get, log_in
from tests.support_service import turn_off, turn_on
from tests.support_signals import add, event, measure
from web.live.unchanged import tag_of

LIST = "/automated-signals"
LOOKS = (LIST, f"{LIST}/T1", f"{LIST}-calendar", f"{LIST}-quality", f"{LIST}-telemetry", "/hybrid-sync", "/analysis")


def again(reader: FlaskClient, path: str, before: TestResponse, **cookies: str) -> TestResponse:
    """The same question by a page that has the answer from before."""
    for name, value in cookies.items():
        reader.set_cookie(name, value)
    return reader.get(path, headers={"Accept": "text/html", "If-None-Match": before.headers["ETag"]})


@pytest.mark.parametrize("path", LOOKS)
def test_a_page_that_has_not_changed_is_answered_without_a_body(reader: FlaskClient, db: Database, path: str) -> None:
    add(db, event("T1", Kind.ENTRY))
    first = get(reader, path)
    assert first.headers["ETag"].startswith("W/")
    assert (first.headers["Cache-Control"], "Cookie" in first.headers["Vary"]) == ("private, no-cache", True)
    answer = again(reader, path, first)
    assert (answer.status_code, answer.data) == (304, b"")
    assert answer.headers["ETag"] == first.headers["ETag"]


def test_whatever_a_reader_would_see_differently_is_sent(reader: FlaskClient, db: Database) -> None:
    add(db, event("T1", Kind.ENTRY))
    page = get(reader, LIST)
    for change in (
        lambda: add(db, event("T1", Kind.BE_TRIGGERED, 4)),
        lambda: add(db, event("T2", Kind.SIGNAL_CREATED, 9)),
        lambda: measure(db, "T1", "no_mae"),
        lambda: reader.set_cookie("view_zone", "utc"),
    ):
        change()
        answer = again(reader, LIST, page)
        assert answer.status_code == 200
        page = answer
    assert again(reader, LIST, page).status_code == 304


def test_a_database_that_goes_away_is_said_to_a_page_that_asks(
    reader: FlaskClient, postgres: str, database_url: str, db: Database
) -> None:
    add(db, event("T1", Kind.ENTRY))
    page = get(reader, LIST)
    turn_off(postgres, database_url)
    assert again(reader, LIST, page).status_code == 503
    turn_on(postgres, database_url)
    assert again(reader, LIST, page).status_code == 304


def test_a_page_of_an_earlier_session_is_sent_anew_because_its_forms_are_dead(
    reader: FlaskClient, app: OpenAPI, operator: str
) -> None:
    before = get(reader, "/connect")
    reader.post("/logout", data={"csrf_token": csrf_token(reader, "/connect")})
    log_in(reader, operator)
    assert again(reader, "/connect", before).status_code == 200
    page = app.test_client().get("/login", headers={"Accept": "text/html"})
    assert again(app.test_client(), "/login", page).status_code == 200


def test_only_pages_are_tagged_and_none_that_must_not_be_kept(reader: FlaskClient, client: FlaskClient) -> None:
    assert "ETag" not in client.get("/no-such-page", headers={"Accept": "text/html"}).headers
    assert "ETag" not in reader.get("/openapi.json").headers
    assert "ETag" not in reader.get(f"{LIST}.csv").headers


def test_clocks_ages_and_form_tokens_are_no_news() -> None:
    page = '<input value="{0}"><span class="x" data-freshness>checked <time>{1}</time></span><span data-age="{2}">{1} ago</span>'
    tags = [
        tag_of(page.format(*said).encode(), said[0], "secret")
        for said in (("token-1", "1s", "X"), ("token-2", "2s", "X"))
    ]
    assert tags[0] == tags[1]
    assert tag_of(page.format("token-1", "1s", "Y").encode(), "token-1", "secret") != tags[0]
    assert tag_of(page.format("token-1", "1s", "X").encode(), "token-1", "another") != tags[0]
