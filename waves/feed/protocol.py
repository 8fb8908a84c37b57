"""The signal server's messages: plain JSON over a WebSocket. Pure.

Two generations are understood: `signals` in answer to `get_signals`, and pushed `signal`, `signals_snapshot`, `heartbeat`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from core.errors import InvalidInputError

WHOLE = frozenset({"signals", "signals_snapshot"})
MAX_DEPTH = 20
GET_SIGNALS = '{"type":"get_signals"}'
PING = '{"type":"ping"}'


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `is_whole` says that the signals are all there are of their waves, as far as the server knows."""

    kind: str
    signals: tuple[dict[str, Any], ...] = ()
    is_whole: bool = False
    detail: str = ""


def auth_message(token: str) -> str:
    """The answer to `auth_required`."""
    return json.dumps({"type": "auth", "token": token})


def parse_message(text: str | bytes) -> Message:
    """Read one message; kinds that are not known come back as they are. InvalidInputError for what is no message."""
    try:
        found = json.loads(text, parse_float=Decimal, parse_constant=str)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError("message: is no JSON", field="message") from error
    if not isinstance(found, dict) or not isinstance(found.get("type"), str):
        raise InvalidInputError("type: a message is an object with a type", field="type")
    kind = found["type"]
    detail = found.get("message")
    return Message(
        kind=kind,
        signals=_signals(kind, found),
        is_whole=kind in WHOLE,
        detail=str(detail)[:200] if isinstance(detail, str) else "",
    )


def _signals(kind: str, found: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """The signals of a message, as storable JSON; what is no object is left out."""
    if kind in WHOLE:
        held = found.get("data", found.get("signals"))
        members = held if isinstance(held, list) else []
    elif kind == "signal":
        held = found.get("data", found.get("signal"))
        members = [held if held is not None else {name: value for name, value in found.items() if name != "type"}]
    else:
        return ()
    return tuple(storable(member) for member in members if isinstance(member, dict))


def storable(value: Any, depth: int = 0) -> Any:
    """The same JSON without what PostgreSQL's jsonb refuses: NUL, lone surrogates, and bottomless nesting."""
    if depth > MAX_DEPTH:
        return "..."
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\0", "?")
    if isinstance(value, dict):
        return {storable(key): storable(held, depth + 1) for key, held in value.items()}
    if isinstance(value, list):
        return [storable(held, depth + 1) for held in value]
    if isinstance(value, Decimal) and not -400 < value.adjusted() < 400:
        return str(value)
    return value
