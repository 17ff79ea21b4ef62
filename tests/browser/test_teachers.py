"""What teachers see and do in a real browser, and what their looking around leaves behind: nothing."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser import pages
from tests.browser.conftest import OpenContext
from tests.browser.pages import School

pytestmark = pytest.mark.browser
MEALS = "screen-free-meals"
CHINA = ZoneInfo("Asia/Shanghai")


def test_a_teacher_sees_who_has_a_grade_and_says_once_who_the_class_is(
    open_context: OpenContext, school: School
) -> None:
    parent = open_context(width=390).new_page()
    frame = pages.open_framed(parent, school, "g1-meals", "chen-mama")
    pages.say_who(frame)
    pages.finish_course(frame, MEALS)
    assert pages.eventually(parent, lambda: school.grade("chen-mama", "g1-meals")) == 100

    teacher = open_context().new_page()
    klass = pages.open_framed(teacher, school, "g1-meals", "wang-laoshi")
    row = pages.row_of(klass, "陈妈妈")
    expect(row).to_contain_text("100%")
    expect(row.locator(".state")).to_have_text("已写入")

    pages.press(klass.locator("label.choice", has_text="家长班"))
    pages.press(klass.get_by_role("button", name="保存").first)
    expect(klass.get_by_text("已保存班级成员的设置，学员下次打开时生效。")).to_be_visible()
    expect(klass.get_by_text("班级成员是谁：家长班")).to_be_visible()

    another = open_context(width=390).new_page()
    frame = pages.open_framed(another, school, "g1-meals", "liu-baba")
    expect(frame.get_by_role("heading", level=1)).to_have_text("一顿没有屏幕的饭")
    expect(frame.get_by_role("link", name="学分", exact=True)).to_be_visible()


def test_a_teacher_chooses_a_course_for_a_link_and_parents_find_it(
    open_context: OpenContext, school: School
) -> None:
    parent = open_context(width=390).new_page()
    frame = pages.open_framed(parent, school, "g1-new", "zhao-nainai")
    expect(frame.get_by_text("课程还没有准备好").last).to_be_visible()

    teacher = open_context().new_page()
    catalogue = pages.open_framed(teacher, school, "g1-new", "wang-laoshi")
    catalogue.get_by_label("找什么").fill("共读")
    pages.press(catalogue.get_by_role("button", name="查找"))
    pages.press(catalogue.get_by_role("link", name="每天十五分钟亲子共读"))
    pages.press(catalogue.get_by_role("button", name="就用这门课程"))
    expect(catalogue.get_by_role("heading", level=1)).to_have_text("一年级家长班")
    expect(catalogue.get_by_role("heading", name="每天十五分钟亲子共读")).to_be_visible()

    frame = pages.open_framed(parent, school, "g1-new", "zhao-nainai")
    expect(frame.get_by_role("heading", level=1)).to_have_text("每天十五分钟亲子共读")


def look_through(view: pages.View, slug: str) -> None:
    """Open every lesson as somebody who leaves nothing."""
    for lesson in pages.lessons(slug):
        pages.visit(view, f"/lessons/{lesson['slug']}")
        expect(view.get_by_role("heading", level=1)).to_have_text(lesson["title"])
        expect(view.get_by_text("预览：不会记录进度。")).to_be_visible()
        expect(view.locator("main form")).to_have_count(0)


def test_a_preview_and_a_test_student_leave_nothing(open_context: OpenContext, school: School) -> None:
    before = school.posts()
    for person in ("wang-laoshi", "ceshi"):
        page = open_context().new_page()
        look_through(pages.open_framed(page, school, "g7-emotions", person), "adolescence-emotions")
    teacher = open_context().new_page()
    klass = pages.open_framed(teacher, school, "g7-emotions", "wang-laoshi")
    # The list of the class may have come meanwhile, with everybody who is in it: nobody has done anything.
    expect(klass.locator(".stat", has_text="学完").locator(".stat-number")).to_have_text("0")
    expect(klass.locator("tbody progress:not([value='0'])")).to_have_count(0)
    expect(pages.row_of(klass, "测试学生")).to_have_count(0)

    # Somebody's real grade arrives after all that, so a preview's would have arrived as well.
    parent = open_context(width=390).new_page()
    frame = pages.open_framed(parent, school, "g7-fraud", "parent-17")
    pages.say_who(frame)
    pages.finish_course(frame, "network-fraud-shield")
    assert pages.eventually(parent, lambda: school.grade("parent-17", "g7-fraud")) == 100
    new = school.posts()[len(before) :]
    assert [post["body"]["userId"] for post in new] == ["parent-17"]


def launch_form(page: Page) -> dict[str, str]:
    """Keeps the fields of the next launch that the LMS posts to the tool."""
    fields: dict[str, str] = {}

    def keep(request: Request) -> None:
        if request.url.endswith("/lti/launch") and request.post_data_json:
            fields.update(request.post_data_json)

    page.on("request", keep)
    return fields


REPLAY = """fields => {
    document.body.append(Object.assign(document.createElement("iframe"), {name: "again"}));
    const form = Object.assign(document.createElement("form"),
        {method: "post", action: fields.action, target: "again"});
    for (const name of ["id_token", "state"]) {
        form.append(Object.assign(document.createElement("input"), {type: "hidden", name, value: fields[name]}));
    }
    document.body.append(form);
    form.submit();
}"""


def test_a_launch_that_is_posted_again_ends_on_a_page_for_people(
    open_context: OpenContext, school: School
) -> None:
    page = open_context().new_page()
    fields = launch_form(page)
    frame = pages.open_framed(page, school, "g1-meals", "zhao-nainai")
    assert set(fields) == {"id_token", "state"}
    first = pages.root_of(frame)

    page.evaluate(REPLAY, {**fields, "action": f"{school.tool.url}/lti/launch"})
    again = page.frame_locator("iframe[name=again]")
    expect(again.get_by_role("heading", level=1)).to_have_text("这次打开已经用过了")
    expect(again.get_by_text("请回到学校平台，从课程里重新打开。")).to_be_visible()
    expect(again.locator("code")).to_contain_text("GY-LAUNCH-USED")

    # A reload of the launch's address says the same; the launch itself still works.
    frame.goto(f"{school.tool.url}/lti/launch")
    expect(frame.locator("code")).to_contain_text("GY-LAUNCH-USED")
    frame.goto(f"{first}/course")
    expect(frame.get_by_role("heading", level=1)).to_have_text("一顿没有屏幕的饭")


def test_a_page_of_the_tool_opened_by_its_address_alone_is_refused(
    open_context: OpenContext, school: School
) -> None:
    page = open_context().new_page()
    address = f"{pages.root_of(pages.open_framed(page, school, 'g1-meals', 'zhao-nainai'))}/course"
    thief = open_context().new_page()
    thief.goto(address)
    expect(thief.get_by_role("heading", level=1)).to_have_text("这个页面属于另一个浏览器")
    expect(thief.locator("code")).to_contain_text(re.compile("GY-SESSION-ELSEWHERE"))


def test_a_review_tells_the_time_of_the_schools_clock(open_context: OpenContext, school: School) -> None:
    parent = open_context(width=390).new_page()
    frame = pages.open_framed(parent, school, "g7-reading", "parent-18")
    if frame.url.endswith("/who"):
        pages.say_who(frame)
    pages.visit(frame, "/lessons/quiz")
    before = datetime.now(CHINA)
    pages.answer_quiz(frame, "shared-reading-15-minutes")
    after = datetime.now(CHINA)

    page = open_context().new_page()
    page.goto(f"{school.url}/launch/g7-reading?as=wang-laoshi&review=parent-18&target=window")
    pages.arrived(page)
    row = page.locator("tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text(re.compile(f"{before:%H:%M}|{after:%H:%M}"))
