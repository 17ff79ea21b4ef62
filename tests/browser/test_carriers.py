"""How a launch is proven where cookies are refused: in frames, or altogether. Chromium's own settings refuse them.

Whatever carries the proof, the course page is reached and works; without any proof nobody gets in.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Frame, Page, expect

from tests.browser import pages
from tests.browser.conftest import ARGUMENTS, MILLISECONDS, chromium_path
from tests.browser.pages import School
from tests.browser.test_every_page import problems_of

pytestmark = pytest.mark.browser
LINK, TITLE, PARENT = "g1-reading", "每天十五分钟亲子共读", "zhao-nainai"
BLOCK = 2
# A proof goes through five pages of two sites in a second. Where each site has a process of its own, the driver
# loses sight of the frame now and then (the page is there, and it waits). Cookies do not depend on this.
ONE_PROCESS = ["--disable-site-isolation-trials", "--disable-features=IsolateOrigins,site-per-process"]
Browsing = Callable[..., Page]


@pytest.fixture
def browsing(chromium: Browser, school: School, tmp_path: Path) -> Iterator[Browsing]:
    """`browsing(refused)` is a page in a browser whose cookie settings are these. The LMS's storage is switched
    off again at the end."""
    contexts: list[BrowserContext] = []

    def opened(refused: dict[str, Any], *, width: int = 1280) -> Page:
        folder = tmp_path / f"profile-{len(contexts)}"
        (folder / "Default").mkdir(parents=True)
        (folder / "Default" / "Preferences").write_text(json.dumps({"profile": refused}))
        context = chromium.browser_type.launch_persistent_context(
            folder,
            executable_path=chromium_path(),
            args=[*ARGUMENTS, *ONE_PROCESS],
            viewport={"width": width, "height": 800},
            locale="zh-CN",
        )
        context.set_default_timeout(MILLISECONDS)
        contexts.append(context)
        return context.pages[0]

    yield opened
    school.switch(storage="")
    for context in contexts:
        context.close()


THIRD_PARTY = {"block_third_party_cookies": True, "cookie_controls_mode": 1}
EVERYWHERE = {"default_content_setting_values": {"cookies": BLOCK}}


def inside_frames(school: School) -> dict[str, Any]:
    """All cookies of the tool within the LMS's pages, also partitioned ones, as Safari refuses them."""
    pair = {f"{school.tool.url},{school.url}": {"setting": BLOCK}}
    return {"content_settings": {"exceptions": {"cookies": pair}}}


def open_link(page: Page, school: School, *, link: str = LINK, person: str = PARENT) -> Frame:
    """Open a link in the LMS's frame, without waiting for what comes of it."""
    page.goto(f"{school.url}/courses/{pages.course_of(link)}?as={person}")
    pages.press(page.locator(f"#{link} summary"))
    frame = page.locator(f"#{link} iframe").element_handle().content_frame()
    assert frame is not None
    return frame


def has_session_cookie(page: Page, school: School) -> bool:
    return any(cookie["name"] == "gongyu" for cookie in page.context.cookies())


def test_in_frames_without_third_party_cookies_the_partitioned_one_works(
    browsing: Browsing, school: School
) -> None:
    page = browsing(THIRD_PARTY)
    frame = pages.open_framed(page, school, LINK, PARENT)
    expect(frame.get_by_role("heading", level=1)).to_have_text(TITLE)
    assert has_session_cookie(page, school)


def test_in_frames_without_any_cookie_a_new_tab_goes_on(browsing: Browsing, school: School) -> None:
    page = browsing(inside_frames(school))
    frame = open_link(page, school)
    expect(frame.get_by_role("heading", level=1)).to_have_text("在新标签页打开")
    with page.expect_popup() as popup:
        pages.press(frame.get_by_role("link", name="在新标签页打开"))
    expect(popup.value.get_by_role("heading", level=1)).to_have_text(TITLE)
    assert has_session_cookie(page, school)


@pytest.mark.parametrize("storage", ["parent", "frame"])
def test_without_cookies_the_platform_keeps_the_proof(
    browsing: Browsing, school: School, storage: str
) -> None:
    school.switch(storage=storage)
    page = browsing(EVERYWHERE)
    frame = pages.open_framed(page, school, LINK, PARENT)
    expect(frame.get_by_role("heading", level=1)).to_have_text(TITLE)
    assert page.context.cookies() == []


def test_a_parent_without_cookies_finishes_a_course(browsing: Browsing, school: School) -> None:
    school.switch(storage="frame")
    page = browsing(EVERYWHERE, width=390)
    frame = pages.open_framed(page, school, "g1-meals", "parent-01")
    pages.say_who(frame)
    pages.press(frame.get_by_role("button", name="English"))
    expect(frame.get_by_role("button", name="中文")).to_be_visible()
    pages.press(frame.get_by_role("button", name="中文"))
    expect(frame.get_by_role("button", name="English")).to_be_visible()
    pages.finish_course(frame, "screen-free-meals")
    pages.eventually(page, lambda: school.grade("parent-01", "g1-meals"))


def test_without_cookies_and_storage_a_page_names_the_setting(browsing: Browsing, school: School) -> None:
    page = browsing(EVERYWHERE)
    frame = open_link(page, school)
    expect(frame.get_by_role("heading", level=1)).to_have_text("在新标签页打开")
    with page.expect_popup() as popup:
        pages.press(frame.get_by_role("link", name="在新标签页打开"))
    tab = popup.value
    expect(tab.get_by_role("heading", level=1)).to_have_text("请允许浏览器使用 Cookie")
    assert problems_of(frame, "new tab") + problems_of(tab, "no cookies") == []
    expect(tab.locator("main")).to_contain_text("Chrome")
    expect(tab.locator("main")).to_contain_text("设备端网站数据")
    tab.get_by_role("link", name="再试一次").click()
    expect(tab.get_by_role("heading", level=1)).to_have_text("请允许浏览器使用 Cookie")


def test_a_platform_that_never_answers_costs_four_seconds_at_most(browsing: Browsing, school: School) -> None:
    school.switch(storage="silent")
    page = browsing(EVERYWHERE)
    frame = open_link(page, school)
    frame.wait_for_url(f"{school.tool.url}/lti/login", wait_until="domcontentloaded")
    begun = time.monotonic()
    expect(frame.get_by_role("heading", level=1)).to_have_text("在新标签页打开")
    assert time.monotonic() - begun < 4.5


def test_an_impostor_beside_the_tool_hears_no_secret_and_is_not_heard(
    browsing: Browsing, school: School
) -> None:
    school.switch(storage="foreign")
    page = browsing(EVERYWHERE)
    frame = open_link(page, school)
    expect(frame.get_by_role("heading", level=1)).to_have_text("在新标签页打开")
    impostor = page.frame("school_storage")
    assert impostor is not None
    assert "127.0.0.1" in impostor.url
    assert impostor.evaluate("window.heard") == []
    # The page around the tool is the platform's own: it was told, kept nothing and said nothing.
    assert page.evaluate("window.heard").pop()["subject"] in ("lti.put_data", "org.imsglobal.lti.put_data")


def caught_launch(page: Page, school: School) -> dict[str, str]:
    """A login carried by the platform's storage, and the platform's answer to it, which never arrives."""
    caught: list[dict[str, str]] = []

    def keep(route: Any) -> None:
        fields = route.request.post_data_json
        caught.append(fields)
        route.fulfill(status=200, body="caught")

    page.route(re.compile(r"/lti/launch$"), keep)
    open_link(page, school)
    return pages.eventually(page, lambda: caught)[0]


def test_a_login_begun_in_another_browser_opens_nothing(browsing: Browsing, school: School) -> None:
    """Somebody's own login, handed to another person: the other's platform storage does not have the proof."""
    school.switch(storage="frame")
    fields = caught_launch(browsing(EVERYWHERE), school)
    victim = browsing(EVERYWHERE)
    victim.goto(f"{school.url}/courses/grade-1?as=chen-mama")
    victim.evaluate(
        """([action, fields]) => {
            const frame = document.createElement("iframe");
            frame.name = "attack";
            const form = document.createElement("form");
            form.method = "post";
            form.action = action;
            form.target = "attack";
            for (const [name, value] of Object.entries(fields)) {
                const input = document.createElement("input");
                Object.assign(input, { type: "hidden", name, value });
                form.append(input);
            }
            document.body.append(frame, form);
            form.submit();
        }""",
        [f"{school.tool.url}/lti/launch", fields],
    )
    frame = victim.frame_locator("iframe[name=attack]")
    expect(frame.get_by_text("GY-LAUNCH-NO-PROOF")).to_be_visible()
    expect(frame.get_by_role("heading", level=1)).to_have_text("无法确认是您的浏览器打开的")


def test_without_the_right_proof_nothing_opens(browsing: Browsing, school: School) -> None:
    school.switch(storage="frame")
    fields = caught_launch(browsing(EVERYWHERE), school)
    address = f"{school.tool.url}/lti/launch/stored"
    ours = {"Origin": school.tool.url, "Sec-Fetch-Site": "same-origin"}
    foreign = requests.post(address, {**fields, "storage_proof": "x"}, timeout=10)
    assert (foreign.status_code, "GY-FOREIGN-REQUEST" in foreign.text) == (403, True)
    missing = requests.post(address, fields, headers=ours, timeout=10)
    assert missing.status_code == 400
    wrong = requests.post(address, {**fields, "storage_proof": "x"}, headers=ours, timeout=10)
    assert (wrong.status_code, "GY-LAUNCH-OTHER-BROWSER" in wrong.text) == (401, True)
    again = requests.post(address, {**fields, "storage_proof": "x"}, headers=ours, timeout=10)
    assert "GY-LAUNCH-USED" in again.text


@pytest.mark.parametrize("carrier", ["partitioned cookie", "new tab", "platform storage"])
def test_a_one_time_link_shows_the_page_in_a_new_tab(
    browsing: Browsing, school: School, carrier: str
) -> None:
    view = credits_page(browsing, school, carrier)
    page = view if isinstance(view, Page) else view.page
    seen: list[str] = []
    page.context.on("request", lambda request: seen.append(request.url))
    with page.context.expect_page() as opened:
        pages.press(view.get_by_role("button", name="便于打印"))
    tab = opened.value
    expect(tab.get_by_role("heading", level=1)).to_have_text("我的学分")
    expect(tab.get_by_text("GY-")).to_have_count(0)
    root = pages.root_of(tab)
    assert root != pages.root_of(view)
    assert tab.evaluate("window.opener") is None
    tab.reload()
    expect(tab.get_by_role("heading", level=1)).to_have_text("我的学分")

    link = next(url for url in seen if "/lti/open/" in url)
    tab.goto(link)
    expect(tab.get_by_text("GY-LINK-USED")).to_be_visible()
    # Where the tab keeps a cookie, its address is of use to nobody else.
    stranger = requests.get(f"{root}/credits", timeout=10)
    assert stranger.status_code == (200 if carrier == "platform storage" else 401)


def credits_page(browsing: Browsing, school: School, carrier: str) -> Page | Frame:
    """The statement of a parent who has a credit, with the launch proven by this carrier."""
    if carrier == "new tab":
        page = browsing(inside_frames(school))
        frame = open_link(page, school, link="g1-meals", person="chen-mama")
        with page.expect_popup() as popup:
            pages.press(frame.get_by_role("link", name="在新标签页打开"))
        view: Page | Frame = popup.value
        pages.arrived(view)
    else:
        school.switch(storage="frame" if carrier == "platform storage" else "")
        page = browsing(EVERYWHERE if carrier == "platform storage" else THIRD_PARTY)
        view = pages.open_framed(page, school, "g1-meals", "chen-mama")
    if view.get_by_role("button", name="我是家长").count():
        pages.say_who(view)
        pages.finish_course(view, "screen-free-meals")
    pages.visit(view, "/credits")
    return view
