"""What pages of courses read; the number of queries never depends on the number of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Select, bindparam, func, select
from sqlalchemy.orm import defer, joinedload, selectinload
from sqlalchemy.orm.attributes import set_committed_value

from lti_app.courses import search
from lti_app.courses.models import (
    ContentItem,
    Counts,
    Course,
    CourseKind,
    CourseProgress,
    CourseStage,
    CourseStatus,
    Lesson,
    LessonKind,
    LessonProgress,
    Media,
    Placement,
    Question,
    QuizAttempt,
    Stage,
    Visit,
)
from lti_app.extensions import db
from lti_app.gradebook.models import LineItem, Score
from lti_app.roster.models import Audience, ResourceLink

PAGE = 12

# Made once: every page of a course runs these, and making one costs as much as running it.
_PLACEMENT = (
    select(Placement)
    .where(Placement.resource_link_pk == bindparam("link_pk"))
    .options(
        joinedload(Placement.course, innerjoin=True).joinedload(Course.stages),
        joinedload(Placement.content_item).load_only(ContentItem.public_id),
    )
)
_COURSE = (
    select(Course)
    .where(Course.slug == bindparam("slug"), Course.status == CourseStatus.PUBLISHED)
    .options(joinedload(Course.stages))
)
# Lists of lessons need everything but the text.
_LESSONS = (
    select(Lesson)
    .where(Lesson.course_id == bindparam("course_id"))
    .order_by(Lesson.position)
    .options(defer(Lesson.body_html), defer(Lesson.captions))
)
_PROGRESS = select(CourseProgress).where(
    CourseProgress.course_id == bindparam("course_id"),
    CourseProgress.person_id.in_(bindparam("person_ids", expanding=True)),
)
_BEGUN = (
    select(LessonProgress)
    .join(Lesson, Lesson.id == LessonProgress.lesson_id)
    .where(
        LessonProgress.person_id.in_(bindparam("person_ids", expanding=True)),
        Lesson.course_id == bindparam("course_id"),
    )
)
_OPENED = (
    select(
        Visit.resource_link_pk,
        Visit.lti_user_pk,
        Visit.gradable,
        Placement.counts,
        ResourceLink.line_item_url,
        LineItem.url,
        Score.given,
    )
    .join(Placement, Placement.resource_link_pk == Visit.resource_link_pk)
    .join(ResourceLink, ResourceLink.id == Visit.resource_link_pk)
    .outerjoin(LineItem, LineItem.resource_link_pk == Visit.resource_link_pk)
    .outerjoin(Score, (Score.line_item_id == LineItem.id) & (Score.lti_user_pk == Visit.lti_user_pk))
    .where(Visit.person_id == bindparam("person_id"), Placement.course_id == bindparam("course_id"))
)


@dataclass(frozen=True, slots=True)
class Step:
    """A lesson as one person sees it: `state` is todo, started or done."""

    lesson: Lesson
    number: int
    state: str


@dataclass(frozen=True, slots=True)
class Path:
    """A course as one person sees it; without a person nothing is begun."""

    course: Course
    steps: list[Step]
    progress: CourseProgress | None

    @property
    def percent(self) -> int:
        return self.progress.percent if self.progress else 0

    @property
    def finished(self) -> bool:
        return self.progress is not None and self.progress.completed_at is not None

    @property
    def here(self) -> Step | None:
        """Where to go on: the last opened lesson if it is not done, else the first open one."""
        open_steps = [step for step in self.steps if step.state != "done"]
        last = self.progress.last_lesson_id if self.progress else None
        return next((s for s in open_steps if s.lesson.id == last), open_steps[0] if open_steps else None)

    def step(self, lesson: Lesson) -> Step:
        """The step of a lesson that is shown."""
        return next(step for step in self.steps if step.lesson.id == lesson.id)

    def following(self, lesson: Lesson) -> Step | None:
        """The next lesson in order, done or not."""
        number = self.step(lesson).number
        return self.steps[number] if number < len(self.steps) else None

    def after(self, lesson: Lesson) -> Step | None:
        """The next lesson that is not done, going round from `lesson`."""
        number = self.step(lesson).number
        order = self.steps[number:] + self.steps[: number - 1]
        return next((step for step in order if step.state != "done"), None)

    def missing(self, lesson: Lesson) -> list[Step]:
        """The other required lessons that are not done."""
        return [s for s in self.steps if s.lesson.required and s.state != "done" and s.lesson.id != lesson.id]


def placement_of(link_pk: int) -> Placement | None:
    """What a link shows, with its course, stages and lessons."""
    placement = db.session.scalars(_PLACEMENT, {"link_pk": link_pk}).unique().one_or_none()
    if placement is not None:
        _load_lessons(placement.course)
    return placement


def course_by_slug(slug: str) -> Course | None:
    """A published course with its stages and lessons."""
    course = db.session.scalars(_COURSE, {"slug": slug}).unique().one_or_none()
    if course is not None:
        _load_lessons(course)
    return course


def _load_lessons(course: Course) -> None:
    """With half the work of `selectinload`."""
    set_committed_value(course, "lessons", list(db.session.scalars(_LESSONS, {"course_id": course.id})))


def lessons_of(course: Course) -> list[Lesson]:
    """The lessons in their order, without the retired ones."""
    present = [lesson for lesson in course.lessons if lesson.position is not None]
    return sorted(present, key=lambda lesson: lesson.position or 0)


def path_of(course: Course, person_id: int | None) -> Path:
    """How far a person is in a course."""
    return paths_of(course, [person_id])[0] if person_id is not None else _path(course, None, {})


def paths_of(course: Course, person_ids: Sequence[int]) -> list[Path]:
    """How far each of these persons is in a course."""
    of_them = {"course_id": course.id, "person_ids": person_ids}
    progress = {row.person_id: row for row in db.session.scalars(_PROGRESS, of_them)}
    begun: dict[int, dict[int, LessonProgress]] = {person_id: {} for person_id in person_ids}
    if progress:  # nobody opens a lesson without beginning the course
        for row in db.session.scalars(_BEGUN, of_them):
            begun[row.person_id][row.lesson_id] = row
    return [_path(course, progress.get(person_id), begun[person_id]) for person_id in person_ids]


def _path(course: Course, progress: CourseProgress | None, begun: dict[int, LessonProgress]) -> Path:
    steps = []
    for number, lesson in enumerate(lessons_of(course), 1):
        row = begun.get(lesson.id)
        state = "todo" if row is None else "done" if row.completed_at else "started"
        steps.append(Step(lesson, number, state))
    return Path(course, steps, progress)


@dataclass(frozen=True, slots=True)
class Opened:
    """A link that a person has opened by a login: what its column counts, the column's address as launches
    say it and as we keep it, and the score there (hundredths of a percent), if any."""

    link_pk: int
    lti_user_pk: int
    gradable: bool
    counts: Counts
    line_item_url: str | None
    column_url: str | None
    given: int | None


def opened_links(course: Course, person_id: int) -> list[Opened]:
    """The links of the course that a person has opened."""
    rows = db.session.execute(_OPENED, {"course_id": course.id, "person_id": person_id})
    return [Opened(*row) for row in rows]


def content_of(lesson_id: int) -> tuple[str, list]:
    """The text of a lesson and the captions of its video."""
    row = db.session.execute(select(Lesson.body_html, Lesson.captions).where(Lesson.id == lesson_id)).one()
    return row.body_html, row.captions


def media_of(course_id: int) -> Sequence[Media]:
    return db.session.scalars(select(Media).where(Media.course_id == course_id)).all()


def questions_of(lesson_id: int) -> Sequence[Question]:
    """The questions as they are asked now."""
    present = select(Question).where(Question.lesson_id == lesson_id, Question.position.is_not(None))
    return db.session.scalars(present.order_by(Question.position)).all()


def answered(attempt: QuizAttempt) -> Sequence[Question]:
    """The questions as they were asked in an attempt."""
    asked = select(Question).where(Question.id.in_([int(key) for key in attempt.answers]))
    return db.session.scalars(asked.order_by(Question.position, Question.id)).all()


def attempts_of(person_id: int, lesson_id: int) -> Sequence[QuizAttempt]:
    """A person's attempts at a quiz, first to last."""
    return db.session.scalars(
        select(QuizAttempt)
        .where(QuizAttempt.person_id == person_id, QuizAttempt.lesson_id == lesson_id)
        .order_by(QuizAttempt.number)
    ).all()


def best_scores(person_id: int, lesson_ids: Sequence[int]) -> list[int]:
    """The best score of each of these quizzes that the person has tried."""
    rows = db.session.execute(
        select(QuizAttempt.lesson_id, func.max(QuizAttempt.score))
        .where(QuizAttempt.person_id == person_id, QuizAttempt.lesson_id.in_(lesson_ids))
        .group_by(QuizAttempt.lesson_id)
    )
    return [score for _, score in rows]


@dataclass(frozen=True, slots=True)
class CataloguePage:
    """A page of the catalogue; `total` counts all courses found."""

    courses: Sequence[Course]
    total: int
    page: int
    pages: int


@dataclass(frozen=True, slots=True)
class Facets:
    """How many courses each choice of a filter would leave, the other filters staying as they are.

    Choices that would leave none are absent; the most frequent theme comes first. `total` counts what all
    filters together leave.
    """

    stages: dict[Stage, int]
    kinds: dict[CourseKind, int]
    themes: dict[str, int]
    audiences: dict[Audience, int]
    total: int


@dataclass(frozen=True, slots=True)
class _Wanted:
    words: str
    stage: Stage | None
    kind: CourseKind | None
    theme: str
    audience: Audience | None
    hours: tuple[int, int] | None

    def narrow(self, query: Select) -> Select:
        """The courses of `query`, which selects from Course, that are published and wanted."""
        query = query.where(Course.status == CourseStatus.PUBLISHED)
        if self.words.strip():
            query = search.having(query, self.words)
        if self.stage is not None:
            of_stage = (CourseStage.course_id == Course.id) & (CourseStage.stage == self.stage)
            query = query.where(select(CourseStage.course_id).where(of_stage).exists())
        if self.kind is not None:
            query = query.where(Course.kind == self.kind)
        if self.theme:
            query = query.where(Course.theme == self.theme)
        if self.audience is not None:
            query = query.where(Course.audience == self.audience)
        if self.hours is not None:
            query = query.where(Course.class_hours.between(*self.hours))
        return query


def catalogue(
    words: str,
    stage: Stage | None,
    kind: CourseKind | None,
    page: int,
    *,
    theme: str = "",
    audience: Audience | None = None,
    hours: tuple[int, int] | None = None,
    total: int | None = None,
) -> CataloguePage:
    """Published courses whose title, theme, brand or summary holds every word of `words`: best finds first.

    `hours` are the least and the most class hours, in hundredths. Without words: by theme and title. Whoever
    has asked `facets` the same knows the `total` already: counting costs as much as finding.
    """
    wanted = _Wanted(words, stage, kind, theme, audience, hours)
    if total is None:
        total = db.session.scalar(wanted.narrow(select(func.count()).select_from(Course))) or 0
    pages = max(1, -(-total // PAGE))
    page = min(max(page, 1), pages)
    order: list[Any] = [Course.theme, Course.title, Course.id]
    if words.strip():
        order = [search.nearness(words), func.length(Course.title), Course.title, Course.id]
    # Ids first: sorting thousands of whole courses would cost several times as much.
    sorted_ids = wanted.narrow(select(Course.id)).order_by(*order).limit(PAGE).offset((page - 1) * PAGE)
    ids = db.session.scalars(sorted_ids).all()
    shown = select(Course).where(Course.id.in_(ids)).options(selectinload(Course.stages))
    courses = sorted(db.session.scalars(shown), key=lambda course: ids.index(course.id))
    return CataloguePage(courses, total, page, pages)


def facets(
    words: str,
    stage: Stage | None,
    kind: CourseKind | None,
    *,
    theme: str = "",
    audience: Audience | None = None,
    hours: tuple[int, int] | None = None,
) -> Facets:
    """What the filters beside a `catalogue` of the same arguments lead to, in two queries."""
    wanted = _Wanted(words, stage, kind, theme, audience, hours)
    chosen = (kind, theme or None, audience)
    keys = (Course.kind, Course.theme, Course.audience)
    loose = replace(wanted, kind=None, theme="", audience=None)
    rows = db.session.execute(loose.narrow(select(*keys, func.count()).select_from(Course)).group_by(*keys))
    counts: tuple[Counter, Counter, Counter] = (Counter(), Counter(), Counter())
    total = 0
    for *key, number in rows:
        wrong = [at for at in range(3) if chosen[at] not in (None, key[at])]
        total += 0 if wrong else number
        for at in range(3):
            if wrong in ([], [at]):
                counts[at][key[at]] += number
    by_stage = select(CourseStage.stage, func.count()).select_from(Course)
    by_stage = by_stage.join(CourseStage, CourseStage.course_id == Course.id).group_by(CourseStage.stage)
    rows_by_stage = db.session.execute(replace(wanted, stage=None).narrow(by_stage))
    stages = {stage: number for stage, number in rows_by_stage}
    themes = sorted(counts[1].items(), key=lambda item: (-item[1], item[0]))
    return Facets(stages, dict(counts[0]), dict(themes), dict(counts[2]), total)


def quizzes(course: Course) -> list[Lesson]:
    """The required quizzes of a course, whose best scores make its result."""
    return [lesson for lesson in lessons_of(course) if lesson.required and lesson.kind is LessonKind.QUIZ]
