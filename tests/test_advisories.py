"""`make audit`: pip-audit over the pins, with advisories from a copy on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tools.audit import PINNED, audit, of, read

ROOT = Path(__file__).parents[1]
HASH = "--hash=sha256:" + "0" * 64


def record(name: str, *events: dict[str, str], number: str = "PYSEC-0000-1", **more: Any) -> dict[str, Any]:
    ranges = [{"type": "ECOSYSTEM", "events": list(events)}] if events else []
    return {
        "id": number,
        "details": "Made up for a test.",
        "affected": [{"package": {"ecosystem": "PyPI", "name": name}, "ranges": ranges, **more}],
    }


def folder(path: Path, *records: dict[str, Any]) -> Path:
    path.mkdir()
    for number, each in enumerate(records):
        (path / f"{number}.json").write_text(json.dumps(each))
    return path


@pytest.mark.parametrize(
    ("events", "hit", "free"),
    [
        ([{"introduced": "0"}, {"fixed": "2.1"}], ["1.0", "2.0.9", "2.1rc1"], ["2.1", "3"]),
        ([{"introduced": "1.5"}, {"last_affected": "1.7"}], ["1.5", "1.7"], ["1.4", "1.7.1"]),
        ([{"introduced": "0"}, {"fixed": "1"}, {"introduced": "2"}, {"fixed": "2.2"}], ["0.9", "2.1"], ["1", "2.2"]),
        ([{"introduced": "0"}], ["0.1", "99"], []),
    ],
)
def test_a_range_of_versions_hits_what_lies_within(
    tmp_path: Path, events: list[dict[str, str]], hit: list[str], free: list[str]
) -> None:
    advisories = read(folder(tmp_path / "copy", record("Some_Package", *events)))
    assert [version for version in (*hit, *free) if of(advisories, "some-package", version)] == hit
    assert of(advisories, "another", hit[0]) == []


def test_a_list_of_versions_hits_those_alone_and_a_range_that_cannot_be_read_hits(tmp_path: Path) -> None:
    listed = record("listed", versions=["1.0", "not-a-version", "1.2"])
    advisories = read(folder(tmp_path / "copy", listed, record("odd", {"introduced": "one"})))
    assert [bool(of(advisories, "listed", version)) for version in ("1.0", "1.1", "1.2")] == [True, False, True]
    assert of(advisories, "odd", "1.0")


def test_records_are_read_from_yaml_and_from_a_zip_as_well(tmp_path: Path) -> None:
    text = (
        "id: PYSEC-0000-2\npublished: 2025-01-02T03:04:05Z\n"
        "affected:\n- package: {ecosystem: PyPI, name: told}\n  versions: ['1.0']\n"
    )
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("vulns/told/PYSEC-0000-2.yaml", text)
        archive.writestr(
            "npm.json", json.dumps({"id": "x", "affected": [{"package": {"ecosystem": "npm", "name": "n"}}]})
        )
    advisories = read(tmp_path / "all.zip")
    assert list(advisories) == ["told"]
    assert of(advisories, "told", "1.0")[0]["published"].startswith("2025-01-02T03:04:05")


def test_pip_audit_finds_a_pin_that_an_advisory_names_and_passes_one_that_is_fixed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pins = tmp_path / "requirements.txt"
    pins.write_text(f"weak-one==1.0 {HASH}\nsound-one==2.0 {HASH}\n")
    bounds = [{"introduced": "0"}, {"fixed": "1.1"}]
    advisories = read(folder(tmp_path / "copy", record("weak-one", *bounds), record("sound-one", *bounds)))
    assert audit([pins], advisories) == 1
    said = capfd.readouterr().out
    assert "PYSEC-0000-1" in said
    assert "sound-one" not in said
    pins.write_text(f"weak-one==1.1 {HASH}\nsound-one==2.0 {HASH}\n")
    assert audit([pins], advisories) == 0


def test_every_file_of_pins_is_compared_with_each_of_its_versions(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert sorted(PINNED) == sorted(path.name for path in ROOT.glob("requirements*.txt"))
    bench = record("pandas", {"introduced": "2"}, {"fixed": "3"})
    calendar = record("pandas", {"introduced": "3"}, number="PYSEC-0000-2")
    files = [ROOT / name for name in PINNED if "-bench" in name or "-calendar" in name]
    assert audit(files, read(folder(tmp_path / "copy", bench, calendar))) == 1
    said = capfd.readouterr().out
    assert ("PYSEC-0000-1" in said, "PYSEC-0000-2" in said) == (True, True)


def test_an_audit_that_fails_is_not_taken_for_one_that_found_something(tmp_path: Path) -> None:
    pins = tmp_path / "requirements.txt"
    pins.write_text("without-hash==1.0\n")
    assert audit([pins], read(folder(tmp_path / "copy", record("one", {"introduced": "0"})))) == 2


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [("", 3, "No copy of the advisories is given"), ("/nowhere/at/all", 2, "ADVISORIES: /nowhere/at/all: ")],
)
def test_without_a_usable_copy_it_says_so_and_never_that_all_is_well(given: str, code: int, said: str) -> None:
    done = subprocess.run([sys.executable, "-m", "tools.audit"], cwd=ROOT, env=os.environ | {"ADVISORIES": given},
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == code
    assert said in done.stderr


def test_a_copy_without_a_record_of_ours_is_no_copy(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.audit"],
        cwd=ROOT,
        env=os.environ | {"ADVISORIES": str(folder(tmp_path / "empty"))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "holds no OSV record" in done.stderr
