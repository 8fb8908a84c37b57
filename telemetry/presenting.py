"""Deliveries as the API and the pages show them. Pure.

For programs: plain JSON values, times in ISO UTC. For people: bodies as text where they are text and in hex where they
are not, repairs as what was removed and inserted in its place.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

NOT_UNDERSTOOD = "not yet understood"
STATUSES = ("accepted", "duplicate", "conflict", "merged", "deleted", "quarantined")
STATUS_TITLES = {
    "accepted": "At least one new fact came of it.",
    "duplicate": "The same bytes came within 25 seconds before.",
    "conflict": "A one-shot fact that was known already; the earlier one is believed.",
    "merged": "Further values of a minute that was known already.",
    "deleted": "Its signal has been deleted; the facts are kept and count again when the deletion is undone.",
    "quarantined": "Stored, but nothing could be concluded from it.",
}
BACKFILL_TITLE = "Made up from automated_signals: no alert of this event was delivered here."
DIALECTS = ("legacy", "direct", "stage", "telemetry", "batch", "event_batch", "heartbeat")
HEX_SHOWN = 4096
HEX_WIDTH = 16
CONTEXT = 60
WEB_PORTS = (None, 80, 443)


def list_item(row: Any) -> dict[str, Any]:
    """One line of the delivery log."""
    result = row.handler_result or {}
    return {
        "id": row.id,
        "received_at": _instant(row.received_at),
        "stream": row.stream,
        "source": row.source,
        "status": row.status,
        "dialect": row.dialect,
        "event_type": row.event_type,
        "trade_id": row.trade_id,
        "processing_time_ms": _number(row.processing_time_ms),
        "validation_error": row.validation_error,
        "warnings": result.get("warnings", []),
        "message": result.get("message"),
        "content_type": row.content_type,
        "source_ip": row.source_ip,
        "body_bytes": row.body_bytes,
        "receipt_id": str(row.receipt_id) if row.receipt_id else None,
    }


def detail(row: Any) -> dict[str, Any]:
    """One delivery, whole. `raw_body` is text when the bytes are UTF-8; `raw_body_base64` always holds the bytes."""
    raw = bytes(row.raw_body) if row.raw_body is not None else None
    return {
        "id": row.id,
        "received_at": _instant(row.received_at),
        "stored_at": _instant(row.stored_at),
        "stream": row.stream,
        "source": row.source,
        "status": row.status,
        "dialect": row.dialect,
        "content_type": row.content_type,
        "source_ip": row.source_ip,
        "processing_time_ms": _number(row.processing_time_ms),
        "validation_error": row.validation_error,
        "receipt_id": str(row.receipt_id) if row.receipt_id else None,
        "duplicate_of": str(row.duplicate_of) if row.duplicate_of else None,
        "delivery_key": bytes(row.delivery_key).hex() if row.delivery_key is not None else None,
        "raw_body": _text(raw),
        "raw_body_base64": base64.b64encode(raw).decode() if raw is not None else None,
        "raw_payload": row.raw_payload,
        "fused_event": row.fused_event,
        "handler_result": row.handler_result,
        "repair": row.repair,
    }


def first_alert(row: Any, since: datetime) -> dict[str, Any]:
    """The first alert of a connection: when it came, how long after `since`, how long until it was stored."""
    return {
        "id": row.id,
        "received_at": _instant(row.received_at),
        "after_seconds": round((row.received_at - since).total_seconds(), 3),
        "stored_after_seconds": round((row.stored_at - row.received_at).total_seconds(), 3),
        "status": row.status,
        "dialect": row.dialect,
    }


def _instant(value: datetime | None) -> str | None:
    return value.isoformat().replace("+00:00", "Z") if value is not None else None


def _number(value: Any) -> float | None:
    return float(value) if value is not None else None


def _text(raw: bytes | None) -> str | None:
    try:
        return raw.decode() if raw is not None else None
    except UnicodeDecodeError:
        return None


def page_line(row: Any) -> dict[str, Any]:
    """One line of the log for people: the row, the size of a batch, and what is to be said of it."""
    result = row.handler_result or {}
    warnings = [_last_part(warning) for warning in result.get("warnings", [])]
    return {
        "row": row,
        "members": _members_text(result),
        "errors": row.validation_error,
        "warnings": list(dict.fromkeys(warnings)),
        "warning_count": len(warnings),
    }


def page_detail(row: Any) -> dict[str, Any]:
    """One delivery for people."""
    raw = bytes(row.raw_body) if row.raw_body is not None else None
    said = row.raw_payload if row.source == "backfill" else row.fused_event
    fused = said if isinstance(said, dict) else {}
    return {
        "row": row,
        "is_text": raw is not None and _text(raw) is not None,
        "size": len(raw) if raw is not None else None,
        "raw": (_text(raw) or hex_lines(raw)) if raw else "",
        "is_cut": raw is not None and _text(raw) is None and len(raw) > HEX_SHOWN,
        "repair": repair_pieces(raw, row.repair) if raw and row.repair else [],
        "edits": row.repair or [],
        "fused": _pretty(said),
        "result": _pretty(row.handler_result),
        "event_type": fused.get("event_type"),
        "trade_ids": _trade_ids(fused),
        "warnings": (row.handler_result or {}).get("warnings", []),
        "checksum": bytes(row.delivery_key).hex() if row.delivery_key is not None else None,
    }


def hex_lines(raw: bytes) -> str:
    """Offset, bytes in hex and their printable characters, 16 to a line; at most the first 4,096 bytes."""
    lines = []
    for start in range(0, min(len(raw), HEX_SHOWN), HEX_WIDTH):
        part = raw[start : start + HEX_WIDTH]
        seen = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{start:06x}  {part.hex(' '):<47}  {seen}")
    return "\n".join(lines)


def repair_pieces(raw: bytes, edits: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """The body cut at its edits: (`same`, `removed`, `inserted` or `gap`, text); far from an edit it is a gap."""
    pieces: list[tuple[str, str]] = []
    done = 0
    for edit in edits:
        pieces += _between(raw[done : edit["offset"]], is_first=done == 0)
        pieces += [(kind, edit[kind]) for kind in ("removed", "inserted") if edit[kind]]
        done = edit["offset"] + len(edit["removed"].encode())
    return [*pieces, *_between(raw[done:], is_last=True)]


def latency(milliseconds: Decimal | float | None) -> str:
    """A short duration: `0.8 ms`, `12 ms`, `1.2 s`."""
    if milliseconds is None:
        return "—"
    if milliseconds < 1000:
        return f"{milliseconds:.{1 if milliseconds < 10 else 0}f} ms"
    return f"{milliseconds / 1000:.1f} s"


def address_faults(base_url: str) -> list[str]:
    """Why TradingView could not post to this address."""
    parts = urlsplit(base_url)
    faults = []
    if parts.scheme != "https":
        faults.append(
            "It is not https: the token in it would travel readable, and a redirect to https loses the alert."
        )
    if parts.port not in WEB_PORTS:
        faults.append(f"Its port is {parts.port}: TradingView posts to ports 80 and 443 only.")
    if parts.hostname in ("localhost", "127.0.0.1", "::1"):
        faults.append("It names this machine only: TradingView needs an address that the internet can reach.")
    return faults


def _between(part: bytes, *, is_first: bool = False, is_last: bool = False) -> Iterator[tuple[str, str]]:
    head = b"" if is_first else part[:CONTEXT]
    tail = b"" if is_last else part[-CONTEXT:]
    if len(part) <= len(head) + len(tail) + CONTEXT:
        if part:
            yield "same", part.decode(errors="replace")
        return
    if head:
        yield "same", head.decode(errors="replace")
    yield "gap", f"{len(part) - len(head) - len(tail)} bytes"
    if tail:
        yield "same", tail.decode(errors="replace")


def _trade_ids(fused: dict[str, Any]) -> list[str]:
    members = fused.get("signals") or fused.get("events") or [fused]
    listed = members if isinstance(members, list) else []
    found = [member.get("trade_id") for member in listed if isinstance(member, dict)]
    return list(dict.fromkeys(trade_id for trade_id in found if isinstance(trade_id, str) and trade_id))


def _members_text(result: dict[str, Any]) -> str | None:
    if "applied" not in result:
        return None
    applied, quarantined = result["applied"], result.get("quarantined", 0)
    return f"{applied} of {applied + quarantined} members" if quarantined else f"{applied} members"


def _last_part(warning: str) -> str:
    return warning.rpartition("/")[2]


def _pretty(value: Any) -> str | None:
    return None if value is None else json.dumps(value, indent=2, ensure_ascii=False)
