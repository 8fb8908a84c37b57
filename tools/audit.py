"""Known weaknesses of the pinned packages, by pip-audit, from a copy of the advisories on this machine.

`ADVISORIES` names the copy: a folder or a zip of OSV records (JSON or YAML), as the Python advisory database and OSV's export
of PyPI hold them. pip-audit asks an OSV server, so one is started on the loopback address that answers from the copy; nothing
else is asked. Exit code 0 nothing is known, 1 something is (the table says what), 2 nothing was compared, 3 no copy is given.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).parents[1]
PINNED = tuple(f"requirements{part}.txt" for part in ("", "-dev", "-parquet", "-bench", "-calendar"))
ENDINGS = (".json", ".yaml", ".yml")
NOT_GIVEN = (
    "No copy of the advisories is given, so nothing was compared: set ADVISORIES to a folder or a zip of OSV records of PyPI,\n"
    "    make audit ADVISORIES=/srv/advisories/all.zip"
)
Advisories = dict[str, list[dict[str, Any]]]


def main() -> int:
    """Compare every pin with the copy; the exit code."""
    given = os.environ.get("ADVISORIES", "")
    if not given:
        print(NOT_GIVEN, file=sys.stderr)
        return 3
    try:
        advisories = read(Path(given))
    except (OSError, ValueError, zipfile.BadZipFile, yaml.YAMLError) as error:
        print(f"ADVISORIES: {given}: {error}", file=sys.stderr)
        return 2
    if not advisories:
        print(f"ADVISORIES: {given} holds no OSV record of a package of PyPI", file=sys.stderr)
        return 2
    print(f"{sum(map(len, advisories.values()))} advisories on {len(advisories)} packages in {given}")
    return audit([ROOT / name for name in PINNED], advisories)


def audit(files: list[Path], advisories: Advisories) -> int:
    """Run pip-audit over each of these pinned files: 0 nothing is known, 1 something is, 2 it did not come to an end."""
    with serving(advisories) as url:
        return max([_audit(file, url) for file in files])


def _audit(file: Path, url: str) -> int:
    """One file by itself: two may pin another version of the same package, which pip-audit takes for a mistake."""
    with tempfile.TemporaryDirectory() as room:
        table = Path(room) / "table"
        command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--progress-spinner", "off",
                   "--cache-dir", room, "--output", str(table), "--vulnerability-service", "osv", "--osv-url", url]  # fmt: skip
        code = subprocess.run([*command, "--requirement", str(file)], check=False).returncode
        said = table.read_text(encoding="utf-8") if table.exists() else ""
    print(f"{file.name}\n{said}" if said else file.name)
    return code if code == 0 or said else 2


def read(copy: Path) -> Advisories:
    """The records of a folder or a zip by the names of their packages. OSError or ValueError when they cannot be read."""
    found: Advisories = {}
    for name, content in _files(copy):
        record = json.loads(content) if name.endswith(".json") else yaml.load(content, Loader=yaml.CSafeLoader)
        if isinstance(record, dict):
            for package in {_package(each) for each in record.get("affected") or []} - {""}:
                # Dates of YAML become text again, as JSON has them.
                found.setdefault(package, []).append(json.loads(json.dumps(record, default=lambda at: at.isoformat())))
    return found


def _files(copy: Path) -> Iterator[tuple[str, bytes]]:
    if copy.is_dir():
        for path in sorted(copy.rglob("*")):
            if path.suffix in ENDINGS and path.is_file():
                yield path.name, path.read_bytes()
        return
    with zipfile.ZipFile(io.BytesIO(copy.read_bytes())) as archive:
        for name in archive.namelist():
            if name.endswith(ENDINGS):
                yield name, archive.read(name)


def _package(affected: dict[str, Any]) -> str:
    package = affected.get("package") or {}
    return canonicalize_name(package["name"]) if package.get("ecosystem") == "PyPI" and package.get("name") else ""


def of(advisories: Advisories, package: str, version: str) -> list[dict[str, Any]]:
    """The records that speak of this version."""
    name = canonicalize_name(package)
    return [
        record
        for record in advisories.get(name, [])
        if any(_is_hit(each, Version(version)) for each in record["affected"] if _package(each) == name)
    ]


def _is_hit(affected: dict[str, Any], version: Version) -> bool:
    """By the list of versions, or by a range of versions; a range that cannot be read hits: rather once too often."""
    if any(_is_same(text, version) for text in affected.get("versions") or []):
        return True
    ranges = [each for each in affected.get("ranges") or [] if each.get("type") == "ECOSYSTEM"]
    try:
        return any(_is_within(each["events"], version) for each in ranges)
    except (InvalidVersion, KeyError):
        return True


def _is_same(text: str, version: Version) -> bool:
    try:
        return Version(text) == version
    except InvalidVersion:
        return False


def _is_within(events: list[dict[str, str]], version: Version) -> bool:
    """Whether the last of the range's events up to this version has let the weakness in. "0" stands for the beginning."""
    steps = [(Version(text), kind) for event in events for kind, text in event.items() if kind != "limit"]
    is_in = False
    for at, kind in sorted(steps, key=lambda step: step[0]):
        if kind == "introduced" and at <= version:
            is_in = True
        elif (kind == "fixed" and at <= version) or (kind == "last_affected" and at < version):
            is_in = False
    return is_in


@contextmanager
def serving(advisories: Advisories) -> Iterator[str]:
    """The address of an OSV server that answers from these records."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = json.dumps({"vulns": of(advisories, query["package"]["name"], query["version"])}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query"
        finally:
            server.shutdown()
            thread.join()


if __name__ == "__main__":
    sys.exit(main())
