"""Which course a link shows, and who opened it."""

from __future__ import annotations

from sqlalchemy import select

from lti_app.clock import utc_now
from lti_app.courses import marking
from lti_app.courses.models import Counts, Course, CourseProgress, Placement, Visit
from lti_app.courses.projection import best, project_link, project_person
from lti_app.courses.queries import (
    Opened,
    Path,
    best_scores,
    course_by_slug,
    opened_links,
    placement_of,
    quizzes,
)
from lti_app.courses.services import Learner, insert_into, locked_progress, settle
from lti_app.extensions import db
from lti_app.gradebook.services import column_of, drop_unsent


def place_by_parameter(link_pk: int, slug: str) -> Placement | None:
    """The link's placement, made from the launch's custom parameter where there is none yet.

    None: there is none and the parameter names no published course. A teacher's choice is never replaced.
    """
    course = course_by_slug(slug)
    if course is not None:
        db.session.execute(
            insert_into(Placement)
            .values(resource_link_pk=link_pk, course_id=course.id, counts=Counts.RESULT)
            .on_conflict_do_nothing(index_elements=["resource_link_pk"])
        )
    return placement_of(link_pk)


def place(link_pk: int, course: Course, counts: Counts) -> None:
    """Let a link show `course` and its column count `counts`, and bring its cells up to date.

    Scores that were sent for another course are not taken back; those that were not sent yet never are.
    """
    before = placement_of(link_pk)
    column = column_of(link_pk)
    if before is not None and before.course_id != course.id and column is not None:
        drop_unsent(column)
    upsert = insert_into(Placement).values(resource_link_pk=link_pk, course_id=course.id, counts=counts)
    db.session.execute(
        upsert.on_conflict_do_update(
            index_elements=["resource_link_pk"], set_={"course_id": course.id, "counts": counts}
        )
    )
    project_link(course, link_pk)


def arrive(learner: Learner, course: Course, *, link_pk: int, lti_user_pk: int, gradable: bool) -> None:
    """Note that the person opened the link by this login, and show there what is done already.

    Also finishes a course whose new version has fewer lessons, when all of them are done.
    """
    progress = locked_progress(learner.person_id, course.id)
    visit = db.session.scalar(
        select(Visit).where(
            Visit.resource_link_pk == link_pk,
            Visit.lti_user_pk == lti_user_pk,
            Visit.person_id == learner.person_id,
        )
    )
    if visit is None:
        db.session.execute(
            insert_into(Visit)
            .values(
                resource_link_pk=link_pk,
                lti_user_pk=lti_user_pk,
                person_id=learner.person_id,
                gradable=gradable,
                first_at=utc_now(),
            )
            .on_conflict_do_nothing(index_elements=["resource_link_pk", "lti_user_pk", "person_id"])
        )
    elif visit.gradable != gradable:
        visit.gradable = gradable
    if progress is not None:
        settle(learner, course, progress, utc_now())
        project_person(course, learner.person_id)


def is_noted(learner: Learner, path: Path, *, link_pk: int, lti_user_pk: int, gradable: bool) -> bool:
    """Whether `arrive` would change nothing: seen without a lock, so that coming back takes none."""
    opened = opened_links(path.course, learner.person_id)
    here = next((o for o in opened if (o.link_pk, o.lti_user_pk) == (link_pk, lti_user_pk)), None)
    if here is None or here.gradable != gradable:
        return False
    progress = path.progress
    if progress is None:
        return True
    return _is_settled(path, progress) and all(_shows(o, progress) for o in opened if o.gradable)


def _is_settled(path: Path, progress: CourseProgress) -> bool:
    """Whether the row says of the course, as it is now, what the lessons and quizzes say."""
    if progress.completed_at is not None:
        ids = [quiz.id for quiz in quizzes(path.course)]
        return marking.mean(best_scores(progress.person_id, ids)) <= (progress.result or 0)
    required = [step.state == "done" for step in path.steps if step.lesson.required]
    return not all(required) and progress.percent == 100 * sum(required) // len(required)


def _shows(opened: Opened, progress: CourseProgress) -> bool:
    """Whether the link's gradebook cell shows this progress already, in the column that is there now."""
    cell = best([progress], opened.counts)
    if cell is None:
        return True
    moved = opened.line_item_url is not None and opened.line_item_url != opened.column_url
    return not moved and opened.given is not None and opened.given >= cell.given
