"""Everybody of the sandbox school, whose protocol layer is `lti1p3platform`: each message of ours is accepted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.platforms.driver import Browser
from tests.platforms.live_tool import LiveTool, live_tool
from tests.platforms.process import free_port, python, serving
from tests.platforms.walking import COURSE, eventually, finish_course, post, root_of, text_of

SECONDS = 20


class School:
    """The running sandbox, connected to the running tool."""

    def __init__(self, url: str, tool: LiveTool) -> None:
        self.url = url
        self.tool = tool

    def state(self) -> dict[str, Any]:
        answer = requests.get(f"{self.url}/state", timeout=SECONDS)
        answer.raise_for_status()
        return dict(answer.json())

    def switch(self, **wishes: Any) -> None:
        requests.post(f"{self.url}/switches", json=wishes, timeout=SECONDS).raise_for_status()

    def open(self, browser: Browser, who: str, link: str = "g1-reading") -> requests.Response:
        return browser.launch(f"{self.url}/launch/{link}?as={who}").page

    def cell(self, who: str, link: str = "g1-reading") -> dict[str, Any] | None:
        """The gradebook's cell of a person, once there is a grade in it."""
        state = self.state()
        column = next(row["line_item"] for row in state["links"] if row["id"] == link)
        cells = [c for c in state["gradebook"] if c["user"] == who and c["line_item"] == column]
        return next((c for c in cells if c["score_given"] is not None), None)

    def posts_for(self, who: str) -> list[int]:
        """The statuses of all score posts for a person, refused ones too."""
        return [post["status"] for post in self.state()["posts"] if post["body"].get("userId") == who]


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    folder = tmp_path_factory.mktemp("school")
    tool = live_tool(folder)
    port = free_port()
    url = f"http://localhost:{port}"
    argv = python("-m", "tests.platforms.sandbox", "--port", str(port), "--tool", tool.url)
    argv += ["--data", str(folder / "sandbox.sqlite3")]
    with serving(argv, f"{url}/state", log=folder / "sandbox.log"):
        school = School(url, tool)
        state = school.state()
        tool.add_platform(
            *("--kind", "generic", "--url", url, "--issuer", state["issuer"], "--name", "sandbox"),
            *("--client-id", state["client_id"], "--deployment-id", state["deployment_id"]),
            *("--auth-url", state["auth_url"], "--token-url", state["token_url"]),
            *("--jwks-url", state["jwks_url"]),
        )
        with tool.serve():
            yield school


def test_a_parents_grade_reaches_the_gradebook(school: School) -> None:
    with Browser() as browser:
        page = finish_course(browser, school.open(browser, "chen-mama"))
        assert "祝贺" in text_of(page)
        credits = browser.open(f"{root_of(page)}/credits", source=page.url)
        assert "0.50" in text_of(credits)
    cell = eventually(lambda: school.cell("chen-mama"))
    assert (cell["score_given"], cell["maximum"]) == (100, 100)
    assert len(school.posts_for("chen-mama")) == 1


def test_an_observing_grandmother_earns_credits_and_no_grade_is_sent(school: School) -> None:
    with Browser() as browser:
        page = finish_course(browser, school.open(browser, "zhao-nainai"))
        assert "学校平台不给观察者记成绩" in text_of(page)
        credits = browser.open(f"{root_of(page)}/credits", source=page.url)
        assert "0.50" in text_of(credits)
    assert school.posts_for("zhao-nainai") == []


@pytest.mark.parametrize("who", ["wang-laoshi", "li-zhujiao", "ceshi", "fangke"])
def test_previews_and_visitors_leave_nothing(school: School, who: str) -> None:
    before = school.state()["posts"]
    with Browser() as browser:
        page = school.open(browser, who)
        root = root_of(page)
        assert browser.open(f"{root}/lessons/first-week", source=page.url).status_code == 200
        answer = browser.session.post(
            f"{root}/lessons/first-week/read", headers={"Sec-Fetch-Site": "same-origin"}, timeout=SECONDS
        )
        assert answer.status_code == 403
    assert school.state()["posts"] == before


def test_an_administrator_sees_the_connection(school: School) -> None:
    with Browser() as browser:
        assert "接入情况" in text_of(school.open(browser, "guanliyuan"))


def test_a_reviewing_teacher_sees_the_work_and_a_parent_only_their_own(school: School) -> None:
    state = school.state()
    column = next(row["line_item"] for row in state["links"] if row["id"] == "g1-reading")
    assert column
    with Browser() as browser:
        page = browser.launch(f"{school.url}/launch/g1-reading?as=wang-laoshi&review=chen-mama").page
        assert page.status_code == 200, text_of(page)
        assert "陈妈妈" in text_of(page)
    with Browser() as browser:
        page = browser.launch(f"{school.url}/launch/g1-reading?as=liu-baba&review=chen-mama").page
        assert page.status_code in (200, 403)  # 200: asked first who is here
        if page.url.endswith("/who"):
            page = post(browser, page, "/who", kind="parent")
            page = browser.open(f"{root_of(page)}/review", source=page.url)
        assert page.status_code == 403
        assert "陈妈妈" not in text_of(page)


def test_an_unpublished_column_is_explained_and_sent_on_request(school: School) -> None:
    school.switch(unpublished="all")
    with Browser() as browser:
        finish_course(browser, school.open(browser, "parent-02"))
    with Browser() as browser:
        page = school.open(browser, "wang-laoshi")
        page = eventually(lambda: found if "等待发布" in text_of(found := browser.open(page.url)) else None)
        assert school.cell("parent-02") is None
        school.switch(unpublished="")
        page = post(browser, page, "/retry")
    eventually(lambda: school.cell("parent-02"))


def test_a_platform_that_fails_and_rotates_its_keys_gets_the_grade_when_it_is_well(school: School) -> None:
    school.switch(fail_next=1, rotate_keys=True)
    with Browser() as browser:
        finish_course(browser, school.open(browser, "parent-01"))
    eventually(lambda: school.cell("parent-01"), seconds=60)
    statuses = school.posts_for("parent-01")
    assert statuses[0] == 500
    assert statuses[-1] < 300


def test_a_grade_that_a_teacher_changed_in_the_lms_is_read_back_and_respected(school: School) -> None:
    with Browser() as browser:
        finish_course(browser, school.open(browser, "parent-03"))
    eventually(lambda: school.cell("parent-03"))
    edit = {"line_item": "g1-reading", "user": "parent-03", "score": "61"}
    teachers = {"as": "wang-laoshi"}
    answer = requests.post(
        f"{school.url}/courses/grade-1/gradebook", data=edit, params=teachers, timeout=SECONDS
    )
    assert answer.ok, answer.text
    school.tool.flask("gradebook", "reconcile", "--all")
    with Browser() as browser:
        page = school.open(browser, "wang-laoshi")
        eventually(lambda: "老师已改分" in text_of(browser.open(page.url)))
    cell = school.cell("parent-03")
    assert cell is not None
    assert (cell["score_given"], cell["overridden"]) == (61, True)
    assert len(school.posts_for("parent-03")) == 1


def test_the_showcase_is_the_course_of_the_link(school: School) -> None:
    assert next(row["slug"] for row in school.state()["links"] if row["id"] == "g1-reading") == COURSE
