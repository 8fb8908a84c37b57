"""Where a login leads back to: a path of this service and nothing else, whatever `next` says."""

from __future__ import annotations

from urllib.parse import unquote, urljoin, urlsplit

HOME = "/"
LONGEST = 2_000
_OWN = "http://own.invalid"


def safe_next(target: str | None, default: str = HOME) -> str:
    """`target` if it is a path (with query) on our own host, else `default`.

    Browsers drop tabs and newlines, read `\\` as `/`, and take `//host` for another host, and some servers between
    decode percent signs once more; so the text is judged as it is and as it reads after each decoding.
    """
    if not target or len(target) > LONGEST:
        return default
    seen = target
    for _ in range(4):
        if not _is_own_path(seen):
            return default
        seen, before = unquote(seen), seen
        if seen == before:
            return target
    return default


def _is_own_path(text: str) -> bool:
    path = text.partition("?")[0].partition("#")[0]
    if not text.isprintable() or " " in path or "\\" in text or "//" in path or not path.startswith("/"):
        return False
    try:
        parts = urlsplit(urljoin(_OWN, text))
    except ValueError:
        return False
    return f"{parts.scheme}://{parts.netloc}" == _OWN
