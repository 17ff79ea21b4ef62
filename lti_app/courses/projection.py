"""What gradebook cells should show of a course: for each link and login, the best of the persons behind it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import aliased

from integrations.terms import ActivityProgress, GradingProgress
from lti_app.courses.models import Counts, Course, CourseProgress, Placement, Visit
from lti_app.extensions import db
from lti_app.gradebook.locks import lock_scores
from lti_app.gradebook.models import ColumnKind, LineItem
from lti_app.gradebook.services import column_for, describe_column, set_score
from lti_app.gradebook.wishes import PROJECTORS, Projector
from lti_app.registrations.models import Registration
from lti_app.roster.models import Context, ResourceLink


@dataclass(frozen=True, slots=True)
class _Link:
    """A link with what decides about its column."""

    link: ResourceLink
    registration: Registration
    counts: Counts
    opens_at: datetime | None
    closes_at: datetime | None


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell should show: `given` in hundredths of a percent."""

    given: int
    completed: bool
    since: datetime


def project_person(course: Course, person_id: int) -> None:
    """Bring the cells of every link of the course that the person has opened up to date."""
    _project(course, Visit.person_id == person_id)


def project_link(course: Course, link_pk: int) -> set[int]:
    """Bring all cells of a link up to date, after its course or what its column counts has changed; returns
    the logins that have one."""
    return _project(course, Visit.resource_link_pk == link_pk)


def rename_columns(course: Course) -> None:
    """Let the columns of the course's links be called as it is called now."""
    columns = select(LineItem).join(Placement, Placement.resource_link_pk == LineItem.resource_link_pk)
    other = (Placement.course_id == course.id) & (LineItem.label != course.title)
    for column in db.session.scalars(columns.where(other).order_by(LineItem.id)):
        describe_column(column, label=course.title, starts_at=column.starts_at, ends_at=column.ends_at)


def _project(course: Course, of: ColumnElement[bool]) -> set[int]:
    progress = _progress_of_cells(course, of)
    if not progress:
        return set()
    links = _links(course, {link_pk for link_pk, _ in progress})
    wanted = {
        (link_pk, login): cell
        for (link_pk, login), rows in progress.items()
        if link_pk in links and (cell := best(rows, links[link_pk].counts))
    }
    columns = {
        link_pk: _column(links[link_pk], course) for link_pk in sorted({link_pk for link_pk, _ in wanted})
    }
    cells = [
        (column, login, cell) for (link_pk, login), cell in wanted.items() if (column := columns[link_pk])
    ]
    if len(cells) > 1:
        lock_scores([(column.id, login) for column, login, _ in cells])
    for column, login, cell in cells:
        set_score(
            column,
            login,
            given=cell.given,
            submitted_at=cell.since,
            activity_progress=ActivityProgress.COMPLETED if cell.completed else ActivityProgress.IN_PROGRESS,
            grading_progress=GradingProgress.FULLY_GRADED,
        )
    return {login for _, login, _ in cells}


def lock_visits(of: ColumnElement[bool]) -> list[Visit]:
    """Take the visits of all persons behind the cells of the visits `of`, before their columns and cells.

    Always in the same order: two persons of one login who finish at the same moment take turns, and the
    second one sees the first one's result.
    """
    other = aliased(Visit)
    return list(
        db.session.scalars(
            select(other)
            .join(
                Visit,
                (Visit.resource_link_pk == other.resource_link_pk) & (Visit.lti_user_pk == other.lti_user_pk),
            )
            .where(of, Visit.gradable, other.gradable)
            .order_by(other.id)
            .with_for_update(of=other)
        )
    )


def best(rows: Iterable[CourseProgress], counts: Counts) -> Cell | None:
    """What a cell shows of these persons; None: nothing yet, or nothing at all."""
    if counts is Counts.NOTHING:
        return None
    if counts is Counts.RESULT:
        cells = [Cell(row.result or 0, True, row.changed_at) for row in rows if row.completed_at]
    else:
        cells = [
            Cell(row.percent * 100, row.completed_at is not None, row.changed_at)
            for row in rows
            if row.percent > 0
        ]
    # Of equals the one who was first, so that a second person with the same result changes nothing.
    return max(cells, key=lambda cell: (cell.given, cell.completed, -cell.since.timestamp()), default=None)


def _progress_of_cells(
    course: Course, of: ColumnElement[bool]
) -> dict[tuple[int, int], list[CourseProgress]]:
    """The progress of all persons behind the cells of the visits `of`, by link and login."""
    placed = select(Placement.resource_link_pk).where(Placement.course_id == course.id)
    visits = lock_visits(of & Visit.resource_link_pk.in_(placed))
    progress = {
        row.person_id: row
        for row in db.session.scalars(
            select(CourseProgress)
            .where(
                CourseProgress.course_id == course.id,
                CourseProgress.person_id.in_({visit.person_id for visit in visits}),
            )
            .execution_options(populate_existing=True)
        )
    }
    cells: dict[tuple[int, int], list[CourseProgress]] = {}
    for visit in visits:
        rows = cells.setdefault((visit.resource_link_pk, visit.lti_user_pk), [])
        if visit.person_id in progress and progress[visit.person_id] not in rows:
            rows.append(progress[visit.person_id])
    return cells


def _links(course: Course, link_pks: set[int]) -> dict[int, _Link]:
    rows = db.session.execute(
        select(ResourceLink, Registration, Placement.counts, Placement.opens_at, Placement.closes_at)
        .join(Placement, Placement.resource_link_pk == ResourceLink.id)
        .join(Context, Context.id == ResourceLink.context_pk)
        .join(Registration, Registration.id == Context.registration_id)
        .where(ResourceLink.id.in_(link_pks), Placement.course_id == course.id)
    )
    return {row[0].id: _Link(*row) for row in rows}


def _column(place: _Link, course: Course) -> LineItem | None:
    return column_for(
        place.link,
        registration=place.registration,
        resource_id=course.slug,
        label=course.title,
        starts_at=place.opens_at,
        # After this nobody can learn there. A result after `due_at` is late, and still to be taken.
        ends_at=place.closes_at,
    )


def _project_column(column: LineItem) -> None:
    course = db.session.scalar(
        select(Course)
        .join(Placement, Placement.course_id == Course.id)
        .where(Placement.resource_link_pk == column.resource_link_pk)
    )
    if course is not None and column.resource_link_pk is not None:
        project_link(course, column.resource_link_pk)


PROJECTORS[ColumnKind.LINK] = Projector(
    lock=lambda column: lock_visits(Visit.resource_link_pk == column.resource_link_pk),
    project=_project_column,
)
