"""The picker in a real browser: every state accessible and within its width, and the answer on its way.

The platform here is an address that takes the answer; the launch is made beside the browser, which gets its
cookie. Launches in frames are tested with the sandbox LMS.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask, request
from playwright.sync_api import Browser, BrowserContext, Page, expect
from werkzeug.serving import make_server

from lti_app.launches.current import COOKIE
from tests import browsing
from tests.browser.test_every_page import RUN_AXE, WCAG, WIDTHS
from tests.conftest import ROOT, run
from tests.fake_platform import FakePlatform
from tests.functional.deep_linking_steps import DL, add, asking

pytestmark = pytest.mark.browser
AXE = Axe()
Start = Callable[..., tuple[Page, str]]


@pytest.fixture
def lms() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The platform's return address, on another site than ours, and the answers that came to it."""
    answers: list[dict[str, Any]] = []
    page = Flask("lms")

    @page.post("/return")
    def take() -> str:
        answers.append(jwt.decode(request.form["JWT"], options={"verify_signature": False}))
        return "<!doctype html><title>LMS</title><h1>The LMS has it</h1>"

    server = make_server("127.0.0.1", 0, page, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}/return?a=1&b=<2>", answers
    server.shutdown()


@pytest.fixture
def start(
    chromium: Browser, lite_app: Flask, platform: FakePlatform, lms: tuple[str, list[dict[str, Any]]]
) -> Iterator[Start]:
    """`start(*slugs, width=390)` opens the picker of a new launch with these courses chosen."""
    run(lite_app, "courses", "import", str(ROOT / "lti_app/demo/courses"))
    server = make_server("127.0.0.1", 0, lite_app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    contexts: list[BrowserContext] = []

    def begin(*slugs: str, width: int = 770, scripts: bool = True, **settings: Any) -> tuple[Page, str]:
        changes = asking(deep_link_return_url=lms[0], **settings)
        launched = add(browsing.Visitor(lite_app, platform)("teacher", "/class-1", **changes), *slugs)
        cookie = launched.client.get_cookie(COOKIE, domain="tool.test", path=launched.root)
        assert cookie is not None
        context = chromium.new_context(
            viewport={"width": width, "height": 844}, locale="zh-CN", java_script_enabled=scripts
        )
        contexts.append(context)
        # A secure cookie may be set for this machine's own address.
        kept: Any = {"name": COOKIE, "value": cookie.value, "domain": "127.0.0.1", "path": launched.root}
        context.add_cookies([{**kept, "secure": True, "httpOnly": True, "sameSite": "None"}])
        page = context.new_page()
        root = f"http://127.0.0.1:{server.server_port}{launched.root}"
        page.goto(f"{root}/pick")
        return page, root

    yield begin
    for context in contexts:
        context.close()
    server.shutdown()


def test_the_answer_reaches_the_platform_by_itself_and_only_once(
    start: Start, lms: tuple[str, list[dict[str, Any]]]
) -> None:
    page, _ = start()
    page.get_by_role("button", name="加入 《每天十五分钟亲子共读》").click()
    page.get_by_role("button", name="加入 《睡前十分钟，说说心里话》").click()
    page.get_by_role("link", name="下一步").click()
    page.get_by_role("button", name="下移《每天十五分钟亲子共读》").click()
    page.get_by_label("满分").first.fill("30")
    page.keyboard.press("Enter")
    expect(page.get_by_label("满分").first).to_have_value("30")
    page.get_by_role("button", name="交给平台").click()
    expect(page.get_by_role("heading", name="The LMS has it")).to_be_visible()
    (answer,) = lms[1]
    items = answer[f"{DL}content_items"]
    assert [item["title"] for item in items] == ["睡前十分钟，说说心里话", "每天十五分钟亲子共读"]
    assert items[0]["lineItem"]["scoreMaximum"] == 30
    page.go_back()
    expect(page.get_by_role("button", name="回到平台")).to_be_visible()
    page.wait_for_timeout(500)
    assert len(lms[1]) == 1, "who comes back sends nothing"


def test_without_scripts_the_buttons_do_it_all(start: Start, lms: tuple[str, list[dict[str, Any]]]) -> None:
    page, _ = start("homework-habits", scripts=False)
    page.get_by_role("link", name="下一步").click()
    page.get_by_role("button", name="交给平台").click()
    page.get_by_role("button", name="回到平台").click()
    expect(page.get_by_role("heading", name="The LMS has it")).to_be_visible()
    assert len(lms[1]) == 1


@pytest.mark.parametrize("width", WIDTHS)
def test_every_state_is_accessible_and_fits(start: Start, width: int) -> None:
    chosen = ("homework-habits", "fathers-time")
    page, root = start(*chosen, width=width)
    states = {
        "picker": "/pick",
        "filtered": "/pick?stage=primary&hours=short",
        "nothing found": "/pick?q=zzzz",
        "course": "/pick/courses/homework-habits",
        "lesson": "/pick/courses/homework-habits/quiz",
        "basket": "/pick/basket",
        "cancel": "/pick/cancel",
    }
    for name, path in states.items():
        page.goto(root + path)
        judge(page, name)
    page.goto(f"{root}/pick/basket")
    page.get_by_label("满分").first.fill("0")
    page.get_by_role("button", name="交给平台").click()
    expect(page.get_by_text("满分要在 1 到 1000 之间")).to_be_visible()
    judge(page, "basket with a mistake")
    one, _ = start("fathers-time", width=width, accept_multiple=False, accept_lineitem=False)
    one.get_by_role("link", name="下一步").click()
    judge(one, "one course without a column")
    none, _ = start(width=width, accept_types=["file"])
    judge(none, "unsupported")


def judge(page: Page, name: str) -> None:
    page.evaluate(AXE.axe_script)
    assert page.evaluate(RUN_AXE, WCAG) == [], name
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, name
