"""OpenAPI: the document, the same as a page for people, and how a request that does not fit is answered."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, make_response, render_template, request
from pydantic import ValidationError

from core.errors import InvalidInputError
from web.errors import answer_to
from web.services import services

blueprint = Blueprint("openapi", __name__)

_TEXTS = ("type", "title", "detail", "instance", "error", "code")
PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": [*_TEXTS, "status", "success"],
    "properties": {
        **{name: {"type": "string"} for name in _TEXTS},
        "status": {"type": "integer"},
        "success": {"const": False},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}
SECURITY: dict[str, Any] = {
    "token": {"type": "http", "scheme": "bearer", "description": "an API token"},
    "login": {"type": "apiKey", "in": "cookie", "name": "signalbook", "description": "the session of a login"},
}


@blueprint.get("/openapi.json")
def document() -> Response:
    """The OpenAPI 3.1 document of every `/api` route but the webhook."""
    return jsonify(_described())


@blueprint.get("/docs/api")
def page() -> str:
    """The document for people, with a call of each kind to copy."""
    described = _described()
    base = services().settings.public_url or request.host_url.rstrip("/")
    return render_template("api_docs.html", groups=groups(described, base), base=base)


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter of a call, or one field of its body."""

    name: str
    place: str
    kind: str
    is_required: bool
    default: Any
    description: str
    example: Any = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One call as the page lists it."""

    anchor: str
    method: str
    path: str
    summary: str
    description: str
    fields: tuple[Field, ...]
    example: str


def groups(described: dict[str, Any], base: str) -> dict[str, list[Operation]]:
    """The calls of a document by their first tag, in its order."""
    found: dict[str, list[Operation]] = {}
    for path, item in described["paths"].items():
        for method, operation in item.items():
            fields = (*_parameters(operation), *_body_fields(operation, described["components"]["schemas"]))
            listed = Operation(
                anchor=operation["operationId"],
                method=method.upper(),
                path=path,
                summary=operation["summary"],
                description=operation.get("description", ""),
                fields=fields,
                example=_example(method.upper(), base + path, fields),
            )
            found.setdefault(operation.get("tags", ["other"])[0], []).append(listed)
    return found


def _parameters(operation: dict[str, Any]) -> Iterator[Field]:
    for item in operation.get("parameters", ()):
        yield _field(item["name"], item["in"], item["schema"], bool(item.get("required")))


def _body_fields(operation: dict[str, Any], schemas: dict[str, Any]) -> Iterator[Field]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content:
        model = schemas[content["schema"]["$ref"].rpartition("/")[2]]
        for name, schema in model["properties"].items():
            yield _field(name, "body", schema, name in model.get("required", ()))


def _field(name: str, place: str, schema: dict[str, Any], is_required: bool) -> Field:
    kinds = [part for part in schema.get("anyOf", [schema]) if part.get("type") != "null"]
    choice = [str(value) for part in kinds for value in part.get("enum", ())]
    kind = ", ".join(choice) or " or ".join(str(part.get("type", "value")) for part in kinds)
    default, example = schema.get("default"), schema.get("example")
    return Field(name, place, kind, is_required, default, schema.get("description", ""), example)


def _example(method: str, address: str, fields: tuple[Field, ...]) -> str:
    """A call with an API token to paste into a shell; what stands in capitals in its path is for the reader to fill in."""
    parts = ['curl -H "Authorization: Bearer $TOKEN"']
    body = {
        field.name: field.example if field.default is None else field.default
        for field in fields
        if field.place == "body"
    }
    filled = re.sub(r"{(\w+)}", lambda part: part[1].upper(), address)
    if method != "GET":
        parts.append(f"-X {method}")
    if body:
        parts.append(f"-H 'Content-Type: application/json' -d '{json.dumps(body)}'")
    return " ".join([*parts, f"'{filled}'"])


def _described() -> dict[str, Any]:
    return _with_our_errors(deepcopy(current_app.api_doc))  # type: ignore[attr-defined]


def _with_our_errors(found: dict[str, Any]) -> dict[str, Any]:
    """The generated document with the problem document in place of the library's own list of errors."""
    found["components"] = {"schemas": {**found["components"]["schemas"], "Problem": PROBLEM}}
    found["components"]["schemas"].pop("ValidationErrorModel", None)
    found["components"]["securitySchemes"] = SECURITY
    found["security"] = [{name: []} for name in SECURITY]
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for item in found["paths"].values():
        for operation in item.values():
            operation["responses"]["400"] = {"description": "The request does not fit", "content": content}
    return found


def refuse(error: ValidationError) -> Response:
    """A query, path or body that does not fit its model: 400 naming the first field, without echoing its value."""
    first = error.errors(include_input=False, include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "body"
    return make_response(answer_to(InvalidInputError(f"{field}: {first['msg']}", field=field), status=400))


OPTIONS: dict[str, Any] = {
    "doc_ui": False,
    "validation_error_status": 400,
    "validation_error_callback": refuse,
}
