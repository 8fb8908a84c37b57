"""Security headers, on every answer: nothing foreign is loaded, nobody frames us, nothing is shared across origins."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask, Response
from werkzeug.wrappers import Response as WerkzeugResponse

from core.settings import Settings
from web.security.identity import add_proof
from web.services import Services, services

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "object-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
ALWAYS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: the CSRF check of forms over https compares the Referer with our own host.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(), serial=(), midi=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# No includeSubDomains: the neighbours of a self-hosted service are not ours to decide about.
STRICT_TRANSPORT_SECURITY = "max-age=31536000"
COOKIE_LIFETIME = timedelta(days=365)


def is_https(settings: Settings) -> bool:
    """True when the world reaches the service by https."""
    return (settings.public_url or "").startswith("https://")


def cookie_prefix(settings: Settings) -> str:
    """`__Host-` makes browsers insist on Secure, Path=/ and no Domain, so no neighbouring host can plant a cookie of ours."""
    return "__Host-" if is_https(settings) else ""


def keep_cookie(response: WerkzeugResponse, name: str, value: str, *, httponly: bool) -> None:
    """Let the browser keep a choice or a mark of ours for a year."""
    is_secure = is_https(services().settings)
    response.set_cookie(name, value, max_age=COOKIE_LIFETIME, secure=is_secure, httponly=httponly, samesite="Lax")


def security_headers(settings: Settings) -> dict[str, str]:
    """The headers every answer carries, static files included."""
    extra = {"Strict-Transport-Security": STRICT_TRANSPORT_SECURITY} if is_https(settings) else {}
    return ALWAYS | extra


def answer_headers(settings: Settings) -> dict[str, str]:
    """The headers of an answer that is made for its caller alone."""
    return security_headers(settings) | {"Cache-Control": "private, no-cache"}


def init_headers(app: Flask) -> None:
    """Add the headers to every answer of the app, and the proof that it is ours where one is asked for.

    A view that needs another value of a header sets it itself.
    """
    found: Services = app.extensions["signalbook"]
    headers = answer_headers(found.settings)

    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        add_proof(response, found.secrets["secret_key"])
        return response
