"""Pictures of our pages for the guides: `python -m scripts.take_pictures [zh|en]` writes docs/images/connect-*.png.

Everything in them is invented. The pages are real: the tool and the sandbox LMS run as they do in the browser
tests, and for the pages of a registration, servers stand in that call themselves as the LMSs do.
"""

from __future__ import annotations

import contextlib
import html
import io
import json
import re
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from integrations.lti.notices import SCOPE_NOTICES
from integrations.lti.registration import PLATFORM_MEMBER, SCOPES
from integrations.platforms.registry import platform_for
from integrations.terms import MessageType
from tests.browser.conftest import ARGUMENTS, chromium_path
from tests.browser.pages import School, View, arrived, eventually, finish_course, open_alone, say_who, visit
from tests.platforms.live_tool import LiveTool, live_tool
from tests.platforms.process import ROOT, free_port
from tests.platforms.sandbox_fixtures import running_sandbox

FOLDER = ROOT / "docs" / "images"
FRAME, PHONE = 770, 390
HIGHEST = 1100
"""Longer pages are cut: the top is what the guide speaks of."""
LANGUAGES = {"zh": "zh-CN", "en": "en-US"}
KINDS = {"moodle": "moodle", "canvas": "canvas", "other": "desire2learn"}
"""The LMSs of the registration pages, with the `product_family_code` of each."""
DRAWING = 300
"""Milliseconds: another process draws a frame."""
Names = Sequence[tuple[str, str]]
HOME = ("--district", "渝中区", "--school", "晨光实验学校")
# Ports and hosts of this machine, as they would be called outside.
_RENAME = """names => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        for (const [from, to] of names) texts.currentNode.data = texts.currentNode.data.replaceAll(from, to);
    }
}"""


@dataclass(frozen=True)
class Studio:
    """The sandbox school with the tool, and a browser's context in one language."""

    school: School
    context: BrowserContext
    language: str

    @property
    def tool(self) -> LiveTool:
        return self.school.tool

    def page(self, width: int = FRAME) -> Page:
        page = self.context.new_page()
        page.set_viewport_size({"width": width, "height": 800})
        return page

    def launch(self, path: str, person: str, width: int = FRAME) -> Page:
        page = self.page(width)
        page.goto(f"{self.school.url}{path}?as={person}&target=window&lang={self.language}")
        arrived(page)
        return page

    def take(
        self, page: Page, name: str, *, view: View | None = None, highest: int = HIGHEST, names: Names = ()
    ) -> None:
        """Save what the page shows (`view`: its frame), with `names` besides the addresses replaced by such as
        a reader can take for their own."""
        view = view or page
        outside = [
            (self.tool.url, "https://gongyu.example"),
            (self.school.url, "http://lms.chenguang.example"),
        ]
        view.evaluate(_RENAME, [*outside, *names])
        width = page.viewport_size["width"] if page.viewport_size else FRAME
        height = min(int(view.evaluate("document.documentElement.scrollHeight")), highest)
        page.set_viewport_size({"width": width, "height": height})  # bars that stick to the edge stay there
        page.wait_for_timeout(DRAWING)
        picture = Image.open(io.BytesIO(page.screenshot()))
        path = FOLDER / f"connect-{name}-{self.language}.png"
        picture.convert("RGB").quantize(96).save(path, optimize=True)
        print(f"{path.relative_to(ROOT)}  {path.stat().st_size // 1024} KB")


class _StandIn(BaseHTTPRequestHandler):
    """An LMS that takes every tool: its configuration, its registration address, its page around a tool."""

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if asked.path == "/tools":
            address = html.escape(parse_qs(asked.query)["add"][0])
            frame = f'<iframe src="{address}" style="border:0;width:100vw;height:100vh">'
            self._answer("text/html", f'<!doctype html><body style="margin:0">{frame}</iframe>')
        else:
            family = asked.path.strip("/")
            self._answer(
                "application/json", json.dumps(_configuration(f"http://{self.headers['Host']}", family))
            )

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer("application/json", json.dumps({"client_id": uuid.uuid4().hex[:15]}))

    def _answer(self, kind: str, text: str) -> None:
        content = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing: the pictures are listed, not their requests."""


def _configuration(issuer: str, family: str) -> dict[str, Any]:
    offers = platform_for("canvas").placement_offers if family == "canvas" else ()
    kinds = (MessageType.RESOURCE_LINK, MessageType.DEEP_LINKING)
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/auth",
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/keys",
        "registration_endpoint": f"{issuer}/register",
        "scopes_supported": [scope for scope in SCOPES if family == "canvas" or scope != SCOPE_NOTICES],
        PLATFORM_MEMBER: {
            "product_family_code": family,
            "messages_supported": [
                {"type": kind.value, "placements": [one.name for one in offers if one.message_type is kind]}
                for kind in kinds
            ],
            "https://canvas.instructure.com/lti/account_name": "晨光实验学校",
        },
    }


@contextlib.contextmanager
def stand_in() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _StandIn)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def registrations(studio: Studio) -> None:
    """The address in a browser, then what is asked for and the result, for each kind of LMS."""
    page = studio.page()
    page.goto(_invite(studio.tool))
    studio.take(page, "address")
    for kind, family in KINDS.items():
        with stand_in() as url:
            configuration = urlencode({"openid_configuration": f"{url}/{family}"})
            page.goto(f"{url}/tools?" + urlencode({"add": f"{_invite(studio.tool)}?{configuration}"}))
            view = page.frames[1]
            host = f"{'brightspace' if kind == 'other' else kind}.chenguang.example"
            names = [(url, f"https://{host}"), *((f"localhost{more}", host) for more in ("-2", ""))]
            button = view.locator("main .btn-primary")
            button.wait_for()
            if kind != "other":
                studio.take(page, f"{kind}-ask", view=view, highest=1500, names=names)
            button.click()
            view.locator(".next-steps").wait_for()
            studio.take(page, f"{kind}-done", view=view, highest=1000, names=names)
    page.close()


def picker(studio: Studio) -> None:
    page = studio.launch("/launch/content/grade-1", "wang-laoshi")
    for number in (0, 1):
        page.locator(".pick-card:not(.is-picked) .pick-foot form button").nth(number).click()
        page.locator(".pick-card.is-picked").nth(number).wait_for()
    page.evaluate("scrollTo(0, 0)")
    studio.take(page, "picker")
    page.locator(".pick-bar a").last.click()
    page.locator(".pick-rows").wait_for()
    studio.take(page, "settings")
    page.close()


def roster(studio: Studio) -> None:
    for parent in ("chen-mama", "liu-baba"):
        studio.launch("/launch/g1-reading", parent).close()
    page = studio.launch("/launch/g1-reading", "wang-laoshi")

    def read() -> bool:
        visit(page, "/members")
        return "周丽华" in page.locator("main").inner_text()

    eventually(page, read, pause=0.5)
    studio.take(page, "roster")
    page.close()


def check(studio: Studio) -> None:
    page = studio.launch("/launch/g1-reading", "guanliyuan")
    visit(page, "/connection")
    page.locator("#check form button").click()

    def checked() -> bool:
        visit(page, "/connection")
        return page.locator("#check details").count() > 0

    eventually(page, checked, seconds=60, pause=1)
    page.locator("#check details").evaluate("details => { details.open = true; }")
    studio.take(page, "check", highest=1500)
    page.close()


def claim(studio: Studio) -> None:
    page = studio.launch("/launch/g1-reading", "liu-baba", PHONE)
    if page.url.endswith("/who"):
        page.locator("button[value=parent]").click()
        page.locator(".hero").wait_for()
    visit(page, "/children")
    studio.take(page, "claim")
    page.close()


def grades(studio: Studio) -> None:
    """The sync page after a teacher has changed a grade in the LMS's gradebook, and a column's settings."""
    school = studio.school
    page = studio.page(PHONE)
    for parent in ("liu-baba", "chen-mama"):
        open_alone(page, school, "g1-meals", parent, lang="zh")
        if page.url.endswith("/who"):
            say_who(page)
        finish_course(page, "screen-free-meals")
        eventually(page, lambda who=parent: school.grade(who, "g1-meals"))
    page.goto(f"{school.url}/courses/grade-1/gradebook?as=wang-laoshi")
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
    cells = page.locator("form").filter(has=page.locator("input[name=user][value=liu-baba]"))
    filled = next(cell for cell in cells.all() if cell.locator("input[name=score]").input_value())
    filled.locator("input[name=score]").fill("60")
    filled.locator("button").click()
    page.close()
    page = studio.launch("/launch/g1-meals", "wang-laoshi", PHONE)
    visit(page, "/grades")
    page.locator("button[value=read]").first.click()

    def compared() -> bool:
        visit(page, "/grades")
        return page.locator("a[href*='/mine']").count() > 0

    eventually(page, compared, pause=1)
    studio.take(page, "grades", highest=1500)
    page.locator("a[href*='/columns/']").first.click()
    page.locator("fieldset").first.wait_for()
    studio.take(page, "grades-settings")
    page.close()


def _invite(tool: LiveTool) -> str:
    said = tool.flask("platforms", "invite", *HOME, "--allow-http", "--allow-private-network")
    found = re.search(r"\S+/lti/register/\S+", said)
    assert found, said
    return found.group(0)


@contextlib.contextmanager
def sandbox_school(folder: Path) -> Iterator[School]:
    tool = live_tool(folder, GONGYU_CONTACT="区教育技术中心 023-0000 0000")
    with running_sandbox(folder, free_port(), tool.url) as url:
        school = School(url, tool)
        known = school.state()
        tool.add_platform(
            *("--kind", "generic", "--name", "晨光学习平台", "--url", url, "--issuer", known["issuer"]),
            *("--client-id", known["client_id"], "--deployment-id", known["deployment_id"]),
            *("--auth-url", known["auth_url"], "--token-url", known["token_url"]),
            *("--jwks-url", known["jwks_url"], *HOME),
        )
        with tool.serve():
            yield school


def take_all(browser: Browser, language: str) -> None:
    with tempfile.TemporaryDirectory() as folder, sandbox_school(Path(folder)) as school:
        context = browser.new_context(locale=LANGUAGES[language])
        studio = Studio(school, context, language)
        for scene in (registrations, picker, roster, check, claim, grades):
            scene(studio)
        context.close()


def main() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        for language in sys.argv[1:] or LANGUAGES:
            take_all(browser, language)
        browser.close()


if __name__ == "__main__":
    main()
