"""Finishing a course: what it brings, to whom, and that it brings it once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from lti_app.clock import utc_now
from lti_app.courses.models import CourseProgress, QuizAttempt
from lti_app.credits.models import CreditEntry, CreditEvent
from lti_app.extensions import db
from lti_app.gradebook.models import LineItem, Score
from lti_app.roster.models import LtiUser
from tests.browsing import QueryCount, Visitor
from tests.conftest import PACKS, run
from tests.fake_platform import AGS, SCOPES, FakePlatform
from tests.functional.courses_steps import HALF, WRONG, came, count, finish, hand_in, only, traces


@pytest.fixture
def lite_visit(lite_app: Flask, platform: FakePlatform) -> Visitor:
    return Visitor(lite_app, platform)


def test_a_parent_finishes_a_course(app: Flask, visit: Visitor) -> None:
    page = came(visit, "parent")
    assert "测试课程：好好说话" in page.text
    assert "0.5 课时 0.5 学分" in page.text
    assert "开始学习" in page.text
    article = page.get("/lessons/read")
    assert "<strong>先听完</strong>" in article.html
    quiz = article.post("/lessons/read/read")
    assert "可以反复做" in quiz.text, "reading leads on to the next lesson"
    assert "继续学习 小测验" in page.get("/course").text
    done = finish(page)
    assert "祝贺，这门课学完了" in done.text
    assert "0.5 学分已记入您的学分银行" in done.text
    assert "等待发送" in done.text
    assert "100%" in done.text
    progress, score, entry = only(app, CourseProgress), only(app, Score), only(app, CreditEntry)
    assert (progress.percent, progress.result) == (100, 10_000)
    assert (score.given, score.maximum, score.activity_progress, score.grading_progress) == (
        *(10_000, 10_000),
        *("Completed", "FullyGraded"),
    )
    assert entry.amount == 50
    assert only(app, LineItem).url == "https://lms.test/ags/class-1/lineitems/demo"


def test_nothing_is_sent_before_the_end_when_the_column_counts_the_result(
    lite_app: Flask, lite_visit: Visitor
) -> None:
    page = came(lite_visit, "parent")
    page.post("/lessons/read/read")
    hand_in(page, WRONG)
    assert traces(lite_app) == {"Visit": 1, "CourseProgress": 1, "LessonProgress": 2, "QuizAttempt": 1}


def test_an_observer_earns_credits_but_has_no_cell(app: Flask, visit: Visitor) -> None:
    page = visit("observer")
    assert "学校平台不给观察者记成绩，学分照记。" in page.text
    done = finish(page)
    assert "学校平台不给观察者记成绩，学分照记。" in done.text
    assert "0.5 学分已记入您的学分银行" in done.text
    assert count(app, Score) == 0
    event = only(app, CreditEvent)
    with app.app_context():
        child = db.session.scalars(select(LtiUser).where(LtiUser.sub == "u-pupil")).one()
    assert event.child_pk == child.id, "who has one child, learns for that child"


def test_a_pupil_gets_a_score_and_no_word_of_credits(lite_app: Flask, lite_visit: Visitor) -> None:
    page = came(lite_visit, "pupil", kind="pupil")
    pages = [page, page.get("/lessons/read"), page.get("/lessons/quiz"), finish(page)]
    pages.append(page.get("/lessons/quiz/result"))
    for shown in pages:
        assert "学分" not in shown.text
    assert "学得真好" in pages[3].text
    assert only(lite_app, Score).given == 10_000
    assert count(lite_app, CreditEvent) == 0


@pytest.mark.parametrize("user", ["teacher", "assistant", "test-student", "anonymous"])
def test_previews_show_everything_and_leave_nothing(lite_app: Flask, lite_visit: Visitor, user: str) -> None:
    page = lite_visit(user)
    if user == "anonymous":
        assert page.status == 200
    for path in ("/course", "/lessons/read", "/lessons/quiz"):
        shown = page.get(path)
        assert shown.status == 200
        assert "预览：不会记录进度" in shown.text
    assert "提交答案" not in page.get("/lessons/quiz").text
    assert page.post("/lessons/read/read").status == 403
    assert page.post("/lessons/quiz/answers", {"number": "1"}).status == 403
    assert page.post("/lessons/read/watch", json={"position": 1, "watched": 1}).status == 404
    assert page.get("/lessons/quiz/result").status == 403
    assert traces(lite_app) == {}


def test_finishing_again_changes_nothing(app: Flask, visit: Visitor) -> None:
    page = came(visit, "parent")
    finish(page)
    before = (only(app, CourseProgress), only(app, Score), only(app, CreditEntry))
    finish(page)
    came(visit, "parent")
    after = (only(app, CourseProgress), only(app, Score), only(app, CreditEntry))
    assert before[0].completed_at == after[0].completed_at
    assert before[1].revision == after[1].revision == 1
    assert count(app, QuizAttempt) == 2


@pytest.fixture
def half(app: Flask, tmp_path: Path) -> None:
    """A course `half` like `demo`, whose quiz is passed with half of the points."""
    for source in (PACKS / "demo").iterdir():
        text = (
            source.read_text().replace("slug: demo", "slug: half").replace("pass_mark: 60", "pass_mark: 50")
        )
        (tmp_path / "half" / source.name).parent.mkdir(exist_ok=True)
        (tmp_path / "half" / source.name).write_text(text)
    run(app, "courses", "import", str(tmp_path / "half"))


@pytest.mark.usefixtures("half")
def test_a_better_attempt_raises_the_result_and_a_worse_one_lowers_nothing(
    app: Flask, visit: Visitor
) -> None:
    page = came(visit, "parent", "half")
    page.post("/lessons/read/read")
    assert "通过了" in hand_in(page, HALF).text
    assert (only(app, CourseProgress).result, only(app, Score).given) == (5000, 5000)
    with time_machine.travel(utc_now() + timedelta(minutes=1)):
        hand_in(page)
        assert (only(app, CourseProgress).result, only(app, Score).given) == (10_000, 10_000)
        assert "您最好的一次是 100" in hand_in(page, WRONG).text
    assert (only(app, CourseProgress).result, only(app, Score).given) == (10_000, 10_000)
    assert only(app, Score).revision == 2
    assert only(app, CreditEntry).amount == 50


def test_a_course_finished_elsewhere_shows_in_every_link_that_is_opened(app: Flask, visit: Visitor) -> None:
    finish(came(visit, "parent", "demo/class-1"))
    page = came(visit, "parent", "demo/class-2")
    assert "祝贺，这门课学完了" in page.text
    with app.app_context():
        urls = set(db.session.scalars(select(LineItem.url).join(Score)))
    assert urls == {f"https://lms.test/ags/{c}/lineitems/demo" for c in ("class-1", "class-2")}
    assert count(app, CreditEntry) == 1
    came(visit, "parent", "demo/class-2")
    with app.app_context():
        assert set(db.session.scalars(select(Score.revision))) == {1}


def test_a_link_without_a_column_gets_its_score_when_it_has_one(app: Flask, visit: Visitor) -> None:
    visit.platform.ungraded.add("demo")
    finish(came(visit, "parent"))
    assert count(app, Score) == 0
    visit.platform.ungraded.clear()
    came(visit, "parent")
    assert only(app, Score).given == 10_000


def test_who_comes_back_finds_the_score_in_the_column_that_is_there_now(app: Flask, visit: Visitor) -> None:
    finish(came(visit, "parent"))
    moved = {"scope": SCOPES, "lineitem": "https://lms.test/ags/class-1/lineitems/another"}
    came(visit, "parent", **{AGS + "claim/endpoint": moved})
    assert only(app, LineItem).url == moved["lineitem"]


def test_a_launch_of_who_comes_back_costs_few_statements(app: Flask, visit: Visitor) -> None:
    came(visit, "parent")
    with QueryCount(app) as queries:
        came(visit, "parent")
    # Login 2, proof of the cookie 1, launch 6, course page 5.
    assert len([statement for statement in queries.statements if not statement.startswith("BEGIN")]) <= 14


def test_of_a_family_with_one_login_the_cell_shows_the_best(app: Flask, visit: Visitor) -> None:
    teacher = visit("teacher")
    assert teacher.post("/class/audience", {"audience": "families"}).status == 200
    mother = visit("pupil").post("/who", {"kind": "parent", "label": "妈妈"})
    father = visit("pupil").post("/who", {"kind": "parent", "label": "爸爸"})
    for page, attempts in ((mother, [WRONG, WRONG]), (father, [HALF])):
        page.post("/lessons/read/read")
        for attempt in attempts:
            hand_in(page, attempt)
    assert count(app, Score) == 0
    hand_in(mother)
    assert only(app, Score).given == 10_000
    hand_in(father)
    assert (only(app, Score).given, only(app, Score).revision) == (10_000, 1)
    assert count(app, CreditEntry) == 2, "credits are each person's own"


def test_a_column_that_counts_progress_follows_every_step(app: Flask, visit: Visitor) -> None:
    teacher = visit("teacher")
    teacher.post("/choose", {"course": "demo", "counts": "progress"})
    page = came(visit, "parent")
    page.get("/lessons/read")
    assert count(app, Score) == 0, "who has only opened it has not got anywhere"
    page.post("/lessons/read/read")
    half_way = only(app, Score)
    assert (half_way.given, half_way.activity_progress) == (5000, "InProgress")
    hand_in(page)
    end = only(app, Score)
    assert (end.given, end.activity_progress, end.revision) == (10_000, "Completed", 2)


def test_a_column_can_be_switched_to_progress_afterwards(lite_app: Flask, lite_visit: Visitor) -> None:
    came(lite_visit, "parent").post("/lessons/read/read")
    assert count(lite_app, Score) == 0
    lite_visit("teacher").post("/choose", {"course": "demo", "counts": "progress"})
    assert only(lite_app, Score).given == 5000


def test_learning_goes_on_long_after_the_launch(app: Flask, visit: Visitor) -> None:
    page = came(visit, "parent")
    with time_machine.travel(utc_now() + timedelta(minutes=20)):
        assert page.get("/lessons/read").status == 200
        assert page.post("/lessons/read/read").status == 200


def test_lessons_that_do_not_exist_are_not_found(lite_app: Flask, lite_visit: Visitor) -> None:
    page = came(lite_visit, "parent")
    for path in ("/lessons/none", "/lessons/%00", "/lessons/read%0a"):
        assert page.get(path).status == 404
    assert page.post("/lessons/quiz/read").status == 404, "a quiz is not read"
    assert page.post("/lessons/read/answers").status == 404
    assert page.post("/lessons/read/watch", json={}).status == 404
