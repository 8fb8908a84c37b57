"""The first start: an operator login and a webhook token, made once and said once on the screen."""

from __future__ import annotations

import sys
from collections.abc import Callable

from core.settings import Settings
from database import tokens, users
from database.engine import Cursor, Database
from web.passwords import hash_password, new_password
from web.security.obvious import is_obvious

ADMIN = "admin"


def settle(db: Database, settings: Settings, then: Callable[[], None]) -> None:
    """Once the schema is up to date: the first start's entries, and what can only be done with them."""
    first_start(db, settings)
    then()


def first_start(db: Database, settings: Settings) -> None:
    """Create the login `admin` when there is no login at all, and the stream's token when it has none.

    Safe to call at every start and from several processes: what exists is left alone. A value that was generated is
    printed to standard output past the log, because the log masks secrets.
    """
    said: list[str] = []
    with db.transaction() as cur:
        tokens.lock_first_start(cur)
        if not users.list_users(cur):
            password = settings.admin_password or new_password()
            users.add_user(cur, name=ADMIN, password_hash=hash_password(password), role="operator")
            said.append(f"login:          {ADMIN} / {'(ADMIN_PASSWORD)' if settings.admin_password else password}")
            if is_obvious(password, ADMIN):
                said.append("                ADMIN_PASSWORD is easy to guess; change the password under /account")
        said += _first_token(cur, settings)
    if said:
        base = settings.public_url or f"http://{settings.host}:{settings.port}"
        lines = ["", f"Signalbook, first start. {base}/login . This is shown only once:", *said, ""]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()


def _first_token(cur: Cursor, settings: Settings) -> list[str]:
    stream = settings.stream
    known = {row.stream for row in tokens.list_tokens(cur)}
    if settings.webhook_token:
        tokens.add_token(cur, token=settings.webhook_token, stream=stream, created_by="settings")
        return [] if stream in known else ["webhook token:  (WEBHOOK_TOKEN)"]
    if stream in known:
        return []
    token = tokens.new_token()
    tokens.add_token(cur, token=token, stream=stream, created_by="first start")
    return [f"webhook token:  {token}   (stream {stream})", f"webhook path:   /api/automated-signals/webhook/{token}"]
