"""One connection to the signal server: logged in, watched, closed. Knows the socket, not what is done with messages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI, WebSocketException
from websockets.sync.client import ClientConnection, connect

from core.clock import Clock
from core.errors import InvalidInputError, TryAgainError
from waves.feed.protocol import GET_SIGNALS, PING, Message, auth_message, parse_message

OPEN_SECONDS = 10.0
AUTH_SECONDS = 5.0
ASK_AFTER_SECONDS = 30.0
SILENT_SECONDS = 90.0
WS_PING_SECONDS = 20.0
WS_PING_TIMEOUT_SECONDS = 10.0
MAX_BYTES = 8 << 20


class WaveFeedError(TryAgainError):
    """The signal server cannot be reached, or the connection was lost; try again a little later."""

    code = "wave_feed_failed"


class TokenRefusedError(WaveFeedError):
    """The signal server refuses the token."""

    code = "wave_token_refused"


class WaveConnection:
    """A connection that has been let in. Every method raises WaveFeedError when it is lost."""

    def __init__(self, socket: ClientConnection, clock: Clock, *, silent_seconds: float = SILENT_SECONDS) -> None:
        self._socket = socket
        self._clock = clock
        self._silent_seconds = silent_seconds
        self._heard = self._asked = clock.monotonic()
        self.messages = 0

    def receive(self, timeout: float) -> Message | None:
        """The next message, None if none came in `timeout` seconds. What is no message is passed over.

        A server that is silent is asked for a sign of life, then given up.
        """
        try:
            text = self._socket.recv(timeout=timeout)
        except TimeoutError:
            self._watch()
            return None
        except ConnectionClosed as error:
            raise WaveFeedError(f"The signal server closed the connection: {error}"[:200]) from error
        self._heard = self._asked = self._clock.monotonic()
        self.messages += 1
        try:
            return parse_message(text)
        except InvalidInputError:
            return Message("unreadable")

    def ask_for_signals(self) -> None:
        """Ask for every signal the server has of late."""
        self._send(GET_SIGNALS)

    def _watch(self) -> None:
        now = self._clock.monotonic()
        if now - self._heard > self._silent_seconds:
            raise WaveFeedError(f"The signal server has been silent for {self._silent_seconds:.0f} seconds.")
        if now - self._asked > self._silent_seconds * ASK_AFTER_SECONDS / SILENT_SECONDS:
            self._asked = now
            self._send(PING)

    def _send(self, text: str) -> None:
        try:
            self._socket.send(text)
        except ConnectionClosed as error:
            raise WaveFeedError(f"The signal server closed the connection: {error}"[:200]) from error


@contextmanager
def open_connection(
    url: str, token: str, clock: Clock, *, silent_seconds: float = SILENT_SECONDS, auth_seconds: float = AUTH_SECONDS
) -> Iterator[WaveConnection]:
    """Connect and log in. Raises TokenRefusedError or WaveFeedError, also for what happens while the connection is used."""
    try:
        socket = connect(
            url,
            open_timeout=OPEN_SECONDS,
            close_timeout=1.0,
            ping_interval=WS_PING_SECONDS,
            ping_timeout=WS_PING_TIMEOUT_SECONDS,
            max_size=MAX_BYTES,
            proxy=None,
        )
    except (OSError, InvalidHandshake, InvalidURI, WebSocketException) as error:
        raise WaveFeedError(f"The signal server cannot be reached: {type(error).__name__}") from error
    with socket:
        _authenticate(socket, token, auth_seconds)
        yield WaveConnection(socket, clock, silent_seconds=silent_seconds)


def _authenticate(socket: ClientConnection, token: str, seconds: float) -> None:
    try:
        if parse_message(socket.recv(timeout=seconds)).kind != "auth_required":
            raise WaveFeedError("The signal server did not ask for a token.")
        socket.send(auth_message(token))
        answer = parse_message(socket.recv(timeout=seconds))
    except TimeoutError as error:
        raise WaveFeedError("The signal server did not answer the log-in.") from error
    except ConnectionClosed as error:
        raise WaveFeedError(f"The signal server closed the connection at the log-in: {error}"[:200]) from error
    except InvalidInputError as error:
        raise WaveFeedError("The signal server does not speak our protocol.") from error
    if answer.kind == "auth_failed":
        raise TokenRefusedError(f"The signal server refuses the token: {answer.detail or 'no reason given'}")
    if answer.kind != "auth_success":
        raise WaveFeedError(f"The signal server answered the log-in with {answer.kind[:40]!r}.")
