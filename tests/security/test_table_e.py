"""The front under odd and hostile connections (table E of the faults): smuggled requests, clients that leave early.

Slow clients, starved threads and open files are tested in tests/test_admission.py.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support_service import Service, service

TOKEN = "token-of-the-connection-tests"
PATH = f"/api/automated-signals/webhook/{TOKEN}"
HIDDEN = b"GET /healthz HTTP/1.1\r\nHost: hidden\r\nConnection: close\r\n\r\n"
POST = f"POST {PATH} HTTP/1.1\r\nHost: here\r\n".encode()
EARLY_LEAVERS = 1_000
STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})")

TRANSFER_ENCODINGS = (
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: Chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity, chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:\tchunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding: \x0bchunked",
    b"Transfer_Encoding: chunked",
    b'Transfer-Encoding: "chunked"',
)
LENGTHS = (b"+4", b"-1", b"4 4", b"4,4", b"0x4", b"4\r\nContent-Length: 5", b"4_0", b"", b"\xb2", b"1e1")
CHUNKS = (
    b"0x4\r\nabcd\r\n0\r\n\r\n",
    b"+4\r\nabcd\r\n0\r\n\r\n",
    b'4;x="\n"\r\nabcd\r\n0\r\n\r\n',
    b"4\nabcd\n0\n\n",
    b"4\r\nabcdXX0\r\n\r\n",
    b"zz\r\nabcd\r\n0\r\n\r\n",
    b"4 \r\nabcd\r\n0\r\n\r\n",
    b"-4\r\nabcd\r\n0\r\n\r\n",
)
PLAIN = POST + b"Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n" + HIDDEN
SMUGGLED = (
    *(POST + encoding + b"\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + HIDDEN for encoding in TRANSFER_ENCODINGS),
    *(POST + b"Content-Length: " + length + b"\r\n\r\n{}{}" + HIDDEN for length in LENGTHS),
    *(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + HIDDEN for chunk in CHUNKS),
)


@pytest.fixture(scope="module")
def running() -> Iterator[Service]:
    """A service that journals: its database is away, which makes no difference to the front."""
    with service(DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing", WEBHOOK_TOKEN=TOKEN) as found:
        yield found


def answers(port: int, data: bytes) -> list[bytes]:
    """The status lines of all that came back before the connection ended."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=15)) as connection:
        connection.sendall(data)
        with connection.makefile("rb") as heard:
            try:
                return STATUS.findall(heard.read())
            except ConnectionResetError:
                return []


def test_there_are_thirty_crafted_requests() -> None:
    assert len(SMUGGLED) == 30


@pytest.mark.parametrize("number", range(30))
def test_an_ambiguous_request_is_refused_and_what_follows_it_is_not_read(running: Service, number: int) -> None:
    statuses = answers(running.port, SMUGGLED[number])
    assert statuses in ([b"400"], [b"501"])


def test_a_plain_request_and_the_next_are_both_answered(running: Service) -> None:
    assert answers(running.port, PLAIN) == [b"422", b"200"]


def test_clients_that_leave_early_cost_nothing(running: Service) -> None:
    body = b'{"event_type":"HEARTBEAT"}'
    whole = POST + b"Content-Length: %d\r\n\r\n" % len(body) + body
    for number in range(EARLY_LEAVERS):
        connection = socket.create_connection(("127.0.0.1", running.port), timeout=10)
        connection.sendall(whole if number % 2 else whole[: len(whole) // 2])
        if number % 3:  # a reset instead of a polite end
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    assert running.post(PATH, body).status == 200
    assert running.get("/healthz").status == 200
    assert "Traceback" not in running.stdout + running.stderr
