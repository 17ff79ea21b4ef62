"""What a curious or hostile visitor, an odd platform or a broken service makes of us: never a 500."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import time_machine
from flask import Flask, request, request_started
from sqlalchemy import func, select

from integrations.http import PlatformHttp
from lti_app import create_app
from lti_app.clock import utc_now
from lti_app.credits.models import CreditEntry
from lti_app.extensions import db
from lti_app.gradebook.models import Score
from lti_app.roster.models import Context, Person, ResourceLink, Right
from tests.browsing import BASE, SAME_ORIGIN, Page, Visitor
from tests.conftest import run, settings_for
from tests.fake_platform import AGS, LTI, MEMBERSHIP, FakePlatform, User
from tests.functional.courses_steps import came, finish
from tests.functional.deep_linking_steps import add, opened

HUGE = "9" * 400
ODD_TEXTS = [
    "",
    "x",
    "\x00",
    "a\x00b",
    "-1",
    "1e400",
    "nan",
    HUGE,
    "x" * 3000,
    "中文😀\u202e",
    "\r\nX: y",
    "//evil.test",
    "٣",
]
ODD_PATHS = [
    "x",
    "1",
    "quiz",
    "%00",
    "a%00b",
    "%ff%fe",
    "%ED%A0%80",
    "..%2f..%2fetc",
    "中文😀",
    "0",
    str(2**63),
    HUGE,
    "-1",
    "٣",
]
ODD_QUERIES = [
    "page=0",
    "page=-1",
    "page=" + HUGE,
    "page=%00",
    "show=nope",
    "q=%00",
    "q=%ff",
    "stage=%00",
    "course=%00",
    "column=%00",
    "column=" + HUGE,
    "number=" + HUGE,
]
FIELDS = [
    "person",
    "kind",
    "label",
    "locale",
    "next",
    "number",
    "course",
    "counts",
    "audience",
    "child",
    "code",
    "sure",
    "action",
    "page",
    "maximum",
    "opens_at",
    "apply",
    "format",
    "act",
    "keeps",
    "sends",
    "paused",
    "target",
]
FILES = [b"PK\x03\x04" + b"\x00" * 200, "学号,姓名\n\x00,=1+1\n".encode()]
BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"NaN",
    b'{"position":NaN,"watched":1}',
    b'{"position":1e400,"watched":1}',
    b"[" * 50_000,
    b"\xff",
    b'{"position":"\\ud800"}',
]
ROLES = ["parent", "pupil", "observer", "teacher", "admin", "anonymous", "test-student", "nobody"]
# Teachers who see more: everything, and the picker.
MORE = ["clerk", "picker"]
INSIDE = "/l/<key>"


@pytest.mark.parametrize("role", [*ROLES, *MORE])
def test_no_address_makes_an_error_of_ours(
    app: Flask, visit: Visitor, platform: FakePlatform, role: str
) -> None:
    platform.users["nobody"] = User("u-nobody", "无角色", [])
    if role != "parent":
        finish(came(visit, "parent"))
    page = _opened(app, visit, role)
    reached = set()

    def note(*_: object, **__: object) -> None:
        reached.add(request.endpoint)

    with request_started.connected_to(note, app):
        faults = [what for answer, what in _odd_requests(app, page) if not _is_told(answer)]
    assert faults == []
    inside = {rule.endpoint for rule in app.url_map.iter_rules() if rule.rule.startswith(INSIDE)}
    assert inside <= reached


def _is_told(answer: Page) -> bool:
    """A page, or a refusal that says what it is."""
    fine = answer.status in (200, 301, 302, 303, 304, 308, 409, 422, 429)
    return fine or (answer.status < 500 and "GY-" in answer.html)


def _opened(app: Flask, visit: Visitor, role: str) -> Page:
    if role == "picker":
        return add(opened(visit), "demo")
    if role in ("parent", "pupil", "observer"):
        return came(visit, role)
    page = visit("teacher" if role == "clerk" else role)
    if role == "clerk":
        login = run(app, "people", "find", "王老师").split("\t")[0]
        for right in Right:
            run(app, "people", "grant", login, str(right))
    return page


def _odd_requests(app: Flask, page: Page) -> Iterator[tuple[Page, str]]:
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith(INSIDE)]
    for rule in rules:
        for path in _chosen(rule.rule.removeprefix(INSIDE)):
            for odd in ODD_PATHS if "<" in path else [""]:
                target = "/".join(odd if part.startswith("<") else part for part in path.split("/"))
                if "GET" in rule.methods:
                    for query in ["", *ODD_QUERIES] if not odd else [""]:
                        answer = page.get(f"{target}?{query}")
                        yield answer, f"GET {target}?{query}"
                        if _is_shut(app, answer):
                            break
                if "POST" in rule.methods and odd in ("", "quiz", "1", str(2**63)):
                    yield from _odd_posts(app, page, target)


def _is_shut(app: Flask, answer: Page) -> bool:
    """Whether the door is shut to the role whatever it brings. SQLite's run brings everything all the same, and
    what is stopped at the door does not reach the other database."""
    return not app.config["SETTINGS"].is_sqlite and answer.status == 403


def _chosen(path: str) -> list[str]:
    """The path with each of the few words that its address takes (`any`), besides the odd ones."""
    few = re.search(r"<any\(([^)]*)\):\w+>", path)
    return (
        [path] if few is None else [path, *(path.replace(few[0], word.strip()) for word in few[1].split(","))]
    )


def _odd_posts(app: Flask, page: Page, target: str) -> Iterator[tuple[Page, str]]:
    kinds: list[list[tuple[Any, dict[str, str], str]]] = [[], [], []]
    for index, text in enumerate(ODD_TEXTS):
        form = {name: text if (index + offset) % 2 else "parent" for offset, name in enumerate(FIELDS)}
        kinds[0].append((form, {}, repr(text[:20])))
    for body in BODIES:
        kinds[1].append((body, {"content_type": "application/json"}, repr(body[:20])))
    for content in FILES:
        files: dict[str, Any] = {"file": (io.BytesIO(content), "名单\x00.xlsx"), "code": "x"}
        kinds[2].append((files, {"content_type": "multipart/form-data"}, repr(content[:20])))
    for posts in kinds:
        for data, options, what in posts:
            answer = page.post(target, data, follow_redirects=False, **options)
            yield answer, f"POST {target} {what}"
            if _is_shut(app, answer):
                break


@pytest.mark.parametrize(
    "path", ["/lti/login/a%00b", "/lti/login/%ff", "/lti/login/" + "x" * 2000, "/l/%00/course"]
)
def test_odd_public_addresses_get_a_page(app: Flask, path: str) -> None:
    answer = app.test_client().get(path, base_url=BASE)
    assert 400 <= answer.status_code < 500
    assert "GY-" in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"given_name": "名" * 255, "family_name": "姓" * 255, "name": ...},
        {"name": "a\x00b\u202e", "email": "x" * 5000},
        {"name": "\ud800"},
        {LTI + "context": {"id": "class-1", "title": "题" * 5000}},
        {LTI + "custom": {"gongyu_course": "\x00", "x" * 500: "y"}},
        {LTI + "launch_presentation": {"return_url": "https://学校.中国/back"}},
        {LTI + "launch_presentation": {"return_url": "https://*"}},
        {LTI + "launch_presentation": {"locale": "☃" * 50}},
        {AGS + "claim/endpoint": {"scope": "x", "lineitem": "file:///etc/passwd"}},
        {LTI + "roles": [MEMBERSHIP + "Instructor"] * 2000},
        {LTI + "context": ...},
    ],
    ids=range(11),
)
def test_odd_claims_are_served_or_refused(app: Flask, visit: Visitor, changes: dict[str, object]) -> None:
    answer = visit.launch("parent", **changes)
    assert answer.status_code in (303, 401)
    if answer.status_code == 303:
        page = visit("parent", **changes)
        assert page.status == 200
        page.response.headers["Content-Security-Policy"].encode("latin-1")
        assert "*" not in page.response.headers["Content-Security-Policy"]


def test_a_pupil_cannot_become_a_parent(app: Flask, visit: Visitor) -> None:
    visit("teacher").post("/class/audience", {"audience": "pupils"})
    page = visit("pupil")
    page = page.post("/who", {"kind": "parent"})
    finish(page)
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(CreditEntry)) == 0
        assert set(db.session.scalars(select(Person.kind))) == {"pupil"}


def test_who_is_asked_once_and_not_again(app: Flask, visit: Visitor) -> None:
    page = visit("pupil").post("/who", {"kind": "pupil"})
    page.post("/who", {"kind": "parent"})
    with app.app_context():
        assert set(db.session.scalars(select(Person.kind))) == {"pupil"}


def test_a_family_that_became_a_parents_class_keeps_its_progress(app: Flask, visit: Visitor) -> None:
    teacher = visit("teacher")
    teacher.post("/class/audience", {"audience": "families"})
    finish(visit("parent").post("/who", {"kind": "parent", "label": "妈妈"}))
    teacher.post("/class/audience", {"audience": "parents"})
    assert "祝贺" in visit("parent").text


def test_a_family_does_not_grow_without_end(app: Flask, visit: Visitor) -> None:
    visit("teacher").post("/class/audience", {"audience": "families"})
    page = visit("parent")
    for number in range(15):
        page.post("/who", {"kind": "parent", "label": f"家人{number}"}, follow_redirects=False)
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Person)) == 12


def test_errors_can_be_shown_inside_the_lms(lite_app: Flask, platform: FakePlatform) -> None:
    visitor = Visitor(lite_app, platform)
    page = visitor("teacher")
    for answer in (
        lite_app.test_client().get("/l/invented/course", base_url=BASE),
        page.get("/nowhere").response,
        page.post("/language", {"locale": "en"}, headers={"Sec-Fetch-Site": "cross-site"}).response,
        page.client.delete(page.root + "/course", headers=SAME_ORIGIN, base_url=BASE),
    ):
        assert answer.status_code >= 400
        assert "https://lms.test" in answer.headers["Content-Security-Policy"].partition("frame-ancestors")[2]


def test_disabling_a_platform_closes_its_open_pages(app: Flask, visit: Visitor) -> None:
    page = visit("teacher")
    run(app, "platforms", "disable", "lms.test")
    assert "GY-SESSION-EXPIRED" in page.get("/course").text


def test_a_teacher_without_an_identity_changes_nothing(app: Flask, visit: Visitor) -> None:
    visit("teacher")
    nobody = visit("teacher", sub=...)
    assert nobody.post("/class/audience", {"audience": "pupils"}).status == 403
    with app.app_context():
        assert db.session.scalars(select(Context.audience)).one() is None


def test_a_launch_that_is_silent_about_grades_takes_no_column_away(app: Flask, visit: Visitor) -> None:
    came(visit, "parent")
    visit("teacher", **{AGS + "claim/endpoint": ...})
    with app.app_context():
        assert db.session.scalars(select(ResourceLink)).one().line_item_url


def test_an_unsent_score_of_the_former_course_is_not_sent(app: Flask, visit: Visitor) -> None:
    finish(came(visit, "parent"))
    page = visit("teacher")
    page.post("/choose", {"course": "second", "counts": "result"})
    with app.app_context():
        assert db.session.scalars(select(Score.due_at)).one() is None


def test_the_language_button_of_an_answered_form_leads_to_a_page(visit: Visitor) -> None:
    page = came(visit, "parent").post("/lessons/quiz/answers", {"number": "1"})
    assert page.status == 422
    assert 'name="next"' not in page.html
    assert page.post("/language", {"locale": "en"}).status == 200


def test_a_cache_that_is_out_of_reach_costs_nothing_but_requests(sqlite_url: str, tmp_path: Path) -> None:
    platform = FakePlatform()
    settings = settings_for(tmp_path, sqlite_url, redis_url="redis://127.0.0.1:1/0")
    app = create_app(settings, http=PlatformHttp(adapter=platform))
    assert Visitor(app, platform)("teacher").status == 200


def test_a_reading_page_survives_a_busy_database(lite_app: Flask, platform: FakePlatform) -> None:
    page = came(Visitor(lite_app, platform), "parent")
    with lite_app.app_context(), db.engine.connect() as other:
        other.exec_driver_sql("SELECT 1")  # begins a writing transaction and holds it
        with time_machine.travel(utc_now() + timedelta(minutes=6)):
            assert page.get("/course").status == 200


@pytest.mark.parametrize(
    "arguments", [["courses", "list"], ["platforms", "list"], ["keys", "ensure"], ["gradebook", "status"]]
)
def test_a_database_without_tables_is_told_in_a_sentence(tmp_path: Path, arguments: list[str]) -> None:
    app = create_app(settings_for(tmp_path, f"sqlite:///{tmp_path / 'empty.sqlite3'}"))
    assert "db upgrade" in run(app, *arguments, exit_code=1)


@pytest.mark.parametrize(
    "arguments",
    [
        ["people", "grant", "1" + "0" * 30, "district"],
        [
            "platforms",
            "add",
            "--kind",
            "moodle",
            "--url",
            "https://m.cn",
            "--client-id",
            "x",
            "--deployment-id",
            "1",
            "--name",
            "n" * 300,
        ],
        [
            "platforms",
            "add",
            "--kind",
            "moodle",
            "--url",
            "https://m.cn",
            "--client-id",
            "x",
            "--deployment-id",
            "1",
            "--time-zone",
            "Asia",
        ],
        [
            "platforms",
            "add",
            "--kind",
            "moodle",
            "--url",
            "https://m.cn",
            "--client-id",
            "x\x00",
            "--deployment-id",
            "1",
        ],
    ],
    ids=range(4),
)
def test_an_operators_odd_value_is_told_in_a_sentence(app: Flask, arguments: list[str]) -> None:
    assert "Error: " in run(app, *arguments, exit_code=1)


def test_an_international_host_name_is_written_as_browsers_do(app: Flask, visit: Visitor) -> None:
    run(
        app,
        "platforms",
        "add",
        "--kind",
        "moodle",
        "--url",
        "https://学校.中国",
        "--client-id",
        "x",
        "--deployment-id",
        "1",
    )
    answer = visit.launch("teacher")
    assert answer.status_code == 303
    page = app.test_client().get("/lti/launch", base_url=BASE)
    assert "xn--" in page.headers["Content-Security-Policy"]
    assert quote("学校") not in page.headers["Content-Security-Policy"]
