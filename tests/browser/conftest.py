"""A headless Chromium, and for each test file the product and a sandbox LMS as real processes.

The tool is at 127.0.0.1 and the LMS at localhost: two sites, so that cookie trouble shows.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Response, expect, sync_playwright

from tests.browser.pages import School
from tests.databases import absent
from tests.platforms.live_tool import live_tool
from tests.platforms.process import free_port
from tests.platforms.sandbox_fixtures import running_sandbox

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP = {"width": 1280, "height": 800}
MILLISECONDS = 15_000
OpenContext = Callable[..., BrowserContext]


def chromium_path() -> str:
    """Where Chromium is on this machine; skips (or fails, in CI) where it is not."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
    if not os.path.exists(path):
        absent(f"Chromium is absent ({path}; CHROMIUM may name another)")
    return path


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser of this test process."""
    path = chromium_path()
    expect.set_options(timeout=MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def school(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    """A sandbox LMS with the tool connected to it, both running."""
    tool = live_tool(tmp_path_factory.mktemp("tool"))
    with running_sandbox(tmp_path_factory.mktemp("sandbox"), free_port(), tool.url) as url:
        school = School(url, tool)
        known = school.state()
        tool.add_platform(
            *("--kind", "generic", "--name", "sandbox", "--url", url, "--issuer", known["issuer"]),
            *("--client-id", known["client_id"], "--deployment-id", known["deployment_id"]),
            *("--auth-url", known["auth_url"], "--token-url", known["token_url"]),
            *("--jwks-url", known["jwks_url"], "--school", "晨光实验学校", "--district", "渝中区"),
        )
        with tool.serve():
            yield school


@pytest.fixture
def open_context(chromium: Browser, school: School) -> Iterator[OpenContext]:
    """`open_context(width=390)` is a browser that nobody used before. Whatever its console complains about
    on the tool's pages, and every 5xx of the tool, fails the test at its end."""
    complaints: list[str] = []
    contexts: list[BrowserContext] = []

    def said(message: ConsoleMessage) -> None:
        # A refusal that a test asks for is an error to the console, too. No address: a blocked inline script.
        ours = not message.location.get("url", "").startswith(school.url)
        if message.type == "error" and ours and "status of 4" not in message.text:
            complaints.append(message.text)

    def answered(response: Response) -> None:
        if response.status >= 500 and response.url.startswith(school.tool.url):
            complaints.append(f"{response.status} {response.url}")

    def opened(
        *, width: int = 1280, height: int = 800, script: bool = True, locale: str = "zh-CN"
    ) -> BrowserContext:
        context = chromium.new_context(
            viewport={"width": width, "height": height}, locale=locale, java_script_enabled=script
        )
        context.set_default_timeout(MILLISECONDS)
        context.on("console", said)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("response", answered)
        contexts.append(context)
        return context

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
