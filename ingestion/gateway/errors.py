"""What the gateway's failures mean: its codes differ from call to call."""

from __future__ import annotations

from typing import Final

from core.errors import ConflictError, InvalidInputError, NotFoundError, SignalbookError, TryAgainError

LOGIN: Final = {
    1: "user not found", 2: "wrong password", 3: "invalid user name or API key", 4: "application not found",
    5: "application not verified", 6: "device not verified", 7: "agreements not signed", 8: "unknown error",
    9: "no API subscription", 10: "login by API key is disabled",
}  # fmt: skip
VALIDATE: Final = {1: "invalid session", 2: "session not found", 3: "session expired", 4: "unknown error"}
BARS: Final = {2: ("unit", "unit"), 3: ("unitNumber", "unit number"), 4: ("limit", "limit")}


class GatewayUnavailableError(TryAgainError):
    """The market data gateway cannot be reached."""

    code = "gateway_unavailable"


class GatewayRefusedError(ConflictError):
    """The market data gateway refused the login; check PROJECTX_USERNAME and PROJECTX_API_TOKEN."""

    code = "gateway_refused"


def failure_of(path: str, code: int) -> SignalbookError:
    """The error that a failure of a call stands for."""
    if path.startswith("/api/Auth/"):
        words = LOGIN if path.endswith("loginKey") else VALIDATE
        return GatewayRefusedError(f"The gateway refused the login: {words.get(code, f'code {code}')}.")
    if path.startswith("/api/Contract/") or (path.endswith("retrieveBars") and code == 1):
        return NotFoundError("The gateway knows no such contract.", field="contract")
    if path.endswith("retrieveBars") and code in BARS:
        field, word = BARS[code]
        return InvalidInputError(f"The gateway does not accept this {word}.", field=field)
    return GatewayUnavailableError(f"The gateway failed with code {code} on {path}.")
