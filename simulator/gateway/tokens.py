"""Session tokens of the simulated gateway: shaped like JWTs, signed by nobody, valid while they are young."""

from __future__ import annotations

import base64
import itertools
import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

LIFE = timedelta(hours=24)


class Tokens:
    """Issues and checks tokens; `revoke_all` makes every one of them unknown."""

    def __init__(self, now: Callable[[], datetime], life: timedelta = LIFE) -> None:
        self.life = life
        self._now = now
        self._numbers = itertools.count(1)
        self._valid: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def issue(self) -> str:
        """A new token."""
        expires_at = self._now() + self.life
        claims = {"sub": "simulated", "jti": str(next(self._numbers)), "exp": expires_at.timestamp()}
        token = ".".join((_part({"alg": "HS256", "typ": "JWT"}), _part(claims), "c2ltdWxhdGVkLXNpZ25hdHVyZQ"))
        with self._lock:
            self._valid[token] = expires_at
        return token

    def is_valid(self, token: str) -> bool:
        """Whether the token was issued here and has not expired."""
        with self._lock:
            expires_at = self._valid.get(token)
        return expires_at is not None and self._now() < expires_at

    def revoke_all(self) -> None:
        """Forget every token, as a gateway does that restarts."""
        with self._lock:
            self._valid.clear()


def _part(claims: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
