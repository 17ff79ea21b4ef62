"""Logins and launch sessions: begun, taken once, opened, swept away."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, literal, select

from integrations.terms import DeepLinkingSettings, Launch
from lti_app.clock import utc_now
from lti_app.extensions import db
from lti_app.launches.current import hashed, locale_for, serves_own_child
from lti_app.launches.models import LaunchSession, LoginState, PageTicket
from lti_app.registrations.models import Deployment, Registration, RegistrationStatus
from lti_app.roster.guardians import chosen_child, has_several_children
from lti_app.roster.models import Person
from lti_app.roster.services import Arrival
from lti_app.security import is_origin, origin_of

LOGIN_LIFE = timedelta(minutes=10)
SESSION_LIFE = timedelta(hours=12)
TICKET_LIFE = timedelta(seconds=60)
SWEEP_ONE_IN = 200
SWEEP_ROWS = 1000

_LOGINS = LoginState.metadata.tables[LoginState.__tablename__]
_SESSIONS = LaunchSession.metadata.tables[LaunchSession.__tablename__]
# Made once, and columns instead of objects where a row is only passed on: every launch runs these.
_FIND = select(LoginState.browser_hash, LoginState.parameters, LoginState.storage_target).where(
    LoginState.state == bindparam("state"), LoginState.expires_at > bindparam("now")
)
_BEGIN = insert(_LOGINS)
_OPEN = insert(_SESSIONS)
# Which child a parent is here for is found while the row is written: no launch waits for a question more.
_OPEN_FOR_CHILD = _OPEN.values(
    child_pk=chosen_child(bindparam("of_login"), bindparam("of_person")),
    several_children=has_several_children(bindparam("of_person")),
)
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
    storage_target: str | None,
) -> None:
    """Remember a login that goes out to the platform, bound to a secret that only the browser keeps: in a
    cookie, or in the platform's frame `storage_target`."""
    row = {
        "state": state,
        "nonce": nonce,
        "registration_id": registration.id,
        "browser_hash": hashed(secret),
        "storage_target": storage_target,
        "parameters": {"login": parameters, "authorization_url": authorization_url},
        "expires_at": utc_now() + LOGIN_LIFE,
    }
    db.session.execute(_BEGIN, row)
    if secrets.randbelow(SWEEP_ONE_IN) == 0:
        sweep()


def find_login(state: str) -> Row[Any] | None:
    """`browser_hash`, `parameters` and `storage_target` of a login under way; it stays in place."""
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
    opened = _new_key(with_cookie)
    now = utc_now()
    row = {
        **_hashes(opened),
        "registration_id": registration.id,
        "deployment_pk": deployment.id,
        "lti_user_pk": arrival.user.id if arrival.user else None,
        "person_id": person.id if person else None,
        "of_login": arrival.user.id if arrival.user else None,
        "of_person": person.id if person else None,
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
    db.session.execute(_OPEN_FOR_CHILD, row)
    return opened


def find_child(launch: LaunchSession) -> None:
    """Note for which child the person of the launch is here, after they said who they are or after their
    children changed. In a class of families the login is the child's own."""
    db.session.flush()  # launch.person_id
    if launch.person_id is None or launch.lti_user_pk is None:
        launch.child_pk, launch.several_children = None, False
        return
    login, person = literal(launch.lti_user_pk), literal(launch.person_id)
    row = db.session.execute(select(chosen_child(login, person), has_several_children(person))).one()
    launch.child_pk, launch.several_children = row[0], bool(row[1])
    if serves_own_child(launch):
        launch.child_pk = launch.lti_user_pk


def mint_ticket(launch: LaunchSession, path: str) -> str:
    """A one-time link's secret: within a minute it opens this page of the launch in another tab."""
    ticket = secrets.token_urlsafe(24)
    row = {
        "token_hash": hashed(ticket),
        "launch_session_pk": launch.id,
        "path": path,
        "expires_at": utc_now() + TICKET_LIFE,
    }
    db.session.execute(insert(PageTicket), row)
    return ticket


def take_ticket(ticket: str, *, with_cookie: bool) -> tuple[OpenedSession, str] | None:
    """Spend a ticket: a session of its own for the tab that shows it, and the page to go to. None when it
    was used, is too old or was never one, or when its launch has ended.

    The new session is the launch's row under another key, and ends with it at the latest.
    """
    taken = db.session.execute(
        delete(PageTicket)
        .where(PageTicket.token_hash == hashed(ticket))
        .returning(PageTicket.launch_session_pk, PageTicket.path, PageTicket.expires_at)
    ).one_or_none()
    now = utc_now()
    if taken is None or taken.expires_at <= now:
        return None
    row = db.session.execute(_SESSIONS.select().where(_SESSIONS.c.id == taken.launch_session_pk)).one()
    active = db.session.scalar(_REGISTRATION, {"id": row.registration_id}) is not None
    if row.expires_at <= now or not active:
        return None
    opened = _new_key(with_cookie)
    copied = {name: value for name, value in row._mapping.items() if name != "id"}
    db.session.execute(_OPEN, {**copied, **_hashes(opened), "last_seen_at": now})
    return opened, taken.path


def _new_key(with_cookie: bool) -> OpenedSession:
    return OpenedSession(secrets.token_urlsafe(24), secrets.token_urlsafe(24) if with_cookie else None)


def _hashes(opened: OpenedSession) -> dict[str, str | None]:
    return {
        "key_hash": hashed(opened.key),
        "cookie_hash": hashed(opened.secret) if opened.secret else None,
    }


def _settings(said: DeepLinkingSettings) -> dict[str, Any]:
    return {**asdict(said), "accept_types": sorted(said.accept_types)}


def sweep() -> None:
    """Delete some logins, one-time links and sessions that have expired."""
    for model in (LoginState, PageTicket, LaunchSession):
        old = select(model.id).where(model.expires_at < utc_now()).limit(SWEEP_ROWS)
        db.session.execute(
            delete(model).where(model.id.in_(old)).execution_options(synchronize_session=False)
        )


def _frame_origins(launch: Launch, registration: Registration) -> list[str]:
    """The registration's, and the one a verified launch says it comes from."""
    own = origin_of(launch.return_url) if launch.return_url else ""
    return sorted({*registration.frame_origins, *([own] if is_origin(own) else [])})
