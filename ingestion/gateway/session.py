"""The token of the gateway: logged in once, renewed at 80 % of its life, never logged."""

from __future__ import annotations

import base64
import binascii
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from core.clock import Clock

LIFE = timedelta(hours=24)
RENEW_AT = 0.8


class Session:
    """Hands out a token that is younger than 80 % of its life. May be used from several threads."""

    def __init__(self, log_in: Callable[[], str], renew: Callable[[str], str | None], clock: Clock) -> None:
        """`renew(token)` gives a newer token, or None when the old one no longer counts."""
        self._log_in, self._renew, self._clock = log_in, renew, clock
        self._lock = threading.Lock()
        self._token: str | None = None
        self.renew_at: datetime | None = None
        self.expires_at: datetime | None = None

    def token(self) -> str:
        """A valid token. Raises what the login raises."""
        with self._lock:
            if self._token is None or self.renew_at is None:
                self._keep(self._log_in())
            elif self._clock.now() >= self.renew_at:
                self._keep(self._renew(self._token) or self._log_in())
            assert self._token is not None
            return self._token

    def reject(self, token: str) -> None:
        """The gateway did not accept this token: the next one comes from a login."""
        with self._lock:
            if token == self._token:
                self._token = None

    def _keep(self, token: str) -> None:
        now = self._clock.now()
        self._token = token
        self.expires_at = expiry_of(token) or now + LIFE
        self.renew_at = now + (self.expires_at - now) * RENEW_AT


def expiry_of(token: str) -> datetime | None:
    """The `exp` of a JWT; None where there is none to read. The signature is not ours to check."""
    parts = token.split(".")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.fromtimestamp(float(claims["exp"]), UTC)
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, binascii.Error):
        return None
