"""What deleting and restoring take, as JSON or from a form."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints, ValidationError
from werkzeug.datastructures import MultiDict

from core.errors import InvalidInputError
from database.storable import NO_NUL

MOST_SIGNALS = 500
MOST_REASON = 300
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NO_NUL)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MOST_REASON, pattern=NO_NUL)]


class SignalKey(BaseModel):
    """Which signal."""

    stream: Name
    trade_id: Name


class DeleteBody(BaseModel):
    """Signals to delete, and why."""

    signals: list[SignalKey] = Field(
        ...,
        min_length=1,
        max_length=MOST_SIGNALS,
        description="stream and trade_id of each",
        json_schema_extra={"example": [{"stream": "main", "trade_id": "20251213_104200000_BULLISH"}]},
    )
    reason: Reason = Field(
        ..., description="why; it stays with the deletion", json_schema_extra={"example": "a test alert"}
    )


class RestoreBody(BaseModel):
    """Deletions to undo."""

    ids: list[int] = Field(
        ..., min_length=1, max_length=MOST_SIGNALS, description="ids of deletions", json_schema_extra={"example": [1]}
    )


def read_form(form: MultiDict[str, str]) -> DeleteBody:
    """The form of the list: `signal` fields hold `["stream", "trade id"]`. Raises InvalidInputError naming the field."""
    try:
        signals = [dict(zip(("stream", "trade_id"), json.loads(text), strict=True)) for text in form.getlist("signal")]
        return DeleteBody.model_validate({"signals": signals, "reason": form.get("reason", "")})
    except ValidationError as error:
        field = str(error.errors(include_input=False, include_url=False)[0]["loc"][0])
        words = {
            "signals": f"choose 1 to {MOST_SIGNALS} signals",
            "reason": f"say why, in 1 to {MOST_REASON} characters",
        }
        raise InvalidInputError(f"{field}: {words[field]}", field=field) from None
    except (ValueError, TypeError):
        raise InvalidInputError("signal: is no signal of the list", field="signal") from None
