"""The errors of the service, named by what the caller must do next.

The class docstring is the default message. `code` is stable and goes out on the wire; `web/errors.py` maps each class
to an HTTP status. Nothing here knows HTTP.
"""

from __future__ import annotations


class SignalbookError(Exception):
    """Something in Signalbook failed."""

    code = "error"

    def __init__(self, message: str | None = None, *, field: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())
        self.field = field

    @property
    def message(self) -> str:
        return str(self.args[0])


class InvalidInputError(SignalbookError):
    """The request is wrong; correct the named field and send it again."""

    code = "invalid_input"


class TooLargeError(InvalidInputError):
    """The request is larger than the service accepts."""

    code = "too_large"


class NotLoggedInError(SignalbookError):
    """Log in first."""

    code = "not_logged_in"


class NotAllowedError(SignalbookError):
    """This login may not do that."""

    code = "not_allowed"


class NotFoundError(SignalbookError):
    """There is no such thing."""

    code = "not_found"


class ConflictError(SignalbookError):
    """The thing is in a state that does not allow this; look at it again."""

    code = "conflict"


class TryAgainError(SignalbookError):
    """Temporarily impossible; the same request may succeed a little later."""

    code = "try_again"

    def __init__(self, message: str | None = None, *, field: str | None = None, retry_after: int = 5) -> None:
        super().__init__(message, field=field)
        self.retry_after = retry_after


class RateLimitedError(TryAgainError):
    """Too many attempts; wait before the next."""

    code = "rate_limited"


class DatabaseUnavailableError(TryAgainError):
    """The database cannot be reached."""

    code = "database_unavailable"


class StorageError(TryAgainError):
    """The disk refused to store the data."""

    code = "storage_failed"


class MisconfiguredError(SignalbookError):
    """A setting is wrong; correct it and start again."""

    code = "misconfigured"
