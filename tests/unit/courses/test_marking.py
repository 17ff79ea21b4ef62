"""Marking: quizzes, and how much of a video can have been watched."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from lti_app.courses.marking import WHOLE, believed, grade, is_enough, mean
from lti_app.courses.models import Question, QuestionKind

seconds = st.floats(0, 40, allow_nan=False)
claims = st.floats(0, 10_000, allow_nan=False)


@given(length=st.integers(1, 3600), beats=st.lists(st.tuples(seconds, claims), max_size=60))
def test_a_heartbeat_never_believes_more_than_time_allows(
    length: int, beats: list[tuple[float, float]]
) -> None:
    watched, passed = 0, timedelta()  # whole microseconds, as clocks give them
    for elapsed, claimed in beats:
        before, passed = watched, passed + timedelta(seconds=elapsed)
        watched = believed(watched, claimed, timedelta(seconds=elapsed), length)
        assert before <= watched <= length
        assert timedelta(seconds=watched) <= 2 * passed
        assert watched <= max(before, claimed)


@given(length=st.integers(10, 3600), speed=st.sampled_from([0.5, 1.0, 1.5, 2.0]))
def test_who_watches_all_of_it_at_any_offered_speed_is_believed(length: int, speed: float) -> None:
    watched, played = 0, 0.0
    while played < length:
        played = min(length, played + 10 * speed)
        watched = believed(watched, played, timedelta(seconds=10), length)
    assert is_enough(watched, length)


def test_a_clock_that_goes_back_adds_nothing() -> None:
    assert believed(5, 100, timedelta(seconds=-30), 60) == 5


@st.composite
def quizzes(draw: st.DrawFn) -> list[Question]:
    questions = []
    for number in range(1, draw(st.integers(1, 6)) + 1):
        right = draw(st.lists(st.booleans(), min_size=2, max_size=8).filter(any))
        questions.append(
            Question(
                id=number,
                kind=QuestionKind.MULTIPLE,
                points=draw(st.integers(1, 5)),
                choices=[{"text": "?", "correct": correct} for correct in right],
            )
        )
    return questions


def key(question: Question) -> list[int]:
    return [i for i, choice in enumerate(question.choices) if choice["correct"]]


@given(quizzes(), st.integers(1, 100), st.data())
def test_a_quiz_is_worth_the_points_of_its_right_questions(
    questions: list[Question], pass_mark: int, data: st.DataObject
) -> None:
    chosen = {
        str(q.id): data.draw(st.sets(st.integers(0, len(q.choices) - 1), min_size=1), label=f"q{q.id}")
        for q in questions
    }
    marks = grade(questions, {name: sorted(value) for name, value in chosen.items()}, pass_mark)
    right = {q.id for q in questions if set(key(q)) == chosen[str(q.id)]}
    got, points = sum(q.points for q in questions if q.id in right), sum(q.points for q in questions)
    assert marks.right == right
    assert abs(marks.score - WHOLE * got / points) <= 0.5
    assert marks.passed == (got / points >= pass_mark / 100)


@given(quizzes())
def test_all_right_is_everything_and_one_choice_too_many_is_wrong(questions: list[Question]) -> None:
    answers = {str(q.id): key(q) for q in questions}
    assert grade(questions, answers, 100).score == WHOLE
    first = questions[0]
    wrong = [i for i in range(len(first.choices)) if i not in key(first)]
    for spoiled in ([*key(first), *wrong[:1]] if wrong else [], key(first)[1:], []):
        assert first.id not in grade(questions, {**answers, "1": spoiled}, 1).right


def test_the_mean_is_rounded_half_up_and_a_course_without_quiz_is_whole() -> None:
    assert mean([]) == WHOLE
    assert mean([6667, 10_000]) == 8334
    assert mean([0, 1]) == 1
