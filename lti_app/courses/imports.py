"""Course packs into the catalogue: all in one transaction, media files first."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from lti_app.clock import utc_now
from lti_app.courses.models import Course, CourseStage, Lesson, Media, Question, QuestionKind
from lti_app.courses.packs import BadPacks, CoursePack, LessonPack
from lti_app.courses.projection import rename_columns
from lti_app.courses.search import index_courses
from lti_app.courses.yaml_lines import Problem
from lti_app.extensions import db


@dataclass(slots=True)
class Report:
    """What an import did: slugs of courses, and of lessons ("course/lesson") that are no longer shown."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    retired: list[str] = field(default_factory=list)


def media_path(root: Path, sha256: str) -> Path:
    """Where a media file lies below the media folder."""
    return root / sha256[:2] / sha256


def store_media(packs: Sequence[CoursePack], root: Path) -> None:
    """Copy the packs' media files that are not there yet. A file that no course knows later does no harm.

    Raises BadPacks when a file is no longer what was checked.
    """
    for pack in packs:
        for file in pack.media.values():
            target = media_path(root, file.sha256)
            if target.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, scratch = tempfile.mkstemp(dir=target.parent)
            try:
                with os.fdopen(handle, "wb") as out, file.source.open("rb") as source:
                    shutil.copyfileobj(source, out)
                with open(scratch, "rb") as copy:
                    digest = hashlib.file_digest(copy, "sha256").hexdigest()
                if digest != file.sha256:
                    raise BadPacks([Problem(str(file.source), 1, "changed while it was imported; try again")])
                os.replace(scratch, target)
            finally:
                Path(scratch).unlink(missing_ok=True)


def import_packs(packs: Sequence[CoursePack]) -> Report:
    """Bring the catalogue to what the packs say; the caller commits. Same content changes nothing.

    A new version keeps progress: lessons are matched by slug, and those that are gone are retired, not
    deleted. Raises BadPacks (then nothing may be committed) for changed content without a higher version.
    """
    report, problems = Report(), []
    known = {course.slug: course for course in _known([pack.slug for pack in packs])}
    for pack in packs:
        course = known.get(pack.slug)
        complaint = _complaint(pack, course) if course else None
        if complaint:
            problems.append(complaint)
        elif course is None:
            _write(pack, Course(slug=pack.slug, stages=[], lessons=[]), report)
            report.created.append(pack.slug)
        elif course.content_hash == pack.content_hash:
            report.unchanged.append(pack.slug)
        else:
            _write(pack, course, report)
            rename_columns(course)
            report.updated.append(pack.slug)
    if problems:
        raise BadPacks(problems)
    db.session.flush()
    return report


def _known(slugs: list[str]) -> list[Course]:
    lessons = selectinload(Course.lessons)
    query = select(Course).options(selectinload(Course.stages), lessons.selectinload(Lesson.questions))
    return list(db.session.scalars(query.where(Course.slug.in_(slugs)).with_for_update()))


def _complaint(pack: CoursePack, course: Course) -> Problem | None:
    """Why the pack may not replace the course as it is."""
    version = pack.values["version"]
    if course.content_hash == pack.content_hash:
        return None
    if version <= course.version:
        return Problem(
            *pack.where,
            f"version: the content has changed, so the version must be higher than {course.version}",
        )
    kinds = {lesson.slug: lesson.kind for lesson in course.lessons}
    for lesson in pack.lessons:
        before = kinds.get(lesson.values["slug"], lesson.values["kind"])
        if before is not lesson.values["kind"]:
            # What people did in a lesson would mean something else: having read it is not having passed it.
            return Problem(
                *lesson.where,
                f"kind: this lesson was of kind {before}; a lesson of another kind needs a new slug",
            )
    return None


def _write(pack: CoursePack, course: Course, report: Report) -> None:
    values = pack.values
    for name in ("title", "summary", "language", "version", "kind", "theme", "audience"):
        setattr(course, name, values[name])
    course.class_hours, course.credits = values["class_hours"], values["credits"]
    course.brand, course.cover = values.get("brand"), values["cover"]
    course.content_hash, course.updated_at = pack.content_hash, utc_now()
    have = {row.stage: row for row in course.stages}
    course.stages = [have.get(stage) or CourseStage(stage=stage) for stage in values["stages"]]
    db.session.add(course)
    db.session.flush()  # course.id
    index_courses([course])
    media = _write_media(pack, course)
    _write_lessons(pack, course, media, report)


def _write_media(pack: CoursePack, course: Course) -> dict[str, int]:
    """The id of each media file by its name in the pack."""
    have = {row.path: row for row in db.session.scalars(select(Media).where(Media.course_id == course.id))}
    rows = {}
    for path, file in pack.media.items():
        row = rows[path] = have.get(path) or Media(course_id=course.id, path=path)
        row.sha256, row.content_type, row.size = file.sha256, file.content_type, file.size
        db.session.add(row)
    db.session.flush()  # their ids
    return {path: row.id for path, row in rows.items()}


def _write_lessons(pack: CoursePack, course: Course, media: dict[str, int], report: Report) -> None:
    have = {lesson.slug: lesson for lesson in course.lessons}
    kept = {lesson.values["slug"] for lesson in pack.lessons}
    report.retired += [
        f"{pack.slug}/{s}" for s, row in have.items() if s not in kept and row.position is not None
    ]
    for row in have.values():
        row.position = None  # positions are unique: free them all before they are given anew
    db.session.flush()
    for position, source in enumerate(pack.lessons, 1):
        lesson = have.get(source.values["slug"])
        if lesson is None:
            lesson = Lesson(slug=source.values["slug"], course_id=course.id, questions=[])
            db.session.add(lesson)
        lesson.position = position
        _write_lesson(source, lesson, media)


def _write_lesson(source: LessonPack, lesson: Lesson, media: dict[str, int]) -> None:
    values = source.values
    lesson.title, lesson.kind = values["title"], values["kind"]
    lesson.minutes, lesson.required = values["minutes"], values["required"]
    lesson.body_html = source.body_html
    lesson.video_media_id = media[values["video"]] if "video" in values else None
    lesson.poster_media_id = media[values["poster"]] if "poster" in values else None
    lesson.video_seconds = values.get("seconds")
    lesson.captions = [
        {
            "media_id": media[caption["file"]],
            "language": caption["language"],
            "label": caption["label"],
            "transcript": source.transcripts[caption["file"]],
        }
        for caption in values.get("captions", [])
    ]
    lesson.pass_mark, lesson.attempts_allowed = values.get("pass_mark"), values.get("attempts", 0)
    _write_questions(lesson, values.get("questions", []))


def _write_questions(lesson: Lesson, given: list[dict[str, Any]]) -> None:
    """Keep the questions that are the same, and retire those that people answered and nobody will again."""
    have = list(lesson.questions)
    for row in have:
        row.position = None  # as with lessons: free all positions before they are given anew
    db.session.flush()
    for position, values in enumerate(given, 1):
        wanted = _question(values)
        same = next((row for row in have if row.position is None and _content(row) == _content(wanted)), None)
        if same is None:
            lesson.questions.append(wanted)
        (same or wanted).position = position


def _question(given: dict[str, Any]) -> Question:
    if given["kind"] is QuestionKind.TRUE_FALSE:
        choices = [{"text": "", "correct": given["answer"]}, {"text": "", "correct": not given["answer"]}]
    else:
        choices = given["choices"]
    return Question(
        kind=given["kind"],
        text=given["text"],
        points=given["points"],
        choices=choices,
        explanation=given["explanation"],
    )


def _content(question: Question) -> tuple[Any, ...]:
    return (question.kind, question.text, question.points, question.choices, question.explanation)
