"""The file of a backup: a tar of `manifest.json`, the dump, and the journal's segments, each with its SHA-256."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from core.errors import InvalidInputError, StorageError
from core.timezones import to_utc
from database.fingerprint import Fingerprint

FORMAT = 1
DUMP = "database.dump"
MANIFEST = "manifest.json"
JOURNAL = "journal"
SUFFIX = ".signalbook.tar"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself. `files`: name in the archive -> SHA-256 hex."""

    made_at: datetime
    revision: str
    held: Fingerprint
    files: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "format": FORMAT,
            "made_at": self.made_at.isoformat(),
            "revision": self.revision,
            "files": dict(self.files),
            **self.held.as_json(),
        }

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """What `as_json` gave. Raises InvalidInputError."""
        try:
            document = json.loads(data)
            if document["format"] != FORMAT:
                raise InvalidInputError(f"This backup has format {document['format']}; this version reads {FORMAT}.")
            files = {str(name): str(digest) for name, digest in document["files"].items()}
            made_at = to_utc(datetime.fromisoformat(document["made_at"]))
            return cls(made_at, str(document["revision"]), Fingerprint.from_json(document), files)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InvalidInputError("The manifest of this backup cannot be read.") from None


def name_of(made_at: datetime) -> str:
    """The file name of a backup; names sort by time."""
    return f"signalbook-{made_at:%Y%m%dT%H%M%SZ}{SUFFIX}"


def write(path: Path, manifest: Manifest, files: Mapping[str, Path]) -> None:
    """Write the archive beside its name first, so that a half one never bears it. Raises StorageError."""
    partial = path.with_name(path.name + ".partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            with tarfile.open(fileobj=target, mode="w") as archive:
                text = json.dumps(manifest.as_json(), indent=1).encode()
                about = tarfile.TarInfo(MANIFEST)
                about.size, about.mode, about.mtime = len(text), 0o600, int(manifest.made_at.timestamp())
                archive.addfile(about, io.BytesIO(text))
                for name, source in files.items():
                    archive.add(source, arcname=name, recursive=False)
            target.flush()
            os.fsync(target.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StorageError(f"The backup cannot be written: {error.strerror}") from error


def _extract(archive: tarfile.TarFile, into: Path) -> None:
    """Files alone, and inside the folder; `filter="data"` would see to it, but Python knows that since 3.11.4 only."""
    for member in archive:
        path = PurePosixPath(member.name)
        if not (member.isfile() or member.isdir()) or path.is_absolute() or ".." in path.parts:
            raise tarfile.TarError(f"{member.name} is no file of a backup")
        archive.extract(member, into, set_attrs=False)


@contextmanager
def unpacked(path: Path, into: Path) -> Iterator[Manifest]:
    """The manifest, with the files of the archive in `into`, each compared with its SHA-256. Raises InvalidInputError."""
    try:
        with tarfile.open(path) as archive:
            _extract(archive, into)
    except (tarfile.TarError, OSError, EOFError):
        raise InvalidInputError(f"{path.name} is no backup, or it is damaged.") from None
    if not (into / MANIFEST).is_file():
        raise InvalidInputError(f"{path.name} is no backup: it has no manifest.")
    manifest = Manifest.parse((into / MANIFEST).read_bytes())
    for name, digest in manifest.files.items():
        if not (into / name).is_file() or digest_of(into / name) != digest:
            raise InvalidInputError(f"{path.name} is damaged: {name} is not what was written.")
    yield manifest


def digest_of(path: Path) -> str:
    """SHA-256 hex of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
