"""How often codes may be guessed: counted in the database before a code is looked at."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import case, delete, or_, select, update

from lti_app.clock import utc_now
from lti_app.extensions import db, insert_into
from lti_app.families.codes import Purpose
from lti_app.families.models import CodeAttempts
from lti_app.launches.models import LaunchSession

WINDOW = timedelta(hours=1)
WRONG_BY_LOGIN = 10
WRONG_BY_PLATFORM = 200
OLD_ROWS = 100


class TooManyAttempts(Exception):
    """This login, or its whole platform, has tried too many wrong codes within the hour."""


def count_attempt(launch: LaunchSession, purpose: Purpose) -> None:
    """Count an attempt as a wrong one before the code is looked at, so that no number of guesses at once
    gets more than the limit checked: 10 by a login, 200 by all of a platform, in an hour that begins with
    the first of them. Whoever was right takes it back with `forgive`. Raises TooManyAttempts."""
    for who, limit in _counters(launch, purpose):
        if not _count(who, limit):
            raise TooManyAttempts
    # Not those that somebody else is counting in at this moment: neither would get on.
    old = select(CodeAttempts.who).where(CodeAttempts.began_at <= utc_now() - 2 * WINDOW)
    db.session.execute(
        delete(CodeAttempts)
        .where(CodeAttempts.who.in_(old.limit(OLD_ROWS).with_for_update(skip_locked=True)))
        .execution_options(synchronize_session=False)
    )


def forgive(launch: LaunchSession, purpose: Purpose) -> None:
    """Take back the attempt just counted: the code was right."""
    for who, _limit in _counters(launch, purpose):
        db.session.execute(
            update(CodeAttempts)
            .where(CodeAttempts.who == who)
            .values(wrong=CodeAttempts.wrong - 1)
            .execution_options(synchronize_session=False)
        )


def _counters(launch: LaunchSession, purpose: Purpose) -> tuple[tuple[str, int], ...]:
    """Always in this order, so that two at once do not wait for each other."""
    return (
        (f"{purpose}:login:{launch.lti_user_pk}", WRONG_BY_LOGIN),
        (f"{purpose}:platform:{launch.registration_id}", WRONG_BY_PLATFORM),
    )


def _count(who: str, limit: int) -> bool:
    """One conditional upsert; False: the limit is reached."""
    now = utc_now()
    over = CodeAttempts.began_at <= now - WINDOW
    counted = db.session.scalar(
        insert_into(CodeAttempts)
        .values(who=who, wrong=1, began_at=now)
        .on_conflict_do_update(
            index_elements=["who"],
            set_={
                "wrong": case((over, 1), else_=CodeAttempts.wrong + 1),
                "began_at": case((over, now), else_=CodeAttempts.began_at),
            },
            where=or_(over, CodeAttempts.wrong < limit),
        )
        .returning(CodeAttempts.wrong)
    )
    return counted is not None
