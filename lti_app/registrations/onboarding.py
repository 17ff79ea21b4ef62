"""A platform that registers itself: what we say of us, and what becomes of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import current_app, url_for
from flask_babel import gettext
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from integrations.lti.registration import platform_of
from integrations.platforms.base import host_of
from integrations.terms import PlatformConfiguration, RegisteredTool, ToolDescription
from lti_app.extensions import db
from lti_app.organisations.models import District, School
from lti_app.organisations.services import free_school_name, school_named
from lti_app.registrations import deployments
from lti_app.registrations.invitations import Admission
from lti_app.registrations.models import (
    Deployment,
    DeploymentStatus,
    Registration,
    RegistrationStatus,
)
from lti_app.registrations.refusals import refused
from lti_app.registrations.services import find_registration, free_name
from lti_app.security import is_origin, origin_of

_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A platform that has just answered with a client id. `embedder` is the origin of the page that framed
    ours meanwhile, "" when it was not framed."""

    configuration: PlatformConfiguration
    configuration_url: str
    registered: RegisteredTool
    embedder: str


def tool_description() -> ToolDescription:
    """This tool in the page's language."""
    settings = current_app.config["SETTINGS"]

    def address(endpoint: str) -> str:
        return str(settings.public_url + url_for(endpoint))

    return ToolDescription(
        name=gettext("共育 Gongyu"),
        label=gettext("共育家长课程"),
        picker_label=gettext("选择共育课程"),
        description=gettext("家校社协同育人：家长和学生的微课、测验与学分，成绩自动写回课程。"),
        home_url=settings.public_url,
        login_url=address("lti.login"),
        launch_url=address("lti.launch"),
        jwks_url=address("registrations.jwks"),
        logo_url=address("registrations.logo"),
    )


def neighbours(issuer: str, school_id: int | None) -> Sequence[str]:
    """The names of the school's registrations at that platform: a further one would stand beside them."""
    if school_id is None:
        return ()
    query = select(Registration.name).where(
        Registration.issuer == issuer, Registration.school_id == school_id
    )
    return db.session.scalars(query.order_by(Registration.name)).all()


def record(newcomer: Newcomer, admission: Admission) -> tuple[Registration, bool]:
    """Keep the registration; returns it and whether it is a new one (else a known one was brought up to date).

    Raises AppError: already-registered, switched-off, other-school, hosts-changed; then nothing is changed.
    """
    known = find_registration(newcomer.configuration.issuer, newcomer.registered.client_id)
    if (
        known is not None
        and known.status is RegistrationStatus.PENDING
        and admission.invitation_id is not None
    ):
        # One that nobody has approved gives way to an invited one. It may be a squatter's: nothing of it stays.
        reject(known)
        known = None
    if known is not None:
        _refuse_update(known, newcomer.configuration, admission)
    registration = known or _new(newcomer, admission)
    _bring_up_to_date(registration, newcomer, admission)
    db.session.flush()  # registration.id
    if newcomer.registered.deployment_id is not None:
        found = deployments.note(registration, newcomer.registered.deployment_id, DeploymentStatus.ACTIVE)
        if found.status is DeploymentStatus.PENDING:
            found.status = DeploymentStatus.ACTIVE
    return registration, known is None


def district_of(registration: Registration) -> str:
    """The name of the district that a registration belongs to."""
    query = select(District.name).join(School).where(School.id == registration.school_id)
    return db.session.scalars(query).one()


def approve(registration: Registration, school: School | None) -> None:
    """Let a waiting registration in, under `school` where one is given."""
    registration.status = RegistrationStatus.ACTIVE
    if school is not None and school.id != registration.school_id:
        left, registration.school_id = registration.school_id, school.id
        db.session.flush()
        _drop_school(left)


def reject(registration: Registration) -> None:
    """Forget a waiting registration, as if it had never come."""
    school_id = registration.school_id
    db.session.execute(delete(Deployment).where(Deployment.registration_id == registration.id))
    db.session.delete(registration)
    db.session.flush()
    _drop_school(school_id)


def _refuse_update(known: Registration, said: PlatformConfiguration, admission: Admission) -> None:
    if admission.invitation_id is None:
        raise refused("already-registered")
    if known.school_id != admission.school_id:
        raise refused("other-school")
    if known.status is RegistrationStatus.DISABLED:
        raise refused("switched-off")
    if host_of(known.token_url) != host_of(said.token_url) or host_of(known.jwks_url) != host_of(
        said.jwks_url
    ):
        raise refused("hosts-changed")


def _new(newcomer: Newcomer, admission: Admission) -> Registration:
    school_id = admission.school_id
    name = _name(newcomer.configuration)
    if school_id is None:
        # Never one that exists: what a stranger says of itself must not join a school that we know.
        free = free_school_name(name, district=admission.district_name)
        school_id = school_named(free, district=admission.district_name).id
    invited = admission.invitation_id is not None
    registration = Registration(
        school_id=school_id,
        name=free_name(name),
        issuer=newcomer.configuration.issuer,
        client_id=newcomer.registered.client_id,
        kind=platform_of(newcomer.configuration).kind,
        frame_origins=[],
        status=RegistrationStatus.ACTIVE if invited else RegistrationStatus.PENDING,
    )
    db.session.add(registration)
    return registration


def _bring_up_to_date(registration: Registration, newcomer: Newcomer, admission: Admission) -> None:
    said = newcomer.configuration
    platform = platform_of(said)
    registration.auth_url, registration.token_url = said.auth_url, said.token_url
    registration.jwks_url, registration.token_audience = said.jwks_url, platform.audience_of(said)
    if said.family:
        registration.kind = platform.kind
    registration.deployment_policy = admission.deployment_policy
    registration.allow_http = admission.policy.allow_http
    registration.allow_private_network = admission.policy.allow_private_network
    origins = {origin_of(newcomer.configuration_url), origin_of(said.auth_url), newcomer.embedder}
    known = set(registration.frame_origins)
    registration.frame_origins = sorted(known | {origin for origin in origins if is_origin(origin)})


def _name(said: PlatformConfiguration) -> str:
    """The name of the school or account, else the host: what an operator recognises it by."""
    name = " ".join((said.organisation or "").split())
    name = "".join(char for char in name if char.isprintable())[:_LONGEST_NAME].strip()
    return name or (urlsplit(said.issuer).hostname or said.issuer)[:_LONGEST_NAME]


def _drop_school(school_id: int) -> None:
    """Remove a school that was made for a newcomer and that nothing else belongs to."""
    try:
        with db.session.begin_nested():
            db.session.execute(delete(School).where(School.id == school_id))
    except IntegrityError:
        return  # it is in use
