"""A parent's own pages: which children are theirs, for whom they are here, and their other account."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext, lazy_gettext

from lti_app.courses.access import keep_and_commit
from lti_app.errors import NotAllowed, NotHere
from lti_app.extensions import db
from lti_app.families import linking, queries, services, words
from lti_app.families.attempts import TooManyAttempts
from lti_app.families.blueprint import ROW, bp
from lti_app.families.class_views import codes, home
from lti_app.families.linking import CannotLink
from lti_app.families.schemas import ChildSchema, CodeSchema
from lti_app.families.services import Miscopied, WrongCode
from lti_app.launches.current import current_child, current_launch, earns_credits, serves_own_child
from lti_app.launches.models import LaunchSession

__all__ = ["bp", "codes", "home"]

_CODE, _CHILD = CodeSchema(), ChildSchema()


@bp.get("/children")
def children() -> str:
    """The parent's children, and the form for a claim code."""
    return _children_page(_parent())


@bp.post("/children/claim")
def claim() -> Any:
    """Become the guardian of the child whose code was typed."""
    launch = _parent()
    try:
        claimed = services.claim(launch, _CODE.load(request.form.to_dict())["code"])
    except Miscopied:
        return _children_page(launch, words.MISCOPIED), 422
    except WrongCode:
        keep_and_commit()  # the attempt counts
        return _children_page(launch, words.WRONG_CLAIM), 422
    except TooManyAttempts:
        _forget()
        return _children_page(launch, words.TOO_MANY), 429
    name = words.child_name(claimed.child.name)
    db.session.commit()
    said = (
        gettext("已认领：%(name)s", name=name)
        if claimed.is_new
        else gettext("%(name)s 早已是您的孩子。", name=name)
    )
    flash(said, "done" if claimed.is_new else "info")
    return redirect(url_for("families.children"), 303)


@bp.post("/children/choose")
def choose() -> Any:
    """Be here for one of several children."""
    launch = _parent()
    if not services.choose(launch, _CHILD.load(request.form.to_dict())["child"]):
        raise NotHere()
    db.session.commit()
    flash(gettext("已换好，从现在起学完的课程也记在这个孩子名下。"), "done")
    return redirect(url_for("families.children"), 303)


@bp.route(f"/children/<{ROW}:child_pk>/leave", methods=["GET", "POST"])
def leave(child_pk: int) -> Any:
    """The parent says "not my child": asked once more, then done."""
    launch = _parent()
    child = next((row for row in queries.children_of(launch.person_id or 0) if row.pk == child_pk), None)
    if child is None:
        raise NotHere()
    name = words.child_name(child.name)
    if request.method == "GET":
        return render_template(
            "families/leave.html", child=child, name=name, source=words.SOURCES[child.source]
        )
    services.leave(launch, child_pk)
    db.session.commit()
    flash(gettext("已解除：%(name)s 不再显示为您的孩子。", name=name), "done")
    return redirect(url_for("families.children"), 303)


@bp.get("/account")
def account() -> str:
    """The parent's LMS accounts, and both halves of linking another one."""
    return _account_page(_parent())


@bp.post("/account/code")
def offer_code() -> str:
    """Show a code for the other account. It exists on this page only."""
    launch = _parent()
    code = linking.offer_code(launch)
    keep_and_commit()
    return render_template("families/offered.html", code=code)


@bp.post("/account/link")
def link() -> Any:
    """Take the other account's code: ask whether it is the right one, and after that link."""
    launch = _parent()
    values = _CODE.load(request.form.to_dict())
    try:
        if not values["sure"]:
            offer = linking.look_up(launch, values["code"])
            keep_and_commit()
            name = words.masked(offer.initial)
            return render_template(
                "families/confirm.html", name=name, school=offer.school, code=values["code"]
            )
        linking.join(launch, values["code"])
    except Miscopied:
        return _account_page(launch, words.MISCOPIED), 422
    except WrongCode:
        keep_and_commit()  # the attempt counts
        return _account_page(launch, words.WRONG_LINK), 422
    except TooManyAttempts:
        _forget()
        return _account_page(launch, words.TOO_MANY), 429
    except CannotLink as error:
        keep_and_commit()
        return _account_page(launch, words.OBSTACLES[error.obstacle]), 409
    db.session.commit()
    flash(gettext("已连接。从现在起，这两个账号的学习记录和学分是同一份。"), "done")
    return redirect(url_for("families.account"), 303)


def _parent() -> LaunchSession:
    """The launch, if a parent is here whose doings are recorded. Raises NotAllowed for anybody else."""
    launch = current_launch()
    if not earns_credits(launch):
        raise NotAllowed(lazy_gettext("这一页只对家长开放。"))
    return launch


def _children_page(launch: LaunchSession, problem: Any = None) -> str:
    child = current_child(launch)
    return render_template(
        "families/children.html",
        children=[
            {
                "pk": row.pk,
                "name": words.child_name(row.name),
                "school": row.school,
                "source": words.SOURCES[row.source],
                "here": child is not None and child.id == row.pk,
            }
            for row in queries.children_of(launch.person_id or 0)
        ],
        own=launch.lti_user if serves_own_child(launch) else None,
        own_here=child is not None and child.id == launch.lti_user_pk,
        problem=problem,
    )


def _account_page(launch: LaunchSession, problem: Any = None) -> str:
    logins = [
        {"name": row.name, "school": row.school, "here": row.pk == launch.lti_user_pk}
        for row in queries.logins_of(launch.person_id or 0)
    ]
    return render_template("families/account.html", logins=logins, problem=problem)


def _forget() -> None:
    """Nothing was looked at, so nothing is kept; what was read stays usable for the page."""
    db.session.expunge_all()
    db.session.rollback()
