"""Writes the bill of materials of the service as CycloneDX 1.6 JSON: every pinned package, and what browsers get, with hashes.

`make sbom` prints to sbom.json. It reads requirements.txt and static/vendor only, so the same pins give the same bill.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^ \\]+)((?: \\\n +--hash=sha256:[0-9a-f]{64})+)", re.MULTILINE)
LICENCE = re.compile(r"^\| ([A-Za-z0-9_.-]+) \| (.+) \|$", re.MULTILINE)


def bill() -> dict[str, Any]:
    """The document; its serial number is made from the pins and the vendored files."""
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    vendored = (ROOT / "static" / "vendor" / "manifest.json").read_text(encoding="utf-8")
    licences = dict(LICENCE.findall((ROOT / "THIRD_PARTY_NOTICES.md").read_text(encoding="utf-8")))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    own = {"type": "application", "bom-ref": "signalbook", "name": project["name"], "version": project["version"]}
    parts = [_package(*found, licences) for found in PIN.findall(pins)] + _vendored(json.loads(vendored), licences)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, pins + vendored).urn,
        "version": 1,
        "metadata": {"component": own},
        "components": parts,
        "dependencies": [{"ref": "signalbook", "dependsOn": [part["bom-ref"] for part in parts]}],
    }


def _package(name: str, version: str, hashes: str, licences: dict[str, str]) -> dict[str, Any]:
    """A package of Python. Its hashes are those of its files on the index, one for each platform."""
    purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
    return _component(name, version, purl, re.findall(r"sha256:(\w{64})", hashes), licences)


def _vendored(manifest: dict[str, str], licences: dict[str, str]) -> list[dict[str, Any]]:
    """The packages of static/vendor, a folder `name-version` each, with the hashes of their files."""
    hashes: dict[str, list[str]] = {}
    for path, digest in sorted(manifest.items()):
        hashes.setdefault(path.partition("/")[0], []).append(digest)
    found = []
    for folder, digests in hashes.items():
        name, _, version = folder.rpartition("-")
        found.append(_component(name, version, f"pkg:npm/{name}@{version}", digests, licences))
    return found


def _component(name: str, version: str, purl: str, hashes: list[str], licences: dict[str, str]) -> dict[str, Any]:
    """One package; the hashes of its files as properties."""
    found = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    files = [{"name": "signalbook:file-sha256", "value": text} for text in hashes]
    licence = {"licenses": [{"license": {"name": licences[name]}}]} if name in licences else {}
    return found | licence | {"properties": files}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(bill(), indent=1) + "\n")
