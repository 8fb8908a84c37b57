"""Named SQL: each file of `database/sql/` holds queries under `-- name:` lines, each with a line saying what it is for.

-- name: get_user
-- The login of that name.
SELECT ... WHERE name = %(name)s;
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace

SQL_DIR = Path(__file__).parent / "sql"
_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def queries(family: str) -> SimpleNamespace:
    """The queries of `sql/<family>.sql` as attributes holding their text."""
    return SimpleNamespace(**parse((SQL_DIR / f"{family}.sql").read_text(encoding="utf-8")))


def parse(text: str) -> dict[str, str]:
    """Name -> SQL of a query file. Raises ValueError for a query without its line of purpose or a name twice."""
    parts = _NAME.split(text)
    if parts[0].strip():
        raise ValueError(f"text before the first query name: {parts[0].strip()[:40]}")
    found: dict[str, str] = {}
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        purpose, _, sql = body.strip().partition("\n")
        if not purpose.startswith("-- ") or not sql.strip():
            raise ValueError(f"{name}: needs a comment line saying what it is for, then the SQL")
        if name in found:
            raise ValueError(f"{name}: stands twice")
        found[name] = sql.strip().removesuffix(";")
    return found


def all_families() -> list[str]:
    """The names of all query files."""
    return sorted(path.stem for path in SQL_DIR.glob("*.sql"))
