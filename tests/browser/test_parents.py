"""The main job in a real browser: a parent's course in the LMS's frame, from the click to the gradebook."""

from __future__ import annotations

import pytest
from playwright.sync_api import Frame, Page, expect

from tests.browser import pages
from tests.browser.conftest import OpenContext
from tests.browser.pages import School

pytestmark = pytest.mark.browser
COURSE = "shared-reading-15-minutes"
MEALS = "screen-free-meals"


def keeps_only_partitioned_cookies(frame: Frame) -> bool:
    """Whether this browser drops third-party cookies that are not partitioned (CHIPS)."""
    kept = frame.evaluate(
        """() => {
            document.cookie = "plain=1; Secure; SameSite=None; Path=/";
            document.cookie = "partitioned=1; Secure; SameSite=None; Path=/; Partitioned";
            return document.cookie;
        }"""
    )
    return "partitioned=1" in kept and "plain=1" not in kept


@pytest.mark.parametrize(("width", "person"), [(1280, "chen-mama"), (390, "liu-baba")])
def test_a_parent_finishes_a_course_in_the_frame_and_finds_credit_and_grade(
    open_context: OpenContext, school: School, width: int, person: str
) -> None:
    page = open_context(width=width).new_page()
    frame = pages.open_framed(page, school, "g1-reading", person)
    assert keeps_only_partitioned_cookies(frame)

    pages.say_who(frame)
    assert pages.width_of(frame) <= width
    pages.finish_course(frame, COURSE)
    expect(frame.get_by_text("0.5 学分已记入您的学分银行。")).to_be_visible()
    pages.press(frame.get_by_role("link", name="看看我的学分"))
    expect(frame.locator("#entries .entry")).to_have_count(1)
    expect(frame.locator("#entries .entry-amount")).to_have_text("+0.50")

    assert pages.eventually(page, lambda: school.grade(person, "g1-reading")) == 100
    page.goto(f"{school.url}/courses/grade-1/gradebook?as={person}")
    cell = page.locator(f"tr[data-user={person}] td[data-line-item=g1-reading]")
    expect(cell.locator(".score")).to_have_text("100 / 100")

    # Nobody is asked twice, and the finished course is still finished.
    again = pages.open_framed(page, school, "g1-reading", person)
    expect(again.get_by_role("heading", name="祝贺，这门课学完了！")).to_be_visible()


def test_two_tabs_with_two_courses_do_not_mix(open_context: OpenContext, school: School) -> None:
    context = open_context()
    meals = context.new_page()
    first = pages.open_framed(meals, school, "g1-meals", "parent-01")
    pages.say_who(first)
    fraud = context.new_page()
    second = pages.open_framed(fraud, school, "g7-fraud", "parent-17")
    pages.say_who(second)

    meals.bring_to_front()
    pages.press(first.locator("main .btn-thumb"))
    pages.press(first.get_by_role("button", name="读完了"))
    expect(first.get_by_text("第 2 节，共 3 节")).to_be_visible()
    pages.visit(second, "/course")
    pages.visit(first, "/course")

    for frame, course, klass, name, percent in (
        (first, "一顿没有屏幕的饭", "一年级家长班", "周丽华", "33%"),
        (second, "全家防骗课：守好手机这扇门", "七年级家长班", "施桂芳", "0%"),
    ):
        expect(frame.get_by_role("heading", level=1)).to_have_text(course)
        expect(frame.locator(".site-context")).to_have_text(klass)
        expect(frame.locator(".site-person-name")).to_have_text(name)
        expect(frame.locator(".ring text")).to_have_text(percent)


def test_a_note_for_one_tab_is_not_shown_in_another(open_context: OpenContext, school: School) -> None:
    context = open_context()
    one, other = context.new_page(), context.new_page()
    here = pages.open_framed(one, school, "g1-meals", "wang-laoshi")
    there = pages.open_framed(other, school, "g7-fraud", "wang-laoshi")
    # A saved setting whose answer is not looked at yet: its note waits in the browser.
    here.evaluate(
        """() => fetch(document.querySelector("form[action$='/class/counts']").action, {
            method: "POST", redirect: "manual", body: new URLSearchParams({counts: "result"}) })"""
    )
    note = "已保存成绩册的设置，已有的成绩会按新的方式更新。"
    pages.visit(there, "/class")
    expect(there.get_by_role("heading", level=1)).to_have_text("七年级家长班")
    expect(there.get_by_text(note)).to_have_count(0)
    pages.visit(here, "/class")
    expect(here.get_by_text(note)).to_be_visible()


def test_the_next_page_is_shown_from_its_top(open_context: OpenContext, school: School) -> None:
    """The LMS makes the frame as high as the page, so the tool must say where to look after a click."""
    page = open_context(width=390, height=700).new_page()
    frame = pages.open_framed(page, school, "g1-meals", "parent-02")
    pages.say_who(frame)
    pages.press(frame.locator("main .btn-thumb"))
    pages.press(frame.get_by_role("button", name="读完了"))
    title = frame.get_by_role("heading", level=1, name="放下手机聊什么：十五个话头")
    expect(title).to_be_in_viewport()


def test_an_observing_grandmother_earns_credit_and_no_grade_is_sent(
    open_context: OpenContext, school: School
) -> None:
    page = open_context(width=390).new_page()
    frame = pages.open_framed(page, school, "g1-meals", "zhao-nainai")
    pages.finish_course(frame, MEALS)
    expect(frame.get_by_text("0.25 学分已记入您的学分银行。")).to_be_visible()
    expect(frame.get_by_text("学校平台不给观察者记成绩，学分照记。")).to_be_visible()
    pages.press(frame.get_by_role("link", name="学分", exact=True))
    expect(frame.locator("#entries .entry-amount")).to_have_text("+0.25")

    # What a pupil finishes after her has arrived, so hers would have, too.
    finish_as_pupil(open_context().new_page(), school)
    assert school.posts("zhao-nainai") == []


def finish_as_pupil(page: Page, school: School) -> Frame:
    frame = pages.open_framed(page, school, "g1-meals", "chen-xiaoyu")
    if frame.url.endswith("/who"):
        pages.say_who(frame, "我是学生")
        pages.finish_course(frame, MEALS)
    pages.eventually(page, lambda: school.grade("chen-xiaoyu", "g1-meals"))
    return frame


def test_a_pupil_gets_a_grade_and_no_credits(open_context: OpenContext, school: School) -> None:
    page = open_context().new_page()
    frame = finish_as_pupil(page, school)
    assert school.grade("chen-xiaoyu", "g1-meals") == 100
    expect(frame.get_by_role("navigation").get_by_role("link")).to_have_text(["课程"])
    expect(frame.get_by_text("学分")).to_have_count(0)
    pages.visit(frame, "/credits")
    expect(frame.get_by_text("学分由家长积累")).to_be_visible()


def test_a_family_with_one_login_can_say_that_somebody_else_is_here(
    open_context: OpenContext, school: School
) -> None:
    klass = pages.open_framed(open_context().new_page(), school, "g7-emotions", "wang-laoshi")
    pages.press(klass.locator("label.choice", has_text="家庭共用账号"))
    pages.press(klass.get_by_role("button", name="保存").first)
    expect(klass.get_by_text("班级成员是谁：家庭共用账号")).to_be_visible()

    page = open_context(width=390).new_page()
    frame = pages.open_framed(page, school, "g7-emotions", "parent-19")
    frame.get_by_label("称呼").fill("妈妈")
    pages.press(frame.locator("label.choice", has_text="家长"))
    pages.press(frame.get_by_role("button", name="开始学习"))
    expect(frame.locator(".hero")).to_be_visible()

    again = pages.open_framed(page, school, "g7-emotions", "parent-19")
    if not again.url.endswith("/who"):
        again.goto(str(again.locator("a[href$='/who']").first.evaluate("link => link.href")))
    expect(again.get_by_role("button", name="妈妈")).to_be_visible()
    again.get_by_label("称呼").fill("小雨")
    pages.press(again.locator("label.choice", has_text="学生"))
    pages.press(again.get_by_role("button", name="开始学习"))
    expect(again.locator(".hero")).to_be_visible()
    expect(again.get_by_text("学分")).to_have_count(0)
