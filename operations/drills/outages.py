"""What a drill takes away, and how: the database from this process, in memory; the gateway by asking the simulator."""

from __future__ import annotations

from typing import Protocol

from core.errors import ConflictError
from core.settings import Settings
from database.engine import Database

ANSWER_SECONDS = 5.0
NO_GATEWAY = (
    "The gateway cannot be taken away: it is not the simulator that `make run DEMO=1` starts, or it does not answer."
)


class Outage(Protocol):
    """One thing that can be taken away. `kind` names it in the table `drills`."""

    kind: str

    def begin(self, seconds: float) -> None:
        """Take it away for so long. Raises SignalbookError when it cannot be."""

    def end(self) -> None:
        """Bring it back, if it does not come by itself."""


class DatabaseOutage:
    """This process loses the database; whatever happens to it, its next start finds it."""

    kind = "database"

    def __init__(self, db: Database) -> None:
        self._db = db

    def begin(self, _seconds: float) -> None:
        """End every connection and make no more. Raises DatabaseUnavailableError."""
        self._db.cut_off()

    def end(self) -> None:
        """Connect again."""
        self._db.restore_contact()


class FeedOutage:
    """The simulated gateway hangs up and answers nobody; it comes back by itself, whatever becomes of this process."""

    kind = "feed"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def begin(self, seconds: float) -> None:
        """Raises ConflictError when there is no simulated gateway."""
        import httpx  # noqa: PLC0415  a tenth of the start of a service that hardly ever needs it

        settings = self._settings
        login = {"userName": settings.projectx_username, "apiKey": settings.projectx_api_token}
        try:
            with httpx.Client(base_url=settings.projectx_api_url, timeout=ANSWER_SECONDS) as client:
                token = client.post("/api/Auth/loginKey", json=login).json()["token"]
                asked = client.post(
                    "/simulator/away", json={"seconds": seconds}, headers={"Authorization": f"Bearer {token}"}
                )
            is_away = asked.is_success and asked.json()["success"]
        except (httpx.HTTPError, httpx.InvalidURL, KeyError, TypeError, ValueError):
            is_away = False
        if not is_away:
            raise ConflictError(NO_GATEWAY)

    def end(self) -> None:
        """It ends by itself."""
