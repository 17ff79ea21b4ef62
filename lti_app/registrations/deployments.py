"""Deployments: met by launches, accepted or refused by the registration's policy or by the operator."""

from __future__ import annotations

from typing import cast

from sqlalchemy import Table, func, select

from integrations.platforms.registry import family_hint
from integrations.terms import PlatformInfo
from lti_app.clock import utc_now
from lti_app.extensions import db, insert_into
from lti_app.registrations.models import Deployment, DeploymentPolicy, DeploymentStatus, Registration
from lti_app.registrations.services import find_deployment

MOST_PENDING = 200
"""How many waiting deployments a registration may have; further ones are refused without a trace."""


def met(registration: Registration, deployment_id: str) -> Deployment | None:
    """The deployment that a launch with a good signature names, noted as the registration's policy says when
    it is new; None when too many wait already."""
    known = find_deployment(registration.id, deployment_id)
    if known is not None:
        return known
    accepted = registration.deployment_policy is DeploymentPolicy.ACCEPT
    if not accepted and _waiting(registration.id) >= MOST_PENDING:
        return None
    status = DeploymentStatus.ACTIVE if accepted else DeploymentStatus.PENDING
    return note(registration, deployment_id, status)


def note(registration: Registration, deployment_id: str, status: DeploymentStatus) -> Deployment:
    """The deployment of that id, made with `status` when new; another launch may make it meanwhile."""
    db.session.execute(
        insert_into(cast(Table, Deployment.__table__))
        .values(
            registration_id=registration.id,
            deployment_id=deployment_id,
            status=status,
            created_at=utc_now(),
        )
        .on_conflict_do_nothing(index_elements=["registration_id", "deployment_id"])
    )
    found = find_deployment(registration.id, deployment_id)
    assert found is not None
    return found


def note_platform(deployment: Deployment, said: PlatformInfo) -> None:
    """Keep what a launch says of the platform, where it says anything new."""
    fields = {"family": said.family, "version": said.version, "guid": said.guid, "name": said.name}
    told = {name: value for name, value in fields.items() if value}
    if told and told != deployment.platform:
        deployment.platform = told


def other_kind(registration: Registration, deployment: Deployment) -> str | None:
    """The kind of platform that launches claim to come from, where the registration says another one."""
    hint = family_hint((deployment.platform or {}).get("family"))
    return hint if hint != registration.kind else None


def decide(deployment: Deployment, status: DeploymentStatus) -> bool:
    """Accept or reject a deployment; returns whether that changed anything."""
    changed = deployment.status is not status
    deployment.status = status
    return changed


def _waiting(registration_id: int) -> int:
    query = select(func.count()).where(
        Deployment.registration_id == registration_id, Deployment.status == DeploymentStatus.PENDING
    )
    return db.session.scalar(query) or 0
