"""What a platform really gives, counted from its launches; never what it was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, select

from lti_app.delivery.models import DeliverySlot
from lti_app.extensions import db
from lti_app.gradebook.locks import is_overridden
from lti_app.gradebook.models import Score, ScoreState
from lti_app.gradebook.services import is_meant
from lti_app.registrations.models import Deployment, DeploymentStatus
from lti_app.roster.models import Context, LtiUser, Membership, ResourceLink


@dataclass(frozen=True, slots=True)
class ConnectionFacts:
    """Counts over one deployment; scores and the sending are the whole registration's."""

    classes: int
    people: int
    people_with_name: int
    people_with_email: int
    links: int
    links_with_column: int
    links_with_grade_service: int
    links_with_roster: int
    scores: dict[ScoreState, int]
    """Without what is not to be sent now, and what a teacher overrode."""
    last_success_at: datetime | None
    blocked_until: datetime | None
    last_error: str | None


def facts_of(deployment_pk: int, registration_id: int) -> ConnectionFacts:
    """Five queries, whatever the size of the school."""
    in_deployment = select(Context.id).where(Context.deployment_pk == deployment_pk)
    classes = db.session.scalar(select(func.count()).select_from(in_deployment.subquery())) or 0
    people = db.session.execute(
        select(func.count(), func.count(LtiUser.name), func.count(LtiUser.email)).where(
            LtiUser.id.in_(select(Membership.lti_user_pk).where(Membership.context_pk.in_(in_deployment)))
        )
    ).one()
    links = db.session.execute(
        select(
            func.count(),
            func.count(ResourceLink.line_item_url),
            func.count(case((ResourceLink.line_items_url.is_not(None), 1))),
            func.count(ResourceLink.nrps_url),
        ).where(ResourceLink.context_pk.in_(in_deployment))
    ).one()
    scores = db.session.execute(
        select(Score.state, func.count())
        .where(Score.registration_id == registration_id, is_meant(), ~is_overridden())
        .group_by(Score.state)
    ).all()
    slot = db.session.get(DeliverySlot, registration_id)
    return ConnectionFacts(
        classes=classes,
        people=people[0],
        people_with_name=people[1],
        people_with_email=people[2],
        links=links[0],
        links_with_column=links[1],
        links_with_grade_service=links[2],
        links_with_roster=links[3],
        scores={state: count for state, count in scores},
        last_success_at=slot.last_success_at if slot else None,
        blocked_until=slot.blocked_until if slot else None,
        last_error=slot.last_error if slot else None,
    )


def pending_deployments(registration_id: int) -> Sequence[str]:
    """The deployment ids that wait for the operator, the first 20."""
    return db.session.scalars(
        select(Deployment.deployment_id)
        .where(Deployment.registration_id == registration_id, Deployment.status == DeploymentStatus.PENDING)
        .order_by(Deployment.id)
        .limit(20)
    ).all()
