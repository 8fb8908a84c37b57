"""What operators did: every change that was asked for, whoever asked and whatever came of it. Rows are only added."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from database.engine import Cursor
from database.json_text import to_json
from database.queries import queries

SQL = queries("operator_actions")
COMMAND_LINE = "command line"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One action. `action` is the endpoint or command; `status` the HTTP status, None for a command."""

    done_at: datetime
    login: str
    role: str
    action: str
    arguments: dict[str, Any] = field(default_factory=dict)
    status: int | None = None
    address: str = ""
    request_id: str = ""


def add_action(cur: Cursor, action: Action) -> None:
    """Write one action down."""
    given = {name: getattr(action, name) for name in action.__slots__}
    cur.execute(SQL.add_action, given | {"arguments": to_json(action.arguments)})


def add_command(cur: Cursor, command: str, now: datetime, **arguments: Any) -> None:
    """Write down a command that was run on the server, in the transaction of what it does."""
    action = f"flask {command}"
    add_action(cur, Action(done_at=now, login=COMMAND_LINE, role="server", action=action, arguments=arguments))


def list_actions(cur: Cursor, *, limit: int, before_id: int | None = None) -> list[Any]:
    """A page of actions, newest first; `before_id` is the last id of the page before."""
    cur.execute(SQL.list_actions, {"limit": limit, "before_id": before_id})
    return cur.fetchall()
