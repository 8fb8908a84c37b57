"""Logging: one JSON object a line on standard output, secrets masked, the request id in every line of a request.

Event names are constant, data goes into fields: `log.info("alert_stored", extra={"receipt_id": ...})`.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Collection, Iterator, MutableMapping
from logging.handlers import RotatingFileHandler
from typing import Any
from urllib.parse import urlsplit

import structlog

from core.settings import SETTINGS, Settings

LOG_FILE_BYTES = 20 * 1024 * 1024
LOG_FILE_COUNT = 5
MASK = "***"
SHORTEST_SECRET = 8  # masking less would tear words apart
_URL_PASSWORD = re.compile(r"(://[^:/\s@]*:)[^@\s]+@")
_URL_TOKEN = re.compile(r"((?:access_token|token|secret)=|/webhook/)[^&\s\"']+", re.IGNORECASE)
NOISY = ("apscheduler", "alembic", "waitress", "werkzeug", "SignalRCoreClient", "sqlalchemy", "httpx", "urllib3")


class Redactor:
    """Replaces known secrets, and what looks like one in a URL, by `***` wherever they stand in a log line."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        self._secrets = sorted({secret for secret in secrets if secret}, key=len, reverse=True)

    def add(self, *secrets: str | None) -> None:
        """From now on these are masked too."""
        self._secrets = sorted({*self._secrets, *filter(None, secrets)}, key=len, reverse=True)

    def clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return _URL_TOKEN.sub(rf"\1{MASK}", _URL_PASSWORD.sub(rf"\1{MASK}@", text))

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {name: self._clean_value(value) for name, value in event.items()}

    def _clean_value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.clean(value)
        if isinstance(value, dict):
            return {name: self._clean_value(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean_value(item) for item in value]
        return value


REDACTOR = Redactor()


def secrets_of(settings: Settings) -> Iterator[str]:
    """What must stand in no log line: every secret setting, of a database's address its password alone."""
    for setting in SETTINGS:
        value = getattr(settings, setting.name.lower()) if setting.secret else None
        for text in value if isinstance(value, tuple) else (value,):
            secret = urlsplit(text).password if text and text.startswith("postgresql") else text
            if secret and len(secret) >= SHORTEST_SECRET:
                yield secret


def init_logging(settings: Settings) -> None:
    """Send every logger's lines through one JSON renderer to standard output, and to LOG_FILE where set."""
    REDACTOR.add(*secrets_of(settings))
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            REDACTOR,
            structlog.processors.JSONRenderer(default=str),
        ],
    )
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    if settings.log_file:
        handlers.append(RotatingFileHandler(settings.log_file, maxBytes=LOG_FILE_BYTES, backupCount=LOG_FILE_COUNT))
    for handler in handlers:
        handler.setFormatter(formatter)
    logging.basicConfig(level=settings.log_level, handlers=handlers, force=True)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
