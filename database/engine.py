"""The way to PostgreSQL: a pool for requests and jobs, direct connections for what holds session state.

A `Database` connects when it is first used, so the service starts while the server is away. Transactions hand out a
plain psycopg2 cursor whose rows are named tuples; nothing outside `database/` sees SQLAlchemy.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Event
from typing import TYPE_CHECKING, Any, cast

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import psycopg2.extras
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from core.errors import DatabaseUnavailableError
from database.prepared import FEW_ROWS, PreparingConnection, PreparingCursor
from database.queries import queries

if TYPE_CHECKING:

    class Cursor(psycopg2.extensions.cursor):
        """A cursor whose rows are named tuples of the query's columns."""

        def fetchone(self) -> Any: ...
        def fetchall(self) -> list[Any]: ...
        def __next__(self) -> Any: ...

    class Connection(psycopg2.extensions.connection):
        """A connection that hands out such cursors."""

        def cursor(self, *args: Any, **options: Any) -> Cursor: ...  # type: ignore[override]

else:
    Connection = psycopg2.extensions.connection
    Cursor = psycopg2.extras.NamedTupleCursor

CONNECT_TIMEOUT_SECONDS = 3
STATEMENT_TIMEOUT_MS = 15_000
PAGE_TIMEOUT_MS = 5_000
LOCK_TIMEOUT_MS = 5_000
IDLE_IN_TRANSACTION_TIMEOUT_MS = 30_000
POOL_WAIT_SECONDS = 2.0
POOL_RECYCLE_SECONDS = 1_800

GONE = (psycopg2.OperationalError, psycopg2.InterfaceError)
GIVEN_UP = (psycopg2.errors.QueryCanceled, psycopg2.errors.LockNotAvailable)
"""The statement took, or waited for, longer than it may; the connection is sound."""
DATABASE_ERRORS = (DatabaseUnavailableError, psycopg2.Error)
"""All that asking the database may end in, for those who go on without an answer."""

_limit_ms = ContextVar("statement_limit_ms", default=STATEMENT_TIMEOUT_MS)

psycopg2.extras.register_uuid()  # type: ignore[no-untyped-call]


def process_name() -> str:
    """What this process goes by wherever processes are told apart: host and number."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Database:
    """One PostgreSQL database as the service sees it.

    `url` may change while the process lives (the embedded server can come back on another port), so it is asked for
    by a function each time a connection is made.
    """

    def __init__(
        self, url: Callable[[], str] | str, *, direct_url: str | None = None, pool_size: int = 12, role: str = "app"
    ) -> None:
        self._url = url if callable(url) else lambda: url
        self._direct_url = direct_url
        self._cut = Event()
        self._engine: Engine = create_engine(
            "postgresql+psycopg2://",
            creator=lambda: open_connection(self._reach(self._url()), application_name=self._name(role)),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_WAIT_SECONDS,
            pool_recycle=POOL_RECYCLE_SECONDS,
            pool_pre_ping=True,
            pool_use_lifo=True,
        )

    @staticmethod
    def _name(role: str) -> str:
        return f"signalbook {role} {process_name()}"[:63]

    @property
    def url(self) -> str:
        """The address of the database; a secret."""
        return self._url()

    @property
    def direct_url(self) -> str:
        """The same past any pooler; a secret."""
        return self._direct_url or self._url()

    @contextmanager
    def transaction(self, *, statement_timeout_ms: int | None = None) -> Iterator[Cursor]:
        """A cursor in one transaction of a pooled connection: commit at the end, roll back on any error.

        Statements may take as long as `limit_statements` has said last, where the caller says nothing; 0 is as long as it
        takes, for what the caller does between them too.

        Raises DatabaseUnavailableError when no connection can be had or it is lost on the way.
        """
        try:
            connection = self._engine.raw_connection()
        except (*GONE, DBAPIError, PoolTimeoutError) as error:
            raise DatabaseUnavailableError from error
        try:
            with cast(Connection, connection).cursor() as cur:
                limit = _limit_ms.get() if statement_timeout_ms is None else statement_timeout_ms
                set_session(cur, is_local=True, statement_timeout_ms=limit)
                yield cur
            connection.commit()
        except GONE as error:
            connection.invalidate()
            if isinstance(error, GIVEN_UP):
                raise
            raise DatabaseUnavailableError from error
        finally:
            connection.close()

    def direct(self, role: str, **options: Any) -> Connection:
        """A connection of its own, past any pooler, for locks, LISTEN, the writer and migrations.

        The caller closes it. Raises DatabaseUnavailableError.
        """
        try:
            return connect(self._reach(self.direct_url), application_name=self._name(role), **options)
        except GONE as error:
            raise DatabaseUnavailableError from error

    def is_reachable(self) -> bool:
        """True when a query is answered now."""
        try:
            with self.transaction() as cur:
                cur.execute("SELECT 1")
        except DatabaseUnavailableError:
            return False
        return True

    def cut_off(self) -> None:
        """Rehearse an outage: end every connection of this process and make no more. Raises DatabaseUnavailableError."""
        connection = self.direct("drill")
        self._cut.set()
        try:
            with connection.cursor() as cur:
                cur.execute(queries("catalog").end_own_sessions, {"process": f"% {process_name()}"})
        finally:
            connection.close()

    def restore_contact(self) -> None:
        """The outage is over."""
        self._cut.clear()

    def _reach(self, url: str) -> str:
        if self._cut.is_set():
            raise DatabaseUnavailableError("The database is taken away by a drill.")
        return url

    def close(self) -> None:
        """Close the pool; connections in use close when they are given back."""
        self._engine.dispose()


def limit_statements(limit_ms: int) -> None:
    """From now on statements of transactions of this thread that set no limit of their own may take so long."""
    _limit_ms.set(limit_ms)


def stream_rows(cur: Cursor, query: str, values: dict[str, Any] | None = None) -> Iterator[Any]:
    """The rows of a query some at a time, however many there are; the cursor may ask for other things meanwhile.

    For use in a transaction, and once at a time in each.
    """
    with cast("Connection", cur.connection).cursor("streamed") as streamed:
        streamed.execute(query, values)
        yield from streamed


def connect(
    url: str,
    *,
    application_name: str,
    statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
    lock_timeout_ms: int = LOCK_TIMEOUT_MS,
    connect_timeout: int = CONNECT_TIMEOUT_SECONDS,
    is_preparing: bool = False,
) -> Connection:
    """A direct connection with the service's settings for its whole session; `is_preparing` keeps plans in it."""
    connection = open_connection(
        url, application_name=application_name, connect_timeout=connect_timeout, is_preparing=is_preparing
    )
    try:
        with connection.cursor() as cur:
            set_session(cur, statement_timeout_ms=statement_timeout_ms, lock_timeout_ms=lock_timeout_ms)
            if is_preparing:
                cur.execute(FEW_ROWS)
        connection.commit()
    except BaseException:
        connection.close()
        raise
    return connection


def open_connection(
    url: str,
    *,
    application_name: str,
    connect_timeout: int = CONNECT_TIMEOUT_SECONDS,
    is_preparing: bool = False,
) -> Connection:
    """A psycopg2 connection that notices a dead peer within seconds; rows are named tuples."""
    return cast(
        Connection,
        psycopg2.connect(
            make_url(url).set(drivername="postgresql").render_as_string(hide_password=False),
            application_name=application_name,
            connect_timeout=connect_timeout,
            connection_factory=PreparingConnection if is_preparing else None,
            cursor_factory=PreparingCursor if is_preparing else psycopg2.extras.NamedTupleCursor,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=10_000,
        ),
    )


def set_session(
    cur: Cursor,
    *,
    is_local: bool = False,
    statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
    lock_timeout_ms: int = LOCK_TIMEOUT_MS,
) -> None:
    """UTC and the time limits, for the session or (through a transaction pooler) for this transaction only.

    Who may take as long as it takes (0) may also think that long between two statements.
    """
    cur.execute(
        "SELECT set_config('TimeZone', 'UTC', %(local)s), set_config('statement_timeout', %(statement)s, %(local)s),"
        " set_config('lock_timeout', %(lock)s, %(local)s),"
        " set_config('idle_in_transaction_session_timeout', %(idle)s, %(local)s)",
        {
            "local": is_local,
            "statement": str(statement_timeout_ms),
            "lock": str(lock_timeout_ms),
            "idle": str(IDLE_IN_TRANSACTION_TIMEOUT_MS if statement_timeout_ms else 0),
        },
    )
