"""A database that holds something in every table migrates from each released state, and keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import flask_migrate
import pytest
import sqlalchemy as sa
from flask import Flask

from lti_app import create_app
from lti_app.extensions import db
from migrations.names import include_name
from tests.conftest import ROOT, settings_for
from tests.databases import new_database, service

MIGRATIONS = str(ROOT / "migrations")
RELEASED = ["0001", "0010", "0011"]
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
# What a check of the database asks for, where any value would not do.
FITTING: dict[str, dict[str, Any]] = {
    "term": {"starts_on": date(2026, 9, 1), "ends_on": date(2027, 1, 31)},
    "credit_rule": {"district_id": 1, "valid_from": date(2026, 1, 1), "valid_until": None},
    "score": {"given": 50, "maximum": 100, "revision": 3, "sent_revision": 2, "state": "held", "due_at": None,
              "outcome": "not-gradable", "sent_given": 50},
    "line_item": {"kind": "link", "term_id": None, "target": None},
}  # fmt: skip
ALEMBIC = "alembic_version"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty_app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    if request.param == "sqlite":
        yield create_app(settings_for(tmp_path, f"sqlite:///{tmp_path / 'rows.sqlite3'}"))
        return
    with new_database(service("PostgreSQL", "TEST_POSTGRES_URL")) as url:
        app = create_app(settings_for(tmp_path, url))
        yield app
        with app.app_context():
            db.engine.dispose()


def tables() -> list[sa.Table]:
    """Today's tables of the database, each after those it refers to."""
    metadata = sa.MetaData()
    metadata.reflect(db.engine, only=lambda name, _: include_name(name, "table", {}))
    return [table for table in metadata.sorted_tables if table.name != ALEMBIC]


def fill() -> None:
    """One row in every table that has none."""
    there = tables()  # before the transaction: SQLite has one writer
    with db.engine.begin() as connection:
        for table in there:
            if connection.scalar(sa.select(sa.func.count()).select_from(table)):
                continue
            connection.execute(table.insert().values(row_for(table, connection)))


def row_for(table: sa.Table, connection: sa.Connection) -> dict[str, Any]:
    fitting = FITTING.get(table.name, {})
    row: dict[str, Any] = {}
    for column in table.columns:
        if column.name in fitting:
            row[column.name] = fitting[column.name]
        elif column.foreign_keys:
            target = next(iter(column.foreign_keys)).column
            row[column.name] = connection.scalar(sa.select(target).limit(1)) if not column.nullable else None
        elif column.nullable:
            row[column.name] = None
        else:
            row[column.name] = some_value(column)
    if table.name == "line_item":
        row["resource_link_pk"] = connection.scalar(sa.text("SELECT min(id) FROM resource_link"))
    return row


def some_value(column: sa.Column[Any]) -> Any:
    kind = column.type
    if isinstance(kind, sa.Boolean):
        return False
    if isinstance(kind, sa.Integer | sa.Numeric):
        return 1
    if isinstance(kind, sa.DateTime):
        return NOW
    if isinstance(kind, sa.Date):
        return NOW.date()
    if isinstance(kind, sa.JSON):
        return []
    if isinstance(kind, sa.LargeBinary):
        return b"x"
    return "x"[: getattr(kind, "length", None) or 1]


def counts() -> dict[str, int]:
    there = tables()
    with db.engine.connect() as connection:
        found = {t.name: connection.scalar(sa.select(sa.func.count()).select_from(t)) for t in there}
    return {name: count or 0 for name, count in found.items()}


@pytest.mark.parametrize("released", RELEASED)
def test_rows_of_every_released_state_arrive_in_todays_schema(empty_app: Flask, released: str) -> None:
    with empty_app.app_context():
        flask_migrate.upgrade(directory=MIGRATIONS, revision=released)
        fill()
        before = counts()
        assert all(before.values())

        flask_migrate.upgrade(directory=MIGRATIONS)

        after = counts()
        assert {name: after[name] for name in before} == before
        with db.engine.connect() as connection:
            column = connection.execute(sa.text("SELECT kind, context_pk, keeps FROM line_item")).one()
            context = connection.scalar(sa.text("SELECT context_pk FROM resource_link"))
            score = connection.execute(sa.text("SELECT due_at, sent_final FROM score")).one()
        assert tuple(column) == ("link", context, column.keeps)
        if released != "0011":
            assert column.keeps == "latest"
            # Given up by an older version after 14 days: tried again.
            assert score.due_at is not None
