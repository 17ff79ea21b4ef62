"""Rights beyond a launch: given and taken by an operator, to a login that a platform has verified."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import or_, select
from sqlalchemy.orm import joinedload

from lti_app.extensions import db
from lti_app.registrations.models import Registration
from lti_app.roster.models import Grant, LtiUser, Right


def find_logins(text: str, *, platform: str | None, limit: int = 50) -> Sequence[tuple[LtiUser, str]]:
    """Logins whose name, e-mail, SIS id or sub contains `text`, with their platform's name, by id."""
    pattern = f"%{text}%"
    query = (
        select(LtiUser, Registration.name)
        .join(Registration, Registration.id == LtiUser.registration_id)
        .where(
            or_(
                LtiUser.sub == text,
                LtiUser.name.ilike(pattern),
                LtiUser.email.ilike(pattern),
                LtiUser.sis_id == text,
            )
        )
    )
    if platform:
        query = query.where(Registration.name == platform)
    return [(user, name) for user, name in db.session.execute(query.order_by(LtiUser.id).limit(limit))]


def grant(login_id: int, right: Right, *, by: str) -> bool:
    """Give a right; False when the login already has it. Raises LookupError for an unknown login."""
    if db.session.get(LtiUser, login_id) is None:
        raise LookupError(login_id)
    known = _find(login_id, right)
    if known is None:
        db.session.add(Grant(lti_user_pk=login_id, right=right, granted_by=by))
    return known is None


def revoke(login_id: int, right: Right) -> bool:
    """Take a right away; False when the login does not have it."""
    known = _find(login_id, right)
    if known is not None:
        db.session.delete(known)
    return known is not None


def all_grants() -> Sequence[Grant]:
    """Every right that was given, with its login."""
    return db.session.scalars(select(Grant).options(joinedload(Grant.lti_user)).order_by(Grant.id)).all()


def _find(login_id: int, right: Right) -> Grant | None:
    return db.session.scalar(select(Grant).where(Grant.lti_user_pk == login_id, Grant.right == right))
