"""What the database holds and what is wrong with it: for `flask db verify`, `flask doctor` and the migration tests."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from database import migrate
from database.engine import Cursor
from database.queries import queries

SQL = queries("catalog")
OLDEST_VERSION = 140_000
DURABLE = {"fsync": ("on",), "full_page_writes": ("on",), "synchronous_commit": ("on", "remote_write", "remote_apply")}


def inspect(cur: Cursor) -> dict[str, Any]:
    """Server facts, tables with columns, views, functions, indexes, and the problems (none is good), also by what they are of:
    server, durability, migrations."""
    cur.execute(SQL.server_facts)
    server = cur.fetchone()._asdict()
    schema = schema_of(cur)
    problems = {
        "server": _server_problems(server, schema),
        "durability": _durability_problems(server),
        "migrations": _migration_problems(cur),
    }
    return {
        "server": server,
        "tables": {name: columns for name, (kind, columns) in schema["relations"].items() if kind == "BASE TABLE"},
        "views": {name: columns for name, (kind, columns) in schema["relations"].items() if kind == "VIEW"},
        "functions": schema["functions"],
        "indexes": schema["indexes"],
        "problems": [problem for kind in problems.values() for problem in kind],
        "problems_of": problems,
    }


def schema_of(cur: Cursor) -> dict[str, Any]:
    """The whole schema as plain values; two databases with the same schema give equal results."""
    relations: dict[str, tuple[str, dict[str, str]]] = {}
    cur.execute(SQL.list_columns)
    for row in cur.fetchall():
        _, columns = relations.setdefault(row.relation, (row.table_type, {}))
        columns[row.column_name] = _type_of(row)
    found: dict[str, Any] = {"relations": relations}
    for kind in ("indexes", "constraints", "functions"):
        cur.execute(getattr(SQL, f"list_{kind}"))
        found[kind] = [row._asdict() for row in cur.fetchall()]
    return found


def durability_off(cur: Cursor) -> dict[str, str]:
    """The server's settings on which durability rests that are not as they must be, with their values."""
    cur.execute(SQL.server_facts)
    server = cur.fetchone()._asdict()
    return {name: server[name] for name, good in DURABLE.items() if server[name] not in good}


def clock_skew(cur: Cursor, now: datetime) -> float:
    """Seconds by which `now` is ahead of the server's clock."""
    cur.execute(SQL.server_time)
    return float((now - cur.fetchone().now).total_seconds())


def describe(report: dict[str, Any]) -> list[str]:
    """The report as lines for a person."""
    server = report["server"]
    lines = [f"PostgreSQL {server['version']}, TimescaleDB {server['timescaledb'] or 'not loaded'}"]
    for kind in ("tables", "views"):
        for name, columns in report[kind].items():
            lines.append(f"{kind[:-1]} {name}")
            lines.extend(f"    {column:32} {text}" for column, text in columns.items())
    lines.extend(f"function {row['name']}({row['arguments']})" for row in report["functions"])
    lines.extend(f"index {row['name']} on {row['relation']}" for row in report["indexes"])
    lines.append(
        f"{len(report['tables'])} tables, {len(report['views'])} views, {len(report['functions'])} functions, "
        f"{len(report['indexes'])} indexes, {len(report['problems'])} problems"
    )
    return lines + [f"PROBLEM: {problem}" for problem in report["problems"]]


def _durability_problems(server: dict[str, Any]) -> list[str]:
    return [
        f"{name} is {server[name]}: stored alerts would not survive a crash"
        for name, good in DURABLE.items()
        if server[name] not in good
    ]


def _server_problems(server: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    is_old = server["version_number"] < OLDEST_VERSION
    problems = [f"PostgreSQL {server['version']} is older than 14"] if is_old else []
    if server["encoding"] != "UTF8":
        problems.append(f"the encoding is {server['encoding']}, not UTF8: alerts with other letters are not understood")
    return problems + [
        f"index {row['name']} is invalid; REINDEX it" for row in schema["indexes"] if not row["indisvalid"]
    ]


def _migration_problems(cur: Cursor) -> list[str]:
    cur.execute(SQL.has_versions)
    if not cur.fetchone()[0]:
        return ["never migrated; run `flask db upgrade`"]
    cur.execute(SQL.get_version)
    row = cur.fetchone()
    is_current = row is not None and row[0] == migrate.head_revision()
    return [] if is_current else ["migrations are missing; run `flask db upgrade`"]


def _type_of(row: Any) -> str:
    text = str(row.data_type)
    if row.character_maximum_length:
        text += f"({row.character_maximum_length})"
    elif row.data_type == "numeric" and row.numeric_precision:
        text += f"({row.numeric_precision},{row.numeric_scale})"
    text += "" if row.is_nullable == "YES" else " NOT NULL"
    return text + (f" DEFAULT {row.column_default}" if row.column_default else "")
