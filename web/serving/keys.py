"""Secrets the service makes for itself, and what the first start says once.

They live in DATA_DIR as files that only the owner can read; none of them goes to the screen except the first login and
the first webhook token, once.
"""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

from core.errors import MisconfiguredError
from core.settings import Settings

log = logging.getLogger(__name__)


def load_secrets(settings: Settings) -> dict[str, str]:
    """The cookie key and the metrics token: from the settings, else from DATA_DIR, else made and kept there.

    Raises MisconfiguredError when that directory cannot be used.
    """
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        return {
            "secret_key": settings.secret_key or _kept(settings.data_dir / "secret_key"),
            "metrics_token": settings.metrics_token or _kept(settings.data_dir / "metrics_token"),
        }
    except OSError as error:
        reason = f"DATA_DIR: {settings.data_dir} cannot be used: {error.strerror}"
        raise MisconfiguredError(reason, field="DATA_DIR") from error


def _kept(path: Path) -> str:
    """The secret in that file; made on the first call, also when two processes start together."""
    value = secrets.token_urlsafe(48)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.touch(mode=0o600)
    fresh.write_text(value)
    try:
        os.link(fresh, path)
    except FileExistsError:
        value = path.read_text().strip()
    finally:
        fresh.unlink()
    return value
