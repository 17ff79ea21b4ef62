"""What becomes of cells once it is known what the LMS shows. Works on locked rows; commits nothing.

The LMS's own doing (rounding, a cap, a late penalty) is noted and respected. A teacher's doing is respected
until the teacher asks for ours. Only what nobody meant is sent again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update

from integrations.terms import GradingProgress, Outcome, Result
from lti_app.extensions import db
from lti_app.gradebook.columns.compare import Finding, Habits, Shown, Told, compare
from lti_app.gradebook.locks import is_overridden
from lti_app.gradebook.models import Difference, Keeps, LineItem, Score, ScoreState, Sends
from lti_app.gradebook.services import is_meant
from lti_app.roster.models import LtiUser, Membership, MembershipStatus

FRESH = timedelta(minutes=10)
"""What was accepted so recently may not show yet."""
SETTLED = timedelta(minutes=1)
"""After which several grades that nobody can see speak for themselves."""
_BY_READING = (Outcome.SWALLOWED, Outcome.COLUMN_GONE, Outcome.NOT_GRADABLE)
"""Held for what a reading can find to be over."""


@dataclass(slots=True)
class Findings:
    """What a reading knows of its column, and what it found so far.

    `began` marks the cells that it saw. `maximum` is the column's now, `maximum_before` when it was read last,
    `ends_at` until when work is in time.
    """

    column_id: int
    context_pk: int
    began: datetime
    habits: Habits
    maximum: Decimal | None = None
    maximum_before: Decimal | None = None
    ends_at: datetime | None = None
    ahead: timedelta = timedelta()
    """The platform's clock before ours."""
    grades: int = 0
    """How many people have a grade in the column, whoever they are."""
    swallows: bool = False
    too_fresh: bool = False
    """Something was sent so recently that its absence says nothing yet."""


def settle_shown(findings: Findings, column: LineItem, results: Iterable[Result], now: datetime) -> None:
    """Settle the cells of those whose results these are."""
    shown: Mapping[str, Result] = {one.user_id: one for one in results if one.score is not None}
    findings.grades += len(shown)
    query = (
        select(Score, LtiUser.sub)
        .join(LtiUser, LtiUser.id == Score.lti_user_pk)
        .where(
            Score.line_item_id == findings.column_id,
            LtiUser.registration_id == column.registration_id,
            LtiUser.sub.in_(shown),
        )
    )
    for score, sub in _locked(query):
        result = shown[sub]
        assert result.score is not None
        maximum = _positive(result.maximum) or findings.maximum or Decimal(score.maximum) / 100
        if _positive(result.maximum) and findings.maximum is None:
            findings.maximum = maximum
        _settle_one(findings, column, score, Shown(result.score, maximum), now)


def settle_absent(findings: Findings, column: LineItem, most: int, now: datetime) -> int:
    """After everybody's results: settle some of those who have none; returns how many were left to settle."""
    query = (
        select(Score, Membership.status)
        .outerjoin(
            Membership,
            and_(Membership.lti_user_pk == Score.lti_user_pk, Membership.context_pk == findings.context_pk),
        )
        .where(_unseen(findings))
        .limit(most)
    )
    found = _locked(query)
    for score, status in found:
        _settle_missing(findings, column, score, status is MembershipStatus.INACTIVE, now)
    return len(found)


def judge_column(findings: Findings, now: datetime) -> None:
    """After everybody's results: whether the column takes grades and shows none."""
    if findings.grades:
        return
    accepted = and_(
        _unseen(findings),
        or_(
            Score.state == ScoreState.SENT,
            and_(Score.state == ScoreState.HELD, Score.outcome == Outcome.SWALLOWED),
        ),
        Score.sent_revision == Score.revision,
        Score.grading_progress == GradingProgress.FULLY_GRADED,
        # One that was there once was taken away by somebody.
        Score.seen_given.is_(None),
    )
    count, oldest = db.session.execute(select(func.count(), func.min(Score.sent_at)).where(accepted)).one()
    age = _age(findings, oldest, now) if oldest is not None else timedelta()
    findings.swallows = age >= FRESH or (count > 1 and age >= SETTLED)


def try_one_swallowed(column: LineItem, at: datetime) -> None:
    """Of a column that swallows grades one is sent again, shortly before the next look, to notice a repair."""
    swallowed = and_(Score.line_item_id == column.id, Score.outcome == Outcome.SWALLOWED)
    first = db.session.scalar(select(func.min(Score.id)).where(swallowed))
    if first is not None and not column.paused:
        db.session.execute(update(Score).where(Score.id == first, swallowed).values(due_at=at))


def hold_all(column_id: int, outcome: Outcome) -> None:
    """Hold every cell of a column that was sent or is to be. What a teacher keeps back stays so (nobody
    released it), and a teacher's own grade stays known: the column may come back with it."""
    held = and_(Score.line_item_id == column_id, is_meant(), ~is_overridden())
    db.session.execute(select(Score.id).where(held).order_by(Score.id).with_for_update())
    db.session.execute(
        update(Score)
        .where(held)
        .values(state=ScoreState.HELD, outcome=outcome, due_at=None, detail="", difference=None)
    )


def _settle_one(findings: Findings, column: LineItem, score: Score, shown: Shown, now: datetime) -> None:
    maximum_before = findings.maximum_before
    if score.seen_maximum is not None:
        maximum_before = Decimal(score.seen_maximum) / 100
    score.seen_at = findings.began
    score.seen_given, score.seen_maximum = _hundredths(shown.points), _hundredths(shown.maximum)
    if score.sent_given is None:
        _yield_to_better(column, score, shown, now)
        return
    if score.state not in (ScoreState.SENT, ScoreState.HELD):
        return
    told = Told(Decimal(score.sent_given) / 100, Decimal(score.maximum) / 100, _is_late(findings, score))
    finding, difference = compare(told, shown, findings.habits, maximum_before=maximum_before)
    if _is(score, Outcome.OVERRIDDEN):
        if finding is Finding.AGREES and difference in (None, Difference.ROUNDED):
            _as_sent(column, score, difference, now)
        else:
            score.difference = Difference.CHANGED
    elif finding is Finding.AGREES and score.sent_revision == score.revision:
        _as_sent(column, score, difference, now)
    elif finding is Finding.CHANGED and _is_settled(score):
        _hold(score, Outcome.OVERRIDDEN, Difference.CHANGED)
    elif _is(score, Outcome.COLUMN_GONE) or (finding is Finding.RESCALED and _is_settled(score)):
        _send_again(column, score, now)


def _settle_missing(findings: Findings, column: LineItem, score: Score, left: bool, now: datetime) -> None:
    was_seen = score.seen_given is not None
    score.seen_at, score.seen_given, score.seen_maximum = findings.began, None, None
    if _is(score, Outcome.OVERRIDDEN) and score.sent_given is None:
        _send_again(column, score, now)
    elif _is(score, Outcome.OVERRIDDEN):
        score.difference = Difference.CLEARED
    elif _is(score, Outcome.COLUMN_GONE):
        _send_again(column, score, now)
    elif not _is_settled(score) or score.grading_progress is not GradingProgress.FULLY_GRADED:
        return
    elif findings.swallows and not was_seen:
        _hold(score, Outcome.SWALLOWED, Difference.SWALLOWED)
    elif left:
        _hold(score, Outcome.NOT_GRADABLE, None)
    elif _is(score, Outcome.NOT_GRADABLE) or (_is(score, Outcome.SWALLOWED) and findings.grades):
        _send_again(column, score, now)
    elif score.state is ScoreState.SENT:
        if not was_seen and _is_fresh(findings, score, now):
            findings.too_fresh = True
        else:
            _hold(score, Outcome.OVERRIDDEN, Difference.CLEARED)


def _yield_to_better(column: LineItem, score: Score, shown: Shown, now: datetime) -> None:
    """A column that keeps the best keeps a grade that was there before ours, as long as it is not lower."""
    if column.keeps is not Keeps.BEST:
        return
    better = shown.points / shown.maximum * score.maximum >= score.given
    if better and score.state is ScoreState.WAITING:
        _hold(score, Outcome.OVERRIDDEN, Difference.CHANGED)
    elif not better and _is(score, Outcome.OVERRIDDEN):
        _send_again(column, score, now)


def _is(score: Score, outcome: Outcome) -> bool:
    return score.state is ScoreState.HELD and score.outcome is outcome


def _is_settled(score: Score) -> bool:
    """Whether the LMS accepted what the cell should show now, so that a difference is its own or a teacher's."""
    if score.sent_given is None or score.sent_revision != score.revision:
        return False
    return score.state is ScoreState.SENT or (score.state is ScoreState.HELD and score.outcome in _BY_READING)


def _is_fresh(findings: Findings, score: Score, now: datetime) -> bool:
    return score.sent_at is not None and _age(findings, score.sent_at, now) < FRESH


def _age(findings: Findings, sent_at: datetime, now: datetime) -> timedelta:
    """For how long it has been accepted. `sent_at` is the platform's time, or ours where that was not known
    yet."""
    ages = (now - sent_at, now + findings.ahead - sent_at)
    return min((age for age in ages if age >= timedelta()), default=timedelta())


def _is_late(findings: Findings, score: Score) -> bool:
    submitted = score.sent_submitted_at
    return findings.ends_at is not None and submitted is not None and submitted > findings.ends_at


def _as_sent(column: LineItem, score: Score, difference: Difference | None, now: datetime) -> None:
    """It shows what was sent. Where a teacher's grade stood and ours is newer by now, that one goes next."""
    if score.sent_revision != score.revision:
        _send_again(column, score, now)
        if column.sends is Sends.ON_RELEASE:
            score.due_at = None
        return
    score.state, score.outcome, score.difference = ScoreState.SENT, Outcome.SENT, difference
    score.due_at, score.attempts, score.detail = None, 0, ""


def _send_again(column: LineItem, score: Score, now: datetime) -> None:
    """Unless the teacher wants it kept back: a paused column sends nothing, and what the LMS was never told
    may wait for a release."""
    unreleased = column.sends is Sends.ON_RELEASE and score.sent_revision != score.revision
    score.state, score.outcome, score.difference = ScoreState.WAITING, None, None
    score.due_at = None if column.paused or unreleased else now
    score.attempts, score.detail = 0, ""


def _hold(score: Score, outcome: Outcome, difference: Difference | None) -> None:
    score.state, score.outcome, score.difference = ScoreState.HELD, outcome, difference
    score.due_at, score.attempts, score.detail = None, 0, ""


def _unseen(findings: Findings) -> ColumnElement[bool]:
    return and_(Score.line_item_id == findings.column_id, Score.seen_at.is_distinct_from(findings.began))


def _locked(query: Select[*tuple[Any, ...]]) -> Sequence[Any]:
    taken = query.order_by(Score.id).with_for_update(of=Score).execution_options(populate_existing=True)
    return db.session.execute(taken).all()


def _positive(value: Decimal | None) -> Decimal | None:
    return value if value is not None and value > 0 else None


def _hundredths(points: Decimal) -> int:
    return int((points * 100).to_integral_value(ROUND_HALF_UP))
