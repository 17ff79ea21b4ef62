"""Writing down what came of sent scores: one transaction for many, with one statement for each kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, cast

import structlog
from sqlalchemy import String, Table, bindparam, case, or_, select, tuple_, update

from integrations.terms import Outcome
from lti_app.clock import utc_now
from lti_app.delivery import tallies
from lti_app.delivery.exchanges import FailedCall, note
from lti_app.delivery.services import learn_clock, reading, record_failure, record_success, rest
from lti_app.delivery.turns import Turn
from lti_app.extensions import db
from lti_app.gradebook.delivery import doubts
from lti_app.gradebook.delivery.jobs import Done, Job, is_final
from lti_app.gradebook.delivery.sending import TROUBLES, Sender
from lti_app.gradebook.locks import is_overridden, lock_rows
from lti_app.gradebook.models import LineItem, ReadingState, Score, ScoreState
from lti_app.gradebook.policy import STEPS, wait_after
from lti_app.gradebook.services import is_meant

_SCORE = cast(Table, Score.__table__)
# What an accepted score of the column shows to have passed. (A column that swallows scores accepts them too.)
_WHOLE_COLUMN = [
    outcome for outcome, step in STEPS.items() if step.whole_column and outcome is not Outcome.SWALLOWED
]
_PAUSED = select(LineItem.id).where(LineItem.paused)
# A column that was not there is looked at again; if it is by then, its scores are sent.
GONE_FOR = timedelta(days=1)
# A column is read back so soon after its first accepted score.
FIRST_READING = timedelta(minutes=5)

log = structlog.get_logger()


def write_outcomes(turn: Turn, sender: Sender, done: Sequence[Done], *, final: bool) -> bool:
    """Write down what came of it, in one transaction, and lengthen the lease. False: the lease was lost.

    Then another worker may have sent newer values before our call arrived, so what we sent is due again.
    With `final`, when no call is in flight any more, also whether the platform is to be left alone for a while.
    """
    if final and not done and not sender.is_halted:
        return True
    now = utc_now()
    held = turn.renew(now)
    passed: set[int] = set()
    if held:
        # Columns before scores, as everybody takes them (`locks`).
        _write_columns(sender, now)
        passed = _write_first_readings(sender, done, now)
        _look_again_at_gone(done, now)
    _lock(done)
    if held:
        _write_scores(done, now)
        doubts.end_refused(sender, done)
        _write_health(turn, sender, done, now)
        if final:
            _write_rest(turn, sender, now)
        _write_records(turn, done, now)
    else:
        _send_again([one.job for one in done if one.answer is not None], now)
    db.session.commit()
    if held:
        _free_columns(passed, done, now)
    _log(turn, done, held)
    return held


def _lock(done: Sequence[Done]) -> None:
    lock_rows(Score.id.in_([one.job.id for one in done]))


def _send_again(jobs: Sequence[Job], now: datetime) -> None:
    """What may show instead of something newer: nobody takes it for a teacher's. What another worker sent just
    the same stands, in whichever order they arrived. Those of a column that is paused now wait until it goes
    on."""
    same = tuple_(Score.id, Score.sent_revision).in_([(job.id, job.revision) for job in jobs])
    again = Score.id.in_([job.id for job in jobs]) & ~same & is_meant() & ~is_overridden()
    db.session.execute(update(Score).where(again).values(in_doubt=True))
    kept = again & Score.line_item_id.in_(_PAUSED)
    db.session.execute(update(Score).where(kept).values(state=ScoreState.WAITING, due_at=None, outcome=None))
    db.session.execute(update(Score).where(again).values(state=ScoreState.WAITING, due_at=now))


def _free_columns(passed: set[int], done: Sequence[Done], now: datetime) -> None:
    """What held a whole column has passed when one of it was sent: nobody in it waits for the rest.

    `passed` are those that accepted something for the first time in this turn.
    """
    passed = passed | {
        one.job.column.id for one in done if _is_sent(one) and one.job.outcome in _WHOLE_COLUMN
    }
    if not passed:
        return
    freed = Score.outcome.in_(_WHOLE_COLUMN) & Score.line_item_id.not_in(_PAUSED)
    with reading():
        there = select(Score.line_item_id).where(Score.line_item_id.in_(passed), freed).distinct()
        columns = sorted(db.session.scalars(there))
    for column_id in columns:
        held = (Score.line_item_id == column_id) & freed
        lock_rows(held)
        db.session.execute(update(Score).where(held).values(state=ScoreState.WAITING, due_at=now))
        db.session.commit()


def _look_again_at_gone(done: Sequence[Done], now: datetime) -> None:
    """A column that never accepted anything has no reading due: one "not found" must not be the last word."""
    gone = {
        one.job.column.id
        for one in done
        if one.answer is not None and one.answer.outcome is Outcome.COLUMN_GONE
    }
    for column_id in sorted(gone):
        which = (LineItem.id == column_id) & LineItem.url.is_not(None) & LineItem.due_at.is_(None)
        db.session.execute(update(LineItem).where(which).values(due_at=now + GONE_FOR))


def _is_sent(done: Done) -> bool:
    return done.answer is not None and done.answer.outcome is Outcome.SENT


def _write_columns(sender: Sender, now: datetime) -> None:
    """A column that we made is kept in step from now on; it was made without dates."""
    is_dated = or_(LineItem.starts_at.is_not(None), LineItem.ends_at.is_not(None))
    for column_id, url in sorted(dict(sender.found).items()):
        values: dict[str, Any] = {"url": url}
        if column_id in sender.made:
            due_at = case((is_dated, now), else_=LineItem.due_at)
            values |= {"made_by_us": True, "wants_edit": is_dated, "due_at": due_at}
        db.session.execute(
            update(LineItem).where(LineItem.id == column_id, LineItem.url.is_(None)).values(values)
        )


def _write_scores(done: Sequence[Done], now: datetime) -> None:
    sent = [_sent_values(one) for one in done if _is_sent(one)]
    others = [_other_values(one, now) for one in done if not _is_sent(one)]
    connection = db.session.connection()
    if sent:
        connection.execute(_SENT, sent)
    if others:
        connection.execute(_NOT_SENT, others)
    seen = [_seen_values(one, now) for one in done if one.seen is not None]
    if seen:
        connection.execute(_SEEN, seen)


def _write_first_readings(sender: Sender, done: Sequence[Done], now: datetime) -> set[int]:
    """A column that was never read back is read soon after it accepted something: some accept and show
    nothing. Returns the columns that accepted something for the first time in this turn."""
    columns = {one.job.column.id for one in done if _is_sent(one)} - sender.accepting
    soon = now + FIRST_READING
    for column_id in sorted(columns):
        db.session.execute(
            update(LineItem)
            .where(
                LineItem.id == column_id,
                LineItem.reading == ReadingState.NEVER,
                or_(LineItem.due_at.is_(None), LineItem.due_at > soon),
            )
            .values(due_at=soon)
        )
    sender.accepting |= columns
    return columns


def _write_health(turn: Turn, sender: Sender, done: Sequence[Done], now: datetime) -> None:
    if any(one.answer is not None and one.answer.outcome not in TROUBLES for one in done):
        record_success(turn.registration_id, now)
    if abs(sender.ahead - sender.ahead_written) >= 1:
        learn_clock(turn.registration_id, sender.ahead)
        sender.ahead_written = sender.ahead


def _write_rest(turn: Turn, sender: Sender, now: datetime) -> None:
    if sender.trouble is not None:
        record_failure(
            turn.registration_id, sender.trouble.detail, now, retry_after=sender.trouble.retry_after
        )
    if sender.pause > 0:  # the longer of the two counts
        rest(turn.registration_id, now + timedelta(seconds=sender.pause))


def _write_records(turn: Turn, done: Sequence[Done], now: datetime) -> None:
    counts = Counter(str(one.answer.outcome) for one in done if one.answer is not None)
    tallies.count(turn.registration_id, counts, now)
    failed = next((one for one in reversed(done) if one.exchange is not None), None)
    if failed is not None and failed.exchange is not None and failed.answer is not None:
        code = str(failed.answer.outcome)
        note(turn.registration_id, FailedCall(code, failed.exchange, failed.job.private), now)


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
        sent_final=bindparam("final_"),
        in_doubt=False,
        difference=None,
    )
)
_SEEN = (
    update(_SCORE)
    .where(_SCORE.c.id == bindparam("id_"))
    .values(
        seen_at=bindparam("at_"),
        seen_given=bindparam("given_"),
        seen_maximum=bindparam("maximum_"),
        difference=bindparam("difference_"),
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
        "final_": is_final(done.job),
    }


def _seen_values(done: Done, now: datetime) -> dict[str, Any]:
    assert done.seen is not None
    return {
        "id_": done.job.id,
        "at_": now,
        "given_": _hundredths(done.seen.score),
        "maximum_": _hundredths(done.seen.maximum),
        "difference_": done.difference,
    }


def _hundredths(points: Decimal | None) -> int | None:
    return None if points is None else int((points * 100).to_integral_value(ROUND_HALF_UP))


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
