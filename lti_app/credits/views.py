"""A parent's page of the bank."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, request
from flask_babel import format_date, gettext

from lti_app.clock import local_day, utc_now
from lti_app.credits import amounts, queries
from lti_app.credits.models import Category
from lti_app.credits.queries import Line
from lti_app.extensions import db
from lti_app.launches.current import current_launch, current_person, earns_credits
from lti_app.launches.models import LaunchSession
from lti_app.organisations.models import School
from lti_app.roster.models import PersonKind

bp = Blueprint("credits", __name__)
bp.add_app_template_filter(amounts.plain, "hundredths")


@bp.get("/credits")
def statement() -> str:
    """Balance and entries of the parent who is here; everybody else reads why there is none."""
    launch = current_launch()
    if not earns_credits(launch):
        return render_template("credits/no_account.html", why=_why_none(launch))
    person = current_person()
    school = (
        launch.context.school if launch.context else db.session.get_one(School, launch.registration.school_id)
    )
    term = queries.term_on(school.district_id, local_day(utc_now(), school.time_zone))
    totals = queries.totals(person.id, term.id if term else None)
    pages = max(1, -(-queries.count_lines(person.id) // queries.PAGE))
    page = min(max(1, request.args.get("page", 1, type=int)), pages)
    return render_template(
        "credits/statement.html",
        term=term,
        totals=totals,
        in_term=sum(row.term for row in totals),
        in_all=sum(row.total for row in totals),
        category_words=_category_words(),
        entries=[_entry(line, school) for line in queries.lines(person.id, page=page)],
        exact=amounts.exact,
        page=page,
        pages=pages,
    )


def _entry(line: Line, school: School) -> dict[str, Any]:
    """An entry in the words of the page; a correction has the day on which it was made."""
    correction = line.revision > 1
    day = local_day(line.booked_at, school.time_zone) if correction else line.day
    return {
        "title": line.label or _category_words()[line.category],
        "amount": amounts.signed(line.amount),
        "day": format_date(day, format="long"),
        "balance": amounts.exact(line.balance),
        "mark": _mark(line),
        "correction": correction,
    }


def _mark(line: Line) -> Any:
    """Why this line and another one of the same source belong together; None for an ordinary entry."""
    if line.revision > 1:
        if line.amount > 0:
            return gettext("更正：补记")
        return gettext("更正：冲销") if line.source_total == 0 else gettext("更正：冲减")
    if line.reversed:
        return gettext("已冲销")
    return gettext("后有更正") if line.later else None


def _category_words() -> dict[Category, str]:
    return {Category.COURSE: gettext("课程学习")}


def _why_none(launch: LaunchSession) -> str:
    if launch.role.is_staff and not launch.is_test_user:
        return "staff"
    if launch.person is not None and launch.person.kind is PersonKind.PUPIL:
        return "pupil"
    return "preview" if launch.is_test_user else "unknown"
