"""A school's first hour, in the sandbox LMS: one invitation connects it, a teacher picks, a parent gets a grade.

Nobody copies an address or an id: what the two need of each other they tell each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
import requests

from tests.platforms.driver import Browser, forms
from tests.platforms.live_tool import LiveTool, live_tool
from tests.platforms.process import free_port
from tests.platforms.sandbox_fixtures import running_sandbox
from tests.platforms.test_walk_sandbox import School
from tests.platforms.walking import COURSE, eventually, finish_course, post, text_of

ADMIN, TEACHER = "guanliyuan", "wang-laoshi"


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> LiveTool:
    return live_tool(tmp_path_factory.mktemp("tool"))


@pytest.fixture(scope="module")
def school(tool: LiveTool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    """A school that has never heard of the tool, and the tool that has never heard of it."""
    folder: Path = tmp_path_factory.mktemp("school")
    with running_sandbox(folder, free_port(), tool.url) as url, tool.serve():
        yield School(url, tool)


def invite(tool: LiveTool) -> str:
    said = tool.flask(
        *(
            "platforms",
            "invite",
            "--district",
            "渝中区",
            "--school",
            "晨光实验学校",
            "--deployments",
            "accept",
        ),
        *("--allow-http", "--allow-private-network"),
    )
    found = re.search(rf"{re.escape(tool.url)}/lti/register/\S+", said)
    assert found, said
    return found.group(0)


def register(browser: Browser, school: School, address: str, **choices: str) -> requests.Response:
    """What the administrator does in the LMS: enter the address, agree; returns the tool's last page."""
    page = browser.session.get(f"{school.url}/tools", params={"as": ADMIN, "add": address}, timeout=20)
    frame = re.search(r'data-launch="([^"]+)"', page.text)
    assert frame
    asked = browser.open(unescape(frame.group(1)), source=page.url)
    assert asked.status_code == 200, text_of(asked)
    assert "晨光实验学校" in text_of(asked)
    return post(browser, asked, "/lti/register", **choices)


def pick(browser: Browser, school: School, *slugs: str) -> requests.Response:
    """Choose courses in the picker and send them to the LMS; returns the LMS's page."""
    page = browser.launch(f"{school.url}/launch/content/grade-1?as={TEACHER}").page
    assert page.url.endswith("/pick"), text_of(page)
    root = page.url.split("/pick")[0]
    for slug in slugs:
        preview = browser.open(f"{root}/pick/courses/{slug}", source=page.url)
        (choice,) = [form for form in forms(preview) if dict(form.fields).get("course") == slug]
        page = browser.submit(choice, {"action": "add"})
    basket = browser.open(f"{root}/pick/basket", source=page.url)
    settings = next(form for form in forms(basket) if form.action.endswith("/pick/basket"))
    sending = browser.submit(settings, {"action": "send"})
    (form,) = [form for form in forms(sending) if form.action.startswith(school.url)]
    return browser.submit(form)


def test_an_invitation_a_picker_and_a_grade(tool: LiveTool, school: School) -> None:
    address = invite(tool)
    with Browser() as browser:
        done = register(browser, school, address)
        assert done.status_code == 200, text_of(done)
        again = register_page_again(browser, school, address)
        assert 400 <= again.status_code < 500, "an invitation works once"
    registered = school.state()["tools"][-1]
    assert registered["active"] is False, "the administrator has the last word"
    requests.post(
        f"{school.url}/tools/{registered['client_id']}?as={ADMIN}", data={"active": "1"}, timeout=20
    ).raise_for_status()

    with Browser() as browser:
        added = pick(browser, school, COURSE, "screen-free-meals")
        assert added.status_code == 200, text_of(added)
    links = [link for link in school.state()["links"] if link["id"].startswith("picked-")]
    assert len(links) == 2
    assert [link["maximum"] for link in links] == [100, 100]
    assert all({"gongyu_item", "gongyu_course"} <= link["custom"].keys() for link in links)

    with Browser() as browser:
        page = finish_course(browser, school.open(browser, "chen-mama", links[0]["id"]))
        assert "祝贺" in text_of(page)
    cell = eventually(lambda: school.cell("chen-mama", links[0]["id"]))
    assert (cell["score_given"], cell["maximum"]) == (100, 100)


def register_page_again(browser: Browser, school: School, address: str) -> requests.Response:
    page = browser.session.get(f"{school.url}/tools", params={"as": ADMIN, "add": address}, timeout=20)
    frame = re.search(r'data-launch="([^"]+)"', page.text)
    assert frame
    return browser.open(unescape(frame.group(1)), source=page.url)


def test_the_roster_comes_without_anybody_clicking(tool: LiveTool, school: School) -> None:
    """After the first launch of a class its whole roster is read; who never launched is known by name."""
    with Browser() as browser:
        page = school.open(browser, TEACHER, "g1-reading")
        root = page.url.rsplit("/", 1)[0]
        found = eventually(
            lambda: text if "周丽华" in (text := text_of(browser.open(f"{root}/members"))) else None
        )
    assert "王老师" in found


def test_names_are_sent_only_when_they_were_asked_for(tool: LiveTool, school: School) -> None:
    with Browser() as browser:
        done = register(browser, school, invite(tool), names="anonymous")
        assert done.status_code == 200, text_of(done)
    registered = school.state()["tools"][-1]
    requests.post(
        f"{school.url}/tools/{registered['client_id']}?as={ADMIN}", data={"active": "1"}, timeout=20
    ).raise_for_status()
    with Browser() as browser:
        launched = browser.launch(f"{school.url}/launch/g1-reading?as=liu-baba")
        assert "name" not in launched.claims
        assert launched.page.status_code == 200
