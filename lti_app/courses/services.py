"""Learning: opening, reading, watching and answering, and what follows when a course is done.

The row of `course_progress` is the lock: whatever changes a person's progress in a course takes it first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select

from lti_app.clock import utc_now
from lti_app.courses import marking
from lti_app.courses.models import (
    Course,
    CourseProgress,
    Lesson,
    LessonKind,
    LessonProgress,
    Question,
    QuizAttempt,
)
from lti_app.courses.projection import project_person
from lti_app.courses.queries import attempts_of, best_scores, lessons_of, quizzes
from lti_app.credits.models import SourceKind
from lti_app.credits.services import record_event
from lti_app.extensions import db, insert_into
from lti_app.organisations.models import School


@dataclass(frozen=True, slots=True)
class Learner:
    """Whose progress is kept. `school`: where credits are booked; None: this person earns none. `child_pk`: the
    child for whom a parent learns, as far as that is clear."""

    person_id: int
    school: School | None
    child_pk: int | None = None


class TooEarly(Exception):
    """Not enough time has passed since the lesson was opened; `wait` is what is missing."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__(wait)
        self.wait = wait


class NoAttemptLeft(Exception):
    """The quiz allows no further attempt."""


class OtherAttempt(Exception):
    """An attempt of this number with other answers was handed in before; `number` is the next free one."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def open_lesson(learner: Learner, course: Course, lesson: Lesson) -> LessonProgress:
    """Note that a lesson is open now: the course is begun, and this is where to go on."""
    progress = _lock(learner.person_id, course.id)
    row = _lesson_row(learner.person_id, lesson.id)
    progress.last_lesson_id = lesson.id
    return row


def finish_reading(learner: Learner, course: Course, lesson: Lesson) -> None:
    """Mark an article as read, or a video as seen by somebody whose browser sends no messages.

    Raises TooEarly when less time than the video lasts has passed since it was opened.
    """
    progress = _lock(learner.person_id, course.id)
    row = _lesson_row(learner.person_id, lesson.id)
    now = utc_now()
    if lesson.kind is LessonKind.VIDEO and row.completed_at is None:
        wait = row.opened_at + timedelta(seconds=lesson.video_seconds or 0) - now
        if wait > timedelta(0):
            raise TooEarly(wait)
    _complete(row, now)
    settle(learner, course, progress, now)


def watch(learner: Learner, course: Course, lesson: Lesson, *, position: float, claimed: float) -> bool:
    """Take a message of the player (seconds); returns whether the video now counts as watched."""
    progress = _lock(learner.person_id, course.id)
    row = _lesson_row(learner.person_id, lesson.id)
    now, length = utc_now(), lesson.video_seconds or 0
    row.watched = marking.believed(row.watched, claimed, now - (row.heard_at or row.opened_at), length)
    row.position = min(int(position), length)
    row.heard_at = now
    if row.completed_at is None and marking.is_enough(row.watched, length):
        _complete(row, now)
        settle(learner, course, progress, now)
    return row.completed_at is not None


def answer(
    learner: Learner,
    course: Course,
    lesson: Lesson,
    questions: Sequence[Question],
    *,
    number: int,
    answers: Mapping[str, list[int]],
) -> QuizAttempt:
    """Grade a handed-in quiz as attempt `number`. The same form again is the same attempt.

    Raises OtherAttempt when that number is taken or not the next one, NoAttemptLeft.
    """
    progress = _lock(learner.person_id, course.id)
    before = attempts_of(learner.person_id, lesson.id)
    same = next((a for a in before if a.number == number), None)
    if same is not None and same.answers == answers:
        return same
    following = len(before) + 1
    if lesson.attempts_allowed and following > lesson.attempts_allowed:
        raise NoAttemptLeft
    if number != following:
        raise OtherAttempt(following)
    marks = marking.grade(questions, answers, lesson.pass_mark or 0)
    now = utc_now()
    attempt = QuizAttempt(
        person_id=learner.person_id,
        lesson_id=lesson.id,
        number=number,
        answers=dict(answers),
        score=marks.score,
        passed=marks.passed,
        submitted_at=now,
    )
    db.session.add(attempt)
    row = _lesson_row(learner.person_id, lesson.id)
    if marks.passed:
        _complete(row, now)
    settle(learner, course, progress, now)
    return attempt


def settle(learner: Learner, course: Course, progress: CourseProgress, now: datetime) -> None:
    """Work out how far the person is, and at the end complete the course: result, credits and scores.

    `progress` must be locked. A finished course stays finished; its result can only rise.
    """
    before = (progress.percent, progress.result)
    if progress.completed_at is None:
        progress.percent = _percent(learner.person_id, course)
        if progress.percent == 100:
            progress.completed_at = now
            _award(learner, course, now)
    if progress.completed_at is not None:
        result = marking.mean(best_scores(learner.person_id, [quiz.id for quiz in quizzes(course)]))
        progress.result = max(result, progress.result or 0)
    if (progress.percent, progress.result) != before:
        progress.changed_at = now
        project_person(course, learner.person_id)


def locked_progress(person_id: int, course_id: int) -> CourseProgress | None:
    """The person's row of a course, locked and fresh; None when the course was not begun."""
    return db.session.scalar(
        select(CourseProgress)
        .where(CourseProgress.person_id == person_id, CourseProgress.course_id == course_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def _lock(person_id: int, course_id: int) -> CourseProgress:
    """The locked row, made when the course begins."""
    progress = locked_progress(person_id, course_id)
    if progress is not None:
        return progress
    now = utc_now()
    db.session.execute(
        insert_into(CourseProgress)
        .values(person_id=person_id, course_id=course_id, percent=0, started_at=now, changed_at=now)
        .on_conflict_do_nothing(index_elements=["person_id", "course_id"])
    )
    progress = locked_progress(person_id, course_id)
    assert progress is not None
    return progress


def _lesson_row(person_id: int, lesson_id: int) -> LessonProgress:
    """The person's row of a lesson, fresh; made when it is opened. The course's row must be locked."""
    find = (
        select(LessonProgress)
        .where(LessonProgress.person_id == person_id, LessonProgress.lesson_id == lesson_id)
        .execution_options(populate_existing=True)
    )
    row = db.session.scalar(find)
    if row is None:
        row = LessonProgress(
            person_id=person_id, lesson_id=lesson_id, position=0, watched=0, opened_at=utc_now()
        )
        db.session.add(row)
    return row


def _complete(row: LessonProgress, now: datetime) -> None:
    if row.completed_at is None:
        row.completed_at = now


def _percent(person_id: int, course: Course) -> int:
    required = [lesson.id for lesson in lessons_of(course) if lesson.required]
    done = db.session.scalar(
        select(func.count())
        .select_from(LessonProgress)
        .where(
            LessonProgress.person_id == person_id,
            LessonProgress.lesson_id.in_(required),
            LessonProgress.completed_at.is_not(None),
        )
    )
    return 100 * (done or 0) // len(required)


def _award(learner: Learner, course: Course, now: datetime) -> None:
    """Hand the happening to the bank."""
    if learner.school is None:
        return
    record_event(
        learner.person_id,
        kind=SourceKind.COURSE,
        source_id=str(course.id),
        quantity=course.credits,
        occurred_at=now,
        school=learner.school,
        child_pk=learner.child_pk,
        label=course.title,
    )
