"""Everybody in a class, as the platform's roster and launches say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select

from integrations.terms import CourseRole
from lti_app.extensions import db
from lti_app.roster.models import LtiUser, Membership, MembershipStatus, PersonKind
from lti_app.roster.sync_models import LinkMember

PAGE = 50
NOBODY = 0
"""Stands for "no link" in conditions: row numbers begin at one."""
_ACTIVE = Membership.status == MembershipStatus.ACTIVE


class Shown(StrEnum):
    """The filters of the list. WAITING: never opened anything here. LINK: may open the activity of this page."""

    ALL = "all"
    WAITING = "waiting"
    LEFT = "left"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Asked:
    """What of which class is looked at."""

    context_pk: int
    link_pk: int | None
    shown: Shown = Shown.ALL
    words: str = ""


@dataclass(frozen=True, slots=True)
class MemberRow:
    """Somebody in the class. `kind` is what a list or the person said; `last_launch_at` None: not come yet."""

    lti_user_pk: int
    name: str | None
    role: CourseRole
    kind: PersonKind | None
    is_active: bool
    last_launch_at: datetime | None


def numbers(asked: Asked) -> dict[Shown, int]:
    """How many each filter shows, in one statement."""
    counts = [func.count().filter(_condition(shown, asked)) for shown in Shown]
    row = db.session.execute(_members(asked, *counts)).one()
    return dict(zip(Shown, row, strict=True))


def members(asked: Asked, *, page: int) -> list[MemberRow]:
    """A page of the list by name, those without one last."""
    query = (
        _members(
            asked,
            LtiUser.id.label("lti_user_pk"),
            LtiUser.name,
            Membership.role,
            func.coalesce(Membership.listed_kind, Membership.stated_kind).label("kind"),
            _ACTIVE.label("is_active"),
            Membership.last_launch_at,
        )
        .where(_condition(asked.shown, asked))
        .order_by(LtiUser.name.is_(None), LtiUser.name, LtiUser.id)
    )
    rows = db.session.execute(query.limit(PAGE).offset((page - 1) * PAGE))
    return [MemberRow(**row._asdict()) for row in rows]


def _members(asked: Asked, *columns: Any) -> Select[Any]:
    query: Select[Any] = (
        select(*columns)
        .select_from(Membership)
        .join(LtiUser, LtiUser.id == Membership.lti_user_pk)
        .where(Membership.context_pk == asked.context_pk)
    )
    if not asked.words:
        return query
    return query.where(
        or_(
            LtiUser.name.icontains(asked.words, autoescape=True),
            LtiUser.sis_id.icontains(asked.words, autoescape=True),
        )
    )


def _condition(shown: Shown, asked: Asked) -> ColumnElement[bool]:
    may_open = exists().where(
        LinkMember.resource_link_pk == (asked.link_pk or NOBODY),
        LinkMember.lti_user_pk == Membership.lti_user_pk,
    )
    conditions: dict[Shown, ColumnElement[bool]] = {
        Shown.ALL: _ACTIVE,
        Shown.WAITING: and_(_ACTIVE, Membership.last_launch_at.is_(None)),
        Shown.LEFT: Membership.status == MembershipStatus.INACTIVE,
        Shown.LINK: and_(_ACTIVE, may_open),
    }
    return conditions[shown]
