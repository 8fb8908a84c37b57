"""A cheap load generator: one process, raw sockets kept alive, every connection sends its next request at once.

Takes one JSON object on standard input, the fields of `Plan`, and prints one JSON object, the fields of `Load`.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
NUMBER = b"000000000"
MEMBERS = 22


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send: `kind` is entry, batch or nothing; bodies are numbered from `first`, so that no two are equal."""

    port: int
    path: str
    kind: str = "entry"
    connections: int = 16
    seconds: float = 2.0
    first: int = 0
    once: bool = False


@dataclass(slots=True)
class Load:
    """What came back: answers by status, and their times in milliseconds."""

    per_second: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    longest_ms: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    sent: int = 0


def run(plan: Plan) -> Load:
    """Send a plan from a process of its own."""
    command = [sys.executable, "-m", "bench.support.load"]
    done = subprocess.run(command, input=json.dumps(asdict(plan)), capture_output=True, text=True, check=True)
    return Load(**json.loads(done.stdout))


def body_of(kind: str) -> bytes:
    """A telemetry ENTRY of 1.2 kB, a batch of 22 members, or nothing; NUMBER stands where the number goes."""
    if kind == "nothing":
        return b""
    if kind == "batch":
        member = '{{"trade_id":"20251120_{}_B{:02}","direction":"Bullish","be_mfe":1.25,"no_be_mfe":1.25,' \
            '"mae_global_r":-0.4,"current_price":20518.5,"be_triggered":true}}'  # fmt: skip
        members = ",".join(member.format(NUMBER.decode(), place) for place in range(MEMBERS))
        return f'{{"event_type":"MFE_UPDATE_BATCH","signals":[{members}]}}'.encode()
    sample = json.loads((EXAMPLES / "test_telemetry_payload.json").read_text())
    return json.dumps(sample | {"trade_id": f"20251120_{NUMBER.decode()}_BULLISH"}).encode()


class Generator:
    """All connections in one loop."""

    def __init__(self, plan: Plan) -> None:
        body = body_of(plan.kind)
        head = f"POST {plan.path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        self.parts = (f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body).split(NUMBER)
        self.plan = plan
        self.sent = 0
        self.started: dict[int, float] = {}
        self.buffers: dict[int, bytes] = {}
        self.seconds: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.sockets: dict[int, socket.socket] = {}
        self.poll = select.epoll()

    def run(self) -> Load:
        for _ in range(self.plan.connections):
            connection = socket.create_connection(("127.0.0.1", self.plan.port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets[connection.fileno()] = connection
            self.poll.register(connection.fileno(), select.EPOLLIN)
        begin = time.perf_counter()
        for fd in self.sockets:
            self._send(fd)
        while self.started:
            for fd, _ in self.poll.poll(10):
                self._receive(fd, begin)
        return self._result(time.perf_counter() - begin)

    def _send(self, fd: int) -> None:
        self.sockets[fd].sendall((b"%09d" % (self.plan.first + self.sent)).join(self.parts))
        self.sent += 1
        self.buffers[fd] = b""
        self.started[fd] = time.perf_counter()

    def _receive(self, fd: int, begin: float) -> None:
        got = self.sockets[fd].recv(65536)
        if not got:
            raise ConnectionError("the server has closed the connection")
        data = self.buffers[fd] = self.buffers[fd] + got
        end = data.find(b"\r\n\r\n")
        if end < 0 or len(data) < end + 4 + _length_of(data[:end]):
            return
        now = time.perf_counter()
        self.seconds.append(now - self.started.pop(fd))
        self.statuses[data[9:12].decode()] += 1
        if not self.plan.once and now - begin < self.plan.seconds:
            self._send(fd)

    def _result(self, seconds: float) -> Load:
        times = sorted(self.seconds)
        return Load(
            per_second=len(times) / seconds,
            p50_ms=times[len(times) // 2] * 1000,
            p99_ms=times[int(len(times) * 0.99)] * 1000,
            longest_ms=times[-1] * 1000,
            statuses=dict(self.statuses),
            sent=self.sent,
        )


def _length_of(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"content-length:")
    return int(rest.split(b"\r\n", 1)[0]) if found else 0


if __name__ == "__main__":
    print(json.dumps(asdict(Generator(Plan(**json.load(sys.stdin))).run())))
