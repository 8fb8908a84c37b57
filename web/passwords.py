"""Passwords: argon2id, at most two computations at once, and the same work for a login that does not exist."""

from __future__ import annotations

import secrets
from functools import cache
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from core.errors import InvalidInputError, TryAgainError
from web.security.obvious import is_obvious

SHORTEST = 10
LONGEST = 200
WAIT_SECONDS = 5.0

# 19 MiB, two passes, one lane: OWASP's first choice. Two at a time bound memory and processor under attack.
_HASHER = PasswordHasher(memory_cost=19 * 1024, time_cost=2, parallelism=1)
_TURNS = BoundedSemaphore(2)


def hash_password(password: str) -> str:
    """The argon2id hash of a password, with its salt and parameters."""
    _take_turn()
    try:
        return _HASHER.hash(password)
    finally:
        _TURNS.release()


def is_password_of(password_hash: str | None, password: str) -> bool:
    """True if the password made that hash. For `None` (no such login) it takes as long and is False.

    Raises TryAgainError when too many logins are being checked at once.
    """
    expected = password_hash or hash_of_nobody()
    _take_turn()
    try:
        matches = _HASHER.verify(expected, password[:LONGEST])  # bounds the work; what is longer is no password of ours
    except (VerificationError, InvalidHashError):
        return False
    finally:
        _TURNS.release()
    return matches and password_hash is not None and len(password) <= LONGEST


def check_new_password(password: str, name: str) -> str:
    """The password, if the login `name` may use it. Raises InvalidInputError."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidInputError(f"password: use {SHORTEST} to {LONGEST} characters", field="password")
    if is_obvious(password, name):
        raise InvalidInputError(
            "password: is one of the first that would be guessed; use other words", field="password"
        )
    return password


def new_password() -> str:
    """A random password of 128 bits."""
    return secrets.token_urlsafe(16)


@cache
def hash_of_nobody() -> str:
    """A hash that no password is known for."""
    return hash_password(secrets.token_urlsafe(32))


def _take_turn() -> None:
    if not _TURNS.acquire(timeout=WAIT_SECONDS):
        raise TryAgainError("Too many logins are being checked; try again in a moment.")
