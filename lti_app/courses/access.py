"""What the launch of this request may do with courses."""

from __future__ import annotations

from flask import g
from flask_babel import lazy_gettext

from lti_app.clock import utc_now
from lti_app.courses import queries
from lti_app.courses.dates import Opening, opening
from lti_app.courses.models import Course, Lesson, Placement
from lti_app.courses.proposals import COURSE, proposed
from lti_app.courses.services import Learner
from lti_app.errors import AppError, NotAllowed, NotHere
from lti_app.extensions import db, start_as_reader
from lti_app.launches.current import current_child, current_launch, earns_credits, keeps_records, local_text
from lti_app.roster.models import Audience, PersonKind


class NotOpen(AppError):
    """The link's course is not open to learners now."""

    def __init__(self, placement: Placement) -> None:
        if placement.opens_at is not None and utc_now() < placement.opens_at:
            title, when = lazy_gettext("这门课还没有开放"), placement.opens_at
            advice = lazy_gettext("%(time)s 开放，到时候再来就好。", time=local_text(when))
        else:
            title = lazy_gettext("这门课的学习时间已经结束")
            advice = lazy_gettext("学过的进度、成绩和学分都保留着。还想学的话，请联系老师。")
        super().__init__("GY-COURSE-NOT-OPEN", title, advice, status=403)


def is_teacher() -> bool:
    launch = current_launch()
    return launch.role.is_staff and not launch.is_test_user


def learner() -> Learner | None:
    """Whose progress this request keeps; None: read-only (staff, previews, visitors without identity)."""
    launch = current_launch()
    if not keeps_records(launch) or launch.person_id is None:
        return None
    school = launch.context.school if launch.context is not None and earns_credits(launch) else None
    child = current_child(launch)
    return Learner(launch.person_id, school, child.id if child else None)


def required_learner() -> Learner:
    """The learner. Raises NotAllowed where nothing may be recorded."""
    found = learner()
    if found is None:
        raise NotAllowed(lazy_gettext("这是预览，不会记录学习进度。"))
    return found


def named_course() -> str:
    """The slug that the link's custom parameter names; "" when it names none."""
    return str(current_launch().custom.get(COURSE) or "").strip()


def link_placement() -> Placement | None:
    """What the launch's link shows, looked up once per request."""
    if "placement" not in g:
        link_pk = current_launch().resource_link_pk
        g.placement = queries.placement_of(link_pk) if link_pk is not None else None
    placement: Placement | None = g.placement
    return placement


def shown_course() -> Course | None:
    """The course of this launch's link. Before anybody chose, or for a visitor who leaves nothing, the one
    that the launch itself proposes; None when there is none."""
    placement = link_placement()
    if placement is not None:
        return placement.course
    proposal = proposed(current_launch())
    return queries.course_by_slug(proposal.course_slug) if proposal is not None else None


def required_course() -> Course:
    course = shown_course()
    if course is None:
        raise NotHere()
    return course


def closed_to_learners() -> Placement | None:
    """The link's placement, when who is here may not learn there now: its dates bind everybody but staff."""
    placement = link_placement()
    if placement is None or is_teacher() or opening(placement, utc_now()) is Opening.OPEN:
        return None
    return placement


def open_course() -> Course:
    """The link's course, to learn in it. Raises NotOpen before and after its dates."""
    closed = closed_to_learners()
    if closed is not None:
        raise NotOpen(closed)
    return required_course()


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
