"""Sends notices through apprise, and the outgoing heartbeat that tells somebody else when we are down.

The addresses are secrets: they are shown by their kind alone and stand in no log line.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

HEARTBEAT_SECONDS = 5.0
APPRISE_SECONDS = 5


class Messenger:
    """The addresses of the settings; `send` and `beat` say whether it worked and raise nothing."""

    def __init__(self, urls: Sequence[str], heartbeat_url: str | None = None) -> None:
        self._urls = tuple(urls)
        self._heartbeat_url = heartbeat_url

    @property
    def has_targets(self) -> bool:
        return bool(self._urls)

    @property
    def targets(self) -> tuple[str, ...]:
        """What may be shown of each address."""
        return tuple(masked(url) for url in self._urls)

    def send(self, title: str, body: str, *, is_bad: bool = True) -> bool:
        """Tell every address; True when each has taken it."""
        return self.has_targets and all(ok for _, ok in self.try_each(title, body, is_bad=is_bad))

    def try_each(self, title: str, body: str, *, is_bad: bool = False) -> list[tuple[str, bool]]:
        """(masked address, whether it took the message), one by one; for the test button."""
        # Here, not at the top: half a second and twenty megabytes that a service without addresses never needs.
        from apprise import Apprise, NotifyType  # noqa: PLC0415

        logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its own lines may hold addresses
        found = []
        for url in self._urls:
            post = Apprise()
            is_known = bool(post.add(f"{url}{'&' if '?' in url else '?'}cto={APPRISE_SECONDS}&rto={APPRISE_SECONDS}"))
            kind = NotifyType.FAILURE if is_bad else NotifyType.SUCCESS
            found.append((masked(url), is_known and bool(post.notify(body=body, title=title, notify_type=kind))))
        return found

    def beat(self) -> bool | None:
        """Call the heartbeat address; None when there is none."""
        if self._heartbeat_url is None:
            return None
        import httpx  # noqa: PLC0415  as above

        try:
            return httpx.get(self._heartbeat_url, timeout=HEARTBEAT_SECONDS).is_success
        except (httpx.HTTPError, httpx.InvalidURL):
            return False


def masked(url: str) -> str:
    """The kind of an address, which is all that may be shown: tokens stand anywhere in the rest."""
    return f"{url.partition('://')[0]}://***"
