"""Notices of platforms (Platform Notification Service 1.0): asked for in the background, received here.

A platform sends each notice once and does not repeat it, so the receiving address does as little as it can.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from flask import Blueprint, jsonify, request
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate
from sqlalchemy import delete, select

from integrations.errors import BadMessage, PlatformError
from integrations.lti.id_token import verify_id_token
from integrations.lti.notices import CONTEXT_COPY, WANTED, addressee, parse_notice
from integrations.terms import AddressPolicy, Notice, ServiceAccess
from lti_app.clock import utc_now
from lti_app.connection.models import ReceivedNotice
from lti_app.connection.subject import own_address
from lti_app.delivery.models import DeliverySlot
from lti_app.delivery.services import may_be_served, reading
from lti_app.delivery.turns import Turn
from lti_app.extensions import db, insert_into, platform_services
from lti_app.registrations.models import Deployment, DeploymentStatus, Registration
from lti_app.registrations.services import address_policy, find_for_login, service_access
from lti_app.roster.copies import record_copy
from lti_app.security import cross_site

log = structlog.get_logger()
notices_bp = Blueprint("notices", __name__)

MOST_NOTICES = 50
LONGEST_TOKEN = 65_536
KEPT = timedelta(days=2)
SWEEP_ONE_IN = 100
RENEWED_EVERY = timedelta(days=7)
"""Handlers are registered again this often: the same again changes nothing, and heals what got lost."""
AGAIN_AFTER = timedelta(hours=6)


class _Envelope(Schema):
    class Meta:
        unknown = EXCLUDE

    jwt = fields.String(required=True, validate=validate.Length(1, LONGEST_TOKEN))


class _Body(Schema):
    """What a platform posts (Platform Notification Service 1.0, and Canvas's doc/api/pns.md)."""

    class Meta:
        unknown = EXCLUDE

    notices = fields.List(fields.Nested(_Envelope), required=True, validate=validate.Length(1, MOST_NOTICES))


_BODY = _Body()


@dataclass(frozen=True, slots=True)
class _Sender:
    """The registration whose platform says it sent this, read at once so that no lock waits for its keys."""

    registration_id: int
    issuer: str
    client_id: str
    jwks_url: str
    policy: AddressPolicy


@notices_bp.post("/notices")
@cross_site
def receive() -> Any:
    """Take notices. Genuine ones are kept; others are passed over without a word, as are unknown types."""
    try:
        tokens = [one["jwt"] for one in _BODY.load(request.get_json(silent=True) or {})["notices"]]
    except (ValidationError, RecursionError):
        return jsonify(error='expected {"notices": [{"jwt": …}]}'), 400
    sender = _sender_of(tokens[0])
    genuine = _genuine(sender, tokens) if sender is not None else []
    if sender is not None and genuine:
        for notice in genuine:
            _take(sender, notice)
        db.session.commit()
    return jsonify(received=len(genuine))


class SubscribeWork:
    """The work of the delivery worker that asks platforms for notices, for each deployment that has them."""

    name = "notices"

    def due(self, now: datetime) -> Sequence[int]:
        """Active registrations with a deployment whose handlers are to be registered."""
        slot = DeliverySlot
        query = (
            select(Deployment.registration_id)
            .join(Registration, Registration.id == Deployment.registration_id)
            .outerjoin(slot, slot.registration_id == Deployment.registration_id)
            .where(
                Deployment.notices_due_at <= now,
                Deployment.status == DeploymentStatus.ACTIVE,
                may_be_served(now),
            )
        )
        return list(dict.fromkeys(db.session.scalars(query.order_by(Deployment.notices_due_at))))

    def serve(self, turn: Turn) -> int:
        """Register the handlers of one deployment after the other until none is due or the turn is over."""
        total = 0
        while not turn.is_over():
            with reading():
                registration = db.session.get_one(Registration, turn.registration_id)
                found = db.session.execute(
                    select(Deployment.id, Deployment.notices_url)
                    .where(
                        Deployment.registration_id == turn.registration_id,
                        Deployment.status == DeploymentStatus.ACTIVE,
                        Deployment.notices_due_at <= utc_now(),
                    )
                    .order_by(Deployment.notices_due_at)
                    .limit(1)
                ).one_or_none()
                access = service_access(registration)
            if found is None:
                break
            state, wait = _subscribe(access, found.notices_url)
            row = db.session.get_one(Deployment, found.id)
            row.notices_state, row.notices_due_at = state, utc_now() + wait
            if not turn.renew(utc_now()):
                break
            db.session.commit()
            total += 1
        return total


subscribe = SubscribeWork()


def _subscribe(access: ServiceAccess, url: str) -> tuple[str, timedelta]:
    """ "on" or the code of what went wrong, and when to try again. Each type alone, because a platform refuses
    those that it does not know. The circuit stays closed: scores do not wait for this."""
    state, handler = "on", own_address("notices.receive")
    for notice_type in WANTED:
        try:
            platform_services().notices.register(access, url, notice_type, handler)
        except PlatformError as error:
            log.info("notices not registered", type=notice_type, code=error.code, status=error.status)
            state = error.code[:64]
            if error.retryable:
                return state, AGAIN_AFTER
    return state, RENEWED_EVERY


def _sender_of(token: str) -> _Sender | None:
    """One body comes from one platform: all its notices are judged by the keys of the first one's."""
    try:
        issuer, client_id = addressee(token)
    except BadMessage:
        return None
    with reading():
        row = find_for_login(issuer, client_id)
        if row is None:
            return None
        return _Sender(row.id, row.issuer, row.client_id, row.jwks_url, address_policy(row))


def _genuine(sender: _Sender, tokens: Sequence[str]) -> list[Notice]:
    found = []
    for token in tokens:
        try:
            claims = verify_id_token(
                token,
                jwks=platform_services().jwks,
                issuer=sender.issuer,
                client_id=sender.client_id,
                jwks_url=sender.jwks_url,
                policy=sender.policy,
                now=utc_now(),
            )
            found.append(parse_notice(claims))
        except BadMessage as error:
            log.info("notice refused", code=error.code, registration=sender.registration_id)
        except PlatformError as error:
            log.info("notice not verified", code=error.code, registration=sender.registration_id)
            break  # the others need the same keys
    return found


def _take(sender: _Sender, notice: Notice) -> None:
    """Keep a notice of a deployment that we serve, unless it was here before."""
    deployment_pk = db.session.scalar(
        select(Deployment.id).where(
            Deployment.registration_id == sender.registration_id,
            Deployment.deployment_id == notice.deployment_id,
            Deployment.status == DeploymentStatus.ACTIVE,
        )
    )
    if deployment_pk is None or notice.notice_type not in WANTED:
        return
    if not _is_new(sender, notice, deployment_pk):
        return
    if notice.notice_type == CONTEXT_COPY and notice.context_id is not None:
        for origin in notice.origin_context_ids:
            record_copy(sender.registration_id, notice.context_id, origin)


def _is_new(sender: _Sender, notice: Notice, deployment_pk: int) -> bool:
    now = utc_now()
    if secrets.randbelow(SWEEP_ONE_IN) == 0:
        # A token older than ten minutes is refused, so what is older than that cannot come again.
        db.session.execute(delete(ReceivedNotice).where(ReceivedNotice.received_at < now - KEPT))
    new = db.session.scalar(
        insert_into(ReceivedNotice)
        .values(
            registration_id=sender.registration_id,
            notice_id=notice.id,
            notice_type=notice.notice_type,
            deployment_pk=deployment_pk,
            received_at=now,
        )
        .on_conflict_do_nothing()
        .returning(ReceivedNotice.id)
    )
    return new is not None
