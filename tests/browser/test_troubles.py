"""When the LMS does not take grades: what the teacher is told, and that nothing is lost."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser import pages
from tests.browser.conftest import OpenContext
from tests.browser.pages import School

pytestmark = pytest.mark.browser
MEALS = "screen-free-meals"
LINK = "g1-meals"


def finish(open_context: OpenContext, school: School, person: str) -> None:
    """The person's course is finished and the LMS was told of it, whatever it answered."""
    page = open_context(width=390).new_page()
    frame = pages.open_framed(page, school, LINK, person)
    pages.say_who(frame)
    pages.finish_course(frame, MEALS)
    pages.eventually(page, lambda: school.posts(person))


def test_an_unpublished_column_is_explained_and_the_teacher_tries_again(
    open_context: OpenContext, school: School
) -> None:
    school.switch(unpublished=LINK)
    finish(open_context, school, "parent-01")
    page = open_context().new_page()
    klass = pages.open_framed(page, school, LINK, "wang-laoshi")
    row = pages.row_of(klass, "周丽华")
    pages.until_told(klass, row, "等待发布")
    expect(row).to_contain_text("请在学校平台里发布这项作业")
    assert school.grade("parent-01", LINK) is None

    school.switch(unpublished="")
    pages.press(row.get_by_role("button", name="再试一次"))
    assert pages.eventually(page, lambda: school.grade("parent-01", LINK)) == 100
    pages.until_told(klass, row, "已写入")
    expect(row.get_by_role("button")).to_have_count(0)


def test_grades_that_a_busy_lms_refused_arrive_by_themselves(
    open_context: OpenContext, school: School
) -> None:
    school.switch(fail_next=1)
    finish(open_context, school, "parent-02")
    school.switch(throttle_next=1, retry_after=15)
    finish(open_context, school, "parent-03")
    assert [post["status"] for post in school.posts("parent-02")] == [500]

    page = open_context().new_page()
    klass = pages.open_framed(page, school, LINK, "wang-laoshi")
    expect(klass.get_by_text("学校平台暂时没有回应。成绩都记着")).to_be_visible()
    for name in ("吴建国", "郑晓燕"):
        row = pages.row_of(klass, name)
        expect(row.locator(".state")).to_have_text("稍后重发")
        expect(row).to_contain_text("平台恢复后会自动补发")

    people = ("parent-02", "parent-03")
    pages.eventually(page, lambda: all(school.grade(person, LINK) for person in people), seconds=60)
    assert [school.grade(person, LINK) for person in people] == [100, 100]
    for name in ("吴建国", "郑晓燕"):
        pages.until_told(klass, pages.row_of(klass, name), "已写入")
    expect(klass.get_by_text("学校平台暂时没有回应")).to_have_count(0)
