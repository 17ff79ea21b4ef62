"""Whether the gradebook may show a value of ours that we do not know to be there.

A call whose answer is lost may have been stored; a worker that dies cannot even say that it called. So scores
whose next delivery looks for a teacher's grade first are put in doubt before it, and taken out by what comes of
it. In doubt nobody looks: what differs from the value sent last is most likely our own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import update

from integrations.terms import Outcome
from lti_app.extensions import db
from lti_app.gradebook.delivery.jobs import Done, Job
from lti_app.gradebook.delivery.sending import Sender
from lti_app.gradebook.locks import lock_rows
from lti_app.gradebook.models import Score


def begin(sender: Sender, jobs: Iterable[Job]) -> set[int]:
    """Put those of these scores in doubt that need it, before they are sent; returns them. Commits."""
    ids = {job.id for job in jobs if sender.may_look(job) and not job.in_doubt}
    if ids:
        _write(ids, True)
        db.session.commit()
    return ids


def end(score_ids: Collection[int]) -> None:
    """The gradebook shows nothing new of these. In the caller's transaction."""
    if score_ids:
        _write(score_ids, False)


def end_refused(sender: Sender, done: Iterable[Done]) -> None:
    """A refusal says that nothing new is shown; that something was accepted is written with it."""
    end([one.job.id for one in done if _changed_nothing(one) and sender.may_look(one.job)])


def _changed_nothing(done: Done) -> bool:
    if done.job.in_doubt:
        return False
    if done.answer is None or not done.posted:
        return True
    if done.answer.outcome is Outcome.RETRY:
        # No answer, or one that does not speak of the score: it may have been stored.
        return done.answer.status is not None and 400 <= done.answer.status < 500
    return done.answer.outcome is not Outcome.SENT


def _write(score_ids: Collection[int], in_doubt: bool) -> None:
    lock_rows(Score.id.in_(score_ids))
    db.session.execute(update(Score).where(Score.id.in_(score_ids)).values(in_doubt=in_doubt))
