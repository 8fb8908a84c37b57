"""Fixtures: a migrated database per test, the app on it, a logged-in client."""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI

from core.settings import Settings, load_settings
from database import migrate, users
from database.engine import Database
from tests.support_answers import hold_to_description
from tests.support_http import api_token, log_in, password_hash
from tests.support_postgres import fresh_database, postgres_server, template_database
from tests.support_templates import Compiled
from web_server import create_app

COMPILED = Compiled()


def pytest_collection_finish() -> None:
    """What has been collected stays: the collector need not walk through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Captured output may hold lone surrogates, which no worker process can send to the one that reports."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server on which databases may be created."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def migrated(postgres: str) -> Iterator[str]:
    """The name of a migrated database to copy."""

    def prepare(url: str) -> None:
        db = Database(url)
        migrate.upgrade(db)
        db.close()

    with template_database(postgres, prepare) as name:
        yield name


@pytest.fixture(scope="session")
def untouched(postgres: str, migrated: str) -> Iterator[Database]:
    """A migrated database for tests that leave it as it is."""
    with fresh_database(postgres, migrated) as url:
        database = Database(url)
        yield database
        database.close()


@pytest.fixture
def empty_database_url(postgres: str) -> Iterator[str]:
    """A database that has never been migrated."""
    with fresh_database(postgres) as url:
        yield url


@pytest.fixture
def database_url(postgres: str, migrated: str) -> Iterator[str]:
    """A migrated database of this test's own."""
    with fresh_database(postgres, migrated) as url:
        yield url


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    """The database of this test."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a service under test, on a data directory of its own."""
    return load_settings(
        {"DATA_DIR": str(tmp_path / "var"), "TESTING": "1", "METRICS_TOKEN": "metrics-token-of-the-tests"}
    )


@pytest.fixture
def app(settings: Settings, db: Database) -> Iterator[OpenAPI]:
    """The app on the test's database; an answer of its API that is not as described fails the test."""
    made = create_app(settings, db)
    made.jinja_env.bytecode_cache = COMPILED
    faults = hold_to_description(made)
    yield made
    assert faults == []


@pytest.fixture
def client(app: OpenAPI) -> FlaskClient:
    """An anonymous client."""
    return app.test_client()


@pytest.fixture
def operator(db: Database) -> str:
    """The name of an operator whose password is PASSWORD."""
    with db.transaction() as cur:
        users.add_user(cur, name="ann", password_hash=password_hash(), role="operator")
    return "ann"


@pytest.fixture
def reader(app: OpenAPI, operator: str) -> FlaskClient:
    """A browser in which the operator is logged in."""
    client = app.test_client()
    log_in(client, operator)
    return client


@pytest.fixture
def caller(app: OpenAPI, db: Database) -> FlaskClient:
    """A program that may look."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {api_token(db, 'viewer')}"
    return client
