"""Proves to whoever knows this installation's key that an answer is its own: `flask doctor` asks, through the proxy.

A request may carry a challenge; the answer then carries its HMAC under the key that signs the cookies. The challenge is short
and of hexadecimal digits, and the words before it are used for nothing else, so no answer can serve as another signature.
"""

from __future__ import annotations

import hmac
import re

from flask import Response, request

CHALLENGE, IDENTITY = "X-Signalbook-Challenge", "X-Signalbook-Identity"
_CHALLENGE = re.compile(r"[0-9a-f]{32}")


def prove(secret_key: str, challenge: str) -> str:
    """The proof for a challenge."""
    return hmac.new(secret_key.encode(), b"identity of this installation " + challenge.encode(), "sha256").hexdigest()


def add_proof(response: Response, secret_key: str) -> None:
    """Answer a challenge, if there is one."""
    challenge = request.headers.get(CHALLENGE, "")
    if _CHALLENGE.fullmatch(challenge):
        response.headers[IDENTITY] = prove(secret_key, challenge)
