"""Everything that is known about one score, in the order in which it happened, for `flask gradebook explain`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from integrations.platforms.registry import platform_for
from lti_app.delivery.models import DeliverySlot
from lti_app.extensions import db
from lti_app.gradebook.models import ColumnKind, LineItem, Score, Sends
from lti_app.gradebook.outcomes import kept_by, told
from lti_app.registrations.models import Registration

Line = tuple[str, str]


def explain(score_id: int, now: datetime) -> list[Line] | None:
    """(what, how it is), one for each thing to know; None: there is no such score. People by number only.

    Texts are in the present locale; three queries.
    """
    score = db.session.scalar(
        select(Score)
        .where(Score.id == score_id)
        .options(joinedload(Score.line_item).joinedload(LineItem.context))
    )
    if score is None:
        return None
    registration = db.session.get_one(Registration, score.registration_id)
    slot = db.session.get(DeliverySlot, score.registration_id)
    return [
        ("person", f"login {score.lti_user_pk}"),
        ("platform", f"{registration.id} {registration.name} ({registration.kind}, {registration.status})"),
        *_column(score.line_item),
        *_wanted(score, registration.kind, now),
        *_told(score),
        *_seen(score, score.line_item),
        *_slot(slot, now),
    ]


def scores_of_login(lti_user_pk: int) -> list[Line]:
    """(number of the score, its column, value and state), oldest first."""
    query = (
        select(Score, LineItem.id, LineItem.label)
        .join(LineItem, LineItem.id == Score.line_item_id)
        .where(Score.lti_user_pk == lti_user_pk)
        .order_by(Score.id)
    )
    return [
        (
            f"score {score.id}",
            f"column {column_id} {label}: {_of(score.given, score.maximum)}, {score.state}"
            + (f" ({score.outcome})" if score.outcome else ""),
        )
        for score, column_id, label in db.session.execute(query)
    ]


def moment(value: datetime | None) -> str:
    """A moment as operators read it in logs."""
    return "never" if value is None else f"{value:%Y-%m-%d %H:%M:%S} UTC"


def _column(column: LineItem) -> Iterator[Line]:
    place = f"link {column.resource_link_pk}" if column.kind is ColumnKind.LINK else f"term {column.term_id}"
    yield "column", f"{column.id} {column.label} ({place} of class {column.context_pk})"
    yield "address", column.url or "none yet: the column has to be found or made first"
    policy = [f"keeps the {column.keeps} result", f"sends {column.sends}"]
    if column.sends is Sends.ON_RELEASE:
        policy.append(f"released {moment(column.released_at)}")
    if column.paused:
        policy.append("paused by a teacher")
    yield "policy", ", ".join(policy)


def _wanted(score: Score, kind: str, now: datetime) -> Iterator[Line]:
    progress = f"{score.activity_progress}, {score.grading_progress}"
    yield (
        "wanted",
        f"{_of(score.given, score.maximum)}, {progress}, revision {score.revision}, "
        f"reached {moment(score.submitted_at)}",
    )
    column = score.line_item
    words = told(
        score.state,
        score.outcome,
        score.due_at,
        withheld=kept_by(paused=column.paused, sends=column.sends, is_unmade=column.is_unmade),
        difference=score.difference,
        keeps_teacher_grades=platform_for(kind).keeps_teacher_grades,
    )
    yield "state", f"{score.state}: {words.word}. {words.sentence}"
    yield "next step", str(words.next_step)
    yield (
        "due",
        "not by itself" if score.due_at is None else f"{moment(score.due_at)} ({_in(score.due_at, now)})",
    )


def _told(score: Score) -> Iterator[Line]:
    if score.sent_at is None or score.sent_given is None:
        yield "sent", "never"
    else:
        final = "final" if score.sent_final else "not final"
        yield (
            "sent",
            f"{_of(score.sent_given, score.maximum)}, {final}, revision {score.sent_revision}, "
            f"at {moment(score.sent_at)}",
        )
    if score.in_doubt:
        yield "in doubt", "another value was sent too, and no answer came: the LMS may show that one"
    if score.outcome is not None:
        detail = f": {score.detail}" if score.detail else ""
        yield "answer", f"{score.outcome} after {score.attempts} attempt(s) that failed{detail}"


def _seen(score: Score, column: LineItem) -> Iterator[Line]:
    if score.seen_at is None:
        yield "LMS shows", f"not known; the column was last read: {moment(column.read_at)} ({column.reading})"
        return
    shown = "no grade" if score.seen_given is None else _of(score.seen_given, score.seen_maximum)
    difference = f", {score.difference}" if score.difference else ""
    yield "LMS shows", f"{shown}{difference}, read {moment(score.seen_at)}"
    if score.insisted_at:
        yield "insisted", f"a teacher chose our grade at {moment(score.insisted_at)}"


def _slot(slot: DeliverySlot | None, now: datetime) -> Iterator[Line]:
    if slot is None:
        yield "delivery", "nothing was ever sent to this platform"
        return
    if slot.blocked_until and slot.blocked_until > now:
        why = f" after {slot.failures} failure(s) ({slot.last_error})" if slot.failures else ""
        yield "resting", f"until {moment(slot.blocked_until)} ({_in(slot.blocked_until, now)}){why}"
    else:
        yield "resting", "no"
    yield "last success", moment(slot.last_success_at)
    if slot.holder and slot.lease_until and slot.lease_until > now:
        yield "worker", f"{slot.holder} until {moment(slot.lease_until)}"
    else:
        yield "worker", "none at this moment"
    yield "clock", f"the platform's is {slot.clock_ahead / 1000:+.1f} s from ours"


def _of(given: int, maximum: int | None) -> str:
    return f"{given / 100:.2f}" + ("" if maximum is None else f" of {maximum / 100:.2f}")


def _in(then: datetime, now: datetime) -> str:
    seconds = round((then - now).total_seconds())
    return f"in {seconds} s" if seconds >= 0 else f"{-seconds} s ago"
