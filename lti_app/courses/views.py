"""The course of a link: where a launch lands, the course page, and its media."""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, g, redirect, render_template, send_file, url_for

from integrations.terms import CourseRole
from lti_app.clock import utc_now
from lti_app.courses import access, placements, queries
from lti_app.courses.blueprint import bp
from lti_app.courses.choosing import choose, review
from lti_app.courses.dates import Opening, opening
from lti_app.courses.imports import media_path
from lti_app.courses.labels import facts
from lti_app.courses.learning import lesson, result
from lti_app.courses.models import Course, CourseStatus, Media, Placement
from lti_app.courses.proposals import chosen_again, proposed
from lti_app.errors import NotHere
from lti_app.extensions import db
from lti_app.gradebook.queries import score_of
from lti_app.launches.current import current_launch, first_page

__all__ = ["bp", "choose", "lesson", "result", "review"]

MEDIA_SECONDS = 3600
LARGEST_ID = 2**63


@bp.get("/")
def home() -> Any:
    """Where a launch lands: the link's course for who learns, the class for its teachers.

    Who comes back has nothing to note, so this reads, and writes only when there is something.
    """
    launch = current_launch()
    first = first_page(launch.message_type, launch.role, launch.is_administrator)
    if first != "courses.home":
        return redirect(url_for(first))
    course = _placed_course()
    if access.is_teacher() and launch.context_pk is not None:
        return redirect(url_for("courses.choose" if course is None else "dashboard.class_page"))
    if course is None:
        return render_template("courses/waiting.html", unknown=access.named_course())
    closed = access.closed_to_learners()
    if closed is not None:
        return _closed_page(closed)
    return _course_page(course, _arrived(course))


@bp.get("/course")
def course() -> Any:
    """The course page without the noting of who came: for teachers, and to come back to."""
    shown = access.shown_course()
    if shown is None:
        return redirect(url_for("courses.home"))
    closed = access.closed_to_learners()
    return _course_page(shown, _path(shown)) if closed is None else _closed_page(closed)


@bp.get("/media/<int:media_id>/<name>")
def media(media_id: int, name: str) -> Response:
    """A file of the link's course; teachers also see those of courses they may choose."""
    row = db.session.get(Media, media_id) if media_id < LARGEST_ID else None
    if row is None or row.path.rpartition("/")[2] != name or not _may_see(row.course_id):
        raise NotHere()
    path = media_path(current_app.config["SETTINGS"].instance / "media", row.sha256)
    if not path.is_file():
        raise NotHere()
    response = send_file(path, mimetype=row.content_type, conditional=True, etag=row.sha256)
    response.headers["Cache-Control"] = f"private, max-age={MEDIA_SECONDS}"
    return response


def _placed_course() -> Course | None:
    """The link's course; the first visit by a known person places what the launch proposes, and so does the
    first one after a teacher has chosen anew in the LMS."""
    launch, placement = current_launch(), access.link_placement()
    if not launch.resource_link_pk or not launch.lti_user_pk:
        return access.shown_course()
    again = chosen_again(launch, placement) if placement is not None else None
    proposal = proposed(launch) if placement is None else None
    if again is None and proposal is None:
        return placement.course if placement is not None else None
    access.start_writing()
    if again is not None:
        placements.place_item(launch.resource_link_pk, again)
        g.placement = queries.placement_of(launch.resource_link_pk)
    elif proposal is not None:
        g.placement = placements.place_first(launch.resource_link_pk, proposal)
    access.keep_and_commit()
    return access.shown_course()


def _path(course: Course) -> queries.Path:
    learner = access.learner()
    return queries.path_of(course, learner.person_id if learner else None)


def _arrived(course: Course) -> queries.Path:
    """How far who has come is, after noting what there is to note of that."""
    launch, learner, path = current_launch(), access.learner(), _path(course)
    if learner is None or launch.resource_link_pk is None or launch.lti_user_pk is None:
        return path
    visit: dict[str, Any] = {
        "link_pk": launch.resource_link_pk,
        "lti_user_pk": launch.lti_user_pk,
        "gradable": launch.role is CourseRole.LEARNER,
    }
    if placements.is_noted(learner, path, **visit):
        return path
    access.start_writing()
    placements.arrive(learner, course, **visit)
    return _path(course)


def _course_page(course: Course, path: queries.Path) -> str:
    launch = current_launch()
    with_credits = access.speaks_of_credits()
    score = None
    if path.finished and launch.resource_link_pk and launch.lti_user_pk:
        score = score_of(launch.resource_link_pk, launch.lti_user_pk)
    access.keep_and_commit()
    return render_template(
        "courses/course.html",
        course=course,
        path=path,
        facts=facts(course, with_credits=with_credits),
        with_credits=with_credits,
        preview=access.learner() is None,
        observer=launch.role is CourseRole.MENTOR,
        score=score,
        placement=access.link_placement(),
        overdue=_is_overdue(),
    )


def _closed_page(placement: Placement) -> str:
    """Before or after the dates of the link: when it opens, or what is kept of what was done."""
    return render_template(
        "courses/waiting.html",
        placement=placement,
        early=opening(placement, utc_now()) is Opening.EARLY,
        path=_path(placement.course),
    )


def _is_overdue() -> bool:
    placement = access.link_placement()
    return placement is not None and placement.due_at is not None and placement.due_at <= utc_now()


def _may_see(course_id: int) -> bool:
    placement = access.link_placement()
    if placement is not None and placement.course_id == course_id:
        return True
    course = db.session.get(Course, course_id)
    if course is None or course.status is not CourseStatus.PUBLISHED:
        return False
    if access.is_teacher():
        return True
    shown = access.shown_course() if placement is None else None
    return shown is not None and shown.id == course_id
