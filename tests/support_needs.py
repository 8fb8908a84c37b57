"""What a test needs of the machine: absent, it fails in CI, where nothing may be skipped silently, and skips elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

VENDOR = Path(__file__).parents[1] / "tools" / "vendor"
SIGN = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1 "
    "-addext subjectAltName=IP:127.0.0.1"
)
INSTALL_PACKAGES = "npm ci --ignore-scripts in tools/vendor"


def missing(what: str) -> NoReturn:
    """End the test because `what` is not on this machine: a failure in CI, a skip with its reason elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


def node() -> str:
    """Where Node.js is, else `missing`."""
    return shutil.which("node") or missing("needs node (Debian's nodejs)")


def node_package(name: str) -> Path:
    """Where tools/vendor keeps an npm package of this name, else `missing`."""
    package = VENDOR / "node_modules" / name
    return package if package.exists() else missing(f"needs {name}: {INSTALL_PACKAGES}")


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody has signed, and its key, made in `folder`; else `missing`."""
    made, key = folder / "certificate.pem", folder / "key.pem"
    if shutil.which("openssl") is None:
        missing("needs openssl")
    subprocess.run([*SIGN.split(), "-keyout", key, "-out", made], check=True, capture_output=True)
    return made, key
