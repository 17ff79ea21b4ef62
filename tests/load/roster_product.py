"""A class read by one worker, as the embedded worker's threads do it: everybody new, then everybody known.

    python -m tests.load.roster_product --way WAY --name NAME --members N --platform URL

The product's settings are in the environment.
"""

from __future__ import annotations

from flask import Flask
from sqlalchemy import func, select

from lti_app import create_app
from lti_app.delivery.worker import drain
from lti_app.extensions import db
from lti_app.registrations.models import Deployment, Registration
from lti_app.roster.models import Context, Membership, MembershipStatus, ResourceLink
from lti_app.roster.reading import read_rosters
from lti_app.roster.sync import ask
from tests.load.members import address
from tests.load.roster_tasks import Stopwatch, Task, print_laps, task_from_command_line

WARM = 60
"""Members of the class that is read first and not counted: code and connections are ready then."""


def read_all(task: Task) -> None:
    app = create_app()
    _read(app, _make_class(app, task, f"{task.name}-warm", WARM))
    context_pk = _make_class(app, task, task.name, task.members)
    watch = Stopwatch()
    first = watch.lap(_read(app, context_pk))
    watch = Stopwatch()
    again = watch.lap(_read(app, context_pk))
    print_laps(first=first, again=again)


def _make_class(app: Flask, task: Task, name: str, members: int) -> int:
    """A class whose roster a launch has told; returns its key."""
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
        url = task.platform + address(task.way, name, members)
        db.session.add(ResourceLink(context_pk=context.id, resource_link_id=name, nrps_url=url))
        db.session.commit()
        return context.id


def _read(app: Flask, context_pk: int) -> int:
    """Read the class to the end; returns how many active members it has then."""
    with app.app_context():
        ask(db.session.scalars(select(Registration.id)).one(), context_pk, at_once=True)
        db.session.commit()
    drain(app, [read_rosters])
    with app.app_context():
        active = (Membership.context_pk == context_pk, Membership.status == MembershipStatus.ACTIVE)
        return db.session.scalars(select(func.count()).select_from(Membership).where(*active)).one()


if __name__ == "__main__":
    read_all(task_from_command_line())
