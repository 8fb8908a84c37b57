"""Every answer of the API that any test gets is held against the shape that the OpenAPI document gives for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from flask import Response, request
from flask_openapi3 import OpenAPI
from pydantic import BaseModel, ValidationError


def hold_to_description(app: OpenAPI) -> list[str]:
    """Watch the answers of an app; the list that is returned names those that are not as described."""
    faults: list[str] = []
    models = {model.__name__: model for model in models_of(BaseModel)}

    def check(answer: Response) -> Response:
        if request.url_rule is not None and answer.status_code in (200, 201) and answer.mimetype == "application/json":
            name = model_named(app.api_doc, request.url_rule.rule, request.method, answer.status_code)
            if name is not None:
                try:
                    models[name].model_validate_json(answer.get_data())
                except ValidationError as error:
                    faults.append(f"{request.method} {request.path} is no {name}: {error}")
        return answer

    app.after_request(check)
    return faults


def model_named(document: dict[str, Any], rule: str, method: str, status: int) -> str | None:
    """The name of the model that the document gives for an answer; None where it gives none."""
    path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule)
    operation = document["paths"].get(path, {}).get(method.lower(), {})
    content = operation.get("responses", {}).get(str(status), {}).get("content", {}).get("application/json", {})
    reference = content.get("schema", {}).get("$ref")
    return reference.rpartition("/")[2] if reference else None


def models_of(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Our models, however deep they derive."""
    for each in model.__subclasses__():
        if each.__module__.partition(".")[0] in {"web", "telemetry", "ingestion", "hybrid_sync", "waves", "analysis"}:
            yield each
        yield from models_of(each)
