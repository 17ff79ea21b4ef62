"""What an operator types about the bank."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select, update

from lti_app import create_app
from lti_app.credits.models import CreditBalance, SourceKind
from lti_app.credits.services import record_event
from lti_app.extensions import db
from lti_app.organisations.services import school_named
from lti_app.roster.models import Person, PersonKind
from tests.conftest import run, settings_for


@pytest.fixture
def bank(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    """A bank of one parent with one credit."""
    app = create_app(settings_for(tmp_path, database_url))
    with app.app_context():
        school = school_named("实验小学", district="渝中区")
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
    yield app
    with app.app_context():
        db.engine.dispose()


def tamper(app: Flask) -> int:
    with app.app_context():
        account_id = db.session.scalars(select(CreditBalance.account_id)).one()
        db.session.execute(update(CreditBalance).values(amount=99900))
        db.session.commit()
    return account_id


def test_a_sound_bank_passes_the_audit(bank: Flask) -> None:
    assert "Every balance is the sum of its entries." in run(bank, "credits", "audit")
    assert json.loads(run(bank, "credits", "audit", "--json")) == []


def test_the_audit_finds_a_tampered_balance_and_rebuild_repairs_it(bank: Flask) -> None:
    account_id = tamper(bank)
    table = run(bank, "credits", "audit", exit_code=1)
    assert table.splitlines()[1].split()[-2:] == ["999.00", "1.50"]
    (found,) = json.loads(run(bank, "credits", "audit", "--json", exit_code=1))
    assert (found["account_id"], found["kept"], found["entries"]) == (account_id, 99900, 150)
    assert "1 account(s) rebuilt." in run(bank, "credits", "rebuild")
    run(bank, "credits", "audit")
    assert "0 account(s) rebuilt." in run(bank, "credits", "rebuild")


def listed(app: Flask) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(run(app, "credits", "rules", "list", "--json"))
    return found


def test_the_shipped_rule_is_ended_and_followed_by_another(bank: Flask) -> None:
    (shipped,) = listed(bank)
    assert (shipped["rate"], shipped["district"], shipped["valid_until"]) == (100, None, None)
    new = (
        "credits",
        "rules",
        "add",
        "--kind",
        "course",
        "--rate",
        "0.5",
        "--cap-week",
        "2",
        "--from",
        "2026-09-01",
    )
    assert "end it first" in run(bank, *new, exit_code=1)
    assert "ends on 2026-08-31" in run(
        bank, "credits", "rules", "end", str(shipped["id"]), "--on", "2026-08-31"
    )
    assert "valid from 2026-09-01" in run(bank, *new)
    assert [(rule["rate"], rule["cap_week"], rule["valid_until"]) for rule in listed(bank)] == [
        (50, 200, None),
        (100, None, "2026-08-31"),
    ]
    table = run(bank, "credits", "rules", "list")
    assert "0.50" in table
    assert "2026-08-31" in table


def test_a_district_has_rules_of_its_own_beside_the_default(bank: Flask) -> None:
    arguments = "--kind course --rate 2 --from 2026-02-01 --until 2026-08-31 --district 渝中区"
    run(bank, "credits", "rules", "add", *arguments.split())
    assert {(rule["district"], rule["rate"]) for rule in listed(bank)} == {(None, 100), ("渝中区", 200)}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (
            "add --kind course --rate 1 --from 2026-09-01 --until 2026-08-01 --district 渝中区",
            "before the first day",
        ),
        ("add --kind course --rate 1 --from 2026-09-01 --district 无此区", "no district called"),
        ("end 999 --on 2026-09-01", "no rule 999"),
        ("end 1 --on 1999-01-01", "begins only on 2000-01-01"),
    ],
)
def test_a_wrong_rule_is_refused_with_the_reason(bank: Flask, arguments: str, why: str) -> None:
    assert why in run(bank, "credits", "rules", *arguments.split(), exit_code=1)
    assert len(listed(bank)) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "arguments",
    [
        "add --kind course --rate -1 --from 2026-09-01",
        "add --kind course --rate 0.005 --from 2026-09-01",
        "add --kind course --rate NaN --from 2026-09-01",
        "add --kind course --rate much --from 2026-09-01",
        "add --kind course --rate 1 --from 01.09.2026",
        "add --kind sleeping --rate 1 --from 2026-09-01",
    ],
)
def test_a_mistyped_rule_never_reaches_the_bank(bank: Flask, arguments: str) -> None:
    run(bank, "credits", "rules", *arguments.split(), exit_code=2)


def test_a_rule_ends_once(bank: Flask) -> None:
    run(bank, "credits", "rules", "end", "1", "--on", "2026-08-31")
    assert "already ends on 2026-08-31" in run(
        bank, "credits", "rules", "end", "1", "--on", "2026-12-31", exit_code=1
    )
