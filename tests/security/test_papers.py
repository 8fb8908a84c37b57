"""What others read about the security of an installation: security.txt, the bill of materials, the self-assessment."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from flask.testing import FlaskClient

from core.settings import Settings, load_settings
from database.engine import Database
from web_server import create_app

ROOT = Path(__file__).parents[2]
ASSESSMENT = ROOT / "docs" / "security" / "asvs.md"


def test_security_txt_names_the_contact_and_an_expiry(settings: Settings, db: Database) -> None:
    named = replace(settings, security_contact="mailto:me@example.com", public_url="https://signals.example.com")
    answer = create_app(named, db).test_client().get("/.well-known/security.txt")
    assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    lines = dict(line.split(": ", 1) for line in answer.text.splitlines())
    assert lines["Contact"] == "mailto:me@example.com"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT00:00:00Z", lines["Expires"])
    assert lines["Canonical"] == "https://signals.example.com/.well-known/security.txt"


def test_without_a_contact_there_is_no_security_txt(client: FlaskClient) -> None:
    assert client.get("/.well-known/security.txt").status_code == 404


def test_an_address_alone_becomes_a_contact() -> None:
    assert load_settings({"SECURITY_CONTACT": "me@example.com"}).security_contact == "mailto:me@example.com"
    assert load_settings({"SECURITY_CONTACT": "https://a.example/s"}).security_contact == "https://a.example/s"


def test_the_bill_of_materials_lists_every_pin_with_its_hashes() -> None:
    done = subprocess.run([sys.executable, "tools/sbom.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    bill = json.loads(done.stdout)
    pins = re.findall(r"^([A-Za-z0-9_.-]+)==", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert [part["name"] for part in bill["components"]] == pins
    for part in bill["components"]:
        assert part["purl"] == f"pkg:pypi/{part['name'].lower()}@{part['version']}"
        assert part["properties"]
        assert part["licenses"]
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", bill["serialNumber"])


def test_every_test_that_the_assessment_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`", ASSESSMENT.read_text(encoding="utf-8"))
    assert len(named) >= 40
    for path, test in named:
        assert (ROOT / path).exists(), path
        assert not test or f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path}::{test}"


def test_the_assessment_speaks_of_every_chapter_and_every_row() -> None:
    text = ASSESSMENT.read_text(encoding="utf-8")
    assert [f"V{number}" for number in range(1, 18) if f"| V{number} " not in text] == []
    rows = [f"H{number}" for number in range(1, 21)] + [f"E{number}" for number in range(1, 7)]
    assert [row for row in rows if f"| {row} " not in text] == []
