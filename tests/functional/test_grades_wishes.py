"""What a teacher asks for on the sync page: send, compare, release, how a column works, credits, our grade."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from flask import Flask

from integrations.terms import Outcome
from lti_app.gradebook.models import Keeps, ReadingState, ScoreState, Sends
from tests.browsing import Visitor
from tests.fake_platform import AGS, FakePlatform
from tests.functional import grades_steps as steps
from tests.functional.grades_steps import (
    CHANGED,
    KEPT_BACK,
    NOON,
    SENT,
    WAITING,
    Cell,
    Column,
    filled,
    score_id,
    state_of,
)


@pytest.fixture(autouse=True)
def noon() -> Iterator[None]:
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.fixture
def lite_visit(lite_app: Flask, platform: FakePlatform) -> Visitor:
    return Visitor(lite_app, platform)


def test_ours_replaces_a_teachers_grade_only_after_a_question(app: Flask, visit: Visitor) -> None:
    cells = [Cell("刘爸爸", CHANGED, seen=(12_00, 20_00)), Cell("陈妈妈", SENT)]
    page = filled(app, visit, [Column("微课", cells)])
    score = score_id(app, "刘爸爸")
    question = page.get("/grades?q=爸").get(f"/grades/scores/{score}/mine?q=爸")
    assert "刘爸爸" in question.text
    assert "12 / 20" in question.text
    assert state_of(app, "刘爸爸") is ScoreState.HELD
    answer = page.post(f"/grades/scores/{score}/mine?q=爸", follow_redirects=False)
    assert answer.status == 303
    assert "q=%E7%88%B8" in answer.response.location
    changed = steps.scores(app)["微课", "刘爸爸"]
    assert (changed.state, changed.due_at, changed.insisted_at) == (ScoreState.WAITING, NOON, NOON)
    assert page.get(f"/grades/scores/{score}/mine").status == 404, "nothing to replace any more"
    assert "已经变了" in page.post(f"/grades/scores/{score}/mine").text
    sent = score_id(app, "陈妈妈")
    assert page.get(f"/grades/scores/{sent}/mine").status == 404
    page.post(f"/grades/scores/{sent}/mine")
    assert state_of(app, "陈妈妈") is ScoreState.SENT


@pytest.mark.parametrize("path", ["/grades/act", "/grades/columns/{id}/act"])
def test_the_gradebook_is_read_on_request(app: Flask, visit: Visitor, path: str) -> None:
    column = Column("微课", [Cell("陈妈妈", SENT)])
    page = filled(app, visit, [column])
    answer = page.post(path.format(id=column.id) + "?show=sent", {"act": "read"}, follow_redirects=False)
    assert answer.status == 303
    assert "show=sent" in answer.response.location
    now = steps.columns_now(app)["微课"]
    assert (now.reading, now.due_at) == (ReadingState.QUEUED, NOON)
    shown = page.get("/grades")
    assert "已开始和学校平台的成绩册核对" in shown.text
    (wait,) = re.findall(r'data-wait-url="([^"]+)"', shown.html)
    assert page.get(wait).response.json == {"done": False, "text": "正在核对，还有 1 栏。"}
    assert "刚刚核对过" in page.post(path.format(id=column.id), {"act": "read"}).text


def test_progress_ends(lite_app: Flask, lite_visit: Visitor) -> None:
    now = WAITING | {"due_at": NOON}
    later = WAITING | {"outcome": Outcome.RETRY, "due_at": NOON + timedelta(hours=1), "attempts": 2}
    page = filled(lite_app, lite_visit, [Column("微课", [Cell("甲", now), Cell("乙", later)])])
    assert page.get("/grades/progress").response.json == {"done": False, "text": "正在发送，还有 1 个成绩。"}
    other = lite_visit("teacher", "demo/class-2")
    assert other.get("/grades/progress").response.json == {"done": True, "text": ""}
    assert "data-wait-url" in page.get("/grades").html


def test_what_waits_is_sent_now(app: Flask, visit: Visitor) -> None:
    later = WAITING | {"outcome": Outcome.RETRY, "due_at": NOON + timedelta(hours=1), "attempts": 2}
    columns = [Column("微课", [Cell("甲", later)]), Column("睡眠", [Cell("甲", later)])]
    page = filled(app, visit, columns)
    page.post(f"/grades/columns/{columns[0].id}/act", {"act": "send"})
    found = steps.scores(app)
    assert found["微课", "甲"].due_at == NOON
    assert found["睡眠", "甲"].due_at == NOON + timedelta(hours=1)
    assert "已安排 1 个成绩现在发送" in page.post("/grades/act", {"act": "send"}).text
    assert "没有等着发送的成绩" in page.post("/grades/act", {"act": "send"}).text


def test_kept_back_grades_go_when_they_are_released(app: Flask, visit: Visitor) -> None:
    columns = [
        Column("微课", [Cell("甲", KEPT_BACK), Cell("乙", SENT)], {"sends": Sends.ON_RELEASE}),
        Column("睡眠", [Cell("甲", KEPT_BACK)], {"paused": True, "sends": Sends.ON_RELEASE}),
    ]
    page = filled(app, visit, columns)
    shown = page.get("/grades")
    assert shown.text.count("公布成绩（") == 1, "nothing is released of a paused column"
    assert "等老师公布" in shown.text
    answer = page.post(f"/grades/columns/{columns[0].id}/act", {"act": "release"})
    assert "已公布 1 个成绩" in answer.text
    assert steps.scores(app)["微课", "甲"].due_at == NOON
    assert "没有等着公布的成绩" in page.post(f"/grades/columns/{columns[1].id}/act", {"act": "release"}).text
    assert steps.scores(app)["睡眠", "甲"].due_at is None


@pytest.mark.parametrize("form", [{}, {"act": ""}, {"act": "delete"}])
def test_an_unknown_act_is_refused(lite_app: Flask, lite_visit: Visitor, form: dict[str, str]) -> None:
    column = Column("微课", [Cell("甲", SENT)])
    page = filled(lite_app, lite_visit, [column])
    assert page.post("/grades/act", form).status == 422
    assert page.post(f"/grades/columns/{column.id}/act", form).status == 422


def test_a_column_works_as_its_teacher_chose(app: Flask, visit: Visitor) -> None:
    waiting = WAITING | {"due_at": NOON}
    column = Column("微课", [Cell("甲", waiting)])
    page = filled(app, visit, [column])
    path = f"/grades/columns/{column.id}"
    assert page.get(path).html.count(" checked") == 3
    answer = page.post(
        f"{path}?show=sent",
        {"keeps": "best", "sends": "on-release", "paused": "1"},
        follow_redirects=False,
    )
    assert answer.status == 303
    assert "show=sent" in answer.response.location
    now = steps.columns_now(app)["微课"]
    assert (now.keeps, now.sends, now.paused) == (Keeps.BEST, Sends.ON_RELEASE, True)
    assert steps.scores(app)["微课", "甲"].due_at is None
    shown = page.get("/grades")
    for word in ("已保存“微课”的设置", "已暂停", "公布后才发送", "只升不降"):
        assert word in shown.text
    page.post(path, {"keeps": "best", "sends": "at-once", "paused": "0"})
    assert steps.scores(app)["微课", "甲"].due_at == NOON


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"keeps": "worst", "sends": "at-once"},
        {"keeps": "best", "sends": ""},
        {"keeps": "best", "sends": "at-once", "paused": "2"},
    ],
)
def test_a_choice_that_is_none_changes_nothing(
    lite_app: Flask, lite_visit: Visitor, form: dict[str, str]
) -> None:
    column = Column("微课", [Cell("甲", SENT)])
    page = filled(lite_app, lite_visit, [column])
    answer = page.post(f"/grades/columns/{column.id}", form)
    assert answer.status == 422
    assert "没有保存。请在每一组里选一项" in answer.text
    assert steps.columns_now(lite_app)["微课"].keeps is Keeps.LATEST


@pytest.mark.parametrize(
    ("written", "target"), [("10", 10_00), (" 12.5 ", 12_50), ("0.01", 1), ("10000", 1_000_000)]
)
def test_a_column_of_credits_is_asked_for(
    lite_app: Flask, lite_visit: Visitor, written: str, target: int
) -> None:
    page = lite_visit("teacher")
    assert "新建本学期学分一栏" in page.get("/grades").text
    assert "满分需要多少学分" in page.get("/grades/credits").text
    answer = page.post("/grades/credits", {"target": written}, follow_redirects=False)
    assert answer.status == 303
    (column,) = steps.columns_now(lite_app).values()
    assert (column.target, column.label) == (target, "学分 2026秋")
    shown = page.get("/grades")
    assert "正在学校平台的成绩册里建这一栏" in shown.text
    assert "新建本学期学分一栏" not in shown.text


@pytest.mark.parametrize(
    "written", [None, "", " ", "0", "0.00", "-1", "1.234", "10000.01", "1e3", "nan", "十", "٣", "1,5"]
)
def test_credits_that_are_none_are_refused(lite_app: Flask, lite_visit: Visitor, written: str | None) -> None:
    page = lite_visit("teacher")
    answer = page.post("/grades/credits", {} if written is None else {"target": written})
    assert answer.status == 422
    assert "aria-invalid" in answer.html
    assert re.search("请写(满分需要多少学分|大于 0、不超过 10000 的数)", answer.text), "the whole sentence"
    assert steps.columns_now(lite_app) == {}


def test_without_the_right_to_make_columns_a_sentence_says_why(lite_app: Flask, lite_visit: Visitor) -> None:
    page = lite_visit("teacher", **{AGS + "claim/endpoint": ...})
    assert "这里还不能新建成绩栏" in page.get("/grades/credits").text
    answer = page.post("/grades/credits", {"target": "10"})
    assert answer.status == 422
    assert "这里还不能新建成绩栏" in answer.text
    assert steps.columns_now(lite_app) == {}


def test_the_target_can_be_changed_and_the_column_removed(app: Flask, visit: Visitor) -> None:
    page = visit("teacher")
    page.post("/grades/credits", {"target": "10"})
    (column,) = steps.columns_now(app).values()
    form = page.get("/grades/credits")
    assert "已经有学分一栏了" in form.text
    assert 'value="10"' in form.html
    page.post("/grades/credits", {"target": "12.5"})
    (column,) = steps.columns_now(app).values()
    assert column.target == 12_50
    question = page.get(f"/grades/columns/{column.id}").get(f"/grades/columns/{column.id}/remove")
    assert "会一起删除" in question.text
    assert not steps.columns_now(app)[column.label].wants_deletion
    answer = page.post(f"/grades/columns/{column.id}/remove")
    assert "已安排删除学分栏" in answer.text
    assert steps.columns_now(app)[column.label].wants_deletion


def test_a_column_of_a_link_or_of_a_teacher_is_not_removed(lite_app: Flask, lite_visit: Visitor) -> None:
    column = Column("微课", [Cell("甲", SENT)], {"made_by_us": True})
    page = filled(lite_app, lite_visit, [column])
    path = f"/grades/columns/{column.id}"
    assert "删除" not in page.get(path).text
    assert page.get(f"{path}/remove").status == 404
    assert page.post(f"{path}/remove").status == 404
    assert not steps.columns_now(lite_app)["微课"].wants_deletion
