"""`GET /api/stream`: server-sent events for logged-in pages."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import cast

from flask import Flask, Response, current_app, request
from flask_login import current_user
from flask_openapi3 import APIBlueprint, Tag
from prometheus_client import Gauge

from core.clock import Clock
from core.errors import DatabaseUnavailableError, InvalidInputError
from database import api_tokens
from database.engine import Database
from web.auth import login_of
from web.live.hub import Client, Hub
from web.live.unchanged import init_unchanged
from web.policy import api_token
from web.services import Services, services

blueprint = APIBlueprint("live", __name__, abp_tags=[Tag(name="live")])

TOPICS = frozenset({"signals", "bars", "forming", "analysis"})
MOST_TOPICS = 20
RETRY_MS = 2000
LOOK_SECONDS = 1.0
COMMENT_SECONDS = 2.0  # only a write tells that a reader has left, and left streams count against the cap
PROOF_SECONDS = 20.0  # how long a stream may outlive the session or token that opened it
LONGEST_SECONDS = 600.0
OPEN = Gauge("signalbook_streams_open", "Event streams that are open now")


def init_live(app: Flask) -> None:
    """Give the app its hub, and its pages a cheap answer for those that ask instead of listening."""
    app.extensions["signalbook.hub"] = Hub()
    init_unchanged(app)


def channels(app: Flask) -> dict[str, Callable[[str], None]]:
    """The database's channels that the hub passes on, by the topic of the same name."""
    hub: Hub = app.extensions["signalbook.hub"]
    return {topic: partial(hub.publish_notification, topic) for topic in TOPICS}


@blueprint.get("/api/stream", summary="Server-sent events: what changes, as it changes")
def stream() -> Response:
    """Events of the topics asked for, from `Last-Event-ID` on; ends after ten minutes, at a drain, or with its session.

    Topics are `signals`, `analysis`, `bars` and `forming`; the latter two of one contract as `bars:CONTRACT`.
    """
    topics = frozenset(filter(None, request.args.get("topics", "signals").split(",")))
    if not {topic.partition(":")[0] for topic in topics} <= TOPICS or len(topics) > MOST_TOPICS:
        raise InvalidInputError("topics: must be some of " + ", ".join(sorted(TOPICS)), field="topics")
    opened = ExitStack()
    hub = cast(Hub, current_app.extensions["signalbook.hub"])
    seen = request.headers.get("Last-Event-ID", request.args.get("last_event_id", ""))
    client = opened.enter_context(hub.client(current_user.get_id(), topics, seen))
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    is_let_in = partial(_is_let_in, services().db, current_user.get_id(), api_token())
    body = _Body(_events(client, services(), services().clock, is_let_in), opened)
    return Response(body, mimetype="text/event-stream", headers=headers, direct_passthrough=True)


def _is_let_in(db: Database, cookie_id: str, token: str | None) -> bool:
    """Whether session or token of a stream are still good; while the database is away they are taken to be."""
    try:
        with db.transaction() as cur:
            return (login_of(cur, cookie_id) if token is None else api_tokens.get_token(cur, token)) is not None
    except DatabaseUnavailableError:
        return True


def _events(client: Client, parts: Services, clock: Clock, is_let_in: Callable[[], bool]) -> Iterator[bytes]:
    yield f"retry: {RETRY_MS}\n\n".encode()
    started = said = proven = clock.monotonic()
    while not (client.is_behind or parts.draining.is_set() or clock.monotonic() - started > LONGEST_SECONDS):
        if clock.monotonic() - proven >= PROOF_SECONDS:
            proven = clock.monotonic()
            if not is_let_in():
                return
        try:
            yield client.waiting.get(timeout=LOOK_SECONDS).encode()
            said = clock.monotonic()
        except queue.Empty:
            if clock.monotonic() - said >= COMMENT_SECONDS:
                said = clock.monotonic()
                yield b": still here\n\n"


class _Body:
    """The stream's body. It is closed however the request ends, also when it was never begun to be read."""

    def __init__(self, events: Iterator[bytes], opened: ExitStack) -> None:
        self._events = events
        self._opened = opened
        OPEN.inc()
        opened.callback(OPEN.dec)

    def __iter__(self) -> Iterator[bytes]:
        return self._events

    def close(self) -> None:
        self._opened.close()
