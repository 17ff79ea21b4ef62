"""The database itself refuses to change or delete an entry, whoever connects to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from lti_app.credits.models import SourceKind
from lti_app.credits.services import record_event
from lti_app.extensions import db
from lti_app.organisations.services import school_named
from lti_app.roster.models import Person, PersonKind

COLUMNS = "id, account_id, event_id, rule_id, term_id, category, source_kind, source_id, revision, amount, booked_at"
SAME_ID = f"""INSERT OR REPLACE INTO credit_entry ({COLUMNS})
    SELECT id, account_id, event_id, rule_id, term_id, category, source_kind, 'another', revision, 1, booked_at
    FROM credit_entry"""
SAME_KEY = f"""INSERT OR REPLACE INTO credit_entry ({COLUMNS})
    SELECT id + 1000, account_id, event_id, rule_id, term_id, category, source_kind, source_id, revision, 1,
    booked_at FROM credit_entry"""


@pytest.fixture
def entry(bank: Flask) -> Iterator[Flask]:
    """A bank with one committed entry."""
    school = school_named("实验小学", district="教联体")
    person = Person(kind=PersonKind.PARENT)
    db.session.add(person)
    db.session.flush()
    record_event(
        person.id,
        kind=SourceKind.COURSE,
        source_id="course-1",
        quantity=150,
        occurred_at=datetime(2026, 3, 2, 4, tzinfo=UTC),
        school=school,
    )
    db.session.commit()
    return bank


def ledger() -> list[tuple[str, int]]:
    db.session.rollback()
    return [(row.source_id, row.amount) for row in db.session.execute(text("SELECT * FROM credit_entry"))]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE credit_entry SET amount = 9900",
        "UPDATE credit_entry SET source_id = 'another'",
        "DELETE FROM credit_entry",
    ],
)
def test_no_update_and_no_delete(entry: Flask, statement: str) -> None:
    with pytest.raises(DatabaseError, match="append-only"):
        db.session.execute(text(statement))
    assert ledger() == [("course-1", 150)]


def test_no_upsert(entry: Flask) -> None:
    with pytest.raises(DatabaseError, match="append-only"):
        db.session.execute(
            text(
                f"""INSERT INTO credit_entry ({COLUMNS})
                SELECT {COLUMNS} FROM credit_entry WHERE true
                ON CONFLICT (account_id, source_kind, source_id, revision) DO UPDATE SET amount = 1"""
            )
        )
    assert ledger() == [("course-1", 150)]


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
@pytest.mark.parametrize("table", ["credit_entry", "credit_account"])
def test_no_truncate(entry: Flask, table: str) -> None:
    with pytest.raises(DatabaseError, match="append-only"):
        db.session.execute(text(f"TRUNCATE {table} CASCADE"))
    assert ledger() == [("course-1", 150)]


@pytest.fixture
def stranger(entry: Flask) -> Iterator[sqlite3.Connection]:
    """Another program on the SQLite file, with the driver's own defaults."""
    connection = sqlite3.connect(str(db.engine.url.database))
    yield connection
    connection.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("recursive_triggers", ["OFF", "ON"])
@pytest.mark.parametrize(
    "statement",
    [SAME_ID, SAME_KEY, SAME_KEY.replace("INSERT OR REPLACE", "REPLACE"), "DELETE FROM credit_entry"],
)
def test_no_replace_from_a_connection_that_is_not_ours(
    stranger: sqlite3.Connection, recursive_triggers: str, statement: str
) -> None:
    stranger.execute(f"PRAGMA recursive_triggers={recursive_triggers}")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        stranger.execute(statement)
    stranger.rollback()
    assert ledger() == [("course-1", 150)]
