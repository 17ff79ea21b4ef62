"""What the launch of this request may do with courses."""

from __future__ import annotations

from flask import g
from flask_babel import lazy_gettext

from lti_app.courses import queries
from lti_app.courses.models import Course, Lesson, Placement
from lti_app.courses.services import Learner
from lti_app.errors import NotAllowed, NotHere
from lti_app.extensions import db, start_as_reader
from lti_app.launches.current import current_launch, earns_credits, keeps_records
from lti_app.roster.models import Audience, PersonKind

PARAMETER = "gongyu_course"
"""The custom parameter of a link that names its course by slug."""


def is_teacher() -> bool:
    launch = current_launch()
    return launch.role.is_staff and not launch.is_test_user


def learner() -> Learner | None:
    """Whose progress this request keeps; None: read-only (staff, previews, visitors without identity)."""
    launch = current_launch()
    if not keeps_records(launch) or launch.person_id is None:
        return None
    school = launch.context.school if launch.context is not None and earns_credits(launch) else None
    return Learner(launch.person_id, school)


def required_learner() -> Learner:
    """The learner. Raises NotAllowed where nothing may be recorded."""
    found = learner()
    if found is None:
        raise NotAllowed(lazy_gettext("这是预览，不会记录学习进度。"))
    return found


def named_course() -> str:
    """The slug that the link's custom parameter names; "" when it names none."""
    return str(current_launch().custom.get(PARAMETER) or "").strip()


def link_placement() -> Placement | None:
    """What the launch's link shows, looked up once per request."""
    if "placement" not in g:
        link_pk = current_launch().resource_link_pk
        g.placement = queries.placement_of(link_pk) if link_pk is not None else None
    placement: Placement | None = g.placement
    return placement


def shown_course() -> Course | None:
    """The course of this launch's link. Before anybody chose, or for a visitor who leaves nothing, the one
    that the custom parameter names; None when there is none."""
    placement = link_placement()
    if placement is not None:
        return placement.course
    slug = named_course()
    return queries.course_by_slug(slug) if slug else None


def required_course() -> Course:
    course = shown_course()
    if course is None:
        raise NotHere()
    return course


def lesson_of(course: Course, slug: str) -> Lesson:
    """A lesson that is shown. Raises NotHere for others, retired ones too."""
    lesson = next((lesson for lesson in queries.lessons_of(course) if lesson.slug == slug), None)
    if lesson is None:
        raise NotHere()
    return lesson


def speaks_of_credits() -> bool:
    """Pupils never earn in the bank, so their pages do not mention it."""
    launch = current_launch()
    if launch.person is not None:
        return launch.person.kind is PersonKind.PARENT
    return launch.context is None or launch.context.audience is not Audience.PUPILS


def keep_and_commit() -> None:
    """Commit, and keep what was loaded as it is: a page that is rendered after that neither holds SQLite's
    write lock nor reads anything again."""
    db.session.flush()
    db.session.expunge_all()
    db.session.commit()


def start_writing() -> None:
    """End the reading of a page that turns out to have something to note; what was read stays usable."""
    db.session.close()
    start_as_reader(False)
