"""A teacher follows grades into the gradebook of the LMS, and has them compared, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser import pages
from tests.browser.conftest import MILLISECONDS, OpenContext
from tests.browser.pages import School

pytestmark = pytest.mark.browser
MEALS = "screen-free-meals"


def test_a_teacher_has_the_gradebook_compared_and_sees_it_end(
    open_context: OpenContext, school: School
) -> None:
    parent = open_context(width=390).new_page()
    frame = pages.open_framed(parent, school, "g1-meals", "liu-baba")
    pages.say_who(frame)
    pages.finish_course(frame, MEALS)
    assert pages.eventually(parent, lambda: school.grade("liu-baba", "g1-meals")) == 100

    teacher = open_context().new_page()
    sync = pages.open_framed(teacher, school, "g1-meals", "wang-laoshi")
    pages.press(sync.get_by_role("link", name="成绩同步"))
    row = pages.row_of(sync, "刘爸爸")
    expect(row.locator(".state")).to_have_text("已写入")
    pages.press(sync.get_by_role("button", name="核对成绩"))
    expect(sync.get_by_text("已开始和学校平台的成绩册核对。")).to_be_visible()
    # Nobody presses anything: the page waits, and shows what the reading found.
    expect(sync.get_by_text("核对过，全部一致。").first).to_be_attached(timeout=MILLISECONDS)
    expect(row).to_contain_text("100 / 100")
