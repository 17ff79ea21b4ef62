"""The teacher's page of a class's members, and what they decide about a doubtful list."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask

from lti_app.delivery.worker import EmbeddedWorker
from lti_app.roster.reading import read_rosters
from lti_app.roster.sync_models import SyncState
from tests.browsing import Page, QueryCount, Visitor
from tests.conftest import run
from tests.fake_platform import FakePlatform
from tests.functional.roster_steps import INSTRUCTOR, active, class_list, member, people, read, sync_now

NOON = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)


@pytest.fixture
def lite_visit(lite_app: Flask, platform: FakePlatform) -> Visitor:
    return Visitor(lite_app, platform)


def names(page: Page) -> list[str]:
    """The names in the list, in order."""
    rows = re.findall(r'<th role="rowheader" scope="row">(.*?)<', page.html)
    return [row.strip() for row in rows]


def held_class(app: Flask, visit: Visitor, platform: FakePlatform) -> Page:
    """A class of ten, whose list suddenly has six; the teacher looks."""
    platform.rosters["class-1"] = people(10)
    visit("teacher")
    read(app)
    platform.rosters["class-1"] = people(6)
    run(app, "roster", "sync")
    page = visit("teacher").get("/members")
    assert "新名单等您确认" in page.text
    assert "会有 4 人离开" in page.text
    assert "家长p00006、家长p00007" in page.text
    return page


def decide(page: Page, apply: str) -> Page:
    (number,) = re.findall(r'name="run" value="(\d+)"', page.html)
    return page.post("/members/decide", {"run": number, "apply": apply})


def test_who_has_come_and_who_has_not(lite_app: Flask, lite_visit: Visitor, platform: FakePlatform) -> None:
    platform.rosters["class-1"] = [
        member("u-teacher", INSTRUCTOR, name="王老师"),
        member("u-father", name="刘爸爸"),
        member("u-observer", "http://purl.imsglobal.org/vocab/lis/v2/membership#Mentor", name="赵奶奶"),
        member("quiet", name=None),
    ]
    lite_visit("father")
    teacher = lite_visit("teacher")
    read(lite_app)
    teacher.post("/class/audience", {"audience": "parents"})
    page = teacher.get("/members")
    assert set(names(page)) == {"刘爸爸", "王老师", "赵奶奶", names(page)[-1]}
    assert names(page)[-1].startswith("未提供姓名 #")
    assert re.search(r"刘爸爸 家长 .{0,20}来过 最近：", page.text)
    assert re.search(r"赵奶奶 观察家长 还没来过", page.text)
    assert re.search(r"王老师 老师 来过", page.text)
    waiting = teacher.get("/members?show=waiting")
    assert len(names(waiting)) == 2
    assert "名单上有 2 人还没来过" in teacher.get("/class").text
    assert names(teacher.get("/members?q=奶奶")) == ["赵奶奶"]
    assert names(teacher.get("/members?q=奶奶&show=left")) == []
    assert "没有符合条件的成员" in teacher.get("/members?q=%25").text


@pytest.mark.parametrize("user", ["parent", "observer", "pupil", "admin", "test-student", "anonymous"])
@pytest.mark.parametrize("path", ["", "/progress", "/refresh", "/refresh-link", "/decide"])
def test_it_is_for_teachers_only(lite_visit: Visitor, user: str, path: str) -> None:
    page = lite_visit(user)
    if "/who" in page.response.request.path:
        page = page.post("/who", {"kind": "pupil"})
    answer = page.get("/members" + path) if path in ("", "/progress") else page.post("/members" + path)
    assert answer.status == 403


def test_a_class_without_a_list_says_how_to_get_one(lite_visit: Visitor) -> None:
    teacher = lite_visit("teacher")
    page = teacher.get("/members")
    assert "Names and Role Provisioning" in page.text
    assert "现在更新" not in page.text
    assert "所以读不了" in teacher.post("/members/refresh").text


def test_the_button_reads_the_list_and_shows_how_far_it_is(
    app: Flask, visit: Visitor, platform: FakePlatform
) -> None:
    platform.rosters["class-1"] = people(150)
    teacher = visit("teacher")
    read(app)
    platform.rosters["class-1"] += [member("new", name="新来的")]
    page = teacher.post("/members/refresh")
    assert "正在读取名单" in page.text
    assert "data-wait-url" in page.html
    assert teacher.get("/members/progress").response.json == {"done": False, "text": "正在读取名单。"}
    platform.roster_faults = [None, lambda _: (503, b"", {})]
    read(app)
    progress = teacher.get("/members/progress").response.json
    assert progress is not None
    assert progress["done"] is False
    assert "已读到 100 人" in progress["text"]
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=2)):
        read(app)
        assert teacher.get("/members/progress").response.json == {"done": True, "text": ""}
        assert "名单上 151 人，新来 1 人，有变化 0 人，离开 0 人" in teacher.get("/members").text


def test_the_button_may_be_pressed_once_a_minute(
    lite_app: Flask, lite_visit: Visitor, platform: FakePlatform
) -> None:
    platform.rosters["class-1"] = people(5)
    with time_machine.travel(NOON, tick=False) as clock:
        teacher = lite_visit("teacher")
        read(lite_app)
        teacher.post("/members/refresh")
        read(lite_app)
        assert "刚刚更新过" in teacher.post("/members/refresh").text
        assert read(lite_app) == 0
        clock.shift(timedelta(seconds=61))
        assert "刚刚更新过" not in teacher.post("/members/refresh").text
        assert read(lite_app) > 0


def test_a_waiting_worker_begins_at_once(
    app: Flask, visit: Visitor, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lti_app.delivery.worker.LOOK_SECONDS", 600.0)
    platform.rosters["class-1"] = people(5)
    teacher = visit("teacher")
    read(app)
    platform.rosters["class-1"] += [member("new")]
    worker = EmbeddedWorker(app, [read_rosters])
    app.extensions["embedded_worker"] = worker
    worker.start()
    try:
        teacher.post("/members/refresh")
        for _try in range(200):
            if "new" in active(app):
                break
            time.sleep(0.05)
    finally:
        worker.stop()
    assert "new" in active(app)


def test_a_doubtful_list_can_be_accepted(app: Flask, visit: Visitor, platform: FakePlatform) -> None:
    page = held_class(app, visit, platform)
    assert "4 人标为已离开" in decide(page, "1").text
    assert {sub for sub, (status, *_rest) in class_list(app).items() if status == "inactive"} == {
        f"p{number:05}" for number in range(6, 10)
    }
    assert len(names(page.get("/members?show=left"))) == 4
    assert sync_now(app).state is SyncState.IDLE


def test_a_doubtful_list_can_be_refused(app: Flask, visit: Visitor, platform: FakePlatform) -> None:
    page = held_class(app, visit, platform)
    assert "已保留所有人" in decide(page, "0").text
    assert len(active(app)) == 11
    run(app, "roster", "sync")
    assert sync_now(app).state is SyncState.HELD, "the same list is as doubtful as before"


def test_a_decision_is_about_the_list_that_was_shown(
    app: Flask, visit: Visitor, platform: FakePlatform
) -> None:
    page = held_class(app, visit, platform)
    platform.rosters["class-1"] = []
    run(app, "roster", "sync")
    assert "在这期间已经更新过" in decide(page, "1").text
    assert len(active(app)) == 11


def test_a_decision_is_made_once(app: Flask, visit: Visitor, platform: FakePlatform) -> None:
    page = held_class(app, visit, platform)
    decide(page, "0")
    assert "在这期间已经更新过" in decide(page, "1").text
    assert len(active(app)) == 11


def test_a_decision_reaches_no_other_class(app: Flask, visit: Visitor, platform: FakePlatform) -> None:
    page = held_class(app, visit, platform)
    elsewhere = visit("teacher", "demo/class-2")
    (number,) = re.findall(r'name="run" value="(\d+)"', page.html)
    answer = elsewhere.post("/members/decide", {"run": number, "apply": "1"})
    assert "在这期间已经更新过" in answer.text
    assert len(active(app)) == 11


@pytest.mark.parametrize(
    "form", [{}, {"run": "x", "apply": "1"}, {"run": "9" * 400, "apply": "1"}, {"run": "1", "apply": "yes"}]
)
def test_a_decision_that_cannot_be_read_changes_nothing(
    lite_app: Flask, lite_visit: Visitor, platform: FakePlatform, form: dict[str, str]
) -> None:
    page = held_class(lite_app, lite_visit, platform)
    assert "没有收到您的选择" in page.post("/members/decide", form).text
    assert sync_now(lite_app).state is SyncState.HELD


@pytest.mark.parametrize(
    ("status", "sentence"),
    [(403, "没有允许共育读取"), (404, "找不到这份名单"), (400, "没有允许共育读取")],
)
def test_a_failure_is_explained(
    lite_app: Flask, lite_visit: Visitor, platform: FakePlatform, status: int, sentence: str
) -> None:
    platform.rosters["class-1"] = people(5)
    teacher = lite_visit("teacher")
    platform.roster_faults = [lambda _: (status, b"", {})] * 2
    read(lite_app)
    page = teacher.get("/members")
    assert "名单没有更新成功" in page.text
    assert sentence in page.text
    assert "没有人被移出班级" in page.text


def test_who_may_open_this_activity(app: Flask, visit: Visitor, platform: FakePlatform) -> None:
    platform.rosters["class-1"] = people(10)
    platform.may_open["link-demo-class-1"] = {"p00001", "p00002"}
    teacher = visit("teacher")
    read(app)
    assert "能打开这个活动" not in teacher.get("/members").text.replace("谁能打开这个活动", "")
    assert "正在读取名单" in teacher.post("/members/refresh-link").text
    read(app)
    assert names(teacher.get("/members?show=link")) == ["家长p00001", "家长p00002"]
    assert "能打开这个活动的有 2 人" in teacher.get("/members").text
    assert len(active(app)) == 11


def test_odd_questions_get_the_whole_list(
    lite_app: Flask, lite_visit: Visitor, platform: FakePlatform
) -> None:
    platform.rosters["class-1"] = people(60)
    teacher = lite_visit("teacher")
    read(lite_app)
    for query in ("show=x", "page=999", "page=-1", "page=x", "q=%00", "show=left&page=7", "q=" + "x" * 3000):
        assert teacher.get(f"/members?{query}").status == 200
    assert len(names(teacher.get("/members?show=x"))) == 50
    assert len(names(teacher.get("/members?page=2"))) == 11


def test_the_number_of_queries_does_not_grow(app: Flask, visit: Visitor, platform: FakePlatform) -> None:
    counts = []
    for class_, size in (("class-1", 10), ("class-2", 300)):
        platform.rosters[class_] = [member(f"{class_}-{number}") for number in range(size)]
        teacher = visit("teacher", f"demo/{class_}")
        read(app)
        with QueryCount(app) as queries:
            teacher.get("/members?show=waiting")
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert counts[0] <= 10
