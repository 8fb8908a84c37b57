"""The feed's socket against hubs that stop in the middle: no thread of ours waits for them for ever."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingestion.feed.hub import MAX_RECORD, _Socket
from tests.support_needs import certificate

ENOUGH = 32
"""So many megabytes fill every buffer between two sockets."""


@contextmanager
def hub(paths: tuple[Path, Path] | None, talk: Callable[[socket.socket], object]) -> Iterator[int]:
    """A hub of one connection: switches to WebSocket and then does what `talk` does; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            found, _ = listener.accept()
            if paths:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*paths)
                found = context.wrap_socket(found, server_side=True)
            with found:
                while not found.recv(4096).endswith(b"\r\n\r\n"):
                    pass
                found.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
                talk(found)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            thread.join(30)


def connected(port: int, trusted: Path | None, on_close: Callable[[], object] = lambda: None) -> _Socket:
    found = _Socket(
        url=f"{'wss' if trusted else 'ws'}://127.0.0.1:{port}/hub?access_token=t",
        ssl_context=ssl.create_default_context(cafile=trusted) if trusted else None,
        on_open=lambda: None,
        on_close=on_close,
        on_error=lambda _error: None,
        on_message=lambda _app, _message: None,
    )
    found.connect()
    return found


@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "tls"])
def test_a_hub_that_reads_no_more_ends_the_connection(
    is_secure: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingestion.feed.hub.SEND_SECONDS", 1.0)
    paths = certificate(tmp_path) if is_secure else None
    done = threading.Event()
    failed = threading.Event()
    with hub(paths, lambda _found: done.wait(30)) as port:
        found = connected(port, paths and paths[0])

        def send() -> None:
            try:
                for _ in range(ENOUGH):
                    found.send(bytes(1_000_000))
            except OSError:
                failed.set()

        thread = threading.Thread(target=send)
        thread.start()
        is_failed = failed.wait(20)
        done.set()
        found.end()
        thread.join(30)
    assert is_failed


def frame(length: int, *, is_last: bool) -> bytes:
    """The head of a frame of text."""
    return bytes([0x80 * is_last | 0x1, 127]) + struct.pack(">Q", length)


@pytest.mark.parametrize(
    "sent",
    [frame(MAX_RECORD + 1, is_last=True), 5 * (frame(MAX_RECORD // 4, is_last=False) + bytes(MAX_RECORD // 4))],
    ids=["one frame", "many frames"],
)
def test_a_hub_that_says_more_than_a_record_ends_the_connection_and_is_not_waited_for(sent: bytes) -> None:
    done, ended = threading.Event(), threading.Event()

    def talk(found: socket.socket) -> None:
        found.sendall(sent)
        done.wait(30)

    with hub(None, talk) as port:
        found = connected(port, None, on_close=ended.set)
        is_ended = ended.wait(5)
        found.end()
        done.set()
    assert is_ended
