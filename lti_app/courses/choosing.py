"""For teachers: choosing what a link shows, and reviewing what somebody did there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import redirect, render_template, request, url_for
from flask_babel import lazy_gettext
from marshmallow import ValidationError

from lti_app.courses import access, placements, queries, reviews
from lti_app.courses.blueprint import bp
from lti_app.courses.dates import NAMES, first_words, for_fields, in_utc
from lti_app.courses.labels import audience_words, facts, kind_words, stage_words, stages_text
from lti_app.courses.models import Counts, Course, CourseKind, Stage
from lti_app.courses.schemas import CatalogueQuery, PlacementForm
from lti_app.errors import NotAllowed, NotHere
from lti_app.extensions import db
from lti_app.launches.current import current_launch, require_context, require_staff

LONGEST_SEARCH = 80


@bp.route("/choose", methods=["GET", "POST"])
def choose() -> Any:
    """The catalogue; with `?course=` one course of it, and what the column shall count."""
    launch = require_staff()
    if launch.resource_link_pk is None:
        raise NotAllowed(lazy_gettext("请从学校平台的课程里打开这个链接，再为它选课程。"))
    if request.method == "POST":
        return _take_choice(launch.resource_link_pk)
    values = CatalogueQuery().load(request.args.to_dict())
    if values["course"]:
        return _course_to_choose(_published(values["course"]))
    return _catalogue(values)


@bp.get("/review")
def review() -> Any:
    """What one login did in the link's course: for its teachers, and for that login itself.

    A platform's message names the login (`for_user`), but anybody can make an LMS name anybody: whether
    this visitor may see it is decided here.
    """
    launch = current_launch()
    own = launch.lti_user is not None and launch.lti_user.sub == launch.for_user
    if launch.for_user is None or launch.is_test_user or not (access.is_teacher() or own):
        raise NotAllowed()
    course, link_pk = access.required_course(), launch.resource_link_pk
    login = reviews.login_named(launch.registration_id, launch.for_user)
    people = reviews.reviewed(link_pk, login, course) if login and link_pk else []
    return render_template(
        "courses/review.html", course=course, login=login, people=people, own=own and not access.is_teacher()
    )


def _take_choice(link_pk: int) -> Any:
    try:
        values = PlacementForm().load(request.form.to_dict())
    except ValidationError as error:
        course = _published(request.form.get("course", ""))
        return _course_to_choose(course, first_words(error), request.form), 422
    said = any(name in request.form for name in NAMES)
    dates = in_utc(values, require_context().school.time_zone) if said else None
    placements.place(link_pk, _published(values["course"]), values["counts"], dates)
    db.session.commit()
    return redirect(url_for("dashboard.class_page"), 303)


def _published(slug: str) -> Course:
    course = queries.course_by_slug(slug) if slug.isascii() and slug.isprintable() else None
    if course is None:
        raise NotHere()
    return course


def _course_to_choose(course: Course, problems: Any = None, form: Mapping[str, str] | None = None) -> str:
    """One course to choose, with what is set now, or what was typed and is wrong."""
    placement = access.link_placement()
    counts = placement.counts if placement else Counts.RESULT
    stored = {"counts": str(counts), **for_fields(placement, require_context().school.time_zone)}
    return render_template(
        "courses/place.html",
        course=course,
        path=queries.path_of(course, None),
        facts=facts(course, with_credits=True),
        audience=audience_words()[course.audience],
        placement=placement,
        problems=problems or {},
        shown={name: (form or {}).get(name, value) for name, value in stored.items()},
    )


def _catalogue(values: dict[str, str]) -> str:
    words = "".join(c for c in values["q"] if c.isprintable())[:LONGEST_SEARCH].strip()
    stage = Stage(values["stage"]) if values["stage"] in set(Stage) else None
    kind = CourseKind(values["kind"]) if values["kind"] in set(CourseKind) else None
    page = max(1, request.args.get("page", 1, type=int))
    found = queries.catalogue(words, stage, kind, min(page, 100_000))
    placement = access.link_placement()
    return render_template(
        "courses/choose.html",
        found=found,
        words=words,
        stage=stage,
        kind=kind,
        stages=stage_words(),
        kinds=kind_words(),
        stages_text=stages_text,
        placement=placement,
        unknown=access.named_course() if placement is None else "",
        wide=True,
    )
