"""The dates of a link: on the school's clock, kind to learners, and no obstacle to teachers."""

from __future__ import annotations

import pytest
import time_machine
from flask import Flask

from lti_app.courses.models import CourseProgress, Placement, Visit
from tests.browsing import Page, Visitor
from tests.fake_platform import FakePlatform
from tests.functional.courses_steps import came, count, finish, only
from tests.functional.deep_linking_steps import add, items, launch_of, opened, send

DATES = {"opens_at": "2026-12-01T08:00", "due_at": "2026-12-10T20:00", "closes_at": "2026-12-20T20:00"}
# The school is in Asia/Shanghai.
BEFORE, DURING, OVERDUE, AFTER = (
    "2026-11-30T23:50:00Z",
    "2026-12-01T00:00:00Z",
    "2026-12-10T12:00:00Z",
    "2026-12-20T12:00:00Z",
)


@pytest.fixture
def visit(lite_app: Flask, platform: FakePlatform) -> Visitor:
    return Visitor(lite_app, platform)


def at(moment: str) -> time_machine.travel:
    return time_machine.travel(moment, tick=True)


@pytest.fixture
def dated(visit: Visitor) -> None:
    with at(BEFORE):
        page = visit("teacher").post("/choose", {"course": "demo", "counts": "result", **DATES})
        assert page.status == 200
        assert "2026" in page.text


@pytest.mark.usefixtures("dated")
def test_dates_are_kept_on_the_schools_clock(lite_app: Flask, visit: Visitor) -> None:
    placement = only(lite_app, Placement)
    assert placement.opens_at.isoformat() == "2026-12-01T00:00:00+00:00"
    with at(BEFORE):
        form = visit("teacher").get("/choose?course=demo")
    for name, value in DATES.items():
        assert f'name="{name}" type="datetime-local" value="{value}"' in form.html


@pytest.mark.usefixtures("dated")
@pytest.mark.parametrize(
    ("moment", "words"), [(BEFORE, "这门课还没有开放"), (AFTER, "这门课的学习时间已经结束")]
)
def test_learners_are_told_kindly_and_leave_no_trace(
    lite_app: Flask, visit: Visitor, moment: str, words: str
) -> None:
    with at(moment):
        for user in ("parent", "observer", "test-student", "anonymous"):
            page = came(visit, user)
            assert words in page.text, user
            assert words in page.get("/course").text, user
            for path in ("/lessons/read", "/lessons/quiz"):
                answer = page.get(path)
                assert answer.status == 403, (user, path)
                assert words in answer.text, (user, path)
            assert page.post("/lessons/read/read").status == 403, user
            assert page.post("/lessons/film/watch", {}).status == 403, user
    assert count(lite_app, CourseProgress) == count(lite_app, Visit) == 0


@pytest.mark.usefixtures("dated")
def test_teachers_look_at_any_time_and_see_the_dates(visit: Visitor) -> None:
    for moment in (BEFORE, AFTER):
        with at(moment):
            board = visit("teacher")
            assert "学员从 2026/12/1 08:00 起可以学" in board.text
            assert "好好说话" in board.get("/course").text
            assert board.get("/lessons/read").status == 200


@pytest.mark.usefixtures("dated")
def test_between_the_dates_learners_learn_and_see_the_due_date(lite_app: Flask, visit: Visitor) -> None:
    with at(DURING):
        page = came(visit, "parent")
        assert "请在 2026/12/10 20:00 前学完" in page.text
        assert "2026/12/20 20:00 后不再开放" in page.text
        finish(page)
    with at(OVERDUE):
        assert "已经过了，还可以继续学" in came(visit, "father").text
    with at(AFTER):
        late = came(visit, "parent")
        assert "已经结束" in late.text
        assert "100%" in late.text
        assert "小测结果" in late.get("/lessons/quiz/result").text, "one's own work stays readable"


def test_dates_of_the_picker_hold_at_the_link(lite_app: Flask, visit: Visitor) -> None:
    with at(BEFORE):
        (item,) = items(lite_app, send(lite_app, add(opened(visit), "demo"), **DATES))
        assert item["available"] == {
            "startDateTime": "2026-12-01T00:00:00.000+00:00",
            "endDateTime": "2026-12-20T12:00:00.000+00:00",
        }
        assert item["submission"] == {"endDateTime": "2026-12-10T12:00:00.000+00:00"}
        assert "还没有开放" in came(visit, "parent", "/class-1", **launch_of(item)).text


@pytest.mark.usefixtures("dated")
def test_wrong_dates_are_told_and_change_nothing(lite_app: Flask, visit: Visitor) -> None:
    with at(BEFORE):
        teacher: Page = visit("teacher")
        bad = {"course": "demo", "counts": "result", **DATES, "closes_at": "2026-12-01T08:00"}
        answer = teacher.post("/choose", bad)
        assert answer.status == 422
        assert "结束时间要晚于开放时间" in answer.text
        assert only(lite_app, Placement).closes_at.day == 20
        # A form without dates leaves them; an empty one takes them away.
        teacher.post("/class/counts", {"counts": "progress"})
        assert only(lite_app, Placement).closes_at.day == 20
        teacher.post("/choose", {"course": "demo", "counts": "result", **dict.fromkeys(DATES, "")})
        assert only(lite_app, Placement).closes_at is None
