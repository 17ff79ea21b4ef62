"""The teacher's sync page: the truth about each grade, and what a teacher may ask for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select, update

from integrations.content.spreadsheet import read_rows
from integrations.terms import Outcome
from lti_app.delivery.models import DeliverySlot
from lti_app.extensions import db
from lti_app.gradebook.models import Keeps, ReadingState, Score, ScoreState
from tests.browsing import Page, QueryCount, Visitor
from tests.fake_platform import FakePlatform
from tests.functional import grades_steps as steps
from tests.functional.grades_steps import (
    CHANGED,
    KEPT_BACK,
    NOON,
    NOT_GRADABLE,
    SENT,
    WAITING,
    Cell,
    Column,
    filled,
    rest,
    score_id,
    state_of,
)
from tests.functional.test_delivery_pages import give_score


@pytest.fixture(autouse=True)
def noon() -> Iterator[None]:
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.fixture
def lite_visit(lite_app: Flask, platform: FakePlatform) -> Visitor:
    return Visitor(lite_app, platform)


def names(page: Page) -> list[str]:
    """Whose cells are listed, in order."""
    rows = re.findall(r'<th role="rowheader" scope="row">(.*?)<', page.html)
    return [row.strip() for row in rows]


def test_a_class_without_grades_is_told_how_they_come(lite_visit: Visitor) -> None:
    page = lite_visit("teacher").get("/grades")
    assert "学员学完一门课，成绩就会自动写进" in page.text
    assert "导出" not in page.text
    assert 'aria-current="page"' in page.html.partition("成绩同步</span>")[0].rpartition("<li>")[2]


def test_all_is_well(lite_app: Flask, lite_visit: Visitor) -> None:
    page = filled(lite_app, lite_visit, steps.many(3, 2)).get("/grades")
    assert "6 个成绩都已写入成绩册。" in page.text
    assert "再试一次" not in page.text
    assert "data-wait-url" not in page.html


def test_each_cell_says_what_it_shows_and_why(app: Flask, visit: Visitor) -> None:
    page = filled(app, visit, steps.every_state()).get("/grades")
    assert (
        "10 个需要您处理。 另外 2 个等待写入，2 个等您公布，6 个已写入成绩册，2 个保留老师改的分，1 个现在不发送。"
        in page.text
    )
    assert re.search(r"刘爸爸 无屏幕的晚餐 88% 12 / 20 60% · .{0,20} 老师已改分 ", page.text)
    assert re.search(r"孙奶奶 无屏幕的晚餐 88% 没有成绩 .{0,20} 老师已清除 ", page.text)
    assert re.search(r"吴妈妈 无屏幕的晚餐 88% — 不能评分 .* 平台的说明：user is not gradable", page.text)
    assert re.search(r"郑爸爸 .{0,200} 下次自动再试：", page.text)
    assert "12:00" not in re.search(r"郑爸爸 .{0,200} 下次自动再试：\S+ (\S+)", page.text)[1]  # type: ignore[index]
    assert page.text.index("吴妈妈") < page.text.index("王外婆") < page.text.index("赵奶奶"), "urgent first"
    for sentence in (
        "核对过：2 个被老师改过，2 个因取整、满分或迟交而不同。",
        "没有核对成。学校平台没有允许共育",
        "代码：scope-not-granted",
        "成绩册里还没有这一栏",
        "公布成绩（2 个）",
        "已暂停",
    ):
        assert sentence in page.text


def test_what_was_read_before_the_last_writing_is_not_shown(lite_app: Flask, lite_visit: Visitor) -> None:
    written = {"state": ScoreState.SENT, "outcome": Outcome.SENT, "sent_at": NOON}
    cells = [Cell("陈妈妈", SENT, seen=(17_60, 20_00)), Cell("刘爸爸", written, seen=(12_00, 20_00))]
    read = {"reading": ReadingState.DONE, "read_at": NOON - timedelta(minutes=5)}
    page = filled(lite_app, lite_visit, [Column("微课", cells, read)]).get("/grades")
    assert "17.6 / 20" in page.text
    assert "12 / 20" not in page.text
    assert "核对过：1 个是这以后写入的，还没有核对。" in page.text


def test_the_list_is_narrowed_by_state_column_and_name(app: Flask, visit: Visitor) -> None:
    columns = [
        Column("微课", [Cell("陈妈妈", SENT), Cell("刘爸爸", NOT_GRADABLE), Cell("赵100%", SENT)]),
        Column("睡眠", [Cell("陈妈妈", CHANGED)]),
    ]
    page = filled(app, visit, columns)
    assert names(page.get("/grades?show=needs")) == ["刘爸爸"]
    assert names(page.get("/grades?show=changed")) == ["陈妈妈"]
    assert names(page.get("/grades?show=unsent")) == []
    assert names(page.get(f"/grades?column={columns[1].id}")) == ["陈妈妈"]
    assert names(page.get("/grades?q=妈")) == ["陈妈妈", "陈妈妈"]
    assert names(page.get("/grades?q=%25")) == ["赵100%"], "a sign of the query language is a letter"
    assert names(page.get(f"/grades?q=妈&show=sent&column={columns[0].id}")) == ["陈妈妈"]
    found = page.get("/grades?q=妈")
    counts = re.findall(r'class="count">(\d+)', found.html)
    assert counts[:4] == ["2", "0", "0", "1"], "the filters count what the search found"
    assert "没有符合条件的成绩" in page.get("/grades?q=zzz").text


def test_pages_keep_the_filter(lite_app: Flask, lite_visit: Visitor) -> None:
    page = filled(lite_app, lite_visit, steps.many(60, 1))
    second = page.get("/grades?show=sent&q=家长&page=2")
    assert len(names(second)) == 10
    assert "第 2 页，共 2 页" in second.text
    (back,) = re.findall(r'href="([^"]+)"[^>]*><svg.{0,400}?<span>上一页', second.html)
    assert {"show=sent", "page=1"} <= set(
        back.replace("#", "&").replace("?", "&").replace("amp;", "").split("&")
    )
    assert len(names(page.get("/grades?page=99"))) == 10, "past the end is the last page"


@pytest.mark.parametrize("show", ["", "show=nope&", "column=x&", "column=0&", "page=0&"])
def test_a_filter_that_is_none_is_left_out(lite_app: Flask, lite_visit: Visitor, show: str) -> None:
    page = filled(lite_app, lite_visit, steps.many(2, 1)).get(f"/grades?{show}q=")
    assert len(names(page)) == 2


STAFF_ONLY = [
    ("get", "/grades"),
    ("get", "/grades/progress"),
    ("get", "/grades.csv"),
    ("get", "/grades.xlsx"),
    ("get", "/grades/credits"),
    ("post", "/grades/credits"),
    ("post", "/grades/act"),
    ("post", "/grades/retry"),
    ("get", "/grades/columns/{column}"),
    ("post", "/grades/columns/{column}"),
    ("post", "/grades/columns/{column}/act"),
    ("get", "/grades/columns/{column}/remove"),
    ("post", "/grades/columns/{column}/remove"),
    ("get", "/grades/scores/{score}/mine"),
    ("post", "/grades/scores/{score}/mine"),
    ("post", "/scores/{score}/retry"),
]


def asked(page: Page, method: str, path: str, column: Column, score: int) -> Page:
    path = path.format(column=column.id, score=score)
    form = {"act": "send", "keeps": "best", "sends": "at-once", "target": "10"}
    return page.get(path) if method == "get" else page.post(path, form)


@pytest.mark.parametrize("user", ["parent", "observer", "pupil", "test-student", "anonymous"])
def test_only_staff_see_and_ask(lite_app: Flask, lite_visit: Visitor, user: str) -> None:
    column = Column("微课", [Cell("刘爸爸", CHANGED)])
    filled(lite_app, lite_visit, [column])
    page, score = lite_visit(user), score_id(lite_app, "刘爸爸")
    if user in ("parent", "pupil"):
        page.post("/who", {"kind": user})
    assert {asked(page, method, path, column, score).status for method, path in STAFF_ONLY} == {403}
    assert state_of(lite_app, "刘爸爸") is ScoreState.HELD
    assert steps.columns_now(lite_app)["微课"].keeps is Keeps.LATEST


def test_another_class_is_not_there(lite_app: Flask, lite_visit: Visitor) -> None:
    column = Column("微课", [Cell("刘爸爸", CHANGED)], {"made_by_us": True})
    filled(lite_app, lite_visit, [column])
    page, score = lite_visit("teacher", "demo/class-2"), score_id(lite_app, "刘爸爸")
    for method, path in STAFF_ONLY:
        if "{" in path:
            assert asked(page, method, path, column, score).status == 404, path
    assert page.get(f"/grades?column={column.id}").status == 404
    assert "刘爸爸" not in page.get("/grades").text
    assert "刘爸爸" not in page.get(f"/grades.csv?column={column.id}").text
    page.post(f"/grades/retry?column={column.id}")
    page.post("/grades/act", {"act": "read"})
    assert state_of(lite_app, "刘爸爸") is ScoreState.HELD
    assert steps.columns_now(lite_app)["微课"].reading is ReadingState.NEVER


def test_a_failed_grade_is_tried_again_and_the_filter_stays(app: Flask, visit: Visitor) -> None:
    page = filled(app, visit, [Column("微课", [Cell("刘爸爸", NOT_GRADABLE), Cell("陈妈妈", SENT)])])
    shown = page.get("/grades?show=needs&q=爸")
    (action,) = re.findall(r'action="([^"]+/retry\?[^"]*back=grades[^"]*)"', shown.html)
    answer = page.post(action.replace("&amp;", "&"), follow_redirects=False)
    assert answer.status == 303
    assert "show=needs" in answer.response.location
    assert "q=%E7%88%B8" in answer.response.location
    score = steps.scores(app)["微课", "刘爸爸"]
    assert (score.state, score.due_at, score.outcome) == (ScoreState.WAITING, NOON, None)
    assert "已安排重新发送" in page.get("/grades").text
    sent = score_id(app, "陈妈妈")
    assert "已经变了" in page.post(f"/scores/{sent}/retry?back=grades").text


def test_all_that_failed_are_tried_again_as_far_as_the_filter_goes(app: Flask, visit: Visitor) -> None:
    columns = [
        Column("微课", [Cell("甲", NOT_GRADABLE), Cell("乙", NOT_GRADABLE), Cell("丙", CHANGED)]),
        Column("睡眠", [Cell("甲", NOT_GRADABLE)]),
        Column("会议", [Cell("甲", KEPT_BACK)], {"paused": True}),
    ]
    page = filled(app, visit, columns)
    assert "需要处理的全部再试一次（3 个）" in page.get("/grades").text
    answer = page.post(f"/grades/retry?show=needs&column={columns[0].id}")
    assert "已安排 2 个成绩重新发送。" in answer.text
    due = {cell for cell, score in steps.scores(app).items() if score.due_at is not None}
    assert due == {("微课", "甲"), ("微课", "乙")}
    assert "已安排 1 个成绩" in page.post("/grades/retry?show=needs").text
    assert "没有需要重发的成绩" in page.post("/grades/retry?show=needs").text
    assert state_of(app, "丙") is ScoreState.HELD


def test_many_tries_do_not_end_the_rest_that_a_platform_asked_for(
    lite_app: Flask, lite_visit: Visitor
) -> None:
    page = filled(lite_app, lite_visit, [Column("微课", [Cell("甲", NOT_GRADABLE)])])
    rest(lite_app)
    assert "已安排 1 个成绩" in page.post("/grades/retry").text
    with lite_app.app_context():
        assert db.session.scalars(select(DeliverySlot.blocked_until)).one() > NOON


def test_a_press_is_bounded(lite_app: Flask, lite_visit: Visitor) -> None:
    page = filled(lite_app, lite_visit, steps.many(260, 2, NOT_GRADABLE))
    assert "已安排 500 个成绩重新发送，一次最多这么多" in page.post("/grades/retry").text
    assert "已安排 20 个成绩重新发送。" in page.post("/grades/retry").text


def table_of(page: Page) -> list[tuple[str, ...]]:
    return [row.cells for row in read_rows(page.response.data)]


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_what_is_shown_can_be_taken_along(app: Flask, visit: Visitor, kind: str) -> None:
    columns = [
        Column("微课", [Cell("=1+1", SENT, seen=(17_60, 20_00)), Cell("刘爸爸", NOT_GRADABLE)]),
        Column("睡眠", [Cell("刘爸爸", CHANGED)]),
    ]
    page = filled(app, visit, columns)
    answer = page.get(f"/grades.{kind}")
    assert f"2026-11-25.{kind}" in answer.response.headers["Content-Disposition"]
    head, *rows = table_of(answer)
    assert head[:5] == ("姓名", "学号", "成绩栏", "这里的成绩", "学校平台显示")
    assert [row[0].lstrip("'") for row in rows] == ["=1+1", "刘爸爸", "刘爸爸"]
    (sent,) = [row for row in rows if "1+1" in row[0]]
    assert sent[3:8] == ("88%", "17.6", "20", "2026-11-25 11:55", "已写入")
    some = table_of(page.get(f"/grades.{kind}?show=changed"))
    assert [row[2] for row in some[1:]] == ["睡眠"]


def test_a_csv_opens_in_a_spreadsheet_program_without_running(lite_app: Flask, lite_visit: Visitor) -> None:
    page = filled(lite_app, lite_visit, [Column("微课", [Cell("=cmd|' /C calc'!A0", SENT)])])
    data = page.get("/grades.csv").response.data
    assert data.startswith(b"\xef\xbb\xbf")
    assert b"\r\n'=cmd|" in data


def test_pages_cost_the_same_however_large_the_class_is(app: Flask, visit: Visitor) -> None:
    small = filled(app, visit, steps.many(2, 1))
    large = visit("teacher", "demo/class-2")
    columns = steps.many(300, 40)
    columns[7].cells[3].values = NOT_GRADABLE
    steps.fill(app, columns, class_id="class-2")
    for path in ("/grades", "/grades?show=sent&q=家长", "/grades.csv", "/grades/progress"):
        counts = []
        for page in (small, large):
            with QueryCount(app) as queries:
                answer = page.get(path)
            assert answer.status == 200
            counts.append(len(queries))
        assert counts[0] == counts[1] <= 8, path
    shown = large.get("/grades")
    assert "1 个需要您处理。 另外 11999 个已写入成绩册。" in shown.text
    assert len(shown.html) < 120_000
    assert large.get("/grades.csv").html.count("\r\n") == 12_001


def test_a_platform_at_rest_is_said(lite_app: Flask, lite_visit: Visitor) -> None:
    page = filled(lite_app, lite_visit, [Column("微课", [Cell("甲", WAITING | {"due_at": NOON})])])
    rest(lite_app)
    shown = page.get("/grades")
    assert "学校平台暂时没有回应" in shown.text
    assert "data-wait-url" not in shown.html, "nothing to wait for until the platform answers"


def test_the_class_page_leads_here(lite_app: Flask, lite_visit: Visitor) -> None:
    lite_visit("parent").post("/who", {"kind": "parent"})
    page = lite_visit("teacher")
    give_score(lite_app, "link-demo-class-1", "u-parent")
    assert "看成绩同步到哪里了" in page.get("/class").text
    with lite_app.app_context():
        db.session.execute(update(Score).values(state=ScoreState.HELD, outcome=Outcome.OVERRIDDEN))
        db.session.commit()
    score = steps.scores(lite_app)["微课", "陈妈妈"].id
    shown = page.get("/class")
    assert f"/grades/scores/{score}/mine" in shown.html
    assert f"/scores/{score}/retry" not in shown.html
