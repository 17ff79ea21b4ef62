"""Quizzes: graded here, kept when something is missing, handed in once however often it is pressed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask

from lti_app.courses.models import QuizAttempt
from tests.browsing import Page, Visitor
from tests.fake_platform import FakePlatform
from tests.functional.courses_steps import RIGHT, WRONG, came, count, hand_in, import_pack, only
from tests.unit.courses.pack_writer import QUIZ


@pytest.fixture
def page(lite_app: Flask, platform: FakePlatform) -> Page:
    """A parent on the course page of `demo`."""
    return came(Visitor(lite_app, platform), "parent")


def names(page: Page) -> list[str]:
    return list(dict.fromkeys(re.findall(r'name="(q\d+)"', page.get("/lessons/quiz").html)))


def test_the_answers_are_not_in_the_page_before_the_attempt(page: Page) -> None:
    quiz = page.get("/lessons/quiz")
    assert "先听完" in quiz.text
    assert "听完才知道要说什么" not in quiz.text
    assert "correct" not in quiz.html
    assert "is-right" not in quiz.html


def test_a_failed_attempt_tells_which_questions_were_wrong_but_not_the_answers(page: Page) -> None:
    result = hand_in(page, (["0"], ["0", "2"]))
    assert "还差一点" in result.text
    assert "得分 50，通过线 60" in result.text
    assert result.text.count("答对了") == 1
    assert result.text.count("没有答对") == 1
    assert "让孩子感到被重视" in result.text, "the explanation helps with the next try"
    second = result.html[result.html.index("哪些做法有帮助") :]
    assert "is-right" not in second
    assert "再试一次" in result.text


def test_after_passing_the_right_answers_are_shown(page: Page) -> None:
    hand_in(page, WRONG)
    result = hand_in(page)
    assert "通过了" in result.text
    assert result.html.count("is-right") == 3
    assert "完成课程还需要：先听，再说" in result.text


def test_unanswered_questions_come_back_with_what_was_chosen(lite_app: Flask, page: Page) -> None:
    first, second = names(page)
    again = page.post("/lessons/quiz/answers", {"number": "1", second: ["1"]})
    assert again.status == 422
    assert "还有题目没有回答，已经选好的都还在" in again.text
    assert again.text.count("这道题还没有回答") == 1
    assert re.search(rf'name="{second}" value="1" checked', again.html)
    assert not re.search(rf'name="{first}" value="\d" checked', again.html)
    assert count(lite_app, QuizAttempt) == 0


@pytest.mark.parametrize("bad", ["7", "-1", "x", "9" * 400, "\x00"])
def test_choices_that_do_not_exist_are_no_answers(lite_app: Flask, page: Page, bad: str) -> None:
    first, second = names(page)
    assert page.post("/lessons/quiz/answers", {"number": "1", first: bad, second: "0"}).status == 422
    assert page.post("/lessons/quiz/answers", {"number": bad, first: "0", second: "0"}).status in (409, 422)
    both = page.post("/lessons/quiz/answers", {"number": "1", first: ["0", "1"], second: "0"})
    assert both.status == 422, "a single choice is one choice"
    assert count(lite_app, QuizAttempt) == 0


def test_the_same_form_twice_is_one_attempt(lite_app: Flask, page: Page) -> None:
    first = hand_in(page, number="1")
    second = hand_in(page, number="1")
    assert first.response.request.full_path == second.response.request.full_path
    assert only(lite_app, QuizAttempt).number == 1


def test_other_answers_from_an_old_page_are_kept_and_asked_about(lite_app: Flask, page: Page) -> None:
    hand_in(page, WRONG, number="1")
    late = hand_in(page, RIGHT, number="1")
    assert late.status == 409
    assert "再交一次就算新的一次" in late.text
    assert late.html.count(" checked") == 3
    assert 'name="number" value="2"' in late.html
    assert count(lite_app, QuizAttempt) == 1


def test_attempts_can_be_limited(lite_app: Flask, platform: FakePlatform, tmp_path: Path) -> None:
    import_pack(lite_app, tmp_path / "pack", quiz=QUIZ.replace("attempts: 0", "attempts: 2"))
    page = came(Visitor(lite_app, platform), "parent", "listening")
    assert "还可以做 2 次" in page.get("/lessons/quiz").text
    wrong = (["1"], ["0"])
    hand_in(page, wrong)
    assert "还可以做 1 次" in page.get("/lessons/quiz").text
    last = hand_in(page, wrong)
    assert "再试一次" not in last.text
    assert last.html.count("is-right") == 2, "now that it is over, the right answers are told"
    closed = page.get("/lessons/quiz")
    assert "次数已经用完" in closed.text
    assert "提交答案" not in closed.text
    form = re.findall(r'name="(q\d+)"', last.html)
    number_three = {"number": "3", **{name: "0" for name in form}}
    assert page.post("/lessons/quiz/answers", number_three).status == 409
    assert count(lite_app, QuizAttempt) == 2


def test_the_quiz_says_what_is_still_missing(page: Page) -> None:
    assert "完成课程还需要：先听，再说" in page.get("/lessons/quiz").text
    page.post("/lessons/read/read")
    assert "完成课程还需要" not in page.get("/lessons/quiz").text


def test_a_result_that_does_not_exist_leads_to_the_quiz(page: Page) -> None:
    assert "提交答案" in page.get("/lessons/quiz/result").text
    hand_in(page)
    assert "提交答案" in page.get("/lessons/quiz/result?number=7").text
