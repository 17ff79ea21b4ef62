"""The district in the product's database, and its term's end. The product's settings are in the environment.

    python -m tests.load.district_product prepare --port PORT --schools N --people N
    python -m tests.load.district_product reset
    python -m tests.load.district_product due --people N

`prepare` registers every school of `tests.load.district` with its people, in classes of 50 with a column each. `reset`
forgets what earlier deliveries left. `due` makes the scores of the first people of every school due, in place of all
that were there; it prints the moment (monotonic clock).
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from sqlalchemy import delete, insert, literal, select, update

from integrations.terms import ActivityProgress, GradingProgress
from lti_app import create_app
from lti_app.clock import utc_now
from lti_app.delivery.models import DeliverySlot, DeliveryTally, FailedExchange
from lti_app.extensions import db
from lti_app.gradebook.models import LineItem, Score
from lti_app.organisations.models import School
from lti_app.organisations.services import school_named
from lti_app.registrations.keys import ensure_key
from lti_app.registrations.models import Deployment, Registration
from lti_app.registrations.services import NewRegistration, add_registration
from lti_app.roster.models import Context, LtiUser, ResourceLink
from tests.load.district import host
from tests.load.messages import AGS_SCOPES
from tests.load.scores import subject

CLASS = 50
GIVEN = 8750
"""Hundredths of a percent: what everybody has at the term's end."""
_SENDING = [scope for scope in AGS_SCOPES if scope.endswith("/score")]


def prepare(port: int, schools: int, people: int) -> None:
    """Register the schools and their people."""
    ensure_key()
    home = school_named("load", district="load")
    for number in range(schools):
        registration = _register(f"http://{host(number)}:{port}", home)
        deployment = db.session.scalars(
            select(Deployment.id).where(Deployment.registration_id == registration.id)
        ).one()
        places = {"registration_id": registration.id, "deployment_pk": deployment, "school_id": home.id}
        for first in range(0, people, CLASS):
            _make_class(places, f"http://{host(number)}:{port}", first, min(first + CLASS, people))
    db.session.commit()


def _register(url: str, home: School) -> Registration:
    registration, _new = add_registration(
        NewRegistration(
            kind="generic",
            url=url,
            name=url,
            issuer=url,
            client_id="load",
            deployment_id="1",
            auth_url=f"{url}/auth",
            token_url=f"{url}/token",
            jwks_url=f"{url}/jwks",
            allow_http=True,
            allow_private_network=True,
        ),
        home,
    )
    return registration


def _make_class(places: dict[str, int], url: str, first: int, end: int) -> None:
    """People `first` to `end` with a column. Their class is the context of whom `first` is the first."""
    context = Context(**places, context_id=f"class-{first}")
    db.session.add(context)
    db.session.flush()
    column_url = f"{url}/ags/{first}/lineitems/1/lineitem"
    link = ResourceLink(
        context_pk=context.id,
        resource_link_id=f"link-{first}",
        line_item_url=column_url,
        ags_scopes=_SENDING,
    )
    db.session.add(link)
    db.session.flush()
    registration_id = places["registration_id"]
    db.session.add(
        LineItem(
            registration_id=registration_id,
            context_pk=context.id,
            resource_link_pk=link.id,
            url=column_url,
            label="Load",
        )
    )
    people = [{"registration_id": registration_id, "sub": subject(n)} for n in range(first, end)]
    db.session.execute(insert(LtiUser), people)


def make_due(people: int) -> None:
    """The scores of the first people of every school, in place of all that were there."""
    db.session.execute(delete(Score))
    now = utc_now()
    for first in range(0, people, CLASS):
        subjects = [subject(n) for n in range(first, min(first + CLASS, people))]
        columns: dict[str, Any] = {
            "registration_id": LineItem.registration_id,
            "line_item_id": LineItem.id,
            "lti_user_pk": LtiUser.id,
            "given": literal(GIVEN),
            "maximum": literal(10_000),
            "activity_progress": literal(ActivityProgress.COMPLETED, Score.activity_progress.type),
            "grading_progress": literal(GradingProgress.FULLY_GRADED, Score.grading_progress.type),
            "submitted_at": literal(now, Score.submitted_at.type),
            "due_at": literal(now, Score.due_at.type),
        }
        rows = (
            select(*columns.values())
            .join(Context, Context.id == LineItem.context_pk)
            .join(LtiUser, LtiUser.registration_id == LineItem.registration_id)
            .where(Context.context_id == f"class-{first}", LtiUser.sub.in_(subjects))
        )
        db.session.execute(insert(Score).from_select(list(columns), rows))
    db.session.commit()


def reset() -> None:
    """Forget every score, and how every platform was."""
    for model in (Score, DeliverySlot, DeliveryTally, FailedExchange):
        db.session.execute(delete(model))
    db.session.execute(update(LineItem).values(due_at=None))
    db.session.commit()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=["prepare", "reset", "due"])
    for name in ("--port", "--schools", "--people"):
        parser.add_argument(name, type=int, default=0)
    chosen = parser.parse_args()
    with create_app().app_context():
        if chosen.task == "prepare":
            prepare(chosen.port, chosen.schools, chosen.people)
        elif chosen.task == "reset":
            reset()
        else:
            make_due(chosen.people)
            print(time.monotonic())


if __name__ == "__main__":
    main()
