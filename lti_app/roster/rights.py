"""What a login may see beyond its launches."""

from __future__ import annotations

from sqlalchemy import select

from lti_app.extensions import db
from lti_app.roster.models import Grant, Right


def rights_of(lti_user_pk: int | None) -> frozenset[Right]:
    """The rights that were granted to a login; none to an anonymous visitor."""
    if lti_user_pk is None:
        return frozenset()
    return frozenset(db.session.scalars(select(Grant.right).where(Grant.lti_user_pk == lti_user_pk)))
