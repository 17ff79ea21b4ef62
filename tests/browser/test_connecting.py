"""A school's first hour in a real browser: connected by an invitation, filled by a teacher, used by parents.

`tests/platforms/test_walk_connecting.py` walks the same way without a browser; here is what needs one: frames,
messages between windows, the keyboard, a tab for printing, and a phone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Frame, Page, expect

from tests.browser import pages, tours
from tests.browser.conftest import MILLISECONDS, OpenContext
from tests.browser.pages import School
from tests.platforms.live_tool import live_tool
from tests.platforms.process import free_port
from tests.platforms.sandbox_fixtures import running_sandbox

pytestmark = pytest.mark.browser
READING, MEALS = "每天十五分钟亲子共读", "一顿没有屏幕的饭"


@pytest.fixture(scope="module")
def school(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    """A school and a tool that were connected by nobody but the LMS's administrator, clicking."""
    tool = live_tool(tmp_path_factory.mktemp("tool"))
    with running_sandbox(tmp_path_factory.mktemp("sandbox"), free_port(), tool.url) as url, tool.serve():
        school = School(url, tool)
        with chromium.new_context(viewport={"width": 770, "height": 800}, locale="zh-CN") as context:
            context.set_default_timeout(MILLISECONDS)
            connect(context.new_page(), school)
        yield school


def connect(page: Page, school: School) -> None:
    """Enter the address in the LMS, agree in its frame, come back by the tool's message, switch the tool on."""
    page.goto(f"{school.url}/tools?as={tours.ADMIN}")
    page.get_by_label("工具的注册地址").fill(tours.invite(school))
    page.get_by_role("button", name="添加").click()
    frame = pages.framed(page.locator(".frame iframe"))
    expect(frame.get_by_role("heading", level=1)).to_have_text(re.compile("把共育接入"))
    expect(frame.locator("main")).to_contain_text("晨光实验学校")
    pages.press(frame.get_by_role("button", name="确认接入"))
    expect(frame.get_by_role("heading", level=1)).to_have_text("登记成功")
    pages.press(frame.get_by_role("button", name="完成，回到平台"))
    expect(page.locator(".frame iframe")).to_have_count(0)
    waiting = page.locator("section.card", has_text="待启用")
    expect(waiting).to_have_count(1)
    waiting.get_by_role("button", name="启用").click()
    expect(page.locator("section.card", has_text="使用中")).to_have_count(1)
    expect(waiting).to_have_count(0)


def open_picker(page: Page, school: School) -> Frame:
    page.goto(f"{school.url}/courses/grade-1?as={tours.TEACHER}")
    pages.press(page.locator("#pick summary"))
    frame = pages.framed(page.locator("#pick iframe"))
    frame.wait_for_url(re.compile(r"/pick$"))
    return frame


def find_and_add(picker: Frame, words: str, title: str) -> None:
    picker.get_by_label("找什么").fill(words)
    pages.press(picker.get_by_role("button", name="查找"))
    expect(picker.get_by_role("heading", name=title)).to_be_visible()
    pages.press(picker.get_by_role("button", name=f"加入 《{title}》"))
    expect(picker.locator(".pick-bar")).to_contain_text(title)


def press_by_keyboard(frame: Frame, value: str) -> None:
    """Walk to the button with this value by the tab key alone, and press Enter."""
    for _step in range(40):
        frame.page.keyboard.press("Tab")
        if str(frame.evaluate("document.activeElement.value || ''")).startswith(value):
            return frame.page.keyboard.press("Enter")
    raise AssertionError(f"{value} is not reached by the tab key")


@pytest.fixture(scope="module")
def picked(school: School, chromium: Browser) -> list[str]:
    """The titles of the links in their order that a teacher's picking left in the LMS's course."""
    with chromium.new_context(viewport={"width": 770, "height": 800}, locale="zh-CN") as context:
        context.set_default_timeout(MILLISECONDS)
        page = context.new_page()
        picker = open_picker(page, school)
        find_and_add(picker, "共读", READING)
        find_and_add(picker, "屏幕", MEALS)
        pages.press(picker.get_by_role("link", name="下一步"))
        order = picker.locator(".pick .lesson-title")
        expect(order).to_have_text([READING, MEALS])
        press_by_keyboard(picker, "down-")
        expect(order).to_have_text([MEALS, READING])
        assert pages.width_of(picker) <= 770
        press_by_keyboard(picker, "send")
        expect(picker.get_by_role("heading", level=1)).to_contain_text("已添加到课程")
        page.goto(f"{school.url}/courses/grade-1?as={tours.TEACHER}")
        return page.locator("details[id^=picked] .link-title").all_inner_texts()


def test_what_a_teacher_picks_stands_in_the_lms_in_that_order(school: School, picked: list[str]) -> None:
    assert picked == [MEALS, READING]
    links = [link for link in school.state()["links"] if link["id"].startswith("picked-")]
    assert [link["maximum"] for link in links] == [100, 100]


def test_a_parent_opens_a_picked_course_on_a_phone(
    open_context: OpenContext, school: School, picked: list[str]
) -> None:
    link = next(link["id"] for link in school.state()["links"] if link["title"] == picked[0])
    phone = open_context(width=390).new_page()
    frame = pages.open_framed(phone, school, link, "liu-baba", course="grade-1")
    pages.say_who(frame)
    expect(frame.get_by_role("heading", level=1)).to_have_text(MEALS)
    pages.press(frame.locator("main .btn-thumb"))
    expect(frame.get_by_role("heading", level=1)).to_have_text(pages.lessons("screen-free-meals")[0]["title"])
    assert pages.width_of(frame) <= 390


def print_slips(context: BrowserContext, school: School) -> dict[str, str]:
    """Claim codes by the pupils' names, made in the tab that the LMS's frame opened for printing."""
    frame = pages.open_framed(context.new_page(), school, "g1-meals", tours.TEACHER)

    def is_listed() -> bool:
        pages.visit(frame, "/families")
        return frame.get_by_role("rowheader", name="郑晓燕").count() == 1

    pages.eventually(frame.page, is_listed, pause=0.5)
    pages.press(frame.get_by_role("link", name="打印认领纸条"))
    with context.expect_page() as opened:
        pages.press(frame.get_by_role("button", name="在新窗口制作，便于打印"))
    tab = opened.value
    expect(tab.get_by_role("heading", level=1)).to_have_text("打印认领纸条")
    codes = tours.make_slips(tab)
    expect(tab.get_by_role("button", name=f"打印 {len(codes)} 张")).to_be_visible()
    return codes


def test_slips_are_printed_and_a_parent_claims_two_children_on_a_phone(
    open_context: OpenContext, school: School
) -> None:
    codes = print_slips(open_context(), school)
    phone = open_context(width=390).new_page()
    frame = pages.open_framed(phone, school, "g1-meals", "chen-mama")
    pages.say_who(frame)
    tours.claim(frame, codes["陈小雨"])
    here = frame.locator("article.card, .card").filter(has_text="现在为 TA 学习")
    expect(here).to_contain_text("陈小雨")
    tours.claim(frame, codes["郑晓燕"])
    pages.press(frame.locator(".card", has_text="郑晓燕").get_by_role("button", name="为 TA 学习"))
    expect(here).to_contain_text("郑晓燕")
    expect(frame.locator(".site-bar")).to_contain_text("郑晓燕")
    pages.press(frame.locator(".card", has_text="陈小雨").get_by_role("button", name="为 TA 学习"))
    expect(frame.locator(".site-bar")).to_contain_text("陈小雨")
    assert pages.width_of(frame) <= 390

    again = pages.open_framed(phone, school, "g1-meals", "chen-mama")
    expect(again.locator(".site-bar")).to_contain_text("陈小雨")


def test_a_teacher_updates_the_list_and_sees_it_happen(open_context: OpenContext, school: School) -> None:
    page = open_context(width=770).new_page()
    frame = pages.open_framed(page, school, "g7-fraud", tours.TEACHER)
    pages.visit(frame, "/members")
    expect(frame.get_by_text("上次更新：")).to_be_visible()  # by itself, after the class's first launch
    school.switch(slow=3)
    try:
        pages.press(frame.get_by_role("button", name="现在更新"))
        expect(frame.get_by_text("正在更新")).to_be_visible()
        expect(frame.locator("[data-wait-text]")).to_contain_text("正在读取名单")
        expect(frame.get_by_text("上次更新：")).to_be_visible()
    finally:
        school.switch(slow=0)
    expect(frame.get_by_role("rowheader", name="施桂芳")).to_be_visible()
