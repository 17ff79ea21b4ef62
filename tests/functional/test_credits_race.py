"""Many at once: one entry, one balance."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from lti_app import create_app
from lti_app.credits import queries
from lti_app.credits.models import CreditAccount, CreditEntry, CreditEvent, SourceKind
from lti_app.credits.services import record_event
from lti_app.extensions import db
from lti_app.organisations.models import School
from lti_app.organisations.services import school_named
from lti_app.roster.models import Person, PersonKind
from tests.conftest import settings_for

THREADS = 40
SCHOOL = "实验小学"


@pytest.fixture
def bank(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    app = create_app(settings_for(tmp_path, database_url))
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def parent(bank: Flask) -> int:
    with bank.app_context():
        school_named(SCHOOL, district="教联体")
        person = Person(kind=PersonKind.PARENT)
        db.session.add(person)
        db.session.commit()
        return person.id


def at_once(bank: Flask, work: Callable[[int], None]) -> None:
    """Run `work(0..39)` in as many threads that start together, each in its own transaction."""
    ready = threading.Barrier(THREADS)

    def one(number: int) -> None:
        with bank.app_context():
            ready.wait(timeout=30)
            work(number)
            db.session.commit()

    with ThreadPoolExecutor(THREADS) as pool:
        for result in [pool.submit(one, number) for number in range(THREADS)]:
            result.result(timeout=60)


def happen(person_id: int, source: str, quantity: int) -> None:
    record_event(
        person_id,
        kind=SourceKind.COURSE,
        source_id=source,
        quantity=quantity,
        occurred_at=datetime(2026, 3, 2, 4, tzinfo=UTC),
        school=db.session.scalars(select(School).where(School.name == SCHOOL)).one(),
    )


def test_the_same_event_forty_times_at_once_is_booked_once(bank: Flask, parent: int) -> None:
    at_once(bank, lambda _: happen(parent, "course-1", 150))
    with bank.app_context():
        counts = [
            db.session.scalar(select(func.count()).select_from(model))
            for model in (CreditAccount, CreditEvent, CreditEntry)
        ]
        assert counts == [1, 1, 1]
        assert [(row.term, row.total) for row in queries.totals(parent, _only_term())] == [(150, 150)]


def test_forty_different_events_at_once_all_count(bank: Flask, parent: int) -> None:
    at_once(bank, lambda number: happen(parent, f"course-{number}", 100))
    with bank.app_context():
        assert [row.total for row in queries.totals(parent, None)] == [THREADS * 100]
        assert [difference for page in queries.audit() for difference in page] == []


def test_forty_corrections_at_once_leave_the_last_quantity(bank: Flask, parent: int) -> None:
    at_once(bank, lambda number: happen(parent, "course-1", 100 + number))
    with bank.app_context():
        event = db.session.scalars(select(CreditEvent)).one()
        assert [row.total for row in queries.totals(parent, None)] == [event.quantity]
        assert [difference for page in queries.audit() for difference in page] == []


def _only_term() -> int:
    return db.session.scalars(select(CreditEvent.term_id)).one()
