"""The way an alert takes: a POST to PUBLIC_URL must reach the webhook of this very installation, soon and undiverted."""

from __future__ import annotations

import secrets
import time
from urllib.parse import urlsplit

from core.settings import Settings
from web.security.identity import CHALLENGE, IDENTITY, prove
from web.services import Check

PATH = "/api/automated-signals/webhook/not-a-token-of-anybody"
PATIENCE_SECONDS = 3.0  # after which TradingView gives up
SLOW_SECONDS = 1.0
PORTS = (None, 80, 443)


def way_in_check(settings: Settings, secret_key: str) -> Check:
    """One POST with a token that nobody has: the door refuses it and proves that it is ours."""
    import httpx  # noqa: PLC0415  a tenth of the start of a service that hardly ever needs it

    url = settings.public_url
    if url is None:
        return Check("warn", "not tried: PUBLIC_URL is not set")
    challenge, started = secrets.token_hex(16), time.perf_counter()
    try:
        answer = httpx.post(url + PATH, headers={CHALLENGE: challenge}, content=b"{}", timeout=PATIENCE_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Check("fail", f"no answer from {url}: {error or type(error).__name__}")
    is_ours = answer.headers.get(IDENTITY) == prove(secret_key, challenge)
    return judge(url, answer.status_code, time.perf_counter() - started, is_ours=is_ours)


def judge(url: str, status: int, seconds: float, *, is_ours: bool) -> Check:
    """What an answer says. Pure."""
    if 300 <= status < 400:
        return Check("fail", f"{url} leads elsewhere ({status}): a POST becomes a GET on the way and the alert is lost")
    if not is_ours:
        return Check("fail", f"something else than this installation answers at {url} ({status})")
    if urlsplit(url).port not in PORTS:
        return Check("warn", f"{url} reaches us, but TradingView posts to the ports 80 and 443 only")
    if seconds > SLOW_SECONDS:
        return Check("warn", f"{url} reaches us after {seconds:.1f} s; TradingView gives up after 3 s")
    return Check("pass", f"{url} reaches the webhook of this installation in {seconds * 1000:.0f} ms")
