"""Registrations: added, found, switched off; and what is needed to call their services."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from sqlalchemy import bindparam, select
from sqlalchemy.orm import joinedload

from integrations.platforms.base import EndpointsNeeded
from integrations.platforms.registry import platform_for
from integrations.terms import AddressPolicy, Endpoints, ServiceAccess
from lti_app.extensions import cache, db
from lti_app.organisations.models import School
from lti_app.registrations.keys import signing_key
from lti_app.registrations.models import Deployment, DeploymentPolicy, Registration, RegistrationStatus
from lti_app.security import is_origin

FRAME_ORIGINS_SECONDS = 60

# Made once: every launch runs these, and making one costs as much as running it.
_OF_ISSUER = (
    select(Registration)
    .where(Registration.issuer == bindparam("issuer"), Registration.status == RegistrationStatus.ACTIVE)
    .limit(2)
)
_OF_CLIENT = _OF_ISSUER.where(Registration.client_id == bindparam("client_id"))
_DEPLOYMENT = select(Deployment).where(
    Deployment.registration_id == bindparam("registration_id"),
    Deployment.deployment_id == bindparam("deployment_id"),
)


class RegistrationRefused(ValueError):
    """Says in a sentence why a registration cannot be made as asked, and what to do."""


@dataclass(frozen=True, slots=True)
class NewRegistration:
    """What an operator says of a platform; None means: what the platform's kind knows by itself."""

    kind: str
    url: str
    client_id: str
    deployment_id: str
    name: str | None = None
    issuer: str | None = None
    auth_url: str | None = None
    token_url: str | None = None
    jwks_url: str | None = None
    token_audience: str | None = None
    allow_http: bool = False
    allow_private_network: bool = False
    frame_origins: tuple[str, ...] = ()
    deployment_policy: DeploymentPolicy = DeploymentPolicy.PENDING


def add_registration(new: NewRegistration, school: School) -> tuple[Registration, bool]:
    """Add a registration with its deployment; returns it and whether anything is new.

    The same values again change nothing; another deployment id of a known registration is added.
    Raises RegistrationRefused.
    """
    endpoints = _endpoints(new)
    _check_addresses(new, endpoints)
    known = find_registration(endpoints.issuer, new.client_id)
    if known is not None:
        _refuse_contradiction(known, new, endpoints, school)
        return known, _add_deployment(known, new.deployment_id)
    name = new.name or free_name(urlsplit(new.url).hostname or endpoints.issuer)
    if db.session.scalar(select(Registration.id).where(Registration.name == name)):
        raise RegistrationRefused(f"the name {name!r} is taken; choose another with --name")
    registration = Registration(
        school_id=school.id,
        name=name,
        kind=new.kind,
        client_id=new.client_id,
        issuer=endpoints.issuer,
        auth_url=endpoints.auth_url,
        token_url=endpoints.token_url,
        token_audience=endpoints.token_audience,
        jwks_url=endpoints.jwks_url,
        frame_origins=sorted({*endpoints.frame_origins, *new.frame_origins}),
        allow_http=new.allow_http,
        allow_private_network=new.allow_private_network,
        deployment_policy=new.deployment_policy,
    )
    db.session.add(registration)
    db.session.flush()  # registration.id
    _add_deployment(registration, new.deployment_id)
    return registration, True


def find_by_name(name: str) -> Registration | None:
    """The registration of that name, or None."""
    return db.session.scalar(select(Registration).where(Registration.name == name))


def all_registrations() -> Sequence[Registration]:
    """All registrations with their deployments and schools, by name."""
    query = select(Registration).options(
        joinedload(Registration.deployments), joinedload(Registration.school).joinedload(School.district)
    )
    return db.session.scalars(query.order_by(Registration.name)).unique().all()


def set_status(registration: Registration, status: RegistrationStatus) -> bool:
    """Switch a registration on or off; returns whether that changed anything."""
    changed = registration.status is not status
    registration.status = status
    return changed


def find_for_login(issuer: str, client_id: str | None) -> Registration | None:
    """The active registration a login speaks for; without `client_id` only when there is exactly one."""
    if _is_unstorable(issuer, client_id):
        return None
    query = _OF_ISSUER if client_id is None else _OF_CLIENT
    found = db.session.scalars(query, {"issuer": issuer, "client_id": client_id}).all()
    return found[0] if len(found) == 1 else None


def find_deployment(registration_id: int, deployment_id: str) -> Deployment | None:
    """The deployment of that id, whatever its status, or None."""
    values = {"registration_id": registration_id, "deployment_id": deployment_id}
    return db.session.scalar(_DEPLOYMENT, values)


def deployments_of(registration: Registration) -> Sequence[Deployment]:
    """The registration's deployments, oldest first."""
    query = select(Deployment).where(Deployment.registration_id == registration.id)
    return db.session.scalars(query.order_by(Deployment.id)).all()


def find_waiting(issuer: str, client_id: str | None) -> Registration | None:
    """The registration at that issuer that waits for the operator's approval, if there is just one."""
    if _is_unstorable(issuer, client_id):
        return None
    query = select(Registration).where(
        Registration.issuer == issuer, Registration.status == RegistrationStatus.PENDING
    )
    if client_id is not None:
        query = query.where(Registration.client_id == client_id)
    found = db.session.scalars(query.limit(2)).all()
    return found[0] if len(found) == 1 else None


def forget_frame_origins() -> None:
    """Read them again: a platform has come or gone."""
    cache.delete("frame-origins")


def known_frame_origins() -> list[str]:
    """All origins that may frame pages which belong to no launch (errors, above all); a minute old at most."""
    origins: list[str] | None = cache.get("frame-origins")
    if origins is None:
        origins = _active_frame_origins()
        cache.set("frame-origins", origins, timeout=FRAME_ORIGINS_SECONDS)
    return origins


def _active_frame_origins() -> list[str]:
    rows = db.session.scalars(
        select(Registration.frame_origins).where(Registration.status == RegistrationStatus.ACTIVE)
    )
    return sorted({origin for origins in rows for origin in origins})


def address_policy(registration: Registration) -> AddressPolicy:
    """Which addresses this registration may make us call."""
    return AddressPolicy(registration.allow_http, registration.allow_private_network)


def service_access(registration: Registration) -> ServiceAccess:
    """What the integrations need to call this platform's services. Raises ToolKeyLocked."""
    key = signing_key()
    return ServiceAccess(
        registration_key=str(registration.id),
        client_id=registration.client_id,
        token_url=registration.token_url,
        token_audience=registration.token_audience,
        kid=key.kid,
        private_key=key.private_key,
        policy=address_policy(registration),
        expired_statuses=platform_for(registration.kind).expired_statuses,
    )


def find_registration(issuer: str, client_id: str) -> Registration | None:
    """The registration of that client id at that issuer, whatever its status, or None."""
    return db.session.scalar(
        select(Registration).where(Registration.issuer == issuer, Registration.client_id == client_id)
    )


def _is_unstorable(*texts: str | None) -> bool:
    """PostgreSQL would not even look for a NUL."""
    return any("\x00" in text for text in texts if text is not None)


def _endpoints(new: NewRegistration) -> Endpoints:
    overrides = {
        "issuer": new.issuer,
        "auth_url": new.auth_url,
        "token_url": new.token_url,
        "jwks_url": new.jwks_url,
        "token_audience": new.token_audience,
    }
    try:
        return platform_for(new.kind).endpoints(
            new.url, **{name: value for name, value in overrides.items() if value}
        )
    except EndpointsNeeded as error:
        options = ", ".join("--" + name.replace("_", "-") for name in error.missing)
        raise RegistrationRefused(
            f"the URL of a {new.kind} platform alone does not say everything; add {options}"
        ) from error
    except ValueError as error:
        raise RegistrationRefused(str(error)) from error


def _check_addresses(new: NewRegistration, endpoints: Endpoints) -> None:
    for name in ("auth_url", "token_url", "jwks_url"):
        address = getattr(endpoints, name)
        parts = urlsplit(address)
        if parts.scheme == "http" and not new.allow_http:
            raise RegistrationRefused(
                f"{name} {address} is not https; if that is meant (a test or an intranet), add --allow-http"
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RegistrationRefused(f"{name} {address!r} is not a web address")
    for origin in new.frame_origins:
        if not is_origin(origin):
            raise RegistrationRefused(f"--frame-origin {origin!r} must be scheme://host[:port], nothing more")
    for origin in endpoints.frame_origins:
        if not is_origin(origin):
            raise RegistrationRefused(f"--url: {origin!r} cannot be used as a frame's origin")
    for label, value, most in (
        ("client id", new.client_id, 255),
        ("deployment id", new.deployment_id, 255),
        ("issuer", endpoints.issuer, 255),
        ("name", new.name or "-", 120),
    ):
        if not value.strip() or len(value) > most or not value.isprintable():
            raise RegistrationRefused(f"the {label} must have 1 to {most} printable characters")


def _refuse_contradiction(
    known: Registration, new: NewRegistration, endpoints: Endpoints, school: School
) -> None:
    if known.school_id != school.id:
        raise RegistrationRefused(
            f"{known.name!r} already has this issuer and client id for another school, and its classes belong "
            "there; nothing was changed. Give the same --school and --district, or register the tool at the "
            "LMS once more for a client id of this school's own"
        )
    if known.jwks_url != endpoints.jwks_url:
        raise RegistrationRefused(
            f"{known.name!r} already has this issuer and client id with another key set ({known.jwks_url}). "
            "Two LMSs that claim one issuer cannot be told apart: give each its own issuer (on a Canvas of "
            "your own: `lti_iss` in config/security.yml), then add it with --issuer"
        )
    wanted = {**asdict(endpoints), "kind": new.kind}
    wanted |= {"allow_http": new.allow_http, "allow_private_network": new.allow_private_network}
    wanted.pop("frame_origins")
    different = [name for name, value in wanted.items() if getattr(known, name) != value]
    different += ["frame_origin"] if not set(new.frame_origins) <= set(known.frame_origins) else []
    if different:
        raise RegistrationRefused(
            f"{known.name!r} already has this issuer and client id, but with another "
            f"{', '.join(different)}; nothing was changed"
        )


def _add_deployment(registration: Registration, deployment_id: str) -> bool:
    if find_deployment(registration.id, deployment_id) is not None:
        return False
    db.session.add(Deployment(registration_id=registration.id, deployment_id=deployment_id))
    db.session.flush()  # the unique constraint speaks now
    return True


def free_name(wanted: str) -> str:
    """`wanted`, with a number behind it where another registration is called so."""
    taken = set(db.session.scalars(select(Registration.name)))
    return next(name for name in (wanted, *(f"{wanted}-{n}" for n in range(2, 10_000))) if name not in taken)
