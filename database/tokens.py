"""Webhook tokens: stored as SHA-256, shown whole once, tied to a stream."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import Any

from core.errors import InvalidInputError, NotFoundError
from database.engine import Cursor
from database.queries import queries

SQL = queries("tokens")
TOKEN_BYTES = 24
FIRST_START_LOCK = 0x4649525354  # the letters FIRST


def new_token() -> str:
    """A random token of 192 bits, safe in a URL."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def hash_token(token: str) -> bytes:
    """SHA-256 of the token. The tokens are random and long, so a slow hash would add nothing."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def add_token(cur: Cursor, *, token: str, stream: str, created_by: str) -> bool:
    """Store a token's hash; False if that token exists already. Raises InvalidInputError for a bad stream name."""
    _check_stream(stream)
    given = {"token_hash": hash_token(token), "token_end": token[-4:], "stream": stream, "created_by": created_by}
    cur.execute(SQL.add_token, given)
    added = cur.fetchone() is not None
    cur.execute(SQL.notify_tokens)
    return added


def rotate_token(cur: Cursor, *, stream: str, created_by: str, old_expires_at: datetime) -> str:
    """A new token for the stream; the old ones stay valid until `old_expires_at`. Returns the new token.

    Raises InvalidInputError for a bad stream name.
    """
    _check_stream(stream)
    cur.execute(SQL.expire_tokens, {"stream": stream, "expires_at": old_expires_at})
    token = new_token()
    add_token(cur, token=token, stream=stream, created_by=created_by)
    return token


def revoke_token(cur: Cursor, *, token_id: int, now: datetime) -> None:
    """End one token at once. Raises NotFoundError if there is none, or it was revoked before."""
    cur.execute(SQL.revoke_token, {"id": token_id, "now": now})
    if cur.fetchone() is None:
        raise NotFoundError("There is no valid token with that id.")
    cur.execute(SQL.notify_tokens)


def list_tokens(cur: Cursor) -> list[Any]:
    """Every token, newest first; without the token itself."""
    cur.execute(SQL.list_tokens)
    return cur.fetchall()


def list_valid_tokens(cur: Cursor, *, now: datetime) -> list[Any]:
    """(token_hash, stream, expires_at) of what the door accepts."""
    cur.execute(SQL.list_valid_tokens, {"now": now})
    return cur.fetchall()


def lock_first_start(cur: Cursor) -> None:
    """Let one process at a time make the first login and token; until the transaction ends."""
    cur.execute(SQL.lock_first_start, {"key": FIRST_START_LOCK})


def _check_stream(stream: str) -> None:
    if not stream or len(stream) > 64 or not set(stream) <= set("abcdefghijklmnopqrstuvwxyz0123456789_.-"):
        raise InvalidInputError("stream: use up to 64 of a-z, 0-9, _ . -", field="stream")
