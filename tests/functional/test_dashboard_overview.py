"""The classes of a school or a district, for whoever was granted the right to see them."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import select

from lti_app.extensions import db
from lti_app.organisations.models import School
from lti_app.registrations.models import Deployment, Registration
from lti_app.roster.models import Context, LtiUser
from tests.browsing import Page, QueryCount, Visitor
from tests.conftest import run
from tests.fake_platform import FakePlatform
from tests.functional.courses_steps import came, finish


@pytest.fixture
def lite_visit(lite_app: Flask, platform: FakePlatform) -> Visitor:
    """Launches on SQLite alone, for what does not depend on the database."""
    return Visitor(lite_app, platform)


def granted(app: Flask, visit: Visitor, *rights: str, user: str = "teacher") -> Page:
    """Launch, be granted the rights by the operator, and open the overview."""
    page = visit(user)
    with app.app_context():
        login = db.session.scalars(select(LtiUser).where(LtiUser.sub == visit.platform.users[user].sub)).one()
    for right in rights:
        run(app, "people", "grant", str(login.id), right)
    return page.get("/overview")


@pytest.mark.parametrize("user", ["teacher", "parent", "admin", "test-student", "anonymous"])
def test_without_a_right_nobody_sees_it(lite_visit: Visitor, user: str) -> None:
    page = came(lite_visit, user).get("/overview")
    assert page.status == 403
    assert "权限由系统管理员授予" in page.text


@pytest.mark.parametrize("right", ["author", "reviewer"])
def test_other_rights_do_not_open_it(lite_app: Flask, lite_visit: Visitor, right: str) -> None:
    assert granted(lite_app, lite_visit, right).status == 403


def test_a_class_in_numbers(app: Flask, visit: Visitor) -> None:
    finish(came(visit, "parent"))
    came(visit, "father")
    finish(visit("observer"))
    page = granted(app, visit, "school_admin")
    assert page.status == 200
    assert "学校概览 晨光实验学校" in page.text
    assert "本学期已得 1 个学分" in page.text
    assert "class-1 家长班 3 2 1 1" in page.text, "members, finished, credits, unsent scores"
    run(app, "gradebook", "deliver", "--once")
    assert "class-1 家长班 3 2 1 0" in page.get("/overview").text


def test_a_parent_of_two_classes_counts_once_in_the_sum(app: Flask, visit: Visitor) -> None:
    finish(came(visit, "parent", "demo/class-1"))
    came(visit, "parent", "demo/class-2")
    text = granted(app, visit, "school_admin").text
    assert "本学期已得 0.5 个学分 班级数 2 成员 1 人 学完课程 1 人次" in text
    assert "class-1 家长班 1 1 0.5 1" in text
    assert "class-2 家长班 1 1 0.5 1" in text


def schools(app: Flask, classes: int) -> None:
    """Another school of the district and one of another district, each with its LMS and classes."""
    for host, school, district in (
        ("second.test", "滨江小学", "渝中区"),
        ("third.test", "远方小学", "别的区"),
    ):
        arguments = FakePlatform(host).add_arguments
        run(app, "platforms", "add", *arguments, "--school", school, "--district", district)
    with app.app_context():
        rows = db.session.execute(
            select(School, Registration, Deployment)
            .join(Registration, Registration.school_id == School.id)
            .join(Deployment, Deployment.registration_id == Registration.id)
            .where(School.name != "晨光实验学校")
        )
        db.session.add_all(
            Context(
                registration_id=registration.id,
                deployment_pk=deployment.id,
                school_id=school.id,
                context_id=f"{number}",
                title=f"{school.name} {number:03} 班",
            )
            for school, registration, deployment in rows
            for number in range(classes)
        )
        db.session.commit()


@pytest.mark.parametrize(("right", "sees"), [("school_admin", False), ("district", True)])
def test_a_district_sees_all_its_schools_and_no_other(
    app: Flask, visit: Visitor, right: str, sees: bool
) -> None:
    schools(app, 1)
    page = granted(app, visit, right)
    assert "class-1 家长班" in page.text
    assert ("滨江小学 000 班" in page.text) is sees
    assert "远方小学" not in page.text
    assert ("全区概览 渝中区" in page.text) is sees


def test_many_classes_are_paged_and_cost_no_more_statements(app: Flask, visit: Visitor) -> None:
    page = granted(app, visit, "school_admin", "district")
    with QueryCount(app) as few:
        page.get("/overview")
    schools(app, 60)
    with QueryCount(app) as many:
        first = page.get("/overview")
    assert len(many) == len(few) <= 16
    assert "班级数 61" in first.text
    assert "第 1 页，共 2 页" in first.text
    assert "滨江小学 059 班" in page.get("/overview?page=2").text


def test_the_right_ends_when_it_is_taken(app: Flask, visit: Visitor) -> None:
    page = granted(app, visit, "district")
    assert "看所有班级" in page.get("/class").text
    with app.app_context():
        login = db.session.scalars(select(LtiUser.id)).one()
    run(app, "people", "revoke", str(login), "district")
    assert page.get("/overview").status == 403
    assert "看所有班级" not in page.get("/class").text
