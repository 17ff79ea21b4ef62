"""Scores delivered by one worker: what the embedded worker's threads do, done once by one thread.

    python -m tests.load.deliver_product --scores N --turn T --platform URL

The product's settings are in the environment. Only delivery is timed, not the making of the scores.
"""

from __future__ import annotations

from sqlalchemy import select

from integrations.terms import ActivityProgress, GradingProgress
from lti_app import create_app
from lti_app.clock import utc_now
from lti_app.delivery.worker import drain
from lti_app.extensions import db
from lti_app.gradebook.delivery.work import deliver
from lti_app.gradebook.services import column_for, set_score
from lti_app.registrations.models import Deployment, Registration
from lti_app.roster.models import Context, LtiUser, ResourceLink
from tests.load.messages import AGS_SCOPES
from tests.load.scores import Stopwatch, Task, subject, task_from_command_line

LINK = "delivery"


def deliver_all(task: Task) -> None:
    """Make the scores due, then deliver them."""
    app = create_app()
    with app.app_context():
        make_due(task)
    watch = Stopwatch()
    watch.print_result(drain(app, [deliver]))


def make_due(task: Task) -> None:
    registration = db.session.scalars(select(Registration)).one()
    link = db.session.scalar(select(ResourceLink).where(ResourceLink.resource_link_id == LINK))
    link = link or _make_link(task, registration)
    _make_people(task, registration)
    column = column_for(link, registration=registration, resource_id="course:load", label="Load")
    assert column is not None
    subjects = [subject(number) for number in range(task.scores)]
    for user_pk in db.session.scalars(select(LtiUser.id).where(LtiUser.sub.in_(subjects))).all():
        set_score(
            column,
            user_pk,
            given=task.given,
            submitted_at=utc_now(),
            activity_progress=ActivityProgress.COMPLETED,
            grading_progress=GradingProgress.FULLY_GRADED,
        )
    db.session.commit()


def _make_link(task: Task, registration: Registration) -> ResourceLink:
    """A class with a link that has a column."""
    context = Context(
        registration_id=registration.id,
        deployment_pk=db.session.scalars(select(Deployment.id)).one(),
        school_id=registration.school_id,
        context_id=LINK,
    )
    db.session.add(context)
    db.session.flush()
    link = ResourceLink(
        context_pk=context.id,
        resource_link_id=LINK,
        line_item_url=task.line_item_url,
        ags_scopes=AGS_SCOPES,
    )
    db.session.add(link)
    db.session.flush()
    return link


def _make_people(task: Task, registration: Registration) -> None:
    """Everybody who gets a score and is not there yet."""
    there = set(db.session.scalars(select(LtiUser.sub).where(LtiUser.registration_id == registration.id)))
    wanted = [subject(number) for number in range(task.scores)]
    new = [LtiUser(registration_id=registration.id, sub=sub) for sub in wanted if sub not in there]
    db.session.add_all(new)
    db.session.flush()


if __name__ == "__main__":
    deliver_all(task_from_command_line())
