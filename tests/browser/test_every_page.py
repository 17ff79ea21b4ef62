"""Every page, in both languages, on a phone and in an LMS's frame: accessible, within its width, light."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import CDPSession, Page

from tests.browser import pages, tours
from tests.browser.conftest import MILLISECONDS, OpenContext
from tests.browser.pages import School

pytestmark = pytest.mark.browser
HEAVIEST = 150 * 1024
WIDTHS = (390, 770)
Tour = Callable[[Page, School, str], Iterator[str]]
TOURS: list[Tour] = [tours.learning, tours.families, tours.lists, tours.picking, tours.registration]
WCAG = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    "resultTypes": ["violations"],
}
AXE = Axe()
RUN_AXE = """async options => (await axe.run(options)).violations.map(
    violation => violation.id + " " + violation.nodes.slice(0, 3).map(node => node.target).join(" | "))"""


@pytest.fixture(scope="module")
def busy_school(school: School, chromium: Any) -> School:
    with chromium.new_context(locale="zh-CN") as context:
        context.set_default_timeout(MILLISECONDS)
        tours.get_busy(context.new_page(), school)
    return school


def problems_of(view: pages.View, name: str) -> list[str]:
    """What axe objects to, and what is wider than its place, on a phone and in an LMS's frame."""
    found = []
    page = view if isinstance(view, Page) else view.page
    view.evaluate(AXE.axe_script)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        found += [f"{name} at {width} px: {violation}" for violation in view.evaluate(RUN_AXE, WCAG)]
        place = width if page is view else int(view.evaluate("innerWidth"))
        if (wide := pages.width_of(view)) > place:
            found.append(f"{name}: {wide} px wide in {place} px")
    return found


@pytest.mark.parametrize("tour", TOURS, ids=lambda tour: tour.__name__)
@pytest.mark.parametrize(("language", "locale"), [("zh", "zh-Hans-CN"), ("en", "en")])
def test_every_page_is_accessible_and_no_wider_than_its_place(
    open_context: OpenContext, busy_school: School, language: str, locale: str, tour: Tour
) -> None:
    page = open_context(locale=locale).new_page()
    problems = []
    for name in tour(page, busy_school, language):
        problems += problems_of(page, name)
        if page.locator("html").get_attribute("lang") != locale:
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
