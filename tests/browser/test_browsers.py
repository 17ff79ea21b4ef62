"""Browsers that lack something: cookies in frames, or scripts."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Route, expect

from tests.browser import pages
from tests.browser.conftest import OpenContext
from tests.browser.pages import School

pytestmark = pytest.mark.browser


def test_a_browser_that_keeps_no_cookies_in_frames_goes_on_in_a_new_tab(
    open_context: OpenContext, school: School
) -> None:
    context = open_context()
    page = context.new_page()

    def forget(route: Route) -> None:
        """Answer as the tool does, and lose the cookies of the answer, as Safari does."""
        answer = route.fetch(max_redirects=0)
        context.clear_cookies()
        route.fulfill(status=answer.status, headers={"location": answer.headers["location"]})

    page.route(re.compile(r"/lti/login$"), forget)
    page.goto(f"{school.url}/courses/grade-1?as=zhao-nainai")
    page.locator("#g1-reading summary").click()
    frame = page.frame_locator("#g1-reading iframe")
    expect(frame.get_by_role("heading", level=1)).to_have_text("在新标签页打开")
    with page.expect_popup() as popup:
        pages.press(frame.get_by_role("link", name="在新标签页打开"))
    expect(popup.value.get_by_role("heading", level=1)).to_have_text("每天十五分钟亲子共读")


def test_a_parent_without_script_finishes_a_course(open_context: OpenContext, school: School) -> None:
    page = open_context(width=390, script=False).new_page()
    page.goto(f"{school.url}/launch/g1-eyes?as=zhao-nainai&target=window")
    page.get_by_role("button", name="继续").click()
    page.get_by_role("button", name="继续").click()
    slug = "bright-eyes-at-home"
    video, *articles, quiz = pages.lessons(slug)
    expect(page.locator(".hero")).to_be_visible()
    pages.visit(page, f"/lessons/{video['slug']}")
    expect(page.get_by_role("button", name="我已看完")).to_have_count(0)
    for article in articles:
        pages.visit(page, f"/lessons/{article['slug']}")
        page.get_by_role("button", name="读完了").click()
    pages.visit(page, f"/lessons/{quiz['slug']}")
    pages.answer_quiz(page, slug)

    pages.visit(page, f"/lessons/{video['slug']}")
    seen = page.get_by_role("button", name="我已看完")

    def offered() -> bool:
        page.reload()
        return seen.is_visible()

    pages.eventually(page, offered, seconds=40, pause=1)
    seen.click()
    expect(page.get_by_role("heading", name="祝贺，这门课学完了！")).to_be_visible()
