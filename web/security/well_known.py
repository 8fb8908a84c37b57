"""`/.well-known/security.txt` (RFC 9116): where to report a weakness of this installation."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, Response

from core.errors import NotFoundError
from web.services import services

well_known = Blueprint("well_known", __name__)
VALID_FOR = timedelta(days=180)


@well_known.get("/.well-known/security.txt")
def security_txt() -> Response:
    """Contact and expiry. Raises NotFoundError while SECURITY_CONTACT is empty: a wrong contact is worse than none."""
    settings, now = services().settings, services().clock.now()
    if settings.security_contact is None:
        raise NotFoundError("This installation names no contact for security.")
    lines = [f"Contact: {settings.security_contact}", f"Expires: {now + VALID_FOR:%Y-%m-%dT00:00:00Z}"]
    lines.append("Preferred-Languages: en")
    if settings.public_url:
        lines.append(f"Canonical: {settings.public_url}/.well-known/security.txt")
    return Response("\n".join(lines) + "\n", mimetype="text/plain")
