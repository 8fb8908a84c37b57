"""The page of the API: behind the login, true to the document, with calls that work as they stand."""

from __future__ import annotations

import html
import re
import shlex
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI

from core.lifecycle import Kind
from database.engine import Database
from tests.support_deliveries import deliver
from tests.support_http import api_token, log_in
from tests.support_signals import add, event
from web.api import groups

WANTS_MORE = {
    "/api/automated-signals/import": 422,
    "/api/hybrid-sync/revoke": 400,
    "/api/market-data/bars": 400,
    "/api/market-data/coverage": 400,
    "/api/market-data/fill": 400,
    "/api/params/EXCHANGE_ID": 404,
    "/api/params/EXCHANGE_ID/history": 404,
    "/api/params/EXCHANGE_ID/overrides": 404,
    "/api/params/as-of": 400,
    "/api/params/overrides/OVERRIDE_ID/undo": 404,
    "/api/params/waves/WAVE_TIME": 400,
}
"""Examples that leave a file, a contract, an id or a time to their reader, and what they are answered without it."""
HEARTBEAT = {"event_type": "HEARTBEAT", "signal_count": 1}


@pytest.fixture
def page(client: FlaskClient, operator: str) -> str:
    """The page as an operator gets it."""
    log_in(client, operator)
    answer = client.get("/docs/api")
    assert answer.status_code == 200
    return answer.text


def examples(page: str) -> list[list[str]]:
    """The words of each call that the page gives, as a shell would read them."""
    return [shlex.split(html.unescape(text)) for text in re.findall(r"<pre[^>]*>(curl .*?)</pre>", page, re.DOTALL)]


def test_it_is_for_those_who_are_logged_in(client: FlaskClient) -> None:
    assert client.get("/docs/api", headers={"Accept": "application/json"}).status_code == 401


def test_the_overview_leads_there(client: FlaskClient, operator: str) -> None:
    log_in(client, operator)
    assert 'href="/docs/api"' in client.get("/overview").text


def test_every_call_of_the_document_stands_on_the_page(client: FlaskClient, page: str) -> None:
    document = client.get("/openapi.json").get_json()
    calls = [(method.upper(), path) for path, item in document["paths"].items() for method in item]
    headings = re.findall(r'<span class="pill">(\w+)</span> <span class="mono">([^<]+)</span>', page)
    assert sorted(headings) == sorted(calls)
    assert len(examples(page)) == len(calls) > 10


def test_every_example_works_with_a_token(app: OpenAPI, db: Database, page: str) -> None:
    (delivery_id,) = deliver(db, HEARTBEAT)
    add(db, event("T1", Kind.ENTRY))
    headers = {"Authorization": f"Bearer {api_token(db, 'operator')}"}
    for words in examples(page):
        address = words[-1].replace("DELIVERY_ID", str(delivery_id)).replace("TRADE_ID", "T1")
        body = words[words.index("-d") + 1] if "-d" in words else None
        method = words[words.index("-X") + 1] if "-X" in words else "GET"
        assert words[:3] == ["curl", "-H", "Authorization: Bearer $TOKEN"]
        kind = "application/json" if body else None
        answer = app.test_client().open(address, method=method, headers=headers, data=body, content_type=kind)
        assert answer.status_code == WANTS_MORE.get(urlsplit(address).path, 200), words
        answer.close()


def test_fields_tell_place_type_and_default() -> None:
    schema = {"properties": {"limit": {"type": "integer", "default": 5, "description": "how many"}}, "required": []}
    operation: dict[str, Any] = {
        "operationId": "x",
        "summary": "X",
        "tags": ["things"],
        "parameters": [
            {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}},
            {"name": "kind", "in": "query", "schema": {"anyOf": [{"enum": ["a", "b"]}, {"type": "null"}]}},
        ],
        "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Body"}}}},
    }
    document = {"paths": {"/api/x/{id}": {"post": operation}}, "components": {"schemas": {"Body": schema}}}
    (found,) = groups(document, "https://here")["things"]
    seen = [(item.name, item.place, item.kind, item.is_required, item.default) for item in found.fields]
    assert seen == [
        ("id", "path", "integer", True, None),
        ("kind", "query", "a, b", False, None),
        ("limit", "body", "integer", False, 5),
    ]
    assert found.example.endswith("""-H 'Content-Type: application/json' -d '{"limit": 5}' 'https://here/api/x/ID'""")
