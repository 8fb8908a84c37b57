"""Broken bodies of every sort: answered, stored byte for byte, and the next good alert is stored too."""

from __future__ import annotations

import json
import logging
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from itertools import islice
from pathlib import Path

import pytest

from core.settings import Settings
from database.engine import Database
from telemetry.dialects.body import MAX_BYTES
from telemetry.intake import Intake
from tests.intake_rig import until
from tests.support_intake import await_stored, parts_of, running_app, stored_bodies
from tests.support_service import Service, service

SEEDS = [path.read_bytes() for path in sorted((Path(__file__).parent.parent / "docs" / "examples").glob("*.json"))]
GOOD = b'{"event_type":"ENTRY","trade_id":"good-%06d","direction":"LONG","entry_price":20500.25,"stop_loss":20480.25}'
THREADS = 8
EXTREMES = (
    "0", "-0", "1e999", "-1e999", "1e-400", "NaN", "Infinity", "-Infinity", "9" * 400, "1" + "0" * 5000,
    "null", "true", '""', "[]", "{}", '"\\u0000"', '"\\ud800"', '"\\u202e"', "1e100000", "99999999999999999999",
)  # fmt: skip
CONFUSABLES = ("\u0410", "\uff11", "\u202e", "\ufb01", "\u200b", "\u0130", "\ufeff", "\U0001f4c8")
ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "cp037", "utf-7")

Mutator = Callable[[random.Random, bytes], bytes]


def flip_bytes(chance: random.Random, body: bytes) -> bytes:
    changed = bytearray(body)
    for _ in range(chance.randint(1, 8)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def truncate(chance: random.Random, body: bytes) -> bytes:
    return body[: chance.randrange(len(body))]


def repeat_a_piece(chance: random.Random, body: bytes) -> bytes:
    start, end = sorted(chance.randrange(len(body)) for _ in range(2))
    return body[:end] + body[start:end] * chance.randint(1, 5) + body[end:]


def swap_a_value(chance: random.Random, body: bytes) -> bytes:
    """Another type or an extreme number in the place of one value."""
    parts = body.split(b":")
    place = chance.randrange(1, len(parts))
    rest = parts[place].lstrip()
    end = min((rest.find(mark) for mark in (b",", b"}") if mark in rest), default=len(rest))
    parts[place] = chance.choice(EXTREMES).encode() + rest[end:]
    return b":".join(parts)


def double_a_key(chance: random.Random, body: bytes) -> bytes:
    key = chance.choice((b"trade_id", b"event_type", b"entry_price", b"token", b"signals", b"schema_version"))
    return body.replace(b"{", b'{"%s":%s,' % (key, chance.choice(EXTREMES).encode()), 1)


def nest(chance: random.Random, body: bytes) -> bytes:
    depth = chance.choice((2, 50, 500, 30_000))
    left, right = chance.choice(((b"[", b"]"), (b'{"a":', b"}")))
    depth = min(depth, (MAX_BYTES - len(body)) // len(left + right))
    return left * depth + (body if chance.random() < 0.5 else b"") + right * chance.choice((depth, 0))


def confuse(chance: random.Random, body: bytes) -> bytes:
    text = body.decode()
    place = chance.randrange(len(text))
    return (text[:place] + chance.choice(CONFUSABLES) + text[place:]).encode()


def insert_nul(chance: random.Random, body: bytes) -> bytes:
    place = chance.randrange(len(body))
    return body[:place] + chance.choice((b"\x00", b"\\u0000", b"\xff\xfe", b"\xc3\x28")) + body[place:]


def encode_otherwise(chance: random.Random, body: bytes) -> bytes:
    return body.decode().encode(chance.choice(ENCODINGS))


def noise(chance: random.Random, _body: bytes) -> bytes:
    return chance.randbytes(chance.choice((0, 1, 10, 1000)))


def blow_up(chance: random.Random, body: bytes) -> bytes:
    """Up to the limit, and a little beyond."""
    size = chance.choice((MAX_BYTES, MAX_BYTES + 1)) if chance.random() < 0.05 else 5000
    return body.replace(b":", b':"%s",' % (b"x" * (size - len(body) - 3)), 1)


def scramble_keys(chance: random.Random, body: bytes) -> bytes:
    """Valid JSON whose values stand under the wrong keys."""
    value = json.loads(body)
    held = list(value.values())
    chance.shuffle(held)
    return json.dumps(dict(zip(value, held, strict=True))).encode()


MUTATORS: tuple[Mutator, ...] = (
    flip_bytes, truncate, repeat_a_piece, swap_a_value, swap_a_value, double_a_key, nest, confuse, insert_nul,
    encode_otherwise, noise, blow_up, scramble_keys,
)  # fmt: skip


def fuzzed(seed: int) -> Iterator[bytes]:
    """Bodies without end, the same ones for the same seed."""
    chance = random.Random(seed)
    while True:
        body = chance.choice(SEEDS)
        for mutate in chance.choices(MUTATORS, k=chance.choice((1, 1, 1, 2))):
            try:
                body = mutate(chance, body)
            except (ValueError, IndexError, AttributeError, RecursionError):
                continue  # a second mutator found nothing to work on
        yield body


def receive_all(intake: Intake, bodies: list[bytes]) -> tuple[Counter[int], Counter[bytes]]:
    """Hand everything to the intake from several threads, a good alert after every hundred: statuses, what was kept."""

    def receive(share: int) -> tuple[Counter[int], Counter[bytes]]:
        statuses, kept = Counter[int](), Counter[bytes]()
        for number in range(share, len(bodies), THREADS):
            answer = intake.receive(bodies[number], stream="main", content_type="text/plain", source_ip="::1")
            statuses[answer.status_code] += 1
            kept[bodies[number]] += 1
            if number % 100 < THREADS:
                good = intake.receive(GOOD % number, stream="main", content_type="text/plain", source_ip="::1")
                assert good.status_code == 200
                kept[GOOD % number] += 1
        return statuses, kept

    statuses, kept = Counter[int](), Counter[bytes]()
    with ThreadPoolExecutor(THREADS) as pool:
        for some_statuses, some_kept in pool.map(receive, range(THREADS)):
            statuses += some_statuses
            kept += some_kept
    return statuses, kept


def survive(settings: Settings, db: Database, caplog: pytest.LogCaptureFixture, *, seed: int, count: int) -> None:
    caplog.set_level(logging.WARNING)
    bodies = list(islice((body for body in fuzzed(seed) if len(body) <= MAX_BYTES), count))
    with running_app(settings, db) as app:
        statuses, kept = receive_all(parts_of(app).intake, bodies)
        await_stored(app)
    assert set(statuses) == {200, 422}
    assert min(statuses.values()) > count // 10
    assert stored_bodies(db) == kept
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


@pytest.mark.timeout(240)
def test_twenty_thousand_broken_bodies_are_kept_byte_for_byte(
    settings: Settings, db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    survive(settings, db, caplog, seed=20, count=20_000)


@pytest.mark.soak
def test_a_hundred_thousand_broken_bodies_are_kept_byte_for_byte(
    settings: Settings, db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    survive(settings, db, caplog, seed=100, count=100_000)


# --- over real sockets

TOKEN = "token-of-the-fuzz-tests"
PATH = f"/api/automated-signals/webhook/{TOKEN}"
ODD_HEADERS = (
    "Content-Type: application/json; charset=utf-16",
    "Content-Type: multipart/form-data; boundary=" + "x" * 500,
    "Content-Type: \u00ff\u00fe",
    "Content-Encoding: gzip",
    "Accept: \u00ff/*;q=2",
    "X-Odd: " + "y" * 8000,
    "X-Request-ID: ../../etc/passwd",
    "X-HTTP-Method-Override: DELETE",
    "X-Forwarded-For: " + "1.2.3.4, " * 200,
    "Forwarded: for=unknown;proto=gopher",
    "Expect: 100-continue",
    "Cookie: signalbook=" + "." * 100,
    "Range: bytes=0-1",
    "If-None-Match: *",
    "Connection: close",
    "content-TYPE: text/plain",
)


def request(chance: random.Random, body: bytes) -> list[bytes]:
    """The pieces of one request, as they are sent: with odd headers, chunked or not, in one piece or in many."""
    headers = chance.sample(ODD_HEADERS, chance.randint(0, 3))
    if chance.random() < 0.3:
        cuts = sorted(chance.randrange(len(body) + 1) for _ in range(chance.randint(0, 5)))
        parts = [part for part in map(body.__getitem__, map(slice, [0, *cuts], [*cuts, None])) if part]
        data = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        headers.append("Transfer-Encoding: chunked")
    else:
        data = body
        headers.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([f"POST {PATH} HTTP/1.1", "Host: here", *headers, "", ""]).encode("latin-1")
    size = chance.choice((len(data) or 1, len(data) // 7 + 1))
    return [head, *(data[start : start + size] for start in range(0, len(data), size))]


def status_of(port: int, pieces: list[bytes]) -> int:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        with connection.makefile("rb") as answer:
            while (line := answer.readline()).startswith(b"HTTP/1.1 100"):
                answer.readline()
            return int(line.split()[1])


def send_all(running: Service, count: int) -> tuple[Counter[int], Counter[bytes]]:
    chance = random.Random(8)
    statuses, kept = Counter[int](), Counter[bytes]()
    for body in islice(fuzzed(4), count):
        status = status_of(running.port, request(chance, body))
        statuses[status] += 1
        if status in (200, 422):
            kept[body] += 1
    return statuses, kept


@contextmanager
def slow_bodies(port: int, count: int) -> Iterator[None]:
    """Connections that promise a body and never finish it, more than the service has threads."""
    with ExitStack() as held:
        for _ in range(count):
            connection = held.enter_context(closing(socket.create_connection(("127.0.0.1", port), timeout=10)))
            connection.sendall(f"POST {PATH} HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\n{{".encode())
        yield


def test_odd_requests_over_real_sockets_are_answered_or_refused(database_url: str, db: Database) -> None:
    with service(DATABASE_URL=database_url, WEBHOOK_TOKEN=TOKEN, TESTING="1") as running:
        running.wait_for("writer_breaker_closed")
        with slow_bodies(running.port, 40):
            statuses, kept = send_all(running, 400)
            answer = running.post(PATH, GOOD % 0)
            assert (answer.status, answer.json()["status"]) == (200, "accepted")
        assert set(statuses) <= {200, 413, 422}
        until(lambda: stored_bodies(db) == kept + Counter([GOOD % 0]), 20)
        assert running.terminate() == 0
        assert "Traceback" not in running.stdout + running.stderr
