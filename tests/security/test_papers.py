"""What others read about the security of an installation: security.txt, the bill of materials, the self-assessment."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from flask.testing import FlaskClient

from core.settings import SETTINGS, Settings, load_settings
from database.engine import PAGE_TIMEOUT_MS, STATEMENT_TIMEOUT_MS, Database
from telemetry.dialects.body import MAX_BYTES, MAX_DEPTH, MAX_DIGITS
from telemetry.history.upload import MAX_UNPACKED
from web import auth, passwords
from web.dashboards.analytics.gather import LONGEST_MS
from web.live import routes as live
from web.live.hub import STREAMS_A_USER
from web.security.obvious import OWN_WORDS
from web.serving import logs
from web.serving.admission import OTHER_SHARE, STREAM_SHARE, THREADS
from web_server import create_app

ROOT = Path(__file__).parents[2]
PAPERS = ROOT / "docs" / "security"
ASSESSMENT, REQUIREMENTS, DECISIONS = "asvs.md", "requirements.md", "decisions.md"
MET = ("yes", "partly", "no", "n/a")
LEVELS = {  # of ASVS 5.0.0: for each section of a chapter the level of each requirement
    1: "22 1111122223 112222222223 222 123",
    2: "122 112 12223 23",
    3: "3 113 12223 11222233 11122333 3 22333",
    4: "12233 23333 22 1222",
    5: "2 112333 113 222",
    6: "122 111111112222 11223333 112233 22222333 2223 33 2222",
    7: "222 1111 22 11222 223 22",
    8: "1233 1123 133 23",
    9: "111 1222",
    10: "22 223 22223 1111122222233333 22222 22 222",
    11: "2233 22233 11233 1222 23 23 33",
    12: "12233 11 22223",
    13: "2333 222223 2233 1222233",
    14: "22 12223333 122",
    15: "12233 12233 1222222 3333",
    16: "2 22222 2222 222 2223",
    17: "23 22223333 22",
}


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


def test_the_bill_of_materials_lists_every_pin_and_what_browsers_get_with_their_hashes() -> None:
    done = subprocess.run([sys.executable, "tools/sbom.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    bill = json.loads(done.stdout)
    pins = re.findall(r"^([A-Za-z0-9_.-]+)==", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    vendored = [
        folder.name.rpartition("-") for folder in sorted((ROOT / "static" / "vendor").iterdir()) if folder.is_dir()
    ]
    assert len(vendored) >= 2
    assert [part["name"] for part in bill["components"]] == [*pins, *(name for name, _, _ in vendored)]
    for part in bill["components"]:
        kind = "pypi" if part["name"] in pins else "npm"
        assert part["purl"] == f"pkg:{kind}/{part['name'].lower()}@{part['version']}"
        assert part["properties"]
        assert part["licenses"]
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", bill["serialNumber"])


def text_of(*names: str) -> str:
    return "\n".join((PAPERS / name).read_text(encoding="utf-8") for name in names)


def requirements() -> list[tuple[str, str, str, str]]:
    """(number, level, met, evidence) of every row of requirements.md."""
    rows = re.findall(
        r"^\| (V\d+\.\d+\.\d+) \| ([12]) \| [^|]+ \| ([a-z/]+) \| (.+) \|$", text_of(REQUIREMENTS), re.MULTILINE
    )
    return [(number, level, met, evidence) for number, level, met, evidence in rows]


def test_every_test_that_the_papers_name_exists() -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`", text_of(ASSESSMENT, REQUIREMENTS, DECISIONS)))
    assert len(named) >= 120
    for path, test in sorted(named):
        assert (ROOT / path).exists(), path
        assert not test or f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path}::{test}"


def test_every_requirement_of_levels_1_and_2_has_its_row_in_order() -> None:
    expected = [
        (f"V{chapter}.{section}.{place}", level)
        for chapter, sections in LEVELS.items()
        for section, levels in enumerate(sections.split(), 1)
        for place, level in enumerate(levels, 1)
        if level != "3"
    ]
    assert len(expected) == 253
    assert [(number, level) for number, level, _, _ in requirements()] == expected


def test_what_is_met_has_a_test_or_document_and_what_is_not_has_a_reason() -> None:
    for number, _level, met, evidence in requirements():
        assert met in MET, number
        if met == "yes":
            assert "`tests/" in evidence or ".md)" in evidence, number
        else:
            assert len(re.sub(r"`tests/[^`]+`", "", evidence).strip(" :;.")) >= len("no LDAP"), number


def test_the_sums_of_the_assessment_are_those_of_its_rows() -> None:
    counts = Counter((number.partition(".")[0], met) for number, _, met, _ in requirements())
    rows = re.findall(r"^\| (?:(V\d+) [^|]+|\*\*All\*\*) \|((?: \d+ \|){4})$", text_of(ASSESSMENT), re.MULTILINE)
    told = {chapter: [int(figure) for figure in re.findall(r"\d+", figures)] for chapter, figures in rows}
    assert told.pop("") == [sum(figures) for figures in zip(*told.values(), strict=True)]
    assert told == {f"V{number}": [counts[f"V{number}", met] for met in MET] for number in LEVELS}
    not_met = [number for number, _, met, _ in requirements() if met == "no"]
    assert re.findall(r"^\| (V[\d.]+) \| [a-z]", text_of(ASSESSMENT), re.MULTILINE) == not_met


def test_the_assessment_speaks_of_every_row_of_the_tables_of_faults() -> None:
    rows = [f"H{number}" for number in range(1, 21)] + [f"E{number}" for number in range(1, 7)]
    assert [row for row in rows if f"| {row} " not in text_of(ASSESSMENT)] == []


def test_the_decisions_name_every_secret_setting() -> None:
    keys = text_of(DECISIONS).partition("## Keys and algorithms")[2].partition("\n## ")[0]
    assert [setting.name for setting in SETTINGS if setting.secret and f"`{setting.name}`" not in keys] == []


def test_the_decisions_name_the_words_that_make_no_password() -> None:
    words = text_of(DECISIONS).partition("## Logins and passwords")[2].partition("\n## ")[0]
    assert [word for word in sorted(OWN_WORDS) if f"`{word}`" not in words] == []


def test_the_decisions_tell_the_limits_that_hold() -> None:
    text = re.sub(r"\s+", " ", text_of(DECISIONS))
    told = (
        f"at most {MAX_BYTES // 1024} KiB of any content type",
        f"at most {MAX_DEPTH} levels, numbers of at most {MAX_DIGITS} digits",
        f"{MAX_UNPACKED // 1024**2} MiB unpacked",
        f"{auth.GUESSES.amount} in {auth.GUESSES.multiples} minutes for each account",
        f"longer than {passwords.WAIT_SECONDS:.0f} s gets 503",
        f"within {auth.CODE_SECONDS:.0f} s",
        f"event streams of one login | {STREAMS_A_USER} |",
        f"| {STREAM_SHARE}, {OTHER_SHARE}; the remaining {THREADS - STREAM_SHARE - OTHER_SHARE} of {THREADS} threads",
        f"Passwords have {passwords.SHORTEST} to {passwords.LONGEST} characters",
        f"ends {auth.SESSION_LIFETIME.days} days after the login",
        f"within {live.PROOF_SECONDS:.0f} seconds",
        f"ends after {PAGE_TIMEOUT_MS // 1000} s, of a change after {STATEMENT_TIMEOUT_MS // 1000} s, "
        f"of analytics after {LONGEST_MS // 1000} s",
        f"files of {logs.LOG_FILE_BYTES // 1024**2} MB",
    )
    assert [sentence for sentence in told if sentence not in text] == []
