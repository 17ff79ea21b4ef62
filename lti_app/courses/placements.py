"""Which course a link shows, and who opened it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from lti_app.clock import utc_now
from lti_app.courses import marking
from lti_app.courses.dates import dates_of
from lti_app.courses.models import ContentItem, Counts, Course, CourseProgress, Placement, Visit
from lti_app.courses.projection import best, lock_visits, project_link, project_person
from lti_app.courses.proposals import Proposal
from lti_app.courses.queries import (
    Opened,
    Path,
    best_scores,
    opened_links,
    placement_of,
    quizzes,
)
from lti_app.courses.services import Learner, locked_progress, settle
from lti_app.credits.projection import project_person as project_credits
from lti_app.extensions import db, insert_into
from lti_app.gradebook.services import column_of, describe_column, drop_unsent, send_dropped


def place_first(link_pk: int, proposal: Proposal) -> Placement | None:
    """The link's placement, made from what its launch proposes. What is there already is never replaced."""
    db.session.execute(
        insert_into(Placement)
        .values(
            resource_link_pk=link_pk,
            course_id=proposal.course_id,
            counts=proposal.counts,
            maximum=proposal.maximum,
            content_item_pk=proposal.content_item_pk,
            chosen_at=proposal.chosen_at or utc_now(),
            copied_at=utc_now() if proposal.is_copy else None,
            copied_from_pk=proposal.copied_from_pk,
            **proposal.dates,
        )
        .on_conflict_do_nothing(index_elements=["resource_link_pk"])
    )
    return placement_of(link_pk)


def place_item(link_pk: int, item: ContentItem) -> None:
    """Let a link show what a teacher has now chosen for it in the LMS."""
    more = {
        "content_item_pk": item.id,
        "maximum": item.maximum,
        "chosen_at": item.created_at,
        "copied_at": None,
    }
    _place(link_pk, item.course, item.counts, {**dates_of(item), **more})


def place(
    link_pk: int, course: Course, counts: Counts, dates: Mapping[str, datetime | None] | None = None
) -> None:
    """Let a link show `course` and its column count `counts`, as its teacher wants it from now on.

    `dates` None: as they are.
    """
    _place(link_pk, course, counts, {"chosen_at": utc_now(), **(dates or {})})


def _place(link_pk: int, course: Course, counts: Counts, more: Mapping[str, Any]) -> None:
    """Place, and bring the link's cells up to date.

    Scores that were sent for another course are not taken back; those that were not sent yet never are, and
    while nothing counts none is sent.
    """
    before = placement_of(link_pk)
    other_course = before is not None and before.course_id != course.id
    was_silent = before is not None and before.counts is Counts.NOTHING
    lock_visits(Visit.resource_link_pk == link_pk)
    column = column_of(link_pk)
    if column is not None and (other_course or counts is Counts.NOTHING):
        drop_unsent(column)
    chosen = {"course_id": course.id, "counts": counts, **more}
    db.session.execute(
        insert_into(Placement)
        .values(resource_link_pk=link_pk, **chosen)
        .on_conflict_do_update(index_elements=["resource_link_pk"], set_=chosen)
    )
    cells = project_link(course, link_pk)
    if column is not None:
        dates = select(Placement.opens_at, Placement.closes_at)
        starts_at, ends_at = db.session.execute(dates.where(Placement.resource_link_pk == link_pk)).one()
        describe_column(column, label=course.title, starts_at=starts_at, ends_at=ends_at)
    if column is not None and (other_course or was_silent):
        send_dropped(column, cells)


def forget_copy_note(link_pk: int) -> None:
    """A teacher has read where the link's settings come from."""
    noted = (Placement.resource_link_pk == link_pk) & Placement.copy_seen_at.is_(None)
    db.session.execute(update(Placement).where(noted).values(copy_seen_at=utc_now()))


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
        # Who earned elsewhere may be new in a class with a column of credits.
        project_credits(learner.person_id)
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
