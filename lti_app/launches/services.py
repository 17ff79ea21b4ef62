"""Logins and launch sessions: begun, taken once, opened, swept away."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, select

from integrations.terms import DeepLinkingSettings, Launch
from lti_app.clock import utc_now
from lti_app.extensions import db
from lti_app.launches.current import hashed, locale_for
from lti_app.launches.models import LaunchSession, LoginState
from lti_app.registrations.models import Deployment, Registration, RegistrationStatus
from lti_app.roster.models import Person
from lti_app.roster.services import Arrival
from lti_app.security import is_origin, origin_of

LOGIN_LIFE = timedelta(minutes=10)
SESSION_LIFE = timedelta(hours=12)
SWEEP_ONE_IN = 200
SWEEP_ROWS = 1000

_LOGINS = LoginState.metadata.tables[LoginState.__tablename__]
_SESSIONS = LaunchSession.metadata.tables[LaunchSession.__tablename__]
# Made once, and columns instead of objects where a row is only passed on: every launch runs these.
_FIND = select(LoginState.browser_hash, LoginState.parameters).where(
    LoginState.state == bindparam("state"), LoginState.expires_at > bindparam("now")
)
_BEGIN = insert(_LOGINS)
_OPEN = insert(_SESSIONS)
_TAKE = delete(_LOGINS).where(_LOGINS.c.state == bindparam("state")).returning(*_LOGINS.c)
_REGISTRATION = select(Registration).where(
    Registration.id == bindparam("id"), Registration.status == RegistrationStatus.ACTIVE
)


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A new launch session; `key` and `secret` exist only here and in the browser."""

    key: str
    secret: str | None


def begin_login(
    registration: Registration,
    *,
    state: str,
    nonce: str,
    secret: str,
    authorization_url: str,
    parameters: dict[str, str],
) -> None:
    """Remember a login that goes out to the platform, bound to the secret in the browser's cookie."""
    row = {
        "state": state,
        "nonce": nonce,
        "registration_id": registration.id,
        "browser_hash": hashed(secret),
        "parameters": {"login": parameters, "authorization_url": authorization_url},
        "expires_at": utc_now() + LOGIN_LIFE,
    }
    db.session.execute(_BEGIN, row)
    if secrets.randbelow(SWEEP_ONE_IN) == 0:
        sweep()


def find_login(state: str) -> Row[Any] | None:
    """`browser_hash` and `parameters` of a login that is under way and not expired; it stays in place."""
    if not _is_state(state):
        return None
    return db.session.execute(_FIND, {"state": state, "now": utc_now()}).one_or_none()


def take_login(state: str) -> LoginState | None:
    """Take a login out of the table: of several that show the same state, one gets it."""
    if not _is_state(state):
        return None
    row = db.session.execute(_TAKE, {"state": state}).one_or_none()
    return LoginState(**row._mapping) if row is not None and row.expires_at > utc_now() else None


def _is_state(state: str) -> bool:
    """Ours are plain ASCII; PostgreSQL would not even look for a NUL."""
    return state.isascii() and state.isprintable()


def registration_of(login: LoginState) -> Registration | None:
    """The registration that began this login, if it is still active."""
    return db.session.scalar(_REGISTRATION, {"id": login.registration_id})


def open_session(
    launch: Launch,
    registration: Registration,
    deployment: Deployment,
    arrival: Arrival,
    person: Person | None,
    *,
    with_cookie: bool,
) -> OpenedSession:
    """Open a session with a new key. With a cookie, the key alone opens nothing."""
    key = secrets.token_urlsafe(24)
    secret = secrets.token_urlsafe(24) if with_cookie else None
    now = utc_now()
    row = {
        "key_hash": hashed(key),
        "cookie_hash": hashed(secret) if secret else None,
        "registration_id": registration.id,
        "deployment_pk": deployment.id,
        "lti_user_pk": arrival.user.id if arrival.user else None,
        "person_id": person.id if person else None,
        "context_pk": arrival.context.id if arrival.context else None,
        "resource_link_pk": arrival.link.id if arrival.link else None,
        "message_type": launch.message_type,
        "role": launch.roles.course_role,
        "is_administrator": launch.roles.is_administrator,
        "is_test_user": launch.roles.is_test_user,
        "for_user": launch.for_user,
        "custom": dict(launch.custom),
        "deep_linking": _settings(launch.deep_linking) if launch.deep_linking else None,
        "locale": locale_for(launch.locale),
        "return_url": launch.return_url,
        "frame_origins": _frame_origins(launch, registration),
        "started_at": now,
        "last_seen_at": now,
        "expires_at": now + SESSION_LIFE,
    }
    db.session.execute(_OPEN, row)
    return OpenedSession(key, secret)


def _settings(said: DeepLinkingSettings) -> dict[str, Any]:
    return {**asdict(said), "accept_types": sorted(said.accept_types)}


def sweep() -> None:
    """Delete some logins and sessions that have expired."""
    for model in (LoginState, LaunchSession):
        old = select(model.id).where(model.expires_at < utc_now()).limit(SWEEP_ROWS)
        db.session.execute(
            delete(model).where(model.id.in_(old)).execution_options(synchronize_session=False)
        )


def _frame_origins(launch: Launch, registration: Registration) -> list[str]:
    """The registration's, and the one a verified launch says it comes from."""
    own = origin_of(launch.return_url) if launch.return_url else ""
    return sorted({*registration.frame_origins, *([own] if is_origin(own) else [])})
