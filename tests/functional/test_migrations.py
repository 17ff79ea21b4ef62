"""The schema: the same migrations on both databases, forwards, and with every trigger in place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import flask_migrate
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import text

from lti_app import create_app
from lti_app.extensions import db
from migrations.guard import refuse_lost_triggers, trigger_names
from migrations.names import include_name
from tests.conftest import ROOT, settings_for
from tests.databases import new_database, service

MIGRATIONS = str(ROOT / "migrations")
TRIGGERS = {
    "sqlite": {"credit_entry_no_update", "credit_entry_no_delete", "credit_entry_no_replace"},
    "postgresql": {"credit_entry_no_change", "credit_entry_no_truncate"},
}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty_app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    if request.param == "sqlite":
        yield create_app(settings_for(tmp_path, f"sqlite:///{tmp_path / 'empty.sqlite3'}"))
        return
    with new_database(service("PostgreSQL", "TEST_POSTGRES_URL")) as url:
        app = create_app(settings_for(tmp_path, url))
        yield app
        with app.app_context():
            db.engine.dispose()


def revisions() -> list[str]:
    """All revisions, oldest first; fails where the history forks."""
    script = ScriptDirectory(MIGRATIONS)
    return [revision.revision for revision in reversed(list(script.walk_revisions()))]


def test_history_is_linear_and_named_by_time() -> None:
    script = ScriptDirectory(MIGRATIONS)
    assert len(script.get_heads()) == 1
    for revision in script.walk_revisions():
        assert Path(revision.path).name[:14].replace("_", "").isdigit()


def test_each_revision_leaves_every_trigger(empty_app: Flask) -> None:
    with empty_app.app_context():
        for revision in revisions():
            flask_migrate.upgrade(directory=MIGRATIONS, revision=revision)
            with db.engine.connect() as connection:
                assert trigger_names(connection) >= TRIGGERS[db.engine.dialect.name]


def test_the_migrated_schema_is_the_one_the_models_describe(empty_app: Flask) -> None:
    with empty_app.app_context():
        flask_migrate.upgrade(directory=MIGRATIONS)
        with db.engine.connect() as connection:
            how = {"compare_type": True, "include_name": include_name}
            context = MigrationContext.configure(connection, opts=how)
            assert compare_metadata(context, db.metadata) == []


def test_migrating_twice_changes_nothing(empty_app: Flask) -> None:
    with empty_app.app_context():
        flask_migrate.upgrade(directory=MIGRATIONS)
        flask_migrate.upgrade(directory=MIGRATIONS)
        with db.engine.connect() as connection:
            assert connection.scalar(text("SELECT count(*) FROM credit_rule")) == 1


def test_sqlite_is_set_up_for_safety_and_several_writers(tmp_path: Path) -> None:
    app = create_app(settings_for(tmp_path, f"sqlite:///{tmp_path / 'x.sqlite3'}"))
    with app.app_context(), db.engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in (
                "journal_mode",
                "foreign_keys",
                "recursive_triggers",
                "secure_delete",
                "busy_timeout",
            )
        }
    assert pragmas == {
        "journal_mode": "wal",
        "foreign_keys": 1,
        "recursive_triggers": 1,
        "secure_delete": 1,
        "busy_timeout": 10000,
    }


def test_a_migration_that_loses_a_trigger_is_stopped() -> None:
    refuse_lost_triggers({"a"}, {"a", "b"})
    with pytest.raises(RuntimeError, match="credit_entry_no_update"):
        refuse_lost_triggers({"credit_entry_no_update", "other"}, {"other"})
