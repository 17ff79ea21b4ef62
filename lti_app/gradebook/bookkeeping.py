"""Writing down what came of sent scores: one transaction for many, with one statement for each kind."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, cast

import structlog
from sqlalchemy import String, Table, bindparam, case, update

from integrations.terms import Outcome
from lti_app.clock import utc_now
from lti_app.delivery.services import record_failure, record_success
from lti_app.delivery.worker import Turn
from lti_app.extensions import db
from lti_app.gradebook.models import LineItem, Score, ScoreState
from lti_app.gradebook.policy import STEPS, wait_after
from lti_app.gradebook.sending import Done, Sender
from lti_app.gradebook.services import lock_rows

_SCORE = cast(Table, Score.__table__)
_WHOLE_COLUMN = [outcome for outcome, step in STEPS.items() if step.whole_column]

log = structlog.get_logger()


def write_outcomes(turn: Turn, sender: Sender, done: Sequence[Done]) -> bool:
    """Write down what came of it, in one transaction. False: the lease was lost.

    Then another worker may have sent newer values before our call arrived, so what we sent is due again.
    """
    now = utc_now()
    held = turn.renew(now)
    if held:
        _write_columns(sender)  # before the scores: a launch that brings an address goes the same way
    _lock(done)
    if held:
        _write_scores(done, now)
        _write_health(turn, sender, done, now)
    else:
        sent = [one.job.id for one in done if one.answer is not None]
        db.session.execute(
            update(Score).where(Score.id.in_(sent)).values(state=ScoreState.WAITING, due_at=now)
        )
    db.session.commit()
    if held:
        _free_columns(done, now)
    _log(turn, done, held)
    return held


def _lock(done: Sequence[Done]) -> None:
    lock_rows(Score.id.in_([one.job.id for one in done]))


def _free_columns(done: Sequence[Done], now: datetime) -> None:
    """What held a whole column has passed when one of it was sent: nobody in it waits for the rest."""
    passed = {one.job.column.id for one in done if _is_sent(one) and one.job.outcome in _WHOLE_COLUMN}
    for column_id in sorted(passed):
        held = (Score.line_item_id == column_id) & Score.outcome.in_(_WHOLE_COLUMN)
        lock_rows(held)
        db.session.execute(update(Score).where(held).values(state=ScoreState.WAITING, due_at=now))
        db.session.commit()


def _is_sent(done: Done) -> bool:
    return done.answer is not None and done.answer.outcome is Outcome.SENT


def _write_columns(sender: Sender) -> None:
    for column_id, url in sorted(sender.found.items()):
        db.session.execute(
            update(LineItem).where(LineItem.id == column_id, LineItem.url.is_(None)).values(url=url)
        )


def _write_scores(done: Sequence[Done], now: datetime) -> None:
    sent = [_sent_values(one) for one in done if _is_sent(one)]
    others = [_other_values(one, now) for one in done if not _is_sent(one)]
    connection = db.session.connection()
    if sent:
        connection.execute(_SENT, sent)
    if others:
        connection.execute(_NOT_SENT, others)


def _write_health(turn: Turn, sender: Sender, done: Sequence[Done], now: datetime) -> None:
    troubles = (Outcome.RETRY, Outcome.REAUTHENTICATE)
    if any(one.answer is not None and one.answer.outcome not in troubles for one in done):
        record_success(turn.registration_id, now)
    if sender.trouble is not None:
        record_failure(
            turn.registration_id, sender.trouble.detail, now, retry_after=sender.trouble.retry_after
        )


def _unchanged(value: Any, column: Any) -> Any:
    """`value` if the row still has the revision that was sent; a newer one stays as it is."""
    return case((_SCORE.c.revision == bindparam("revision_"), value), else_=column)


_SENT = (
    update(_SCORE)
    .where(_SCORE.c.id == bindparam("id_"))
    .values(
        state=_unchanged(bindparam("state_", type_=String), _SCORE.c.state),
        due_at=_unchanged(None, _SCORE.c.due_at),
        attempts=_unchanged(0, _SCORE.c.attempts),
        outcome=_unchanged(bindparam("outcome_", type_=String), _SCORE.c.outcome),
        detail=_unchanged("", _SCORE.c.detail),
        sent_revision=bindparam("revision_"),
        sent_at=bindparam("at_"),
        sent_given=bindparam("given_"),
        sent_submitted_at=bindparam("submitted_at_"),
        sent_comment=bindparam("comment_"),
    )
)
_NOT_SENT = (
    update(_SCORE)
    .where(_SCORE.c.id == bindparam("id_"), _SCORE.c.revision == bindparam("revision_"))
    .values(
        state=bindparam("state_"),
        due_at=bindparam("due_at_"),
        attempts=bindparam("attempts_"),
        outcome=bindparam("outcome_"),
        detail=bindparam("detail_"),
    )
)


def _sent_values(done: Done) -> dict[str, Any]:
    score = done.job.score
    return {
        "id_": done.job.id,
        "revision_": done.job.revision,
        "state_": ScoreState.SENT,
        "outcome_": Outcome.SENT,
        "at_": done.timestamp,
        "given_": int(score.given * 100),
        "submitted_at_": score.submitted_at,
        "comment_": score.comment,
    }


def _other_values(done: Done, now: datetime) -> dict[str, Any]:
    """Nothing to send: wait for the next change. Else the step of the outcome."""
    values = {"id_": done.job.id, "revision_": done.job.revision}
    if done.answer is None:
        return values | {
            "state_": ScoreState.WAITING, "due_at_": None, "attempts_": 0, "outcome_": None, "detail_": "",
        }  # fmt: skip
    outcome, attempts = done.answer.outcome, done.job.attempts + 1
    wait = wait_after(outcome, attempts, done.answer.retry_after)
    return values | {
        "state_": STEPS[outcome].state,
        "due_at_": None if wait is None else now + timedelta(seconds=wait),
        "attempts_": attempts,
        "outcome_": outcome,
        "detail_": done.answer.detail[:255],
    }


def _log(turn: Turn, done: Sequence[Done], held: bool) -> None:
    counts: dict[str, int] = {}
    for one in done:
        name = str(one.answer.outcome) if one.answer else "nothing-to-send"
        counts[name] = counts.get(name, 0) + 1
    log.info("scores delivered", registration=turn.registration_id, lease_held=held, **counts)
