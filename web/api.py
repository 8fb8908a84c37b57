"""OpenAPI: where the document and its page live, and how a request that does not fit is answered."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, make_response
from pydantic import ValidationError

from core.errors import InvalidInputError
from web.errors import answer_to

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


@blueprint.get("/openapi.json")
def document() -> Response:
    """The OpenAPI 3.1 document of every `/api` route but the webhook."""
    return jsonify(_with_our_errors(deepcopy(current_app.api_doc)))  # type: ignore[attr-defined]


def _with_our_errors(found: dict[str, Any]) -> dict[str, Any]:
    """The generated document with the problem document in place of the library's own list of errors."""
    found["components"] = {"schemas": {**found["components"]["schemas"], "Problem": PROBLEM}}
    found["components"]["schemas"].pop("ValidationErrorModel", None)
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
