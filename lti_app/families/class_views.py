"""The teacher's pages: the families of the class, and the slips with codes for the pupils to take home."""

from __future__ import annotations

from typing import Any

from flask import current_app, flash, redirect, render_template, request, url_for
from flask_babel import format_date, gettext
from marshmallow import ValidationError

from lti_app.clock import local_day, utc_now
from lti_app.courses.access import keep_and_commit
from lti_app.errors import NotHere
from lti_app.extensions import db
from lti_app.families import queries, services, words
from lti_app.families.blueprint import ROW, bp
from lti_app.families.queries import PAGE, Pupil
from lti_app.families.schemas import ListSchema, SlipsSchema
from lti_app.launches.current import require_context, require_staff
from lti_app.roster.models import Context

_LIST, _SLIPS = ListSchema(), SlipsSchema()


@bp.get("/families")
def home() -> str:
    """The pupils of the class with their guardians and the state of their codes."""
    require_staff()
    context = require_context()
    asked = _asked()
    numbers = queries.numbers(context)
    found, total = queries.pupils(context, words=asked["q"], shown=asked["show"], page=asked["page"])
    guardians = queries.guardians_of([pupil.pk for pupil in found], context.registration_id)
    return render_template(
        "families/home.html",
        numbers=numbers,
        rows=[_row(pupil, guardians.get(pupil.pk, []), context.school.time_zone) for pupil in found],
        total=total,
        asked=asked,
        page=asked["page"],
        pages=max(1, -(-total // PAGE)),
        accounts_url=_address_of("accounts.home"),
        is_parents_class=context.audience == "parents",
        audience_is_said=context.audience is not None,
        wide=True,
    )


@bp.post(f"/families/links/<{ROW}:link_id>/remove")
def remove(link_id: int) -> Any:
    """Take a wrong guardian away from a child of the class."""
    require_staff()
    if services.remove(require_context(), link_id) is None:
        raise NotHere()
    db.session.commit()
    flash(gettext("已移除这位家长，孩子原来的认领码也已作废。"), "done")
    return _back()


@bp.post(f"/families/links/<{ROW}:link_id>/restore")
def restore(link_id: int) -> Any:
    """Undo a removal."""
    require_staff()
    if services.restore(require_context(), link_id) is None:
        raise NotHere()
    db.session.commit()
    flash(gettext("已恢复这位家长。"), "done")
    return _back()


@bp.post(f"/families/codes/<{ROW}:child_pk>/revoke")
def revoke(child_pk: int) -> Any:
    """Make a pupil's code useless."""
    require_staff()
    if not queries.is_pupil_here(child_pk, require_context()):
        raise NotHere()
    services.revoke(child_pk)
    db.session.commit()
    flash(gettext("认领码已作废，旧纸条不能再用。"), "done")
    return _back()


@bp.get("/families/codes")
def codes() -> str:
    """What will be made: a code for everybody without one, or a new one for a single pupil."""
    require_staff()
    context = require_context()
    child_pk = _slips_for(request.args)
    pupil = _pupil(child_pk, context) if child_pk is not None else None
    numbers = queries.numbers(context)
    waiting = (
        len(queries.pupils_to_give_codes(context, services.MOST_SLIPS, among=None)) if pupil is None else 1
    )
    return render_template(
        "families/codes.html",
        numbers=numbers,
        waiting=waiting,
        pupil=pupil,
        name=words.pupil_name(pupil) if pupil else None,
        days=services.CODE_LIFE.days,
        uses=services.CODE_USES,
        most=services.MOST_SLIPS,
    )


@bp.post("/families/codes")
def slips() -> str:
    """Make the codes and show the slips: this answer is the only place where they can be read."""
    launch = require_staff()
    context = require_context()
    assert launch.lti_user is not None  # teachers without a name of their own are no staff
    child_pk = _slips_for(request.form)
    if child_pk is not None:
        _pupil(child_pk, context)
    made = services.make_slips(context, launch.lti_user, among=None if child_pk is None else [child_pk])
    keep_and_commit()
    return render_template(
        "families/slips.html",
        slips=[{"name": words.pupil_name(slip.pupil), "code": slip.code} for slip in made],
        context=context,
        until=local_day(utc_now() + services.CODE_LIFE, context.school.time_zone),
        uses=services.CODE_USES,
        wide=True,
    )


def _asked() -> dict[str, Any]:
    """What part of the list; an odd address shows the whole."""
    try:
        values: dict[str, Any] = _LIST.load(request.args.to_dict())
    except ValidationError:
        values = _LIST.load({})
    return values


def _slips_for(source: Any) -> int | None:
    child: int | None = _SLIPS.load({name: value for name, value in source.items() if value})["child"]
    return child


def _pupil(child_pk: int, context: Context) -> Pupil:
    found = queries.pupils_to_give_codes(context, 1, among=[child_pk])
    if not found:
        raise NotHere()
    return found[0]


def _row(pupil: Pupil, guardians: list[Any], time_zone: str) -> dict[str, Any]:
    """A pupil in the words of the page."""
    return {
        "pk": pupil.pk,
        "name": words.pupil_name(pupil),
        "sis_id": pupil.sis_id if pupil.name else None,
        "code": _state(pupil),
        "until": format_date(local_day(pupil.expires_at, time_zone)) if pupil.expires_at else None,
        "uses_left": pupil.uses_left,
        "guardians": [
            {
                "id": row.id,
                "name": words.guardian_name(row),
                "source": words.SOURCES[row.source],
                "removed": row.removed_by is not None,
            }
            for row in guardians
        ],
    }


def _state(pupil: Pupil) -> str:
    """Of the code: none, usable, used, expired."""
    if pupil.expires_at is None:
        return "none"
    if pupil.expires_at <= utc_now():
        return "expired"
    return "usable" if pupil.uses_left else "used"


def _back() -> Any:
    return redirect(url_for("families.home"), 303)


def _address_of(endpoint: str) -> str | None:
    """The address of another feature's page, if it is there."""
    return url_for(endpoint) if endpoint in current_app.view_functions else None
