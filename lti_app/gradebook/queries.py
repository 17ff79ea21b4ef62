"""What pages show of scores and of their delivery. Amounts are hundredths of a percent."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Select, case, func, or_, select
from sqlalchemy.orm import joinedload

from integrations.terms import Outcome
from lti_app.delivery.models import DeliverySlot
from lti_app.extensions import db
from lti_app.gradebook.models import LineItem, Score, ScoreState
from lti_app.gradebook.outcomes import Told, told
from lti_app.registrations.models import Registration, RegistrationStatus
from lti_app.roster.models import LtiUser, ResourceLink

PAGE = 50


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A person's cell: what it should show, what it was last told to show, and why they may differ."""

    id: int
    lti_user_pk: int
    name: str | None
    column: str
    given: int
    state: ScoreState
    outcome: Outcome | None
    detail: str
    due_at: datetime | None
    submitted_at: datetime
    sent_at: datetime | None
    sent_given: int | None

    @property
    def told(self) -> Told:
        return told(self.state, self.outcome, self.due_at)

    @property
    def can_retry(self) -> bool:
        """Whether "try again" makes sense: it failed at least once and is not on its way."""
        return self.state is not ScoreState.SENT and self.outcome is not None


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """How delivery to a platform is going. `unsent` will be sent by itself, `held` waits for people;
    `oldest` is when the oldest unsent result was reached, `by_outcome` counts what is not sent."""

    registration_id: int
    name: str
    status: RegistrationStatus
    unsent: int = 0
    held: int = 0
    oldest: datetime | None = None
    by_outcome: dict[Outcome, int] = field(default_factory=dict)
    blocked_until: datetime | None = None
    failures: int = 0
    last_error: str | None = None
    last_success_at: datetime | None = None


def columns_of(context_pk: int) -> list[LineItem]:
    """The gradebook columns of a class that we know of, oldest first."""
    query = select(LineItem).join(ResourceLink, ResourceLink.id == LineItem.resource_link_pk)
    return list(db.session.scalars(query.where(ResourceLink.context_pk == context_pk).order_by(LineItem.id)))


def score_states(
    context_pk: int,
    *,
    line_item_id: int | None = None,
    state: ScoreState | None = None,
    page: int = 1,
    size: int = PAGE,
) -> list[ScoreRow]:
    """A page of a class's scores (of one column, in one state), those that need somebody first."""
    query = _rows().where(ResourceLink.context_pk == context_pk)
    if line_item_id is not None:
        query = query.where(Score.line_item_id == line_item_id)
    if state is not None:
        query = query.where(Score.state == state)
    urgency = case((Score.state == ScoreState.HELD, 0), (Score.state == ScoreState.WAITING, 1), else_=2)
    query = query.order_by(urgency, LtiUser.name, Score.id).limit(size).offset((page - 1) * size)
    return [_row(row) for row in db.session.execute(query)]


def state_counts(context_pk: int, *, line_item_id: int | None = None) -> dict[ScoreState, int]:
    """How many of a class's scores (of one column) are in each state; every state is there."""
    query = (
        select(Score.state, func.count())
        .join(LineItem, LineItem.id == Score.line_item_id)
        .join(ResourceLink, ResourceLink.id == LineItem.resource_link_pk)
        .where(ResourceLink.context_pk == context_pk)
        .group_by(Score.state)
    )
    if line_item_id is not None:
        query = query.where(Score.line_item_id == line_item_id)
    counts: dict[Any, int] = {state: count for state, count in db.session.execute(query)}
    return {state: counts.get(state, 0) for state in ScoreState}


def scores_of_people(resource_link_pk: int, lti_user_pks: Collection[int]) -> dict[int, ScoreRow]:
    """The scores of these people in a link's column, by person; who has none has not started."""
    query = _rows().where(LineItem.resource_link_pk == resource_link_pk, Score.lti_user_pk.in_(lti_user_pks))
    return {row.lti_user_pk: _row(row) for row in db.session.execute(query)}


def score_of(resource_link_pk: int, lti_user_pk: int) -> ScoreRow | None:
    """One person's score in a link's column."""
    return scores_of_people(resource_link_pk, [lti_user_pk]).get(lti_user_pk)


def score_in_context(score_id: int, context_pk: int) -> Score | None:
    """The score with its column and link loaded, if it belongs to this class."""
    return db.session.scalar(
        select(Score)
        .join(LineItem, LineItem.id == Score.line_item_id)
        .join(ResourceLink, ResourceLink.id == LineItem.resource_link_pk)
        .where(Score.id == score_id, ResourceLink.context_pk == context_pk)
        .options(joinedload(Score.line_item).joinedload(LineItem.resource_link))
    )


def queue_facts(registration_id: int | None = None) -> list[QueueFacts]:
    """How delivery is going, of every registration or of one; a registration without scores is there too."""
    slot = DeliverySlot
    query = select(Registration, slot).outerjoin(slot, slot.registration_id == Registration.id)
    if registration_id is not None:
        query = query.where(Registration.id == registration_id)
    counts = _queue_counts(registration_id)
    facts = []
    for registration, lease in db.session.execute(query.order_by(Registration.name)):
        known = {} if lease is None else {name: getattr(lease, name) for name in _SLOT_FACTS}
        facts.append(
            QueueFacts(
                registration.id,
                registration.name,
                registration.status,
                **counts.get(registration.id, {}),
                **known,
            )
        )
    return facts


_SLOT_FACTS = ("blocked_until", "failures", "last_error", "last_success_at")


def _queue_counts(registration_id: int | None) -> dict[int, dict[str, Any]]:
    """`unsent`, `held`, `oldest` and `by_outcome` of each registration that has something not sent."""
    query = (
        select(Score.registration_id, Score.state, Score.outcome, func.count(), func.min(Score.submitted_at))
        # What has no time and no outcome is not meant to be sent yet.
        .where(Score.state != ScoreState.SENT, or_(Score.due_at.is_not(None), Score.outcome.is_not(None)))
        .group_by(Score.registration_id, Score.state, Score.outcome)
    )
    if registration_id is not None:
        query = query.where(Score.registration_id == registration_id)
    found: dict[int, dict[str, Any]] = {}
    for owner, state, outcome, count, oldest in db.session.execute(query):
        facts = found.setdefault(owner, {"unsent": 0, "held": 0, "oldest": None, "by_outcome": {}})
        if outcome is not None:
            facts["by_outcome"][outcome] = facts["by_outcome"].get(outcome, 0) + count
        if state is ScoreState.HELD:
            facts["held"] += count
        else:
            facts["unsent"] += count
            facts["oldest"] = min(oldest, facts["oldest"] or oldest)
    return found


def _rows() -> Select[*tuple[Any, ...]]:
    return (
        select(
            Score.id,
            Score.lti_user_pk,
            LtiUser.name,
            LineItem.label,
            Score.given,
            Score.state,
            Score.outcome,
            Score.detail,
            Score.due_at,
            Score.submitted_at,
            Score.sent_at,
            Score.sent_given,
        )
        .join(LineItem, LineItem.id == Score.line_item_id)
        .join(ResourceLink, ResourceLink.id == LineItem.resource_link_pk)
        .join(LtiUser, LtiUser.id == Score.lti_user_pk)
    )


def _row(row: Any) -> ScoreRow:
    return ScoreRow(*row)
