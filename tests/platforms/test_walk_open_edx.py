"""The main job on a platform that we did not write: the grade is read from Open edX's own tables."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.databases import new_database, service
from tests.platforms import open_edx_fixtures
from tests.platforms.driver import Browser, Launched, forms
from tests.platforms.live_tool import LiveTool, live_tool
from tests.platforms.open_edx_fixtures import OpenEdx
from tests.platforms.walking import COURSE, eventually, finish_course, root_of, text_of

pytestmark = pytest.mark.open_edx
open_edx = open_edx_fixtures.open_edx


@pytest.fixture(
    scope="module",
    params=["sqlite", pytest.param("postgres-and-redis", marks=[pytest.mark.postgres, pytest.mark.redis])],
)
def tool(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveTool]:
    """The embedded default, and PostgreSQL with a shared cache."""
    open_edx_fixtures.need_open_edx()
    folder = tmp_path_factory.mktemp("tool")
    if request.param == "sqlite":
        yield live_tool(folder)
        return
    redis_url = service("Redis", "TEST_REDIS_URL")
    with new_database(service("PostgreSQL", "TEST_POSTGRES_URL")) as url:
        yield live_tool(folder, database_url=url, GONGYU_REDIS_URL=redis_url)


@pytest.fixture(scope="module")
def tool_url(tool: LiveTool) -> str:
    return tool.url


@pytest.fixture(scope="module", autouse=True)
def connected(tool: LiveTool, open_edx: OpenEdx) -> Iterator[None]:
    """The operator registers what an author copies from Studio; then the tool is started."""
    for unit in ("unit-1", "unit-2"):  # unit-3 has the client id of unit-1
        values = open_edx.unit(unit)
        tool.add_platform(
            *("--kind", "open-edx", "--url", open_edx.url, "--issuer", values["issuer"]),
            *("--client-id", values["client_id"], "--deployment-id", values["deployment_id"]),
            *("--auth-url", values["auth_url"], "--token-url", values["token_url"]),
            *("--jwks-url", values["keyset_url"], "--name", unit),
        )
    with tool.serve():
        yield


def launched(
    browser: Browser, open_edx: OpenEdx, user: str, unit: str, course: str | None = COURSE
) -> Launched:
    launch = browser.launch(open_edx.launch_url(user, unit, course=course))
    assert launch.page.status_code == 200, text_of(launch.page)
    return launch


def test_a_parent_finishes_a_course_and_the_grade_stands_in_the_gradebook(open_edx: OpenEdx) -> None:
    with Browser() as browser:
        launch = launched(browser, open_edx, "li", "unit-1")
        page = finish_course(browser, launch.page)
        assert "学分" in text_of(page)
        sub = launch.claims["sub"]
    scores = eventually(lambda: [row for row in open_edx.state()["scores"] if row["user_id"] == sub])
    assert [(row["score_given"], row["score_maximum"]) for row in scores] == [(100.0, 100.0)]
    assert scores[0]["grading_progress"] == "FullyGraded"
    grades = [row for row in open_edx.state()["gradebook"] if row["user"] == "li"]
    assert [(row["value"], row["maximum"]) for row in grades] == [(10.0, 10.0)]  # the unit is worth 10 points
    assert len(open_edx.state()["line_items"]) == 1

    # The same course at another place of this LMS needs no second walk: the person has finished it.
    with Browser() as browser:
        page = launched(browser, open_edx, "li", "unit-1").page
        assert "祝贺" in text_of(page)


def test_what_the_platform_shows_is_read_back(tool: LiveTool, open_edx: OpenEdx) -> None:
    before = open_edx.state()["scores"]
    said = tool.flask("gradebook", "reconcile", "--registration", "unit-1", "--now")
    assert "done: 1" in said
    with Browser() as browser:
        page = launched(browser, open_edx, "chen", "unit-1").page
        assert "老师已改分" not in text_of(page)
    assert open_edx.state()["scores"] == before, "it shows what was sent, so nothing was sent again"


def test_a_teacher_sees_who_has_what_and_why(open_edx: OpenEdx) -> None:
    with Browser() as browser:
        page = launched(browser, open_edx, "chen", "unit-1").page
        assert "/class" in page.url
        assert "李家长" in text_of(page)


def test_without_a_custom_parameter_the_teacher_chooses(open_edx: OpenEdx) -> None:
    with Browser() as browser:
        page = launched(browser, open_edx, "wang", "unit-2", course=None).page
        if page.url.endswith("/who"):
            page = browser.open(page.url.replace("/who", "/"))
        assert page.status_code == 200
    with Browser() as browser:
        page = launched(browser, open_edx, "chen", "unit-2", course=None).page
        assert "/choose" in page.url
        assert "每天十五分钟" in text_of(page)


def pick(browser: Browser, open_edx: OpenEdx, course: str) -> requests.Response:
    """A teacher chooses a course for unit-3, with a date, and gives it to the platform."""
    page = browser.launch(open_edx.choose_url("chen", "unit-3")).page
    assert "选一门课程" in text_of(page)
    page = browser.open(f"{root_of(page)}/pick/courses/{course}", source=page.url)
    page = browser.submit(next(form for form in forms(page) if "/pick/courses" in form.action))
    assert page.url.endswith("/pick/basket")
    assert "平台的这个位置原来选的内容会被换掉" in text_of(page)
    form = next(form for form in forms(page) if form.action.endswith("/pick/basket"))
    dates = {name: "2020-01-01T08:00" for name, _ in form.fields if name.startswith("opens_at")}
    page = browser.submit(form, {**dates, "action": "send"})
    answer = next(form for form in forms(page) if any(name == "JWT" for name, _ in form.fields))
    return browser.submit(answer)


def test_what_a_teacher_picks_is_kept_by_the_platform_and_earns_its_grade(open_edx: OpenEdx) -> None:
    with Browser() as browser:
        answer = pick(browser, open_edx, "fathers-time")
        assert answer.status_code == 200, text_of(answer)
        page = launched(browser, open_edx, "chen", "unit-3", course=None).page
        assert "爸爸在场" in text_of(page)
        # Another choice for the same unit: the platform forgets the first one, and so do we.
        answer = pick(browser, open_edx, COURSE)
        assert answer.status_code == 200, text_of(answer)
    (kept,) = open_edx.state()["content_items"]
    assert kept["unit"] == "unit-3"
    assert kept["title"] == "每天十五分钟亲子共读"
    assert kept["custom"]["gongyu_course"] == COURSE

    with Browser() as browser:
        launch = launched(browser, open_edx, "wang", "unit-3", course=None)
        assert launch.claims["https://purl.imsglobal.org/spec/lti/claim/custom"] == kept["custom"]
        finish_course(browser, launch.page)
    grades = eventually(
        lambda: [
            row for row in open_edx.state()["gradebook"] if (row["user"], row["unit"]) == ("wang", "unit-3")
        ]
    )
    assert [(row["value"], row["maximum"]) for row in grades] == [(10.0, 10.0)]


def test_who_cancels_loses_nothing_of_what_was_chosen_before(open_edx: OpenEdx) -> None:
    with Browser() as browser:
        assert pick(browser, open_edx, COURSE).status_code == 200
        page = browser.launch(open_edx.choose_url("chen", "unit-3")).page
        page = browser.open(f"{root_of(page)}/pick/cancel", source=page.url)
        assert "请直接关闭这个窗口" in text_of(page)
        assert not [form for form in forms(page) if form.action.endswith("/pick/cancel")]
    assert len(open_edx.state()["content_items"]) == 1


def test_the_platform_tells_who_is_in_the_class_before_they_come(open_edx: OpenEdx) -> None:
    """Its roster is read after the first launch; who comes later is the person that the roster named."""
    with Browser() as browser:
        page = launched(browser, open_edx, "chen", "unit-1").page
        members = f"{root_of(page)}/members"
        seen = eventually(
            lambda: text if "赵老师" in (text := text_of(browser.open(members, source=page.url))) else None
        )
        assert "李家长" in seen
        waiting = text_of(browser.open(f"{members}?show=waiting", source=page.url))
        assert "赵老师" in waiting
    with Browser() as browser:
        launched(browser, open_edx, "zhao", "unit-1")
    with Browser() as browser:
        page = launched(browser, open_edx, "chen", "unit-1").page
        seen = text_of(browser.open(f"{root_of(page)}/members", source=page.url))
        assert seen.count("赵老师") == 1
