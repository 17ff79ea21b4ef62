"""A parent's page of the bank, and what everybody else reads there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from lti_app.credits.models import CreditAccount, SourceKind
from lti_app.credits.services import record_event
from lti_app.extensions import db
from lti_app.organisations.models import School
from lti_app.roster.models import Person, PersonKind
from tests.browsing import QueryCount, Visitor
from tests.fake_platform import FakePlatform
from tests.functional.courses_steps import came, count, finish

EVENING = "2026-03-01T17:30:00+00:00"  # already 2 March in Shanghai


@pytest.fixture
def lite_visit(lite_app: Flask, platform: FakePlatform) -> Visitor:
    """Launches on SQLite alone, for what does not depend on the database."""
    return Visitor(lite_app, platform)


def earn(app: Flask, *happenings: tuple[str, int, datetime]) -> None:
    """Let the only parent there is earn: (source, quantity, when)."""
    with app.app_context():
        person = db.session.scalars(select(Person).where(Person.kind == PersonKind.PARENT)).one()
        for source, quantity, moment in happenings:
            record_event(
                person.id,
                kind=SourceKind.COURSE,
                source_id=source,
                quantity=quantity,
                occurred_at=moment,
                school=db.session.scalars(select(School)).one(),
                label=f"《{source}》",
            )
        db.session.commit()


def at(month: int, day: int) -> datetime:
    return datetime(2026, month, day, 4, tzinfo=UTC)


@pytest.mark.parametrize("user", ["parent", "observer", "nameless"])
@time_machine.travel(EVENING)
def test_a_finished_course_stands_on_the_statement(visit: Visitor, user: str) -> None:
    page = came(visit, user)
    finish(page)
    statement = page.get("/credits").text
    assert "本学期 0.5 个学分 2026年2月1日 – 2026年8月31日" in statement
    assert "累计 0.5 个学分" in statement
    assert "测试课程：好好说话 2026年3月2日 余额 0.50 +0.50" in statement


def test_an_empty_statement_says_how_to_earn(visit: Visitor) -> None:
    statement = came(visit, "parent").get("/credits")
    assert statement.status == 200
    assert "本学期 0 个学分" in statement.text
    assert "学完一门课程，课程标明的学分就会自动记到这里" in statement.text
    assert "去学习课程" in statement.text


@pytest.mark.parametrize(
    ("user", "why"),
    [
        ("pupil", "学分由家长积累"),
        ("teacher", "老师没有学分账户"),
        ("assistant", "老师没有学分账户"),
        ("test-student", "这是预览"),
        ("anonymous", "没有可以记学分的身份"),
        ("admin", "没有可以记学分的身份"),
    ],
)
def test_who_does_not_earn_reads_why(lite_app: Flask, lite_visit: Visitor, user: str, why: str) -> None:
    page = came(lite_visit, user, kind="pupil").get("/credits")
    assert page.status == 200
    assert why in page.text
    assert "累计" not in page.text
    assert count(lite_app, CreditAccount) == 0


@time_machine.travel("2026-03-02T04:00:00+00:00")
def test_only_this_term_counts_for_the_big_number(app: Flask, visit: Visitor) -> None:
    page = came(visit, "parent")
    earn(app, ("autumn", 100, at(1, 31)), ("spring", 150, at(2, 1)))
    statement = page.get("/credits").text
    assert "本学期 1.5 个学分" in statement
    assert "累计 2.5 个学分" in statement
    assert "课程学习 1.50 2.50" in statement


@time_machine.travel("2026-03-09T17:00:00+00:00")
def test_corrections_are_marked_on_both_sides(app: Flask, visit: Visitor) -> None:
    page = came(visit, "parent")
    earn(app, ("gone", 100, at(3, 2)), ("less", 200, at(3, 3)), ("more", 50, at(3, 4)))
    earn(app, ("gone", 0, at(3, 2)), ("less", 150, at(3, 3)), ("more", 75, at(3, 4)))
    statement = page.get("/credits").text
    assert "《gone》 2026年3月2日 余额 1.00 已冲销 +1.00" in statement
    assert "《gone》 2026年3月10日 余额 2.50 更正：冲销 −1.00" in statement
    assert "《less》 2026年3月3日 余额 3.00 后有更正 +2.00" in statement
    assert "《less》 2026年3月10日 余额 2.00 更正：冲减 −0.50" in statement
    assert "《more》 2026年3月10日 余额 2.25 更正：补记 +0.25" in statement


def test_a_long_statement_is_paged_and_costs_no_more_statements(app: Flask, visit: Visitor) -> None:
    page = came(visit, "parent")
    earn(app, ("course-0", 100, at(3, 1)))
    with QueryCount(app) as short:
        page.get("/credits")
    earn(app, *((f"course-{number}", 100, at(3, 1) + timedelta(hours=number)) for number in range(1, 45)))
    with QueryCount(app) as long:
        first = page.get("/credits").text
    assert len(long) == len(short) <= 6
    assert "第 1 页，共 3 页" in first
    assert "《course-44》" in first
    assert "余额 45.00" in first
    last = page.get("/credits?page=3").text
    assert "《course-0》" in last
    assert "余额 1.00" in last
    assert page.get("/credits?page=999").text == last
    assert page.get("/credits?page=-1").text == page.get("/credits?page=x").text == first


def test_two_parents_have_two_statements(visit: Visitor) -> None:
    finish(came(visit, "parent"))
    assert "还没有学分" in came(visit, "father").get("/credits").text


def test_the_statement_in_english(lite_visit: Visitor) -> None:
    page = came(lite_visit, "parent")
    page.post("/language", {"locale": "en", "next": ""})
    assert 'lang="en"' in page.get("/credits").html
