"""`flask gradebook …`: how the sending goes, and an operator's hand in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

import click
from flask import current_app
from flask_babel import force_locale
from sqlalchemy import select

from integrations.content.spreadsheet import clean
from integrations.terms import Outcome
from lti_app.clock import utc_now
from lti_app.delivery.services import reading
from lti_app.delivery.worker import drain
from lti_app.errors import OperatorGroup
from lti_app.extensions import db
from lti_app.gradebook.columns.care import look_after, request_reading
from lti_app.gradebook.models import LineItem, ReadingState
from lti_app.gradebook.oversight.explaining import Line, explain, moment, scores_of_login
from lti_app.gradebook.oversight.queue import Pile, QueueFacts, queue_facts
from lti_app.gradebook.oversight.requeue import BATCH, can_go_again, counts, requeue
from lti_app.launches.current import ENGLISH
from lti_app.registrations.models import Registration
from lti_app.registrations.services import find_by_name

_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)

group = OperatorGroup("gradebook", help="Scores and their delivery to the LMSs.")

_registration = click.option(
    "--registration", "named", metavar="NAME", help="Only this platform (name or id)."
)
_column = click.option("--column", "column_id", type=click.IntRange(min=1), help="Only this column (its id).")


@group.command("deliver")
@click.option("--once", is_flag=True, hidden=True)
def deliver_command(once: bool) -> None:
    """Send what is due now, do what else waits for an LMS, and end (`flask worker` does it for ever)."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    click.echo(f"handled: {drain(app, app.extensions['works'])}")


@group.command("status")
def status() -> None:
    """Show for each platform what is not sent yet, and why."""
    with reading():
        now = utc_now()
        for facts in queue_facts():
            click.echo(clean(_line(facts, now)))


@group.command("reconcile")
@_registration
@_column
@click.option("--all", "everything", is_flag=True, help="The columns of all platforms.")
@click.option(
    "--now", "at_once", is_flag=True, help="Read them in this command instead of leaving it to a worker."
)
def reconcile(named: str | None, column_id: int | None, everything: bool, at_once: bool) -> None:
    """Have columns read back and compared with what was sent."""
    if [named is not None, column_id is not None, everything].count(True) != 1:
        raise click.UsageError("say which columns: one of --registration, --column and --all")
    with reading():
        columns = _columns(_named(named), column_id)
    if not columns:
        raise click.ClickException("no such column" if column_id is not None else "there are no columns yet")
    asked = 0
    for start in range(0, len(columns), BATCH):
        asked += request_reading(columns[start : start + BATCH], utc_now())
        db.session.commit()
    click.echo(f"{asked} of {len(columns)} column(s) will be read; the others were asked for just now")
    if at_once:
        drain(current_app._get_current_object(), [look_after])  # type: ignore[attr-defined]
        with reading():
            click.echo(_readings(columns))


@group.command("requeue")
@_registration
@_column
@click.option(
    "--outcome", type=click.Choice([str(outcome) for outcome in Outcome]), help="Only this outcome."
)
@click.option("--dry-run", is_flag=True, help="Only count.")
def requeue_command(named: str | None, column_id: int | None, outcome: str | None, dry_run: bool) -> None:
    """Make due now what was refused or waits for a later try, and end the rest of its platforms.

    A grade that a teacher overrode is never touched, nor what a teacher paused or keeps back.
    """
    if outcome in (Outcome.SENT, Outcome.OVERRIDDEN):
        raise click.ClickException(
            f"what is {outcome} is not sent again: a teacher can choose our grade on the page of grades"
            if outcome == Outcome.OVERRIDDEN
            else "what is sent is there"
        )
    with reading():
        which = can_go_again(_named(named), Outcome(outcome) if outcome else None, column_id)
        for (owner, reason), count in counts(which).items():
            click.echo(f"registration {owner}, {reason}: {count}")
    if dry_run:
        return
    total = 0
    while done := requeue(which, utc_now()):
        db.session.commit()
        total += done
    click.echo(f"{total} score(s) are due now")


@group.command("explain")
@click.argument("score", type=int, required=False)
@click.option(
    "--login", type=int, metavar="LOGIN", help="List the scores of this login (`flask people find`)."
)
def explain_command(score: int | None, login: int | None) -> None:
    """Say everything about one score: what it should show, what was sent, and what became of it."""
    if (score is None) == (login is None):
        raise click.UsageError("say the number of a score, or --login LOGIN to see which scores somebody has")
    with reading(), force_locale(ENGLISH):
        lines = scores_of_login(login) if login is not None else _explained(score)
        for what, how in lines:
            click.echo(f"{what:<13} {clean(how)}")


def _explained(score: int | None) -> list[Line]:
    lines = explain(score or 0, utc_now())
    if lines is None:
        raise click.ClickException(
            f"there is no score {score}; `explain --login LOGIN` shows somebody's scores"
        )
    return [("score", str(score)), *lines]


def _named(named: str | None) -> int | None:
    if named is None:
        return None
    found = find_by_name(named)
    if found is None and _NUMBER.fullmatch(named):
        found = db.session.get(Registration, int(named))
    if found is None:
        raise click.ClickException(f"no platform is called {named!r}; `flask platforms list` shows them")
    return found.id


def _columns(registration_id: int | None, column_id: int | None) -> list[int]:
    query = select(LineItem.id).order_by(LineItem.id)
    if registration_id is not None:
        query = query.where(LineItem.registration_id == registration_id)
    if column_id is not None:
        query = query.where(LineItem.id == column_id)
    return list(db.session.scalars(query))


def _readings(columns: list[int]) -> str:
    states = dict.fromkeys(ReadingState, 0)
    for start in range(0, len(columns), BATCH):
        part = columns[start : start + BATCH]
        for state in db.session.scalars(select(LineItem.reading).where(LineItem.id.in_(part))):
            states[state] += 1
    return ", ".join(f"{state}: {count}" for state, count in states.items() if count)


def _line(facts: QueueFacts, now: datetime) -> str:
    row, slot = facts.registration, facts.slot
    parts = [f"{row.name} ({row.status}): {facts.unsent_count} unsent, {facts.held_count} held"]
    if facts.withheld:
        parts.append(f"{facts.withheld} withheld")
    if facts.oldest:
        parts.append(f"oldest {int((now - facts.oldest).total_seconds())} s")
    parts += [f"{outcome}: {count}" for outcome, count in sorted(_by_outcome(facts.unsent, facts.held))]
    read = [f"{state} {count}" for state, count in sorted(facts.readings.items())]
    if slot and slot.blocked_until and slot.blocked_until > now:
        wait = int((slot.blocked_until - now).total_seconds())
        parts.append(f"resting {wait} s after {slot.failures} failures ({slot.last_error})")
    if slot and slot.last_success_at:
        parts.append(f"last success {moment(slot.last_success_at)}")
    if read:
        parts.append(f"columns read back: {', '.join(read)}")
    return ", ".join(parts)


def _by_outcome(*piles: Mapping[Outcome | None, Pile]) -> list[tuple[Outcome, int]]:
    found: dict[Outcome, int] = {}
    for pile in piles:
        for outcome, one in pile.items():
            if outcome is not None:
                found[outcome] = found.get(outcome, 0) + one.count
    return list(found.items())
