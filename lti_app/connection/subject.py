"""What there is to check of a registration, read at once so that no transaction waits for the network."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app
from sqlalchemy import func, select

from integrations.terms import AddressPolicy, ServiceAccess
from lti_app.extensions import db
from lti_app.launches.models import LaunchSession
from lti_app.registrations.models import Deployment, DeploymentStatus, Registration
from lti_app.registrations.services import address_policy, service_access
from lti_app.roster.models import Context, LtiUser, ResourceLink
from lti_app.security import is_origin, origin_of

_RECENT = 200


@dataclass(frozen=True, slots=True)
class Subject:
    """A registration and what its launches gave. `access` is None when our own key cannot be opened."""

    kind: str
    client_id: str
    platform_urls: tuple[str, ...]
    jwks_url: str
    token_url: str
    policy: AddressPolicy
    access: ServiceAccess | None
    public_url: str
    redirect_uri: str
    key_set_url: str
    frame_origins: tuple[str, ...]
    seen_origins: tuple[str, ...]
    nrps_url: str | None
    line_items_url: str | None
    people: int
    with_name: int
    with_email: int
    pending: tuple[str, ...]
    active_deployments: int
    offers_notices: bool


def subject_of(registration_id: int) -> Subject:
    """Eight queries at most, whatever the size of the school."""
    registration = db.session.get_one(Registration, registration_id)
    deployments = db.session.execute(
        select(Deployment.deployment_id, Deployment.status, Deployment.notices_url)
        .where(Deployment.registration_id == registration_id)
        .order_by(Deployment.id)
    ).all()
    people = db.session.execute(
        select(func.count(), func.count(LtiUser.name), func.count(LtiUser.email)).where(
            LtiUser.registration_id == registration_id
        )
    ).one()
    return Subject(
        kind=registration.kind,
        client_id=registration.client_id,
        platform_urls=(registration.auth_url, registration.token_url, registration.jwks_url),
        jwks_url=registration.jwks_url,
        token_url=registration.token_url,
        policy=address_policy(registration),
        access=_access(registration),
        public_url=current_app.config["SETTINGS"].public_url,
        redirect_uri=own_address("lti.launch"),
        key_set_url=own_address("registrations.jwks"),
        frame_origins=tuple(registration.frame_origins),
        seen_origins=_seen_origins(registration_id),
        nrps_url=_newest(registration_id, ResourceLink.nrps_url),
        line_items_url=_newest(registration_id, ResourceLink.line_items_url),
        people=people[0],
        with_name=people[1],
        with_email=people[2],
        pending=tuple(one for one, status, _ in deployments if status is DeploymentStatus.PENDING),
        active_deployments=sum(status is DeploymentStatus.ACTIVE for _, status, _ in deployments),
        offers_notices=any(url for _, _, url in deployments),
    )


def own_address(endpoint: str) -> str:
    """An address of ours as platforms know it, also outside a request."""
    public_url: str = current_app.config["SETTINGS"].public_url
    return public_url + current_app.url_map.bind("tool").build(endpoint)


def _access(registration: Registration) -> ServiceAccess | None:
    try:
        return service_access(registration)
    except RuntimeError:  # locked, or none made yet
        return None


def _seen_origins(registration_id: int) -> tuple[str, ...]:
    """Where verified launches of the last hours came from."""
    recent = (
        select(LaunchSession.return_url)
        .where(LaunchSession.registration_id == registration_id, LaunchSession.return_url.is_not(None))
        .order_by(LaunchSession.id.desc())
        .limit(_RECENT)
    )
    origins = {origin_of(url) for url in db.session.scalars(recent) if url}
    return tuple(sorted(origin for origin in origins if is_origin(origin)))


def _newest(registration_id: int, column: object) -> str | None:
    """The service address that the newest link of this registration has."""
    return db.session.scalar(
        select(column)  # type: ignore[call-overload]
        .join(Context, Context.id == ResourceLink.context_pk)
        .where(Context.registration_id == registration_id, column.is_not(None))  # type: ignore[attr-defined]
        .order_by(ResourceLink.id.desc())
        .limit(1)
    )
