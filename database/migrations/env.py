"""Alembic's entry: runs the revisions on the connection that `database/migrate.py` hands over.

The advisory lock is already held there; revisions are plain SQL through the raw cursor.
"""

from __future__ import annotations

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
