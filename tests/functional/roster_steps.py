"""Steps that the stories about rosters share."""

from __future__ import annotations

from typing import Any

from flask import Flask
from sqlalchemy import select

from lti_app.delivery.worker import drain, run_once
from lti_app.extensions import db
from lti_app.roster.models import Context, LtiUser, Membership
from lti_app.roster.reading import read_rosters
from lti_app.roster.sync_models import RosterSync

LEARNER, INSTRUCTOR = "Learner", "Instructor"


def member(sub: str, role: str = LEARNER, **said: Any) -> dict[str, Any]:
    """An entry of a roster; `name` is made of the sub unless it is given (None: no name)."""
    return {"status": "Active", "user_id": sub, "roles": [role], "name": f"家长{sub}", **said}


def people(count: int) -> list[dict[str, Any]]:
    return [member(f"p{number:05}") for number in range(count)]


def read(app: Flask) -> int:
    """Let the worker read what is due."""
    return drain(app, [read_rosters])


def read_a_turn(app: Flask) -> int:
    return run_once(app, [read_rosters])


def class_list(app: Flask, class_: str = "class-1") -> dict[str, tuple[str, str, str | None]]:
    """(status, role, name) of everybody in a class, by sub."""
    with app.app_context():
        rows = db.session.execute(
            select(LtiUser.sub, Membership.status, Membership.role, LtiUser.name)
            .join(Membership, Membership.lti_user_pk == LtiUser.id)
            .join(Context, Context.id == Membership.context_pk)
            .where(Context.context_id == class_)
        ).all()
    return {row.sub: (str(row.status), str(row.role), row.name) for row in rows}


def active(app: Flask, class_: str = "class-1") -> set[str]:
    return {sub for sub, (status, _role, _name) in class_list(app, class_).items() if status == "active"}


def sync_now(app: Flask, class_: str = "class-1", *, of_link: bool = False) -> RosterSync:
    """The row as it is now, detached."""
    with app.app_context():
        where = RosterSync.resource_link_pk.is_not(None) if of_link else RosterSync.resource_link_pk.is_(None)
        row = db.session.scalars(
            select(RosterSync).join(Context).where(Context.context_id == class_, where)
        ).one()
        db.session.expunge(row)
    return row
