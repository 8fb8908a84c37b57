"""The door: which stream a webhook token belongs to.

Hashes of the valid tokens are cached in memory and in the data directory, so that alerts are let in while the database
is away. Every process hears of changes through the channel `webhook_tokens`; an unknown token makes the door look again,
at most once a second.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from datetime import datetime
from pathlib import Path

from core.clock import Clock
from core.errors import NotFoundError, StorageError, TryAgainError
from core.settings import Settings
from database import tokens
from database.engine import DATABASE_ERRORS, Database

log = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 1.0
WAIT_SECONDS = 0.2
CANNOT_CHECK = "The token cannot be checked at the moment."
CACHE_FILE = "webhook_tokens.json"


class Door:
    """Knows the valid tokens. All methods may be called from any thread."""

    def __init__(self, db: Database, settings: Settings, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._path = settings.data_dir / CACHE_FILE
        self._lock = threading.Lock()
        self._looked_at: float | None = None
        self._failed = False
        # Until the first start has written it to the database, the setting's token is known from the setting alone.
        self._from_settings: dict[bytes, tuple[str, datetime | None]] = {}
        if settings.webhook_token:
            self._from_settings = {tokens.hash_token(settings.webhook_token): (settings.stream, None)}
        self._streams = self._from_settings | self._read_cache()

    def stream_of(self, token: str) -> str:
        """The stream of a token.

        Raises NotFoundError for a wrong token, TryAgainError for one that cannot be checked while the database is away.
        """
        digest = tokens.hash_token(token)
        stream = self._known(digest)
        if stream is None:
            self._look_again()
            stream = self._known(digest)
        if stream is None:
            raise NotFoundError("There is no such webhook.")
        return stream

    def is_known(self, token: str) -> bool:
        """True for a valid token, judged from memory alone: for masking."""
        return self._known(tokens.hash_token(token)) is not None

    def refresh(self, _payload: str = "") -> None:
        """Read the valid tokens again; keeps what it has when the database is away."""
        try:
            self._load()
        except DATABASE_ERRORS as error:
            log.info("tokens_not_refreshed", extra={"reason": type(error).__name__})

    def settle(self) -> None:
        """The first start is done: from now on the database alone says which tokens are valid."""
        self._from_settings = {}
        self.refresh()

    def _known(self, digest: bytes) -> str | None:
        stream, expires_at = self._streams.get(digest, (None, None))
        return None if expires_at is not None and expires_at <= self._clock.now() else stream

    def _look_again(self) -> None:
        """Read the tokens again, unless they were read a moment ago, perhaps by a thread that this one has waited for.

        Raises TryAgainError when they cannot be read. One thread looks, the others do not queue up behind it: a flood
        of wrong tokens must not hold the threads that alerts need.
        """
        if not self._lock.acquire(timeout=WAIT_SECONDS):
            raise TryAgainError(CANNOT_CHECK)
        try:
            now = self._clock.monotonic()
            if self._looked_at is not None and now - self._looked_at < LOOK_AGAIN_SECONDS:
                if self._failed:
                    raise TryAgainError(CANNOT_CHECK)
                return
            self._looked_at, self._failed = now, True
            self._load()
            self._failed = False
        except DATABASE_ERRORS as error:
            raise TryAgainError(CANNOT_CHECK) from error
        finally:
            self._lock.release()

    def _load(self) -> None:
        with self._db.transaction(statement_timeout_ms=1000) as cur:
            rows = tokens.list_valid_tokens(cur, now=self._clock.now())
        streams = self._from_settings | {bytes(row.token_hash): (row.stream, row.expires_at) for row in rows}
        if streams != self._streams or not self._path.exists():
            self._streams = streams
            self._write_cache()

    def _read_cache(self) -> dict[bytes, tuple[str, datetime | None]]:
        try:
            rows = json.loads(self._path.read_text(encoding="utf-8"))
            return {
                bytes.fromhex(digest): (stream, datetime.fromisoformat(expires_at) if expires_at else None)
                for digest, stream, expires_at in rows
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError) as error:
            log.warning("token_cache_unreadable", extra={"reason": type(error).__name__})
            return {}

    def _write_cache(self) -> None:
        rows = [
            (digest.hex(), stream, expires_at.isoformat() if expires_at else None)
            for digest, (stream, expires_at) in self._streams.items()
        ]
        fresh = self._path.with_name(f"{CACHE_FILE}.{os.getpid()}.{threading.get_ident()}")
        try:
            _write_private(fresh, json.dumps(rows))
            fresh.replace(self._path)
        except OSError as error:
            log.warning("token_cache_not_written", extra={"reason": str(StorageError()), "kind": type(error).__name__})


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
