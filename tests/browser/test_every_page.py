"""Every page, in both languages, on a phone and in an LMS's frame: accessible, within its width, light."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import CDPSession, Page

from tests.browser import pages
from tests.browser.conftest import OpenContext
from tests.browser.pages import School

pytestmark = pytest.mark.browser
MEALS = "screen-free-meals"
HEAVIEST = 150 * 1024
WIDTHS = (390, 770)
WCAG = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    "resultTypes": ["violations"],
}
AXE = Axe()
RUN_AXE = """async options => (await axe.run(options)).violations.map(
    violation => violation.id + " " + violation.nodes.slice(0, 3).map(node => node.target).join(" | "))"""


@pytest.fixture(scope="module")
def busy_school(school: School, chromium: Any) -> School:
    """Grandmother has finished a course, a pupil too; a parent's grade waits, another parent is half through
    a course; the LMS's administrator was granted the right of a district."""
    with chromium.new_context(locale="zh-CN") as context:
        page = context.new_page()
        pages.open_alone(page, school, "g1-meals", "zhao-nainai")
        pages.finish_course(page, MEALS)
        pages.open_alone(page, school, "g1-meals", "chen-xiaoyu")
        pages.say_who(page, "我是学生")
        pages.finish_course(page, MEALS)
        pages.eventually(page, lambda: school.grade("chen-xiaoyu", "g1-meals"))
        school.switch(unpublished="all")
        pages.open_alone(page, school, "g1-meals", "parent-02")
        pages.say_who(page)
        pages.finish_course(page, MEALS)
        pages.eventually(page, lambda: school.posts("parent-02"))
        pages.open_alone(page, school, "g1-reading", "parent-01")
        pages.say_who(page)
        pages.visit(page, "/lessons/first-week")
        page.get_by_role("button", name="读完了").click()
        pages.visit(page, "/lessons/quiz")
        pages.answer_quiz(page, "shared-reading-15-minutes", wrong=2)
        pages.open_alone(page, school, "g1-meals", "guanliyuan")
    login = school.tool.flask("people", "find", "孙主任").split("\t")[0]
    school.tool.flask("people", "grant", login, "district")
    return school


def shown(page: Page, school: School, language: str) -> Iterator[str]:
    """Every page, one after the other; gives the name of the one that is shown."""

    def launched(link: str, person: str, *paths: str) -> Iterator[str]:
        pages.open_alone(page, school, link, person, lang=language)
        yield f"{person} {link}"
        for path in paths:
            pages.visit(page, path)
            yield f"{person} {path}"

    yield from launched("g1-new", "chen-mama")
    lessons = ("watch", "talk", "quiz", "quiz/result?number=1")
    yield from launched("g1-reading", "parent-01", *(f"/lessons/{slug}" for slug in lessons), "/credits")
    yield from launched("g1-meals", "zhao-nainai", "/lessons/quiz", "/lessons/quiz/result", "/credits")
    yield from launched("g1-meals", "chen-xiaoyu", "/credits")
    teacher = ("/class?show=settled", "/course", "/lessons/agree", "/choose", "/choose?q=zzzz")
    yield from launched("g1-meals", "wang-laoshi", *teacher, f"/choose?course={MEALS}", "/credits")
    yield from launched("g7-fraud", "wang-laoshi")
    yield from launched("g1-new", "zhao-nainai", "/class")
    yield from launched("g1-meals", "guanliyuan", "/connection", "/overview")
    page.goto(f"{school.url}/launch/g1-meals?as=wang-laoshi&review=zhao-nainai&target=window&lang={language}")
    pages.arrived(page)
    yield "review"
    for path in ("/", "/lti/launch", "/nothing"):
        page.goto(f"{school.tool.url}{path}")
        yield path


def problems_of(page: Page, name: str) -> list[str]:
    """What axe objects to, and what is wider than the page, on a phone and in an LMS's frame."""
    found = []
    page.evaluate(AXE.axe_script)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        found += [f"{name} at {width} px: {violation}" for violation in page.evaluate(RUN_AXE, WCAG)]
        if (wide := pages.width_of(page)) > width:
            found.append(f"{name}: {wide} px wide in {width} px")
    return found


@pytest.mark.parametrize(("language", "locale"), [("zh", "zh-Hans-CN"), ("en", "en")])
def test_every_page_is_accessible_and_no_wider_than_its_place(
    open_context: OpenContext, busy_school: School, language: str, locale: str
) -> None:
    page = open_context().new_page()
    problems = []
    for name in shown(page, busy_school, language):
        problems += problems_of(page, name)
        if "/l/" in page.url and page.locator("html").get_attribute("lang") != locale:
            problems.append(f"{name}: not in {language}")
    assert problems == []


def received(session: CDPSession, page: Page, address: str) -> int:
    """The bytes that came over the wire until `address` was shown completely."""
    sizes: list[float] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(address, wait_until="networkidle")
    return int(sum(sizes))


@pytest.mark.parametrize(("link", "person"), [("g1-meals", "zhao-nainai"), ("g1-reading", "wang-laoshi")])
def test_a_first_page_on_a_cold_cache_is_light(
    open_context: OpenContext, busy_school: School, link: str, person: str
) -> None:
    page = open_context(width=390).new_page()
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    launch = f"{busy_school.url}/launch/{link}?as={person}&target=window"
    weight = received(session, page, launch)
    pages.arrived(page)
    assert 10_000 < weight <= HEAVIEST
