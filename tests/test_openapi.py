"""The OpenAPI document: behind the login, sound in itself, and true to the routes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI

from tests.support_http import log_in

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
FREE_VALUES = {"default", "example", "examples", "enum", "const"}


@pytest.fixture
def document(client: FlaskClient, operator: str) -> dict[str, Any]:
    """The document as an operator gets it."""
    log_in(client, operator)
    answer = client.get("/openapi.json")
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    found: dict[str, Any] = answer.get_json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in item.keys() & METHODS:
            yield path, method, item[method]


def nodes(node: Any, place: str = "#") -> Iterator[tuple[str, Any]]:
    """Every value of the document with its place, but not what stands inside free values."""
    yield place, node
    if isinstance(node, dict):
        for name, item in node.items():
            if name not in FREE_VALUES:
                yield from nodes(item, f"{place}/{name}")
    elif isinstance(node, list):
        for number, item in enumerate(node):
            yield from nodes(item, f"{place}/{number}")


def test_it_is_for_those_who_are_logged_in(client: FlaskClient) -> None:
    assert client.get("/openapi.json", headers={"Accept": "application/json"}).status_code == 401


def test_it_has_the_shape_of_a_3_1_document(document: dict[str, Any]) -> None:
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    assert {"title", "version"} <= set(document["info"])
    assert {*document} <= {"openapi", "info", "paths", "components", "tags", "servers", "security", "externalDocs"}
    assert [place for place, node in nodes(document) if node is None] == []


def test_every_operation_is_named_described_and_answered(document: dict[str, Any]) -> None:
    found = list(operations(document))
    assert found
    names = [operation["operationId"] for _, _, operation in found]
    assert len(names) == len(set(names))
    for path, method, operation in found:
        assert operation["summary"], (path, method)
        assert operation["responses"], (path, method)
        assert all(re.fullmatch(r"[1-5]\d\d|default", status) for status in operation["responses"])
        assert all(response["description"] for response in operation["responses"].values())


def test_parameters_fit_their_paths(document: dict[str, Any]) -> None:
    for path, _method, operation in operations(document):
        parameters = operation.get("parameters", [])
        in_path = {item["name"] for item in parameters if item["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path))
        for item in parameters:
            assert item["in"] in ("path", "query", "header", "cookie")
            assert item["schema"]
            assert item["required"] or item["in"] != "path"


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for place, node in nodes(document):
        if place.endswith("/$ref"):
            target: Any = document
            for step in node.removeprefix("#/").split("/"):
                target = target[step]
            assert isinstance(target, dict)


def test_a_request_that_does_not_fit_is_said_to_be_answered_with_a_problem(document: dict[str, Any]) -> None:
    for path, _method, operation in operations(document):
        assert set(operation["responses"]["400"]["content"]) == {"application/problem+json"}, path


def test_it_names_every_api_route_but_the_webhook_and_nothing_else(app: OpenAPI, document: dict[str, Any]) -> None:
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/") and not rule.endpoint.startswith("webhook.")
    }
    assert {(path, method) for path, method, _ in operations(document)} == routes
    assert not [path for path in document["paths"] if "webhook" in path]
