"""The buttons of the status page."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from flask import Blueprint, current_app, redirect, request

from core.errors import NotFoundError

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from operations.parts import Operations

pages = Blueprint("operations_pages", __name__)
TEST_TITLE, TEST_BODY = "Test: Signalbook", "A person asked for this message. Nothing is wrong."


def parts() -> Operations:
    """The operations parts of the current app."""
    return cast("Operations", current_app.extensions["operations"])


@pages.post("/status/alarms/test")
def test_alarms() -> ResponseReturnValue:
    """Send a test message to every address; the status page says which took it."""
    taken = [ok for _, ok in parts().messenger.try_each(TEST_TITLE, TEST_BODY)]
    return redirect(f"/status?tested={sum(taken)}-of-{len(taken)}", 303)


@pages.post("/status/drill")
def start_drill() -> ResponseReturnValue:
    """Take the database or the feed (the field `what`) away for a minute; in a demo only."""
    if not parts().settings.demo:
        raise NotFoundError("Drills are for the demo: run it with DEMO=1.")
    parts().drill.start(request.form.get("what", "database"))
    return redirect("/status?drill=1", 303)
