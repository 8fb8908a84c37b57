"""The second factor of a login: proposed, confirmed, used, removed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from core.errors import ConflictError, NotFoundError
from database.engine import Cursor
from database.queries import queries

SQL = queries("second_factors")


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """A TOTP secret (base 32); it is asked for once `confirmed_at` is known. `last_step`: the last code that was used."""

    secret: str | None = field(repr=False)
    confirmed_at: datetime | None
    last_step: int

    @property
    def is_on(self) -> bool:
        return self.confirmed_at is not None


def get_second_factor(cur: Cursor, user_id: int) -> SecondFactor:
    """The factor of a login; one without secret where there is none."""
    cur.execute(SQL.get_second_factor, {"id": user_id})
    row = cur.fetchone()
    return SecondFactor(*row) if row is not None else SecondFactor(None, None, 0)


def propose(cur: Cursor, user_id: int, secret: str) -> None:
    """Keep a secret until a code of it is shown. Raises ConflictError while another is in force."""
    cur.execute(SQL.propose_second_factor, {"id": user_id, "secret": secret})
    if cur.fetchone() is None:
        raise ConflictError("The second factor is on already.")


def confirm(cur: Cursor, user_id: int, *, step: int, now: datetime) -> None:
    """Put the proposed secret in force and end the login's sessions. Raises ConflictError if there is none to confirm."""
    cur.execute(SQL.confirm_second_factor, {"id": user_id, "step": step, "now": now})
    if cur.fetchone() is None:
        raise ConflictError("There is no second factor to confirm.")


def use_code(cur: Cursor, user_id: int, step: int) -> bool:
    """Use up the code of a step; False if it was used before."""
    cur.execute(SQL.use_code, {"id": user_id, "step": step})
    return cur.fetchone() is not None


def remove(cur: Cursor, name: str) -> None:
    """Turn the second factor off and end the login's sessions. Raises NotFoundError."""
    cur.execute(SQL.remove_second_factor, {"name": name})
    if cur.fetchone() is None:
        raise NotFoundError(f"There is no login named {name}.", field="name")
