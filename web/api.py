"""OpenAPI: where the document and its page live, and how a request that does not fit is answered."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, jsonify, make_response
from pydantic import ValidationError

from core.errors import InvalidInputError
from web.errors import answer_to

blueprint = Blueprint("openapi", __name__)


@blueprint.get("/openapi.json")
def document() -> Response:
    """The OpenAPI 3.1 document of every `/api` route but the webhook."""
    return jsonify(current_app.api_doc)  # type: ignore[attr-defined]


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
