"""Time-based one-time codes (RFC 6238: SHA-1, 6 digits, 30 seconds), and their secret as a QR code."""

from __future__ import annotations

import io
from datetime import datetime
from hmac import compare_digest

import pyotp
import segno
from markupsafe import Markup

ISSUER = "Signalbook"
STEP_SECONDS = 30
TOLERATED_STEPS = 1  # a phone's clock may be half a minute off, either way


def new_secret() -> str:
    """A random secret of 160 bits in base 32."""
    return pyotp.random_base32()


def step_of_code(secret: str, code: str, now: datetime, last_step: int) -> int | None:
    """The 30-second step whose code this is; None if it is none, or belongs to a step that was used."""
    digits = "".join(code.split())
    present = int(now.timestamp()) // STEP_SECONDS
    codes = pyotp.TOTP(secret)
    for step in range(max(present - TOLERATED_STEPS, last_step + 1), present + TOLERATED_STEPS + 1):
        if compare_digest(codes.generate_otp(step).encode(), digits.encode()):
            return step
    return None


def address_of(secret: str, name: str) -> str:
    """The `otpauth:` address that an authenticator app reads."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER)


def qr_code(address: str) -> Markup:
    """The address as an inline SVG, black on white whatever the theme, because cameras want it so."""
    svg = io.BytesIO()
    options = {"scale": 4, "border": 4, "light": "#fff", "svgclass": "qr", "lineclass": None, "xmldecl": False}
    segno.make(address, error="m", micro=False).save(svg, kind="svg", omitsize=True, **options)
    return Markup(svg.getvalue().decode())  # noqa: S704 - made from modules of a QR code, not from the text itself
