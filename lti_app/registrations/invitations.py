"""Who may register a platform: whoever shows an unused invitation, or anybody where the operator opened it."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import date, timedelta

from flask_babel import format_date, gettext
from sqlalchemy import CursorResult, func, or_, select, update
from sqlalchemy.orm import joinedload

from integrations.terms import AddressPolicy
from lti_app.clock import local_day, utc_now
from lti_app.extensions import db
from lti_app.organisations.models import School
from lti_app.registrations.models import (
    DeploymentPolicy,
    Invitation,
    Registration,
    RegistrationStatus,
)
from lti_app.registrations.refusals import refused

TAKEN_FOR = timedelta(minutes=3)
"""Longer than a registration can last: two requests of at most 45 s each."""
MOST_WAITING = 50
CODE_LENGTH = 24


@dataclass(frozen=True, slots=True)
class Admission:
    """On which terms a platform may register now. Without an invitation it belongs to no school yet and waits
    for the operator."""

    district_name: str
    policy: AddressPolicy
    deployment_policy: DeploymentPolicy
    school_id: int | None = None
    school_name: str | None = None
    invitation_id: int | None = None
    expires_on: date | None = None


def invite(
    school: School,
    *,
    lifetime: timedelta,
    deployment_policy: DeploymentPolicy,
    policy: AddressPolicy,
) -> tuple[Invitation, str]:
    """Make an invitation; returns it with its code (144 bits), which exists only here and at who gets it."""
    code = secrets.token_urlsafe(CODE_LENGTH * 3 // 4)
    row = Invitation(
        school_id=school.id,
        code_hash=_hashed(code),
        deployment_policy=deployment_policy,
        allow_http=policy.allow_http,
        allow_private_network=policy.allow_private_network,
        expires_at=utc_now() + lifetime,
    )
    db.session.add(row)
    return row, code


def admitted(code: str, *, open_district: str | None) -> Admission:
    """The terms of an invitation code; of open registration when there is no code.

    Raises AppError: no-invitation, unknown-, used- or expired-invitation, too-many-waiting.
    """
    if not code:
        return _admitted_openly(open_district)
    query = (
        select(Invitation)
        .where(Invitation.code_hash == _hashed(code))
        .options(
            joinedload(Invitation.school).joinedload(School.district), joinedload(Invitation.registration)
        )
    )
    found = db.session.scalar(query)
    if found is None:
        raise refused("unknown-invitation")
    if found.used_at is not None:
        raise refused("used-invitation", more=_what_came_of(found))
    if found.expires_at <= utc_now():
        raise refused("expired-invitation")
    return Admission(
        district_name=found.school.district.name,
        policy=AddressPolicy(found.allow_http, found.allow_private_network),
        deployment_policy=found.deployment_policy,
        school_id=found.school_id,
        school_name=found.school.name,
        invitation_id=found.id,
        expires_on=local_day(found.expires_at, found.school.time_zone),
    )


def take(invitation_id: int) -> bool:
    """Take the invitation for the time that a registration may last; of several that try, one gets it."""
    now = utc_now()
    return _changed(
        update(Invitation)
        .where(
            Invitation.id == invitation_id,
            Invitation.used_at.is_(None),
            Invitation.expires_at > now,
            or_(Invitation.taken_until.is_(None), Invitation.taken_until <= now),
        )
        .values(taken_until=now + TAKEN_FOR)
    )


def give_back(invitation_id: int) -> None:
    """Nothing came of it: it can be used again at once."""
    _changed(
        update(Invitation)
        .where(Invitation.id == invitation_id, Invitation.used_at.is_(None))
        .values(taken_until=None)
    )


def use(invitation_id: int, registration: Registration) -> bool:
    """Use the invitation up; False when somebody else has."""
    return _changed(
        update(Invitation)
        .where(Invitation.id == invitation_id, Invitation.used_at.is_(None))
        .values(used_at=utc_now(), taken_until=None, registration_id=registration.id)
    )


def _admitted_openly(district: str | None) -> Admission:
    if not district:
        raise refused("no-invitation")
    waiting = select(func.count()).where(Registration.status == RegistrationStatus.PENDING)
    if (db.session.scalar(waiting) or 0) >= MOST_WAITING:
        raise refused("too-many-waiting")
    return Admission(district, AddressPolicy(), DeploymentPolicy.PENDING)


def _what_came_of(used: Invitation) -> str:
    if used.registration is None or used.used_at is None:
        return ""
    day = format_date(local_day(used.used_at, used.school.time_zone), "long")
    return gettext("它在 %(day)s 登记了：%(name)s。", day=day, name=used.registration.name)


def _hashed(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "replace")).hexdigest()


def _changed(statement: object) -> bool:
    result = db.session.execute(statement)  # type: ignore[call-overload]
    assert isinstance(result, CursorResult)
    return bool(result.rowcount)
