"""What pages show of scores and of their delivery. Amounts are hundredths of a percent."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import joinedload

from integrations.platforms.registry import platform_for
from integrations.terms import Outcome
from lti_app.delivery.models import DeliverySlot
from lti_app.extensions import db
from lti_app.gradebook.models import Difference, LineItem, Score, ScoreState, Sends
from lti_app.gradebook.outcomes import Told, kept_by, told
from lti_app.registrations.models import Registration
from lti_app.roster.models import LtiUser


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A person's cell: what it should show, what it was last told to show, and why they may differ."""

    id: int
    lti_user_pk: int
    name: str | None
    column_id: int
    column: str
    is_unmade: bool
    paused: bool
    sends: Sends
    given: int
    maximum: int
    state: ScoreState
    outcome: Outcome | None
    detail: str
    due_at: datetime | None
    submitted_at: datetime
    sent_at: datetime | None
    sent_given: int | None
    seen_at: datetime | None
    seen_given: int | None
    seen_maximum: int | None
    difference: Difference | None
    platform_kind: str

    @property
    def told(self) -> Told:
        return told(
            self.state,
            self.outcome,
            self.due_at,
            withheld=self.withheld,
            difference=self.difference,
            keeps_teacher_grades=platform_for(self.platform_kind).keeps_teacher_grades,
        )

    @property
    def withheld(self) -> str | None:
        """Why a result is kept here: "paused" or "on-release" by the teacher's choice, or "no-column" yet."""
        if self.state is not ScoreState.WAITING or self.due_at is not None:
            return None
        return kept_by(paused=self.paused, sends=self.sends, is_unmade=self.is_unmade)

    @property
    def overruled(self) -> bool:
        """Whether a teacher's grade in the LMS stands in place of ours."""
        return self.state is ScoreState.HELD and self.outcome is Outcome.OVERRIDDEN

    @property
    def is_seen(self) -> bool:
        """Whether the LMS was read back since we last wrote."""
        return self.seen_at is not None and (self.sent_at is None or self.sent_at <= self.seen_at)

    @property
    def can_retry(self) -> bool:
        """Whether "try again" makes sense: it failed at least once and is not on its way."""
        failed = self.state in (ScoreState.WAITING, ScoreState.HELD) and self.outcome is not None
        return failed and self.withheld is None and not self.overruled


def scores_of_people(resource_link_pk: int, lti_user_pks: Collection[int]) -> dict[int, ScoreRow]:
    """The scores of these people in a link's column, by person; who has none has not started."""
    query = rows().where(LineItem.resource_link_pk == resource_link_pk, Score.lti_user_pk.in_(lti_user_pks))
    return {row.lti_user_pk: row_of(row) for row in db.session.execute(query)}


def score_of(resource_link_pk: int, lti_user_pk: int) -> ScoreRow | None:
    """One person's score in a link's column."""
    return scores_of_people(resource_link_pk, [lti_user_pk]).get(lti_user_pk)


def score_in_context(score_id: int, context_pk: int) -> Score | None:
    """The score with its column and that one's link loaded, if it belongs to this class."""
    return db.session.scalar(
        select(Score)
        .join(LineItem, LineItem.id == Score.line_item_id)
        .where(Score.id == score_id, LineItem.context_pk == context_pk)
        .options(joinedload(Score.line_item).joinedload(LineItem.resource_link))
    )


def row_in_context(score_id: int, context_pk: int) -> ScoreRow | None:
    """What pages show of a score, if it belongs to this class."""
    found = db.session.execute(
        rows().where(Score.id == score_id, LineItem.context_pk == context_pk)
    ).one_or_none()
    return None if found is None else row_of(found)


def resting_until(registration_id: int) -> datetime | None:
    """When a platform is tried again, if it failed or asked us to wait."""
    return db.session.scalar(
        select(DeliverySlot.blocked_until).where(DeliverySlot.registration_id == registration_id)
    )


def rows() -> Select[*tuple[Any, ...]]:
    """The statement of what `row_of` reads; it joins the column and the login."""
    return (
        select(
            Score.id,
            Score.lti_user_pk,
            LtiUser.name,
            LineItem.id,
            LineItem.label,
            LineItem.is_unmade,
            LineItem.paused,
            LineItem.sends,
            Score.given,
            Score.maximum,
            Score.state,
            Score.outcome,
            Score.detail,
            Score.due_at,
            Score.submitted_at,
            Score.sent_at,
            Score.sent_given,
            Score.seen_at,
            Score.seen_given,
            Score.seen_maximum,
            Score.difference,
            Registration.kind,
        )
        .join(LineItem, LineItem.id == Score.line_item_id)
        .join(LtiUser, LtiUser.id == Score.lti_user_pk)
        .join(Registration, Registration.id == Score.registration_id)
    )


def row_of(found: Any) -> ScoreRow:
    """A row of `rows()`."""
    return ScoreRow(*found)
