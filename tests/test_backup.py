"""Backups: what comes back is what was there, the journal included; what is damaged or in the way is refused."""

from __future__ import annotations

import json
import subprocess
import tarfile
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from flask_openapi3 import OpenAPI

from core.clock import ManualClock
from core.errors import ConflictError, InvalidInputError, MisconfiguredError, NotFoundError, StorageError
from core.lifecycle import Kind
from database import alarms, dumps, fingerprint
from database.engine import Database
from operations.backup import backup
from telemetry.journal.disk import RealDisk
from telemetry.journal.journal import Journal
from telemetry.journal.record import Record
from tests.support_deliveries import deliver
from tests.support_signals import START, add, event, mfe

NOW = datetime(2025, 12, 11, 9, 0, tzinfo=UTC)


@pytest.fixture
def filled(db: Database) -> Database:
    add(
        db,
        event("a", Kind.SIGNAL_CREATED),
        event("a", Kind.ENTRY, 1),
        mfe("a", 2, "1.2", "1.2"),
        event("b", Kind.ENTRY, 3),
    )
    deliver(db, {"event_type": "HEARTBEAT", "signal_count": 3}, b"\x00\xffno json")
    return db


def journalled(data_dir: Path, body: bytes) -> Record:
    """An alert that is on disk and not in the database."""
    record = Record(
        receipt_id=uuid4(), received_at=START, stream="main", source_ip="127.0.0.1", content_type="", source="webhook",
        body=body,
    )  # fmt: skip
    journal = Journal(data_dir / "journal", RealDisk(), ManualClock(START))
    journal.append(record)
    journal.close()
    return record


def test_what_is_restored_is_what_was_there(filled: Database, empty_database_url: str, tmp_path: Path) -> None:
    record = journalled(tmp_path / "var", b'{"event_type":"HEARTBEAT"}')
    made = backup.create(filled, tmp_path / "var", tmp_path / "kept", NOW)
    assert made.segments == 1
    target = Database(empty_database_url)
    back = backup.restore(target, tmp_path / "new", made.path)
    assert back.differences == ()
    with filled.transaction() as one, target.transaction() as other:
        assert fingerprint.fingerprint(one) == fingerprint.fingerprint(other)
    assert str(record.receipt_id) == str(_drained(tmp_path / "new"))
    target.close()


def _drained(data_dir: Path) -> object:
    """The receipt that a service on this data directory takes up at its start."""
    journal = Journal(data_dir / "journal", RealDisk(), ManualClock(NOW))
    journal.adopt_orphans()
    found = [record.receipt_id for records in journal.backlog(10) for record in records]
    journal.close()
    assert len(found) == 1
    return found[0]


def test_verifying_restores_into_a_scratch_database_and_is_remembered(filled: Database, tmp_path: Path) -> None:
    made = backup.create(filled, tmp_path, tmp_path / "kept", NOW)
    add(filled, event("c", Kind.ENTRY, 9))  # later changes are not the backup's
    assert backup.verify(filled, made.path, NOW).differences == ()
    with filled.transaction() as cur:
        drill = alarms.last_drills(cur)[0]
        cur.execute("SELECT count(*) FROM pg_database WHERE datname LIKE 'signalbook_scratch%'")
        assert cur.fetchone()[0] == 0  # type: ignore[index]
    assert drill.is_passed
    assert drill.figures["signals"] == 2


def test_a_backup_is_unpacked_beside_itself_because_tmp_may_be_memory(
    filled: Database, empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = backup.create(filled, tmp_path, tmp_path / "kept", NOW)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "not-there"))
    assert backup.verify(filled, made.path, NOW).differences == ()
    into = Database(empty_database_url)
    assert backup.restore(into, tmp_path / "other", made.path).differences == ()
    into.close()
    assert list((tmp_path / "kept").iterdir()) == [made.path]


def test_a_backup_that_lies_about_its_content_is_found_out(filled: Database, tmp_path: Path) -> None:
    made = backup.create(filled, tmp_path, tmp_path / "kept", NOW)
    held = replace(made.manifest.held, state_hash="0" * 64)
    files = {name: tmp_path / "out" / name for name in made.manifest.files}
    with tarfile.open(made.path) as archive:
        for member in archive:
            archive.extract(member, tmp_path / "out")
    backup.archive.write(made.path, replace(made.manifest, held=held), files)
    assert backup.verify(filled, made.path, NOW).differences == ("the state hash",)


@pytest.mark.parametrize("place", [600, 20_000])
def test_a_damaged_backup_is_refused(filled: Database, tmp_path: Path, place: int) -> None:
    made = backup.create(filled, tmp_path, tmp_path / "kept", NOW)
    data = bytearray(made.path.read_bytes())
    data[place] ^= 0xFF
    made.path.write_bytes(data)
    with pytest.raises(InvalidInputError):
        backup.verify(filled, made.path, NOW)


def test_any_other_file_is_no_backup(filled: Database, tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"nothing of the kind")
    with pytest.raises(InvalidInputError, match=r"x\.tar is no backup"):
        backup.verify(filled, tmp_path / "x.tar", NOW)


def test_nothing_is_ever_restored_over_something(filled: Database, tmp_path: Path) -> None:
    made = backup.create(filled, tmp_path, tmp_path / "kept", NOW)
    with pytest.raises(ConflictError, match="not empty"):
        backup.restore(filled, tmp_path, made.path)


def test_the_nightly_job_keeps_so_many(filled: Database, tmp_path: Path) -> None:
    job = backup.job(filled, tmp_path, tmp_path / "kept", keep=2)
    for night in range(4):
        job.run(filled, NOW + night * timedelta(days=1))
    names = [path.name for path in sorted((tmp_path / "kept").iterdir())]
    assert names == ["signalbook-20251213T090000Z.signalbook.tar", "signalbook-20251214T090000Z.signalbook.tar"]


def test_a_folder_that_cannot_be_written_is_said(filled: Database, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        backup.create(filled, tmp_path, tmp_path / "file" / "kept", NOW)


def test_an_empty_folder_has_no_newest_backup(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no backup"):
        backup.newest(tmp_path)


def test_the_program_is_never_older_than_the_server() -> None:
    said = subprocess.run(
        [dumps.program("pg_dump", 14), "--version"], capture_output=True, text=True, check=True
    ).stdout
    assert int(said.split(")")[1].split(".")[0]) >= 14
    with pytest.raises(MisconfiguredError, match="99 or newer is not installed"):
        dumps.program("pg_dump", 99)


def test_the_commands_make_list_and_verify(app: OpenAPI, filled: Database, tmp_path: Path) -> None:
    runner = app.test_cli_runner()
    folder = str(tmp_path / "kept")
    made = json.loads(runner.invoke(args=["backup", "create", "--folder", folder, "--json"]).output)
    assert json.loads(runner.invoke(args=["backup", "list", "--folder", folder, "--json"]).output)["backups"] == [
        {"file": made["file"], "bytes": made["bytes"]}
    ]
    verified = runner.invoke(args=["backup", "verify", "--folder", folder])
    assert "differences: none" in verified.output
    assert verified.exit_code == 0
    assert "not empty" in runner.invoke(args=["backup", "restore", made["file"]]).output
