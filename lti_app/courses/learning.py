"""Lesson pages: reading, watching and answering."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flask import jsonify, redirect, render_template, request, url_for
from flask_babel import gettext
from markupsafe import Markup
from marshmallow import ValidationError

from lti_app.clock import utc_now
from lti_app.courses import access, marking, queries, services
from lti_app.courses.access import keep_and_commit
from lti_app.courses.blueprint import bp
from lti_app.courses.models import Course, Lesson, LessonKind, LessonProgress, Media, Question, QuizAttempt
from lti_app.courses.schemas import Heartbeat, attempt_schema
from lti_app.errors import NotHere
from lti_app.extensions import db, writes

_IMAGE = re.compile(r'src="media:([0-9a-f]{64})"')


@bp.get("/lessons/<slug>")
@writes
def lesson(slug: str) -> Any:
    """An article, a video or a quiz. Opening it begins the course."""
    course = access.open_course()
    shown = access.lesson_of(course, slug)
    learner = access.learner()
    row = services.open_lesson(learner, course, shown) if learner else None
    if shown.kind is LessonKind.QUIZ:
        return _quiz_page(course, shown, {}, {})
    return _reading_page(course, shown, row)


@bp.post("/lessons/<slug>/read")
def read(slug: str) -> Any:
    """An article is read, or a video was seen in a browser that runs no scripts."""
    course = access.open_course()
    shown = access.lesson_of(course, slug)
    if shown.kind is LessonKind.QUIZ:
        raise NotHere()
    learner = access.required_learner()
    try:
        services.finish_reading(learner, course, shown)
    except services.TooEarly as early:
        row = services.open_lesson(learner, course, shown)
        return _reading_page(course, shown, row, math.ceil(early.wait.total_seconds())), 409
    following = queries.path_of(course, learner.person_id).after(shown)
    onward = url_for("courses.lesson", slug=following.lesson.slug) if following else url_for("courses.course")
    db.session.commit()
    return redirect(onward, 303)


@bp.post("/lessons/<slug>/watch")
def watch(slug: str) -> Any:
    """A message of the player; answers whether the video counts as watched."""
    course = access.open_course()
    shown = access.lesson_of(course, slug)
    if shown.kind is not LessonKind.VIDEO:
        raise NotHere()
    learner = access.required_learner()
    try:
        said = Heartbeat().load(request.get_json())
    except (ValidationError, RecursionError):  # the latter: JSON that is nothing but brackets
        return jsonify({"error": {"code": "GY-BAD-MESSAGE"}}), 400
    done = services.watch(learner, course, shown, position=said["position"], claimed=said["watched"])
    db.session.commit()
    return jsonify({"completed": done})


@bp.post("/lessons/<slug>/answers")
def answer(slug: str) -> Any:
    """Grade a handed-in quiz. What is missing is told beside the question, and nothing is lost."""
    course = access.open_course()
    shown = access.lesson_of(course, slug)
    if shown.kind is not LessonKind.QUIZ:
        raise NotHere()
    learner = access.required_learner()
    questions = queries.questions_of(shown.id)
    form: dict[str, Any] = request.form.to_dict(flat=False)
    form["number"] = request.form.get("number")
    try:
        values = attempt_schema(questions).load(form)
    except ValidationError as error:
        return _quiz_page(course, shown, form, error.normalized_messages()), 422
    answers = {str(q.id): sorted(set(values[f"q{q.id}"])) for q in questions}
    try:
        attempt = services.answer(learner, course, shown, questions, number=values["number"], answers=answers)
    except services.OtherAttempt:
        message = gettext("您在另一个页面交过这份小测了。请看一看答案，再交一次就算新的一次。")
        return _quiz_page(course, shown, form, {"_form": [message]}), 409
    except services.NoAttemptLeft:
        return _quiz_page(course, shown, form, {}), 409
    db.session.commit()
    return redirect(url_for("courses.result", slug=slug, number=attempt.number), 303)


@bp.get("/lessons/<slug>/result")
def result(slug: str) -> Any:
    """The last attempt, or the one that `number` names, question by question."""
    course = access.required_course()
    shown = access.lesson_of(course, slug)
    learner = access.required_learner()
    attempts = queries.attempts_of(learner.person_id, shown.id)
    number = request.args.get("number", type=int) or len(attempts)
    attempt = next((a for a in attempts if a.number == number), None)
    if attempt is None:
        return redirect(url_for("courses.lesson", slug=slug))
    path = queries.path_of(course, learner.person_id)
    left = _attempts_left(shown, attempts)
    return render_template(
        "courses/result.html",
        course=course,
        lesson=shown,
        path=path,
        attempt=attempt,
        best=max(a.score for a in attempts),
        questions=_marked(queries.answered(attempt), attempt),
        # A wrong answer may be tried again, so the right one is told only when that is over.
        reveal=any(a.passed for a in attempts) or left == 0,
        left=left,
        step=path.step(shown),
        missing=path.missing(shown),
        with_credits=access.speaks_of_credits(),
    )


def _marked(questions: Sequence[Question], attempt: QuizAttempt) -> list[tuple[Question, set[int], bool]]:
    """Each question with what was chosen and whether that was right."""
    marked = []
    for question in questions:
        chosen = set(attempt.answers[str(question.id)])
        marked.append((question, chosen, marking.is_right(question, chosen)))
    return marked


def _reading_page(
    course: Course, shown: Lesson, row: LessonProgress | None, too_early: int | None = None
) -> str:
    """An article or a video. `row` is None for who leaves nothing; `too_early` are seconds still to wait."""
    path = queries.path_of(course, row.person_id if row else None)
    files = {file.id: file for file in queries.media_of(course.id)}
    body, captions = queries.content_of(shown.id)
    opened_for = (utc_now() - row.opened_at).total_seconds() if row else 0
    return _rendered(
        "courses/video.html" if shown.kind is LessonKind.VIDEO else "courses/article.html",
        course=course,
        lesson=shown,
        path=path,
        step=path.step(shown),
        row=row,
        body=with_pictures(body, files.values()),
        captions=captions,
        files=files,
        may_say_seen=row is not None and opened_for >= (shown.video_seconds or 0),
        too_early=too_early,
    )


def _quiz_page(course: Course, shown: Lesson, form: Mapping[str, Any], problems: Mapping[str, Any]) -> str:
    """The quiz with what was answered so far and, beside each question, what is wrong with it."""
    learner = access.learner()
    attempts = queries.attempts_of(learner.person_id, shown.id) if learner else []
    path = queries.path_of(course, learner.person_id if learner else None)
    body, _ = queries.content_of(shown.id)
    return _rendered(
        "courses/quiz.html",
        course=course,
        lesson=shown,
        path=path,
        step=path.step(shown),
        body=with_pictures(body, queries.media_of(course.id)),
        questions=[(q, set(form.get(f"q{q.id}") or ())) for q in queries.questions_of(shown.id)],
        problems=problems,
        attempts=attempts,
        best=max((a.score for a in attempts), default=None),
        passed=any(a.passed for a in attempts),
        left=_attempts_left(shown, attempts),
        missing=path.missing(shown),
        preview=learner is None,
        draft=f"{shown.id}-{learner.person_id if learner else 0}-{len(attempts) + 1}",
    )


def _attempts_left(shown: Lesson, attempts: Sequence[QuizAttempt]) -> int | None:
    """None: as many as wanted."""
    return max(0, shown.attempts_allowed - len(attempts)) if shown.attempts_allowed else None


def _rendered(template: str, **values: Any) -> str:
    """The page, after what this request wrote is committed.

    Rendering must not hold SQLite's write lock, and what was loaded must stay loaded.
    """
    keep_and_commit()
    return render_template(template, **values)


def with_pictures(body: str, files: Iterable[Media]) -> Markup:
    """A lesson's text with the addresses of its pictures. It was made safe when it was imported."""
    by_hash = {file.sha256: file for file in files}

    def address(found: re.Match[str]) -> str:
        file = by_hash.get(found[1])
        return f'src="{media_url(file)}"' if file else 'src=""'

    return Markup(_IMAGE.sub(address, body))


@bp.app_template_global()
def media_url(file: Media) -> str:
    """Where a page of this launch finds a media file."""
    return url_for("courses.media", media_id=file.id, name=file.path.rpartition("/")[2])
