"""One parent, two LMS accounts: linked by a code, with one account of credits from then on."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from lti_app.clock import utc_now
from lti_app.extensions import db
from lti_app.families.codes import new_code
from lti_app.families.models import CodeAttempts, LinkCode
from lti_app.gradebook.models import Score
from lti_app.roster.models import LtiUser, PersonLink
from tests.browsing import Page, Visitor
from tests.fake_platform import FakePlatform
from tests.functional.courses_steps import count, finish
from tests.functional.families_steps import other_platform, parent, pupils_come, slips, typed

CODE = re.compile(r'slip-code">([0-9A-Z-]{14})<')


@pytest.fixture
def lite_visit(lite_app: Flask, platform: FakePlatform) -> Visitor:
    return Visitor(lite_app, platform)


def offered(page: Page) -> str:
    found = CODE.search(page.post("/account/code").html)
    assert found is not None
    return found[1]


def linked(page: Page, code: str, *, sure: bool = True) -> Page:
    return page.post("/account/link", {"code": code, **({"sure": "1"} if sure else {})})


def persons(app: Flask, *subs: str) -> list[int]:
    """Whose logins these are."""
    with app.app_context():
        query = select(PersonLink.person_id).join(LtiUser, LtiUser.id == PersonLink.lti_user_pk)
        return [db.session.scalars(query.where(LtiUser.sub == sub)).one() for sub in subs]


def test_two_accounts_become_one_person(app: Flask, visit: Visitor) -> None:
    finish(parent(visit))
    other = parent(other_platform(app), "father")
    asked = linked(other, offered(parent(visit)), sure=False)
    assert "连接到晨光实验学校的 陈**？" in asked.text
    assert "陈妈妈" not in asked.html, "no more than its owner is sure to recognise"
    assert len(set(persons(app, "u-parent", "u-father"))) == 2, "nothing happened yet"
    code = re.search(r'name="code" value="([^"]+)"', asked.html)
    assert code is not None
    done = linked(other, code[1])
    assert "已连接" in done.text
    assert "育才中学" in done.text
    assert "晨光实验学校" in done.text
    assert len(set(persons(app, "u-parent", "u-father"))) == 1
    assert "100%" in other.get("/").html, "the course is known at once"
    assert "0.5 个学分" in other.get("/credits").text


def test_the_grade_appears_where_the_other_account_opened_the_course(app: Flask, visit: Visitor) -> None:
    finish(parent(visit))
    other = parent(other_platform(app), "father")
    assert count(app, Score) == 1
    linked(other, offered(parent(visit)))
    with app.app_context():
        scores = db.session.execute(select(LtiUser.sub, Score.given).join(LtiUser)).all()
    assert dict(scores) == {"u-parent": 10_000, "u-father": 10_000}


def test_open_pages_of_the_joined_account_go_on_as_the_same_person(app: Flask, visit: Visitor) -> None:
    visitor = other_platform(app)
    open_tab, other = parent(visitor, "father"), parent(visitor, "father")
    linked(other, offered(parent(visit)))
    finish(open_tab)
    assert "100%" in parent(visit).html


def test_children_come_along(app: Flask, visit: Visitor) -> None:
    visitor = other_platform(app)
    code = slips(pupils_come(visitor, "pupil"))["陈小雨"]
    other = parent(visitor, "father")
    typed(other, code)
    linked(other, offered(parent(visit)))
    assert "陈小雨" in parent(visit).get("/children").text
    assert "陈小雨" in other.get("/children").text


def test_an_account_with_records_is_not_joined(app: Flask, visit: Visitor) -> None:
    other = parent(other_platform(app), "father")
    other.post("/lessons/read/read")
    code = offered(parent(visit))
    for sure in (False, True):
        answer = linked(other, code, sure=sure)
        assert answer.status == 409
        assert "请反过来做" in answer.text
    back = offered(other)
    assert "已连接" in linked(parent(visit), back).text, "the other way round"


def test_a_code_serves_once(app: Flask, visit: Visitor) -> None:
    code = offered(parent(visit))
    first, second = other_platform(app), other_platform(app, "third.test", school="巴蜀小学")
    assert "已连接" in linked(parent(first, "father"), code).text
    assert linked(parent(second, "father"), code).status == 422


def test_two_who_use_a_code_at_once_are_not_both_joined(app: Flask, visit: Visitor) -> None:
    code = offered(parent(visit))
    visitor = other_platform(app)
    pages = [parent(visitor, user) for user in ("parent", "father", "nameless")]
    with ThreadPoolExecutor(3) as pool:
        statuses = sorted(pool.map(lambda page: linked(page, code).status, pages))
    assert statuses == [200, 422, 422]
    assert count(app, LinkCode) == 0


def test_a_code_ends_after_ten_minutes_and_with_the_next(lite_app: Flask, lite_visit: Visitor) -> None:
    other = parent(other_platform(lite_app), "father")
    page = parent(lite_visit)
    first, second = offered(page), offered(page)
    assert linked(other, first).status == 422
    with time_machine.travel(utc_now() + timedelta(minutes=10, seconds=1)):
        assert linked(other, second).status == 422
    assert "已连接" in linked(other, second).text


def test_codes_for_children_and_for_accounts_are_not_the_same_thing(
    lite_app: Flask, lite_visit: Visitor
) -> None:
    claim = slips(pupils_come(lite_visit, "pupil"))["陈小雨"]
    page = parent(lite_visit)
    assert linked(parent(lite_visit, "father"), claim).status == 422
    assert typed(parent(lite_visit, "father"), offered(page)).status == 422


def test_the_same_account_is_not_linked_to_itself(lite_app: Flask, lite_visit: Visitor) -> None:
    page = parent(lite_visit)
    answer = linked(page, offered(page))
    assert answer.status == 409
    assert "已经属于同一个人" in answer.text


def test_an_account_that_has_others_is_not_taken_from_them(lite_app: Flask, lite_visit: Visitor) -> None:
    visitor = other_platform(lite_app)
    linked(parent(visitor, "father"), offered(parent(lite_visit)))
    answer = linked(parent(lite_visit), offered(parent(lite_visit, "nameless")))
    assert answer.status == 409
    assert "已经和别的账号连接在一起" in answer.text


def test_guessing_link_codes_is_limited_too(lite_app: Flask, lite_visit: Visitor) -> None:
    other = parent(other_platform(lite_app), "father")
    code = offered(parent(lite_visit))
    assert [linked(other, new_code(), sure=n % 2 == 0).status for n in range(10)] == [422] * 10
    assert linked(other, code).status == 429
    assert count(lite_app, CodeAttempts) == 2
    mistyped = linked(parent(lite_visit), code[:-1] + ("A" if code[-1] != "A" else "B"))
    assert "有一位抄错了" in mistyped.text


def test_the_family_goes_on_knowing_who_is_who(app: Flask, visit: Visitor) -> None:
    visitor = other_platform(app)
    visitor("teacher").post("/class/audience", {"audience": "families"})
    other = visitor("pupil").post("/who", {"kind": "parent", "label": "妈妈"})
    linked(other, offered(parent(visit)))
    assert "妈妈" in visitor("pupil").text
