"""Connections that prepare each statement once: parsing and planning are half the price of the writer's short ones."""

from __future__ import annotations

import re
from typing import Any

import psycopg2.extensions
import psycopg2.extras

FEW_ROWS = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET jit = off"
"""One plan for all: PostgreSQL expects a hundred rows of every JSON array, and would read a table of some thousand signals
from end to end to change one of them."""
_PLACE = re.compile(r"%\((\w+)\)s")
_BETWEEN = ";\n"


class PreparingConnection(psycopg2.extensions.connection):
    """A direct connection whose cursors prepare what they execute with named values; not for a transaction pooler."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.prepared: dict[str, str] = {}


class PreparingCursor(psycopg2.extras.NamedTupleCursor):
    """Executes queries with named values as prepared statements; their parameters take the types they are cast to."""

    def execute(self, query: Any, values: Any = None) -> None:
        """Like any cursor's; several statements in one string stand `;` and a line break apart."""
        if isinstance(values, dict):
            query = self.connection.prepared.get(query) or self._prepare(query)  # type: ignore[attr-defined]
        super().execute(query, values)  # type: ignore[no-untyped-call]

    def _prepare(self, query: str) -> str:
        known: dict[str, str] = self.connection.prepared  # type: ignore[attr-defined]
        calls = []
        for part, statement in enumerate(query.split(_BETWEEN)):
            names = list(dict.fromkeys(_PLACE.findall(statement)))
            numbered = _PLACE.sub(lambda match, names=names: f"${names.index(match[1]) + 1}", statement)  # type: ignore[misc]
            name = f"statement_{len(known)}_{part}"
            super().execute(f"PREPARE {name} AS {numbered.replace('%%', '%')}")  # type: ignore[no-untyped-call]
            calls.append(f"EXECUTE {name}" + (f" ({', '.join(f'%({one})s' for one in names)})" if names else ""))
        known[query] = _BETWEEN.join(calls)
        return known[query]
