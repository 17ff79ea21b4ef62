"""The teacher's page of a class: settings, and who has which score and why."""

from __future__ import annotations

import re

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from integrations.terms import CourseRole
from lti_app.extensions import db
from lti_app.gradebook.models import Score
from lti_app.roster.models import Audience, Context, LtiUser, Membership
from tests.browsing import Page, QueryCount, Visitor
from tests.conftest import run
from tests.fake_platform import FakePlatform
from tests.functional.courses_steps import WRONG, came, count, finish, hand_in, only


@pytest.fixture
def lite_visit(lite_app: Flask, platform: FakePlatform) -> Visitor:
    """Launches on SQLite alone, for what does not depend on the database."""
    return Visitor(lite_app, platform)


def class_page(visit: Visitor, link: str = "demo") -> Page:
    page = visit("teacher", link).get("/class")
    assert page.status == 200
    return page


def row_of(page: Page, name: str) -> str:
    """The words of one person's row."""
    for row in re.findall(r'<tr role="row">\s*<th role="rowheader".*?</tr>', page.html, re.DOTALL):
        text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row)).strip()
        if text.startswith(name):
            return text
    raise AssertionError(f"{name} is not in the list")


@pytest.mark.parametrize("user", ["parent", "observer", "pupil", "test-student", "anonymous", "nameless"])
@pytest.mark.parametrize("path", ["/class", "/class/audience", "/class/counts"])
def test_only_teachers_open_the_page_and_its_settings(
    lite_app: Flask, lite_visit: Visitor, user: str, path: str
) -> None:
    page = came(lite_visit, user)
    answer = (
        page.get(path) if path == "/class" else page.post(path, {"audience": "pupils", "counts": "progress"})
    )
    assert answer.status == 403
    with lite_app.app_context():
        assert db.session.scalars(select(Context).where(Context.audience.is_not(None))).all() == []


@pytest.mark.parametrize("user", ["teacher", "assistant"])
def test_a_class_that_nobody_opened_says_what_will_happen(visit: Visitor, user: str) -> None:
    page = visit(user).get("/class")
    assert "class-1 家长班" in page.text
    assert "测试课程：好好说话" in page.text
    assert "还没有人打开过" in page.text
    assert "先说明班级成员是谁" in page.text


@pytest.mark.parametrize("audience", list(Audience))
def test_the_audience_is_saved_and_holds_from_the_next_launch_on(
    app: Flask, visit: Visitor, audience: Audience
) -> None:
    teacher = class_page(visit)
    saved = teacher.post("/class/audience", {"audience": audience})
    assert "已保存班级成员的设置" in saved.text
    assert "先说明班级成员是谁" not in saved.text
    assert only(app, Context).audience is audience
    asked = 'name="kind"' in visit("parent").html
    assert asked is (audience is Audience.FAMILIES)
    cleared = teacher.post("/class/audience", {"audience": ""})
    assert "先说明班级成员是谁" in cleared.text
    assert only(app, Context).audience is None


@pytest.mark.parametrize("path", ["audience", "counts"])
@pytest.mark.parametrize("value", ["everybody", None])
def test_a_wrong_choice_changes_nothing_and_says_so(
    lite_app: Flask, lite_visit: Visitor, path: str, value: str | None
) -> None:
    teacher = class_page(lite_visit)
    answer = teacher.post(f"/class/{path}", {} if value is None else {path: value})
    assert answer.status == 422
    assert "请从下面选一项再保存" in answer.text
    assert only(lite_app, Context).audience is None


@time_machine.travel("2026-03-01T17:30:00+00:00")
def test_each_state_has_its_word_and_its_reason(app: Flask, visit: Visitor, platform: FakePlatform) -> None:
    teacher = class_page(visit)
    parent = came(visit, "parent")
    assert "还没有开始学，不写成绩。" in row_of(teacher.get("/class"), "陈妈妈 家长")
    parent.post("/lessons/read/read")
    assert "50%" in row_of(teacher.get("/class"), "陈妈妈")
    assert "学习中 学完后写入一次成绩。" in row_of(teacher.get("/class"), "陈妈妈")
    finish(parent)
    assert "等待发送" in row_of(teacher.get("/class"), "陈妈妈")
    assert "100%" in row_of(teacher.get("/class"), "陈妈妈")
    run(app, "gradebook", "deliver", "--once")
    assert "已写入" in row_of(teacher.get("/class"), "陈妈妈")
    assert "最近写入：2026/3/2 01:30" in row_of(teacher.get("/class"), "陈妈妈"), "the school's clock"
    assert [score["scoreGiven"] for score in platform.scores] == [100]


def test_a_refused_score_says_why_and_can_be_tried_again(
    app: Flask, visit: Visitor, platform: FakePlatform
) -> None:
    teacher = class_page(visit)
    finish(came(visit, "father"))
    run(app, "gradebook", "deliver", "--once")
    finish(came(visit, "parent"))
    platform.faults.append(lambda _: (404, {"error": "no such column"}))
    run(app, "gradebook", "deliver", "--once")
    held = teacher.get("/class?show=held")
    assert "找不到这一栏" in row_of(held, "陈妈妈")
    assert "再点“再试一次”" in row_of(held, "陈妈妈")
    assert "需要处理 1 个" in held.text
    action = re.search(r'action="[^"]*(/scores/\d+/retry)"', held.html)
    assert action is not None
    again = held.post(action[1])
    assert "等待发送" in row_of(again, "陈妈妈")
    run(app, "gradebook", "deliver", "--once")
    assert "已写入" in row_of(teacher.get("/class?show=settled"), "陈妈妈")


def test_an_observer_has_no_cell_and_the_page_says_so(visit: Visitor) -> None:
    teacher = class_page(visit)
    finish(visit("observer"))
    row = row_of(teacher.get("/class"), "赵奶奶 观察家长")
    assert "100%" in row
    assert "学校平台不给观察者记成绩，学分照记。" in row


def test_without_a_column_the_page_says_what_to_do(visit: Visitor, platform: FakePlatform) -> None:
    platform.ungraded.add("demo")
    teacher = class_page(visit)
    finish(came(visit, "parent"))
    row = row_of(teacher.get("/class"), "陈妈妈")
    assert "没有成绩列" in row
    assert "打开评分" in row


def test_changing_what_the_column_counts_brings_the_scores_up_to_date(app: Flask, visit: Visitor) -> None:
    teacher = class_page(visit)
    came(visit, "parent").post("/lessons/read/read")
    assert count(app, Score) == 0
    saved = teacher.post("/class/counts", {"counts": "progress"})
    assert "已保存成绩册的设置" in saved.text
    assert "成绩册里写什么：边学边写进度" in saved.text
    assert only(app, Score).given == 5000
    father = came(visit, "father")
    finish(father)
    hand_in(father, WRONG)
    teacher.post("/class/counts", {"counts": "result"})
    with app.app_context():
        assert {score.given for score in db.session.scalars(select(Score))} == {5000, 10000}


def test_a_person_who_learnt_through_another_link_of_the_class(visit: Visitor) -> None:
    teacher = class_page(visit)
    came(visit, "parent", "second")
    other = came(visit, "parent", "demo/class-2")
    finish(other)
    row = row_of(teacher.get("/class"), "陈妈妈")
    assert "已在别处学过" in row
    assert "打开一次这个活动" in row


def test_another_class_is_not_seen(visit: Visitor) -> None:
    came(visit, "father", "demo/class-2")
    came(visit, "parent", "demo/class-1")
    page = class_page(visit, "demo/class-1")
    assert "陈妈妈" in page.text
    assert "刘爸爸" not in page.text


def test_who_gave_no_name_has_a_number(visit: Visitor) -> None:
    came(visit, "nameless")
    assert re.search(r"未提供姓名 #\d+", class_page(visit).text)


def test_a_family_shares_a_login_but_not_the_row(visit: Visitor) -> None:
    teacher = class_page(visit)
    teacher.post("/class/audience", {"audience": "families"})
    mother = visit("parent").post("/who", {"kind": "parent", "label": "妈妈"})
    finish(mother)
    visit("parent").post("/who", {"kind": "pupil", "label": "小雨"})
    page = teacher.get("/class")
    assert "100%" in row_of(page, "陈妈妈（妈妈） 家长")
    assert "0%" in row_of(page, "陈妈妈（小雨） 学生")
    assert "成员 2 人" in page.text
    assert "学完 1 人" in page.text
    assert "等待写入 1 个" in page.text


def test_staff_and_those_who_left_are_not_in_the_list(app: Flask, visit: Visitor) -> None:
    came(visit, "parent")
    visit("assistant")
    with app.app_context():
        db.session.execute(
            db.update(Membership).where(Membership.role == CourseRole.LEARNER).values(status="inactive")
        )
        db.session.commit()
    assert "还没有人打开过" in class_page(visit).text


def test_a_link_without_a_course_offers_the_choice(visit: Visitor) -> None:
    page = visit("teacher", "/class-1").get("/class")
    assert page.status == 200
    assert "还没有选课程" in page.text
    assert page.post("/class/counts", {"counts": "progress"}).status == 404


def fill(app: Flask, number: int) -> None:
    """Let `number` more people be learners of the only class."""
    with app.app_context():
        context = db.session.scalars(select(Context)).one()
        users = [
            LtiUser(registration_id=context.registration_id, sub=f"u-{number}-{i}", name=f"家长 {i:03}")
            for i in range(number)
        ]
        db.session.add_all(users)
        db.session.flush()
        db.session.add_all(
            Membership(context_pk=context.id, lti_user_pk=user.id, role=CourseRole.LEARNER) for user in users
        )
        db.session.commit()


def test_a_big_class_is_paged_and_costs_no_more_statements(app: Flask, visit: Visitor) -> None:
    finish(came(visit, "parent"))
    teacher = class_page(visit)
    with QueryCount(app) as few:
        teacher.get("/class")
    fill(app, 120)
    with QueryCount(app) as many:
        first = teacher.get("/class")
    assert len(many) == len(few) <= 8
    assert "成员 121 人" in first.text
    assert "第 1 页，共 3 页" in first.text
    assert row_of(teacher.get("/class?page=2"), "家长 060")
    assert teacher.get("/class?page=99").text == teacher.get("/class?page=3").text
    assert "陈妈妈" not in teacher.get("/class?show=none&page=1").text
    assert "陈妈妈" in teacher.get("/class?show=waiting").text
    assert teacher.get("/class?show=nonsense").text == first.text
