"""Static files: served in front of the app by whitenoise, compressed, under one name per state of the whole tree.

The version is part of the folder, `/static/<version>/css/base.css`, so that scripts find what they import by relative
paths in the very same version, and everything may be cached for ever.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import posixpath
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask
from whitenoise import WhiteNoise

from web.headers import security_headers
from web.services import Services

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

STATIC_DIR = Path(__file__).parent.parent / "static"
COMPRESSED_SUFFIXES = {".css", ".js", ".svg", ".json", ".txt"}
KEPT_VERSIONS = 3
BASE = "js/base.js"
"""The module of every page: what it imports is asked for by the base template already."""
_IMPORT = re.compile(r"""^(?:import|export)\b[^"';]*["'](\.[^"']+)["']""", re.MULTILINE)


class Assets:
    """The static tree at one moment: its files, its version and their URLs."""

    def __init__(self, folder: Path = STATIC_DIR) -> None:
        self.folder = folder
        self._names = {path.relative_to(folder).as_posix(): path for path in _files_of(folder)}
        self.version = _hash_of(self._names)
        self.prefix = f"static/{self.version}"

    def url(self, name: str) -> str:
        """The URL of a file such as `css/base.css`. Raises KeyError for a file that does not exist."""
        if name not in self._names:
            raise KeyError(f"no static file {name}")
        return f"/{self.prefix}/{name}"

    def imports_of(self, name: str) -> list[str]:
        """The modules that a module needs, those that they need included; each once, itself left out."""
        found = [name]
        for each in found:  # grows meanwhile
            if "vendor" in each:  # these stand alone
                continue
            for path in _IMPORT.findall(self._names[each].read_text(encoding="utf-8")):
                imported = posixpath.normpath(posixpath.join(posixpath.dirname(each), path))
                if imported not in found:
                    found.append(imported)
        return found[1:]

    def preloads(self, name: str) -> list[str]:
        """URLs of all that a module needs and the base template has not asked for: to be fetched at once."""
        known = set() if name == BASE else {BASE, *self.imports_of(BASE)}
        return [self.url(each) for each in self.imports_of(name) if each not in known]

    def write_to(self, target: Path) -> Path:
        """Copy the tree, with compressed twins, to `target/<version>`; returns that folder. Safe in many processes."""
        final = target / self.version
        if final.exists():
            return final
        target.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=".fresh-", dir=target))
        for name, path in self._names.items():
            _copy(path, fresh / name)
        try:
            os.rename(fresh, final)
        except OSError:  # another process was first
            shutil.rmtree(fresh)
        _prune(target)
        return final


def init_assets(app: Flask) -> None:
    """Give templates the globals `asset('css/base.css')` and `preloads('js/base.js')`, URLs both."""
    assets = Assets()
    app.extensions["signalbook.assets"] = assets
    app.jinja_env.globals["asset"] = assets.url
    app.jinja_env.globals["preloads"] = cache(assets.preloads)


def wrap_static(app: Flask, wsgi: WSGIApplication) -> WhiteNoise:
    """A WSGI app that answers the static URLs of `app` and passes everything else on to `wsgi`."""
    assets: Assets = app.extensions["signalbook.assets"]
    services: Services = app.extensions["signalbook"]
    headers = security_headers(services.settings)

    def add_headers(target: Any, _path: str, _url: str) -> None:
        for name, value in headers.items():
            target[name] = value

    server = WhiteNoise(
        wsgi, allow_all_origins=False, immutable_file_test=lambda _path, _url: True, add_headers_function=add_headers
    )
    server.add_files(str(assets.write_to(services.settings.data_dir / "static")), prefix=assets.prefix)
    return server


def vendor_faults(folder: Path = STATIC_DIR / "vendor") -> list[str]:
    """What is wrong with the vendored files: changed, missing, or not in `manifest.json` (path -> SHA-256)."""
    manifest = folder / "manifest.json"
    expected: dict[str, str] = json.loads(manifest.read_text()) if manifest.exists() else {}
    found = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in _files_of(folder)
        if path != manifest
    }
    return sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))


def _files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def _hash_of(names: dict[str, Path]) -> str:
    digest = hashlib.sha256()
    for name, path in names.items():
        digest.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:12]


def _copy(source: Path, target: Path) -> None:
    """Copy one file, and beside it its compressed twin where that saves a tenth or more."""
    target.parent.mkdir(parents=True, exist_ok=True)
    content = source.read_bytes()
    target.write_bytes(content)
    if source.suffix in COMPRESSED_SUFFIXES:
        packed = gzip.compress(content, 9, mtime=0)
        if len(packed) < 0.9 * len(content):
            target.with_name(target.name + ".gz").write_bytes(packed)


def _prune(target: Path) -> None:
    """Drop old versions; a few stay, because a process of the version before may still be serving them."""
    versions = sorted(target.glob("[0-9a-f]*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in versions[KEPT_VERSIONS:]:
        shutil.rmtree(path, ignore_errors=True)
