"""What a database holds, in a form that two databases can be compared by: rows and content of each table, the state hash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg2 import sql

from automated_signals_state import state_hash
from database import states
from database.engine import Cursor
from database.queries import queries

SQL = queries("catalog")
# A table's name cannot be a parameter, so this one query is put together here.
SUM_TABLE = sql.SQL(
    "SELECT count(*) AS total, coalesce(sum(hashtextextended(held::text, 0)::numeric), 0) AS content FROM {table} AS held"
)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """`tables`: name -> (rows, sum of the hashes of their text), whatever the order of the rows."""

    state_hash: str
    tables: dict[str, tuple[int, str]]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"state_hash": self.state_hash, "tables": {name: list(facts) for name, facts in self.tables.items()}}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Fingerprint:
        """What `as_json` gave. Raises KeyError, TypeError or ValueError for anything else."""
        tables = {name: (int(rows), str(content)) for name, (rows, content) in document["tables"].items()}
        return cls(str(document["state_hash"]), tables)

    def differences(self, other: Fingerprint) -> list[str]:
        """What is not the same in `other`, in words."""
        found = [] if self.state_hash == other.state_hash else ["the state hash"]
        for name in sorted(self.tables.keys() | other.tables.keys()):
            mine, theirs = self.tables.get(name), other.tables.get(name)
            if mine != theirs:
                found.append(f"{name} ({mine[0] if mine else 'no'} and {theirs[0] if theirs else 'no'} rows)")
        return found


def fingerprint(cur: Cursor) -> Fingerprint:
    """Everything the transaction of `cur` sees. Reads every row."""
    cur.execute(SQL.list_tables)
    tables = {}
    for row in cur.fetchall():
        cur.execute(SUM_TABLE.format(table=sql.Identifier(row.schema, row.name)))
        found = cur.fetchone()
        tables[f"{row.schema}.{row.name}"] = (int(found.total), str(found.content))
    return Fingerprint(state_hash(states.all_states(cur)) if "public.trade_states" in tables else "", tables)


def is_empty(cur: Cursor) -> bool:
    """True for a database without a table of ours."""
    cur.execute(SQL.list_tables)
    return not cur.fetchall()
