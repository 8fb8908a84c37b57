"""Make, prove and restore backups."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from core.errors import ConflictError, NotFoundError, StorageError
from core.jobs import Job, Report
from database import alarms, dumps, fingerprint, migrate
from database.engine import Database
from operations.backup import archive
from operations.backup.archive import DUMP, JOURNAL, SUFFIX, Manifest

EVERY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A backup that was made, proved or restored. `differences` is empty when what came back is what was there."""

    path: Path
    manifest: Manifest
    differences: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        return sum(rows for rows, _ in self.manifest.held.tables.values())

    @property
    def segments(self) -> int:
        """Files of the journal in the backup."""
        return sum(name.startswith(f"{JOURNAL}/") for name in self.manifest.files)


def create(db: Database, data_dir: Path, folder: Path, now: datetime) -> Outcome:
    """Write one backup into `folder`: the database as of one instant, and the journal before and just after it.

    So every alert that was accepted until then is in one of them: a segment goes only once it is in the database.
    Raises DatabaseUnavailableError, MisconfiguredError, StorageError.
    """
    path = folder / archive.name_of(now)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        work = tempfile.TemporaryDirectory(dir=folder, prefix=".making-")
    except OSError as error:
        raise StorageError(f"The backup cannot be written: {error.strerror}") from error
    with work as place:
        dump, segments = Path(place) / DUMP, Path(place) / JOURNAL
        segments.mkdir()
        _copy_journal(data_dir / "journal", segments)
        held = dumps.dump(db, dump, on_snapshot=lambda: _copy_journal(data_dir / "journal", segments))
        files = {DUMP: dump, **{f"{JOURNAL}/{file.name}": file for file in sorted(segments.iterdir())}}
        digests = {name: archive.digest_of(file) for name, file in files.items()}
        manifest = Manifest(now, migrate.current_revision(db) or "none", held, digests)
        archive.write(path, manifest, files)
    return Outcome(path, manifest)


def verify(db: Database, path: Path, now: datetime) -> Outcome:
    """Restore a backup into a scratch database, compare it with what was there, and remember the outcome as a drill."""
    with _beside(path) as work, archive.unpacked(path, Path(work)) as manifest:
        with dumps.scratch_database(db) as url:
            back = dumps.load(url, Path(work) / DUMP)
        outcome = Outcome(path, manifest, tuple(manifest.held.differences(back)))
    figures = {
        "rows": outcome.rows,
        "signals": manifest.held.tables.get("public.trade_states", (0, ""))[0],
        "hash_equal": "yes" if not outcome.differences else "no",
    }
    with db.transaction() as cur:
        alarms.add_drill(cur, "restore", now, now, is_passed=not outcome.differences, figures=figures)
    return outcome


def restore(db: Database, data_dir: Path, path: Path) -> Outcome:
    """Fill an empty database and put the journal's files where the next start drains them.

    Raises ConflictError if the database holds tables: nothing is ever overwritten.
    """
    with db.transaction() as cur:
        if not fingerprint.is_empty(cur):
            raise ConflictError("The database is not empty; restore into a new one.")
    with _beside(path) as work, archive.unpacked(path, Path(work)) as manifest:
        back = dumps.load(db.direct_url, Path(work) / DUMP)
        outcome = Outcome(path, manifest, tuple(manifest.held.differences(back)))
        segments = [Path(work) / name for name in manifest.files if name.startswith(f"{JOURNAL}/")]
        for segment in segments:
            (data_dir / "journal").mkdir(parents=True, exist_ok=True, mode=0o700)
            target = data_dir / "journal" / segment.name
            if not target.exists():
                shutil.copyfile(segment, target)
                target.chmod(0o600)
    return outcome


def list_backups(folder: Path) -> list[Path]:
    """The backups of a folder, oldest first."""
    return sorted(folder.glob(f"signalbook-*{SUFFIX}"))


def newest(folder: Path) -> Path:
    """The newest backup of a folder. Raises NotFoundError."""
    found = list_backups(folder)
    if not found:
        raise NotFoundError(f"There is no backup in {folder}.")
    return found[-1]


def job(db: Database, data_dir: Path, folder: Path, keep: int) -> Job:
    """The nightly job `backup`: one more, the oldest beyond `keep` removed. It reads past the job's fence, on its own."""

    def run(_slot: Database, now: datetime) -> Report:
        made = create(db, data_dir, folder, now)
        old = list_backups(folder)[:-keep]
        for path in old:
            path.unlink()
        size = made.path.stat().st_size
        return Report(made.path.name, {"bytes": size, "rows": made.rows, "removed": len(old)})

    return Job("backup", EVERY, run, grace=timedelta(hours=20))


def _beside(path: Path) -> tempfile.TemporaryDirectory[str]:
    """A place to unpack a backup: where it lies there is room for files of its size, while /tmp may be memory."""
    try:
        return tempfile.TemporaryDirectory(dir=path.parent, prefix=".proving-")
    except OSError:
        return tempfile.TemporaryDirectory()  # a folder that may only be read


def _copy_journal(journal: Path, into: Path) -> None:
    """The journal's segments as they are now; a torn end of the one that is written to is no fault."""
    for file in sorted(journal.glob("*.seg*")):
        try:
            shutil.copyfile(file, into / file.name)
        except FileNotFoundError:
            continue  # stored meanwhile, so the database has it
