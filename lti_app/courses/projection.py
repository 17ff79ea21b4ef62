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
from lti_app.gradebook.services import column_for, lock_scores, set_score
from lti_app.registrations.models import Registration
from lti_app.roster.models import Context, ResourceLink


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


def _project(course: Course, of: ColumnElement[bool]) -> set[int]:
    progress = _progress_of_cells(course, of)
    if not progress:
        return set()
    links = _links(course, {link_pk for link_pk, _ in progress})
    wanted = {
        (link_pk, login): cell
        for (link_pk, login), rows in progress.items()
        if link_pk in links and (cell := best(rows, links[link_pk][2]))
    }
    columns = {
        link_pk: column_for(
            links[link_pk][0], registration=links[link_pk][1], resource_id=course.slug, label=course.title
        )
        for link_pk in sorted({link_pk for link_pk, _ in wanted})
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
    """The progress of all persons behind the cells of the visits `of`, by link and login.

    The visits are locked, always in the same order: two persons of one login who finish at the same moment
    take turns, and the second one sees the first one's result.
    """
    other = aliased(Visit)
    visits = db.session.scalars(
        select(other)
        .join(
            Visit,
            (Visit.resource_link_pk == other.resource_link_pk) & (Visit.lti_user_pk == other.lti_user_pk),
        )
        .join(Placement, Placement.resource_link_pk == Visit.resource_link_pk)
        .where(of, Visit.gradable, other.gradable, Placement.course_id == course.id)
        .order_by(other.id)
        .with_for_update(of=other)
    ).all()
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


def _links(course: Course, link_pks: set[int]) -> dict[int, tuple[ResourceLink, Registration, Counts]]:
    rows = db.session.execute(
        select(ResourceLink, Registration, Placement.counts)
        .join(Placement, Placement.resource_link_pk == ResourceLink.id)
        .join(Context, Context.id == ResourceLink.context_pk)
        .join(Registration, Registration.id == Context.registration_id)
        .where(ResourceLink.id.in_(link_pks), Placement.course_id == course.id)
    )
    return {link.id: (link, registration, counts) for link, registration, counts in rows}
