"""A column read back by one worker, as the embedded worker's threads do it: first with grades that teachers changed,
then once more with nothing new.

    python -m tests.load.readback_product make|read --way WAY --name NAME --results N --platform URL

The product's settings are in the environment. Prints laps as `roster_tasks` does, with how many scores were found changed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from flask import Flask
from sqlalchemy import func, insert, select, update

from integrations.terms import ActivityProgress, GradingProgress, Outcome
from lti_app import create_app
from lti_app.clock import utc_now
from lti_app.delivery.worker import drain
from lti_app.extensions import db
from lti_app.gradebook.columns.care import look_after
from lti_app.gradebook.models import LineItem, ReadingState, Score, ScoreState
from lti_app.registrations.models import Deployment, Registration
from lti_app.roster.models import Context, LtiUser, ResourceLink
from tests.load.gradebooks import GIVEN, address, person
from tests.load.messages import AGS_SCOPES
from tests.load.roster_tasks import Stopwatch, print_laps

WARM = 60
"""Results of the column that is read first and not counted: code and connections are ready then."""


def read_all(way: str, name: str, results: int, platform: str) -> None:
    app = create_app()
    warm, column_id = _columns(app, name)
    _read(app, warm)
    print_laps(first=_lap(app, column_id, results), again=_lap(app, column_id, results))


def make_all(way: str, name: str, results: int, platform: str) -> None:
    """In a process of its own: what making them takes of memory must not hide what reading takes."""
    app = create_app()
    _make_column(app, platform, way, f"{name}-warm", WARM)
    _make_column(app, platform, way, name, results)


def _columns(app: Flask, name: str) -> tuple[int, int]:
    """The keys of the column that warms and of the one that counts."""
    with app.app_context():
        keys = dict(db.session.execute(select(LineItem.label, LineItem.id)).all())
        return keys[f"{name}-warm"], keys[name]


def _lap(app: Flask, column_id: int, results: int) -> dict[str, float]:
    watch = Stopwatch()
    changed = _read(app, column_id)
    return watch.lap(results) | {"changed": changed}


def _make_column(app: Flask, platform: str, way: str, name: str, results: int) -> None:
    """A column whose scores were all sent an hour ago."""
    with app.app_context():
        registration = db.session.scalars(select(Registration)).one()
        context = Context(
            registration_id=registration.id,
            deployment_pk=db.session.scalars(select(Deployment.id)).one(),
            school_id=registration.school_id,
            context_id=name,
        )
        db.session.add(context)
        db.session.flush()  # its key
        url = platform + address(way, name, results)
        link = ResourceLink(
            context_pk=context.id, resource_link_id=name, line_item_url=url, ags_scopes=AGS_SCOPES
        )
        db.session.add(link)
        db.session.flush()
        column = LineItem(
            registration_id=registration.id,
            context_pk=context.id,
            resource_link_pk=link.id,
            url=url,
            label=name,
        )
        db.session.add(column)
        subs = [{"registration_id": registration.id, "sub": person(name, n)} for n in range(results)]
        users = db.session.scalars(insert(LtiUser).returning(LtiUser.id), subs).all()
        db.session.flush()
        db.session.execute(insert(Score), _sent(column, users))
        db.session.commit()


def _sent(column: LineItem, users: Sequence[int]) -> list[dict[str, Any]]:
    then = utc_now() - timedelta(hours=1)
    same = {
        "registration_id": column.registration_id,
        "line_item_id": column.id,
        "given": int(GIVEN * 100),
        "maximum": 10_000,
        "activity_progress": ActivityProgress.COMPLETED,
        "grading_progress": GradingProgress.FULLY_GRADED,
        "submitted_at": then,
        "state": ScoreState.SENT,
        "outcome": Outcome.SENT,
        "due_at": None,
        "sent_revision": 1,
        "sent_at": then,
        "sent_given": int(GIVEN * 100),
        "sent_submitted_at": then,
        "sent_final": True,
    }
    return [{**same, "lti_user_pk": user_pk} for user_pk in users]


def _read(app: Flask, column_id: int) -> int:
    """Read the column back to the end; returns how many scores the teacher was found to have changed."""
    with app.app_context():
        mine = LineItem.id == column_id
        wanted = {"due_at": utc_now(), "reading": ReadingState.QUEUED}
        db.session.execute(update(LineItem).where(mine).values(wanted))
        db.session.commit()
    drain(app, [look_after])
    with app.app_context():
        state, why = db.session.execute(select(LineItem.reading, LineItem.reading_error).where(mine)).one()
        if state is not ReadingState.DONE:
            raise RuntimeError(f"the column was not read: {state} {why}")
        changed = (Score.line_item_id == column_id, Score.outcome == Outcome.OVERRIDDEN)
        return db.session.scalars(select(func.count()).select_from(Score).where(*changed)).one()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=["make", "read"])
    for argument in ("--way", "--name", "--platform"):
        parser.add_argument(argument, required=True)
    parser.add_argument("--results", type=int, required=True)
    chosen = parser.parse_args()
    task = make_all if chosen.task == "make" else read_all
    task(chosen.way, chosen.name, chosen.results, chosen.platform)
