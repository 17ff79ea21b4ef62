"""What people see of the school: who they are, course, gradebook, review, roster."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from . import school
from .lms import STORAGE_FRAME, current_lms
from .visitor import PERSON_COOKIE, current_person

ZONE = ZoneInfo("Asia/Shanghai")

blueprint = Blueprint("pages", __name__)


@blueprint.get("/")
def who() -> str:
    return render_template("who.html")


@blueprint.post("/who")
def choose() -> ResponseReturnValue:
    chosen = request.form.get("person", "")
    if chosen not in school.PEOPLE:
        abort(400)
    # The choice replaces an `?as=` that was in the address until now.
    response = redirect(url_for("pages.course", course="grade-1", **{"as": None}))
    response.set_cookie(PERSON_COOKIE, chosen, samesite="Lax")
    return response


@blueprint.get("/courses/<course>")
def course(course: str) -> str:
    known = _course(course)
    sections: dict[str, list[school.Link]] = {}
    for link in current_lms().store.links(course):
        sections.setdefault(link.section, []).append(link)
    return render_template("course.html", course=known, sections=sections, **_around_tools())


@blueprint.get("/courses/<course>/gradebook")
def gradebook(course: str) -> str:
    """Everybody's grades for staff, one's own for the others."""
    known, visitor = _course(course), current_person()
    cells = {(grade["user"], grade["line_item"]): grade for grade in current_lms().store.grades(course)}
    rows = [one for one in school.gradable(course) if visitor.is_staff or one == visitor]
    columns = current_lms().store.line_items(course)
    return render_template("gradebook.html", course=known, columns=columns, rows=rows, cells=cells)


@blueprint.post("/courses/<course>/gradebook")
def override(course: str) -> ResponseReturnValue:
    """A teacher's own grade for one cell; an empty field gives the cell back to the tool."""
    _course(course)
    columns = {column["id"]: column for column in current_lms().store.line_items(course)}
    item, user = request.form.get("line_item", ""), request.form.get("user", "")
    score = request.form.get("score", type=float)
    if not current_person().is_staff or item not in columns or user not in school.PEOPLE:
        abort(403)
    if score is not None and not 0 <= score <= columns[item]["maximum"]:
        abort(400)
    current_lms().store.override_grade(item, user, score)
    return redirect(url_for("pages.gradebook", course=course))


@blueprint.get("/courses/<course>/review/<item>/<user>")
def review(course: str, item: str, user: str) -> str:
    column = current_lms().store.line_item(course, item)
    link = current_lms().store.link(column["resource_link_id"]) if column else None
    if column is None or link is None or user not in school.PEOPLE:
        abort(404)
    return render_template(
        "review.html",
        course=_course(course),
        column=column,
        reviewed=school.PEOPLE[user],
        tool=current_lms().addresses.tool,
    )


@blueprint.get("/courses/<course>/roster")
def roster(course: str) -> str:
    return render_template("roster.html", course=_course(course), members=school.members(course))


@blueprint.get("/storage")
def storage() -> str:
    """The frame that keeps data for tools. `?foreign` is an impostor, shown from another origin."""
    return render_template(
        "storage.html", tool=current_lms().addresses.tool, foreign="foreign" in request.args
    )


def _around_tools() -> dict[str, Any]:
    """What a page with tools' frames needs: the tool's address, and where data for it is kept."""
    lms = current_lms()
    where = lms.switches.now().storage
    address = url_for("pages.storage")
    if where == "foreign":  # by another name of this machine: another origin
        address = lms.addresses.issuer.replace("localhost", "127.0.0.1") + url_for("pages.storage", foreign=1)
    named = lms.storage_target() == STORAGE_FRAME
    return {
        "tool": lms.addresses.tool,
        "storage": where,
        "storage_frame": (STORAGE_FRAME, address) if named else None,
    }


def _course(course: str) -> school.Course:
    if course not in school.COURSES:
        abort(404)
    return school.COURSES[course]


@blueprint.app_template_filter()
def clock(moment: str) -> str:
    """A stored time as the school's clock shows it."""
    return datetime.fromisoformat(moment).astimezone(ZONE).strftime("%m-%d %H:%M:%S")


@blueprint.app_template_filter()
def points(value: float) -> str:
    """Points with at most two decimals and no needless zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
