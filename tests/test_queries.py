"""Every named query is well formed, documented, and understood by PostgreSQL against the real schema."""

from __future__ import annotations

import re

import pytest

from database import rebuilt
from database.engine import Database
from database.queries import SQL_DIR, all_families, parse, queries

EVERY = [(family, name) for family in all_families() for name in vars(queries(family))]


@pytest.mark.parametrize(("family", "name"), EVERY)
def test_postgresql_can_prepare_every_query(family: str, name: str, untouched: Database) -> None:
    numbers: dict[str, str] = {}
    text = re.sub(
        r"%\((\w+)\)s", lambda found: numbers.setdefault(found[1], f"${len(numbers) + 1}"), vars(queries(family))[name]
    ).replace("%%", "%")
    with untouched.transaction() as cur:
        if text.startswith(("LOCK", "SET", "CREATE TEMP")):  # no statement to prepare; running it proves it
            cur.execute(text)
            return
        if family == "rebuilt":
            rebuilt.begin(cur)
        cur.execute(f"PREPARE q AS {text}")
        cur.execute("DEALLOCATE q")


def test_a_query_without_its_purpose_is_refused() -> None:
    with pytest.raises(ValueError, match="get_it"):
        parse("-- name: get_it\nSELECT 1;")


def test_a_name_may_stand_only_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        parse("-- name: a\n-- What for.\nSELECT 1;\n-- name: a\n-- What for.\nSELECT 2;")


def test_there_are_queries_to_check() -> None:
    assert len(EVERY) > 10
    assert all((SQL_DIR / f"{family}.sql").exists() for family, _ in EVERY)
