"""Logins: who may come in, and from when on older cookies are dead."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core.errors import ConflictError, InvalidInputError, NotFoundError
from database.engine import Cursor
from database.queries import queries

SQL = queries("users")
ROLES = ("viewer", "operator")
NAME = re.compile(r"[0-9a-z_.@-]{1,64}")


@dataclass(frozen=True, slots=True)
class User:
    """One login. `session_version` is part of its cookies: raising it ends them all."""

    id: int
    name: str
    password_hash: str = field(repr=False)
    role: str
    session_version: int
    is_active: bool
    created_at: datetime
    last_login_at: datetime | None


def get_user(cur: Cursor, user_id: int) -> User | None:
    """The login with that id."""
    cur.execute(SQL.get_user, {"id": user_id})
    return _user(cur.fetchone())


def get_user_by_name(cur: Cursor, name: str) -> User | None:
    """The login with that name; names are stored in lower case."""
    cur.execute(SQL.get_user_by_name, {"name": name})
    return _user(cur.fetchone())


def list_users(cur: Cursor) -> list[User]:
    """Every login by name."""
    cur.execute(SQL.list_users)
    return [User(*row) for row in cur.fetchall()]


def add_user(cur: Cursor, *, name: str, password_hash: str, role: str = "operator") -> User:
    """Store a new login. Raises InvalidInputError for a bad name or role, ConflictError if the name is taken."""
    if not NAME.fullmatch(name):
        raise InvalidInputError("name: use 1 to 64 of a-z, 0-9, _ . @ -", field="name")
    if role not in ROLES:
        raise InvalidInputError(f"role: must be one of {', '.join(ROLES)}", field="role")
    cur.execute(SQL.add_user, {"name": name, "password_hash": password_hash, "role": role})
    user = _user(cur.fetchone())
    if user is None:
        raise ConflictError(f"There is a login named {name} already.", field="name")
    return user


def set_password(cur: Cursor, *, name: str, password_hash: str) -> None:
    """Change a password and end the login's sessions. Raises NotFoundError."""
    cur.execute(SQL.set_password, {"name": name, "password_hash": password_hash})
    _require_row(cur, name)


def set_active(cur: Cursor, *, name: str, is_active: bool) -> None:
    """Let a login in or keep it out, and end its sessions. Raises NotFoundError."""
    cur.execute(SQL.set_active, {"name": name, "is_active": is_active})
    _require_row(cur, name)


def end_sessions(cur: Cursor, user_id: int) -> None:
    """Make every cookie of the login dead, in all browsers."""
    cur.execute(SQL.end_sessions, {"id": user_id})


def record_login(cur: Cursor, user_id: int, now: datetime) -> None:
    """Remember that the login was used."""
    cur.execute(SQL.record_login, {"id": user_id, "now": now})


def _user(row: tuple[Any, ...] | None) -> User | None:
    return None if row is None else User(*row)


def _require_row(cur: Cursor, name: str) -> None:
    if cur.fetchone() is None:
        raise NotFoundError(f"There is no login named {name}.", field="name")
