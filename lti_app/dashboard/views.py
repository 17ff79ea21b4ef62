"""What a teacher sees of a class, and whoever was granted the right of a school or a district."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext, lazy_gettext
from marshmallow import ValidationError

from lti_app.clock import local_day, utc_now
from lti_app.courses.models import Counts, Placement
from lti_app.courses.placements import forget_copy_note
from lti_app.courses.placements import place as place_course
from lti_app.credits.amounts import plain
from lti_app.credits.queries import term_on
from lti_app.dashboard import overview as whole
from lti_app.dashboard import queries, words
from lti_app.dashboard.queries import PAGE, Learner, Place, Shown
from lti_app.dashboard.schemas import AudienceSchema, CountsSchema
from lti_app.errors import NotAllowed, NotHere
from lti_app.extensions import db
from lti_app.gradebook.queries import resting_until
from lti_app.launches.current import current_launch, local_text, require_context, require_staff, rights_here
from lti_app.organisations.models import District, School
from lti_app.roster.models import Context, ResourceLink

bp = Blueprint("dashboard", __name__)


@bp.get("/class")
def class_page() -> str:
    """The class of this launch: settings, numbers, and everybody's progress and score."""
    require_staff()
    return _class_page()


@bp.post("/class/audience")
def set_audience() -> Any:
    """Save who the learners of the class are; it holds from their next launch on."""
    require_staff()
    context = require_context()
    try:
        context.audience = AudienceSchema().load(request.form.to_dict())["audience"]
    except ValidationError:
        return _class_page(problem="audience"), 422
    db.session.commit()
    flash(gettext("已保存班级成员的设置，学员下次打开时生效。"), "done")
    return redirect(url_for("dashboard.class_page"), 303)


@bp.post("/class/counts")
def set_counts() -> Any:
    """Save what the column of this link shows and bring its scores up to date."""
    require_staff()
    placement = _placement()
    if placement is None:
        raise NotHere()
    try:
        counts = CountsSchema().load(request.form.to_dict())["counts"]
    except ValidationError:
        return _class_page(problem="counts"), 422
    place_course(placement.resource_link_pk, placement.course, counts)
    db.session.commit()
    flash(gettext("已保存成绩册的设置，已有的成绩会按新的方式更新。"), "done")
    return redirect(url_for("dashboard.class_page"), 303)


@bp.post("/class/copy-seen")
def forget_copy() -> Any:
    """Close the note that the settings of this link were taken over from another one."""
    require_staff()
    placement = _placement()
    if placement is None:
        raise NotHere()
    forget_copy_note(placement.resource_link_pk)
    db.session.commit()
    return redirect(url_for("dashboard.class_page"), 303)


@bp.get("/overview")
def overview() -> str:
    """The classes that the login's rights open, with their numbers of this term."""
    launch = current_launch()
    school = db.session.get_one(School, launch.registration.school_id)
    scope = whole.scope_of(rights_here(launch), school)
    if scope is None:
        raise NotAllowed(lazy_gettext("这一页只对学校管理员和区级人员开放，权限由系统管理员授予。"))
    term = term_on(school.district_id, local_day(utc_now(), school.time_zone))
    term_id = term.id if term else None
    sums = whole.sums(scope, term_id)
    page, pages = _paging(sums.classes, whole.PAGE)
    return render_template(
        "dashboard/overview.html",
        title=school.name if scope.school_id else db.session.get_one(District, school.district_id).name,
        of_district=scope.school_id is None,
        sums=sums,
        term=term,
        rows=whole.class_rows(scope, term_id, page=page),
        plain=plain,
        page=page,
        pages=pages,
        wide=True,
    )


def _class_page(problem: str | None = None) -> str:
    launch, context, placement = current_launch(), require_context(), _placement()
    place = Place(context.id, launch.resource_link_pk, placement.course_id if placement else None)
    shown = _shown()
    numbers = queries.numbers(place)
    page, pages = _paging(numbers.shown[shown], PAGE)
    counts = placement.counts if placement else Counts.RESULT
    blocked_until = resting_until(launch.registration_id)
    return render_template(
        "dashboard/class.html",
        context=context,
        placement=placement,
        origin=_origin(placement) if placement else None,
        numbers=numbers,
        shown=shown,
        people=[_row(learner, counts, context) for learner in queries.learners(place, shown, page=page)],
        audiences=words.audience_choices(),
        counts_choices=words.counts_choices(),
        problem=problem,
        overdue=False,
        resting=blocked_until is not None and blocked_until > utc_now(),
        has_overview=bool(rights_here(launch) & whole.OPENING),
        page=page,
        pages=pages,
        wide=True,
    )


def _row(learner: Learner, counts: Counts, context: Context) -> dict[str, Any]:
    """A person in the words of the page."""
    told = words.told_of(learner, counts)
    score = learner.score
    needs_somebody = told.kind in ("error", "waiting")
    can_retry = score is not None and score.can_retry and counts is not Counts.NOTHING
    return {
        "name": words.display_name(learner),
        "who": words.kind_word(learner, context.audience),
        "percent": learner.percent,
        "result": None if learner.result is None else f"{plain(learner.result)}%",
        "told": told,
        "needs_somebody": needs_somebody,
        "show_next_step": needs_somebody or can_retry,
        "sent_at": local_text(score.sent_at) if score and score.sent_at else None,
        "retry": score.id if score and can_retry else None,
        "insist": score.id if score and score.overruled and counts is not Counts.NOTHING else None,
        "detail": score.detail if score and counts is not Counts.NOTHING else "",
    }


def _placement() -> Placement | None:
    link_pk = current_launch().resource_link_pk
    return queries.placement_with_course(link_pk) if link_pk is not None else None


def _origin(placement: Placement) -> ResourceLink | None:
    """Where the settings of the link come from, as long as a teacher is to be told."""
    if placement.copied_from_pk is None or placement.copy_seen_at is not None:
        return None
    return queries.origin_of(placement, current_launch().lti_user_pk)


def _shown() -> Shown:
    try:
        return Shown(request.args.get("show", Shown.ALL))
    except ValueError:
        return Shown.ALL


def _paging(total: int, size: int) -> tuple[int, int]:
    """The page asked for, kept within those there are, and their number."""
    pages = max(1, -(-total // size))
    return min(max(1, request.args.get("page", 1, type=int)), pages), pages
