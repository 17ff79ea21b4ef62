"""An application on a migrated database of its own, an LMS, and people who launch from it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import flask_migrate
import pytest
from cryptography.fernet import Fernet
from flask import Flask
from sqlalchemy.engine import make_url

from integrations.http import PlatformHttp
from lti_app import create_app
from lti_app.config import Settings
from lti_app.extensions import db
from tests.browsing import Visitor
from tests.databases import new_database, service
from tests.fake_platform import FakePlatform

ROOT = Path(__file__).resolve().parents[1]
PACKS = ROOT / "tests" / "packs"
TEST_KEY = Fernet.generate_key().decode()


def settings_for(instance: Path, database_url: str, **changes: object) -> Settings:
    values: dict[str, object] = {
        "secret_key": "only-for-tests-only-for-tests",
        "key_encryption_key": TEST_KEY,
        "public_url": "https://tool.test",
        "instance": instance,
        "database_url": database_url,
        "redis_url": None,
        "worker": "none",
        "delivery_threads": 2,
        "broker_url": None,
        "metrics_token": None,
        "trusted_proxies": 0,
        "ca_file": None,
        "log_level": "ERROR",
        "show_design": True,
        "open_registration": None,
        "contact": None,
    }
    return Settings(**{**values, **changes})  # type: ignore[arg-type]


def prepare(folder: Path, url: str) -> None:
    """Migrate the database at `url`, register FakePlatform() and import the test courses."""
    app = create_app(settings_for(folder, url))
    with app.app_context():
        flask_migrate.upgrade(directory=str(ROOT / "migrations"))
    school = ("--school", "晨光实验学校", "--district", "渝中区")
    run(app, "platforms", "add", *FakePlatform().add_arguments, *school)
    run(app, "courses", "import", str(PACKS))
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared SQLite file to copy."""
    folder = tmp_path_factory.mktemp("template")
    path = folder / "template.sqlite3"
    prepare(folder, f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A prepared PostgreSQL database to clone, one for each test process."""
    with new_database(service("PostgreSQL", "TEST_POSTGRES_URL")) as url:
        prepare(tmp_path_factory.mktemp("template-pg"), url)
        yield url


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    path = tmp_path / "gongyu.sqlite3"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres_template: str) -> Iterator[str]:
    template = make_url(postgres_template).database
    with new_database(service("PostgreSQL", "TEST_POSTGRES_URL"), template=template) as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """A prepared database; tests that use it run on SQLite and on PostgreSQL."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def platform() -> FakePlatform:
    return FakePlatform()


@pytest.fixture
def app(database_url: str, tmp_path: Path, platform: FakePlatform) -> Iterator[Flask]:
    """The application on a prepared database; `platform` is its network."""
    yield from running(database_url, tmp_path, platform)


@pytest.fixture
def lite_app(sqlite_url: str, tmp_path: Path, platform: FakePlatform) -> Iterator[Flask]:
    """The same on SQLite only, for what does not depend on the database."""
    yield from running(sqlite_url, tmp_path, platform)


def running(database_url: str, folder: Path, platform: FakePlatform) -> Iterator[Flask]:
    app = create_app(settings_for(folder, database_url), http=PlatformHttp(adapter=platform))
    app.testing = True
    yield app
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def run(app: Flask, *arguments: str, exit_code: int = 0) -> str:
    """Run a `flask` command as an operator would and return what it printed."""
    result = app.test_cli_runner().invoke(args=list(arguments))
    assert result.exit_code == exit_code, f"{result.output}\n{result.exception!r}"
    return result.output


@pytest.fixture
def visit(app: Flask, platform: FakePlatform) -> Visitor:
    """`visit("parent", "course-slug")` launches and returns the first page."""
    return Visitor(app, platform)
