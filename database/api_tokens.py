"""API tokens: stored as SHA-256, shown whole once, tied to a role. Asked for at every call, so a revoked one is dead at once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from core.errors import InvalidInputError, NotFoundError
from database.engine import Cursor
from database.queries import queries
from database.tokens import hash_token
from database.users import NAME, ROLES

SQL = queries("api_tokens")


def add_token(cur: Cursor, *, token: str, role: str, name: str, created_by: str) -> int:
    """Store a token's hash; its id. Raises InvalidInputError for a bad name or role."""
    if not NAME.fullmatch(name):
        raise InvalidInputError("name: use up to 64 of a-z, 0-9, _ . @ -", field="name")
    if role not in ROLES:
        raise InvalidInputError("role: must be one of " + ", ".join(ROLES), field="role")
    given = {"token_hash": hash_token(token), "token_end": token[-4:], "created_by": created_by}
    cur.execute(SQL.add_token, given | {"name": name, "role": role})
    return int(cur.fetchone().id)


def get_token(cur: Cursor, token: str) -> Any | None:
    """(id, name, role) of a token that is good; None for any other text."""
    cur.execute(SQL.get_token, {"token_hash": hash_token(token)})
    return cur.fetchone()


def list_tokens(cur: Cursor) -> list[Any]:
    """Every token, newest first; without the token itself."""
    cur.execute(SQL.list_tokens)
    return cur.fetchall()


def revoke_token(cur: Cursor, *, token_id: int, now: datetime) -> None:
    """End one token at once. Raises NotFoundError if there is none, or it was revoked before."""
    cur.execute(SQL.revoke_token, {"id": token_id, "now": now})
    if cur.fetchone() is None:
        raise NotFoundError("There is no valid API token with that id.")
