"""A parent becomes a guardian by the code on a slip, and by nothing else that can be typed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from lti_app.clock import utc_now
from lti_app.extensions import db
from lti_app.families.codes import new_code
from lti_app.families.models import ClaimCode, CodeAttempts
from tests.browsing import Page, Visitor
from tests.fake_platform import FakePlatform
from tests.functional.courses_steps import came, count, only
from tests.functional.families_steps import (
    PUPILS,
    children,
    learner,
    other_platform,
    parent,
    pk_of,
    pupils_come,
    slips,
    typed,
)

NOT_USABLE = "这个认领码不能用"


@pytest.fixture
def lite_visit(lite_app: Flask, platform: FakePlatform) -> Visitor:
    return Visitor(lite_app, platform)


def test_a_parent_claims_the_child_of_the_slip(app: Flask, visit: Visitor) -> None:
    code = slips(pupils_come(visit, "pupil"))["陈小雨"]
    page = typed(parent(visit), code.lower().replace("-", " "))
    assert "已认领：陈小雨" in page.text
    assert "依据：认领码" in page.text
    assert "晨光实验学校" in page.text
    assert children(app) == {"u-pupil"}
    assert only(app, ClaimCode).uses_left == 3
    assert "陈小雨 早已是您的孩子" in typed(page, code).text
    assert only(app, ClaimCode).uses_left == 3, "who is a guardian already uses nothing up"
    assert all(row.wrong == 0 for row in rows(app, CodeAttempts))


def test_a_code_is_stored_only_as_a_hash(lite_app: Flask, lite_visit: Visitor) -> None:
    code = slips(pupils_come(lite_visit, "pupil"))["陈小雨"]
    with lite_app.app_context():
        dump = "\n".join(db.engine.raw_connection().driver_connection.iterdump())
    assert code not in dump
    assert code.replace("-", "") not in dump


def test_a_typo_is_told_at_once_and_costs_nothing(lite_app: Flask, lite_visit: Visitor) -> None:
    code = slips(pupils_come(lite_visit, "pupil"))["陈小雨"]
    wrong = ("B" if code[0] != "B" else "C") + code[1:]
    page = parent(lite_visit)
    for _ in range(15):
        answer = typed(page, wrong)
        assert answer.status == 422
        assert "有一位抄错了" in answer.text
        assert wrong in answer.html, "what was typed stays in the field"
    assert count(lite_app, CodeAttempts) == 0
    assert "已认领" in typed(page, code).text


def make_expired(app: Flask, visit: Visitor, teacher: Page, code: str) -> None:
    with app.app_context():
        db.session.execute(ClaimCode.__table__.update().values(expires_at=utc_now() - timedelta(seconds=1)))
        db.session.commit()


def make_used_up(app: Flask, visit: Visitor, teacher: Page, code: str) -> None:
    with app.app_context():
        db.session.execute(ClaimCode.__table__.update().values(uses_left=0))
        db.session.commit()


def make_replaced(app: Flask, visit: Visitor, teacher: Page, code: str) -> None:
    assert slips(teacher, pk_of(app, "u-pupil"))["陈小雨"] != code


def make_revoked(app: Flask, visit: Visitor, teacher: Page, code: str) -> None:
    assert "已作废" in teacher.post(f"/families/codes/{pk_of(app, 'u-pupil')}/revoke").text


def make_invented(app: Flask, visit: Visitor, teacher: Page, code: str) -> None:
    pass


@pytest.mark.parametrize("spoil", [make_expired, make_used_up, make_replaced, make_revoked, make_invented])
def test_every_code_that_does_not_work_gets_the_same_answer(
    app: Flask, visit: Visitor, spoil: Callable[[Flask, Visitor, Page, str], None]
) -> None:
    teacher = pupils_come(visit, "pupil")
    code = slips(teacher)["陈小雨"]
    spoil(app, visit, teacher, code)
    answer = typed(parent(visit), new_code() if spoil is make_invented else code)
    assert answer.status == 422
    assert NOT_USABLE in answer.text
    assert children(app) == set()
    assert {row.wrong for row in rows(app, CodeAttempts)} == {1}


def test_a_code_opens_nothing_at_another_platform(app: Flask, visit: Visitor) -> None:
    code = slips(pupils_come(visit, "pupil"))["陈小雨"]
    answer = typed(parent(other_platform(app)), code)
    assert NOT_USABLE in answer.text
    assert children(app) == set()
    assert only(app, ClaimCode).uses_left == 4


def test_a_code_serves_four_guardians(lite_app: Flask, lite_visit: Visitor, platform: FakePlatform) -> None:
    platform.users |= {f"g{n}": learner(f"u-g{n}", f"家长{n}") for n in range(5)}
    code = slips(pupils_come(lite_visit, "pupil"))["陈小雨"]
    answers = [typed(parent(lite_visit, f"g{n}"), code).status for n in range(5)]
    assert answers == [200] * 4 + [422]


def test_only_parents_can_claim(lite_app: Flask, lite_visit: Visitor) -> None:
    teacher = pupils_come(lite_visit, "pupil")
    code = slips(teacher)["陈小雨"]
    others = [lite_visit(user, PUPILS) for user in ("pupil", "test-student", "anonymous")]
    for page in [teacher, *others, came(lite_visit, "nameless", kind="pupil")]:
        assert typed(page, code).status in (302, 403), page.text
        for path in ("/children", "/account", "/children/1/leave"):
            assert page.get(path).status in (403,)
        for path in ("/children/choose", "/account/code", "/account/link"):
            assert page.post(path, {"child": "1", "code": code}).status == 403
    assert children(lite_app) == set()


def test_guessing_ends_after_ten_wrong_codes_and_begins_anew_after_an_hour(
    app: Flask, visit: Visitor
) -> None:
    code = slips(pupils_come(visit, "pupil"))["陈小雨"]
    with time_machine.travel(utc_now(), tick=False) as clock:
        page = parent(visit)
        assert [typed(page, new_code()).status for _ in range(10)] == [422] * 10
        blocked = typed(page, code)
        assert blocked.status == 429
        assert "请过一小时再试" in blocked.text
        assert children(app) == set(), "not even the right one is looked at"
        assert "已认领" in typed(parent(visit, "father"), code).text, "others of the class go on"
        clock.shift(timedelta(hours=1))
        page = parent(visit)
        assert "已认领" in typed(page, code).text


def test_a_whole_platform_cannot_guess_more_than_two_hundred_times(
    lite_app: Flask, lite_visit: Visitor, platform: FakePlatform
) -> None:
    platform.users |= {f"g{n}": learner(f"u-g{n}", None) for n in range(21)}
    answers = [
        typed(page, new_code()).status
        for page in (parent(lite_visit, f"g{n}") for n in range(21))
        for _ in range(10)
    ]
    assert answers == [422] * 200 + [429] * 10


def test_forty_guesses_at_once_are_not_more_than_ten(app: Flask, visit: Visitor) -> None:
    pages = [parent(visit) for _ in range(4)]
    statuses = at_once([lambda page=page: typed(page, new_code()).status for page in pages * 10])
    assert sorted(statuses) == [422] * 10 + [429] * 30
    assert {row.wrong for row in rows(app, CodeAttempts)} == {10}


def test_the_last_use_of_a_code_goes_to_one(app: Flask, visit: Visitor, platform: FakePlatform) -> None:
    platform.users |= {f"g{n}": learner(f"u-g{n}", None) for n in range(12)}
    code = slips(pupils_come(visit, "pupil"))["陈小雨"]
    pages = [parent(visit, f"g{n}") for n in range(12)]
    statuses = at_once([lambda page=page: typed(page, code).status for page in pages])
    assert sorted(statuses) == [200] * 4 + [422] * 8
    assert only(app, ClaimCode).uses_left == 0


def at_once(calls: list[Callable[[], int]]) -> list[int]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(timeout=120) for future in [pool.submit(call) for call in calls]]


def rows(app: Flask, model: type) -> list:
    with app.app_context():
        return list(db.session.scalars(select(model)))
