"""What a teacher asks for: send, read back, release, how a column works, a column of credits, our grade."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext
from marshmallow import ValidationError
from werkzeug.wrappers import Response

from integrations.platforms.registry import platform_for
from lti_app.clock import local_day, utc_now
from lti_app.errors import NotHere
from lti_app.extensions import db
from lti_app.gradebook import wishes
from lti_app.gradebook.columns.care import request_reading
from lti_app.gradebook.models import ColumnKind, LineItem
from lti_app.gradebook.pages import listing, words
from lti_app.gradebook.pages.blueprint import COLUMN, SCORE, back, bp, column_here, kept, score_here
from lti_app.gradebook.pages.schemas import CreditsSchema, DoSchema, PolicySchema
from lti_app.gradebook.queries import row_in_context
from lti_app.gradebook.services import send_mine as replace_by_ours
from lti_app.launches.current import local_text, require_context, require_staff
from lti_app.organisations.services import term_of
from lti_app.roster.models import Audience

_DO, _POLICY, _CREDITS = DoSchema(), PolicySchema(), CreditsSchema()


@bp.post("/grades/act")
def act() -> Response:
    """Send what waits, or read the gradebook back, for all columns of the class."""
    require_staff()
    columns = [row.column for row in listing.columns(require_context().id, utc_now())]
    return _act(columns)


@bp.post(f"/grades/columns/<{COLUMN}>/act")
def act_on_column(column_id: int) -> Response:
    """Send what waits, read the gradebook back, or release the grades, in one column."""
    require_staff()
    return _act([column_here(column_id)])


@bp.get(f"/grades/columns/<{COLUMN}>")
def column(column_id: int) -> str:
    """How the column works, to be changed."""
    require_staff()
    return _column_page(column_here(column_id))


@bp.post(f"/grades/columns/<{COLUMN}>")
def set_policy(column_id: int) -> Any:
    """Save how the column works."""
    require_staff()
    chosen = column_here(column_id)
    try:
        policy = _POLICY.load(request.form.to_dict())
    except ValidationError:
        return _column_page(chosen, problem=True), 422
    saved = gettext("已保存“%(label)s”的设置。", label=chosen.label)
    wishes.set_policy(chosen, keeps=policy["keeps"], sends=policy["sends"], paused=policy["paused"] == "1")
    db.session.commit()
    flash(saved, "done")
    return back("columns")


@bp.get(f"/grades/columns/<{COLUMN}>/remove")
def leaving(column_id: int) -> str:
    """What the removal of a column of credits does, before it is done."""
    require_staff()
    return render_template("gradebook/remove.html", column=_of_credits(column_id))


@bp.post(f"/grades/columns/<{COLUMN}>/remove")
def remove(column_id: int) -> Response:
    """Remove a column of credits, here and in the LMS."""
    require_staff()
    wishes.remove_column(_of_credits(column_id))
    db.session.commit()
    flash(gettext("已安排删除学分栏。学分都还在，随时可以再建一栏。"), "done")
    return redirect(url_for("gradebook.home"), 303)


@bp.get("/grades/credits")
def credits_form() -> str:
    """Ask how many credits the whole grade is."""
    require_staff()
    return _credits_page()


@bp.post("/grades/credits")
def add_credits() -> Any:
    """Make a column of this term's credits."""
    launch = require_staff()
    context = require_context()
    form = request.form.to_dict()
    try:
        target = _CREDITS.load(form)["target"]
    except ValidationError as error:
        problem = str(error.normalized_messages()["target"][0])
        return _credits_page(form.get("target", ""), problem=problem), 422
    term = term_of(context.school.district_id, local_day(utc_now(), context.school.time_zone))
    try:
        wishes.add_credits_column(context, launch.registration, term, target)
    except wishes.NoGradebook:
        return _credits_page(form["target"]), 422
    db.session.commit()
    flash(gettext("已保存。学分一栏通常一分钟内就在成绩册里。"), "done")
    return redirect(url_for("gradebook.home", _anchor="columns"), 303)


@bp.get(f"/grades/scores/<{SCORE}>/mine")
def insist(score_id: int) -> str:
    """What replacing the LMS's grade by ours does, before it is done."""
    launch = require_staff()
    row = row_in_context(score_id, require_context().id)
    if row is None or not row.overruled:
        raise NotHere()
    return render_template(
        "gradebook/mine.html",
        row=row,
        name=words.display_name(row),
        ours=words.percent(row),
        seen=words.seen(row),
        seen_at=local_text(row.seen_at) if row.seen_at else None,
        kept=kept(),
        must_lift=platform_for(launch.registration.kind).keeps_teacher_grades,
    )


@bp.post(f"/grades/scores/<{SCORE}>/mine")
def send_mine(score_id: int) -> Response:
    """Replace the LMS's grade by ours."""
    launch = require_staff()
    if replace_by_ours(score_here(score_id), launch.registration):
        flash(gettext("已安排用这里的成绩替换。"), "done")
    else:
        flash(gettext("这个成绩在这期间已经变了，请看最新的情况。"), "info")
    db.session.commit()
    return back()


def _act(columns: list[LineItem]) -> Response:
    asked = _DO.load(request.form.to_dict())["act"]
    said = {"send": _send, "read": _read, "release": _release}[asked](columns)
    db.session.commit()
    flash(*said)
    return back("columns")


def _send(columns: list[LineItem]) -> tuple[str, str]:
    count = wishes.send_now(columns)
    if not count:
        return gettext("没有等着发送的成绩。"), "info"
    return gettext("已安排 %(count)s 个成绩现在发送。", count=count), "done"


def _read(columns: list[LineItem]) -> tuple[str, str]:
    if not request_reading([column.id for column in columns], utc_now()):
        return gettext("刚刚核对过，请等一分钟再核对。"), "info"
    return gettext("已开始和学校平台的成绩册核对。"), "done"


def _release(columns: list[LineItem]) -> tuple[str, str]:
    count = wishes.release(*columns)
    if not count:
        return gettext("没有等着公布的成绩。"), "info"
    return gettext("已公布 %(count)s 个成绩，正在写入成绩册。", count=count), "done"


def _of_credits(column_id: int) -> LineItem:
    """The column, if it is one that we may take away. Raises NotHere."""
    found = column_here(column_id)
    if not is_ours_to_remove(found):
        raise NotHere()
    return found


def _column_page(chosen: LineItem, *, problem: bool = False) -> str:
    return render_template(
        "gradebook/column.html",
        column=chosen,
        keeps=words.keeps_choices(),
        sends=words.sends_choices(),
        pauses=words.pause_choices(),
        removable=is_ours_to_remove(chosen),
        kept=kept(),
        problem=problem,
    )


def is_ours_to_remove(chosen: LineItem) -> bool:
    """A column of credits that we made, or that is not in the LMS yet."""
    return chosen.kind is ColumnKind.CREDITS and (chosen.made_by_us or chosen.url is None)


def _credits_page(target: str = "", *, problem: str | None = None) -> str:
    context = require_context()
    known = listing.credits_column(context.id, local_day(utc_now(), context.school.time_zone))
    if known is not None and known.target and not target and problem is None:
        target = f"{(Decimal(known.target) / 100).normalize():f}"
    return render_template(
        "gradebook/credits.html",
        target=target[:20],
        problem=problem,
        can=wishes.gradebook_address(context.id) is not None,
        known=known,
        pupils=context.audience is Audience.PUPILS,
    )
