"""Checks: asked for by a page, done by a worker or a command, kept until the next one."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from lti_app.clock import utc_now
from lti_app.connection.checks import Finding, Step, Verdict, findings
from lti_app.connection.models import CheckState, ConnectionCheck
from lti_app.connection.subject import own_address, subject_of
from lti_app.delivery.models import DeliverySlot
from lti_app.delivery.services import may_be_served, reading, unblock, wake_after_commit
from lti_app.delivery.turns import Turn
from lti_app.extensions import db, platform_services
from lti_app.registrations.models import Registration

PAUSE = timedelta(seconds=30)
"""A platform is checked at most this often by its administrators' pages."""


class CheckWork:
    """The work of the delivery worker that checks connections."""

    name = "checks"

    def due(self, now: datetime) -> Sequence[int]:
        """Active registrations whose check was asked for and that nobody serves now."""
        slot = DeliverySlot
        return db.session.scalars(
            select(ConnectionCheck.registration_id)
            .join(Registration, Registration.id == ConnectionCheck.registration_id)
            .outerjoin(slot, slot.registration_id == Registration.id)
            .where(
                ConnectionCheck.state == CheckState.REQUESTED,
                may_be_served(now),
            )
            .order_by(ConnectionCheck.requested_at)
        ).all()

    def serve(self, turn: Turn) -> int:
        """Do the check, writing down each finding as it comes, because an administrator watches."""
        found: list[Finding] = []
        try:
            for finding in run_check(turn.registration_id):
                found.append(finding)
                _write(turn.registration_id, found, done=False)
                if not turn.renew(utc_now()):
                    return 0  # another worker has it, and begins anew
                db.session.commit()
        except Exception:
            db.session.rollback()
            found.append(Finding(list(Step)[len(found)], Verdict.FAILED, "internal-error"))
            self._finish(turn, found)
            raise
        self._finish(turn, found)
        return 1

    def _finish(self, turn: Turn, found: Sequence[Finding]) -> None:
        _write(turn.registration_id, found, done=True)
        db.session.commit()


work = CheckWork()


def run_check(registration_id: int) -> Iterator[Finding]:
    """Check a connection now. Holds no transaction while it talks to the platform."""
    with reading():
        subject = subject_of(registration_id)
    yield from findings(subject, platform_services())


def check_of(registration_id: int) -> ConnectionCheck | None:
    """The newest check, or None."""
    return db.session.get(ConnectionCheck, registration_id)


def request_check(registration_id: int) -> bool:
    """Have a worker check the connection. False when one is under way or was just made.

    It also ends the rest that the platform gets after failures: somebody may have repaired it.
    """
    now = utc_now()
    check = db.session.get(ConnectionCheck, registration_id, with_for_update=True)
    if check is None:
        if not _inserted(registration_id, now):
            return False
    elif check.state is CheckState.REQUESTED or now - check.requested_at < PAUSE:
        return False
    else:
        check.state, check.requested_at, check.results = CheckState.REQUESTED, now, []
    unblock(registration_id)
    wake_after_commit()
    return True


def save_check(registration_id: int, found: Sequence[Finding]) -> None:
    """Keep what a command found, for the page."""
    _write(registration_id, found, done=True)


def known_words(registration_id: int) -> dict[str, str]:
    """What sentences may name of a registration (`words.sentence`). `name` is as it stands in a command: a
    platform that connected itself chose its name, and somebody will paste it into a shell."""
    registration = db.session.get_one(Registration, registration_id)
    return {
        "name": shlex.quote(registration.name),
        "client_id": registration.client_id,
        "address": registration.token_url,
        "key_set": own_address("registrations.jwks"),
        "login": own_address("lti.login"),
        "redirect": own_address("lti.launch"),
    }


def stored(check: ConnectionCheck) -> list[Finding]:
    """The findings of a check. What an older version wrote and this one does not know is left out."""
    known = [entry for entry in check.results if entry.get("step") in set(Step)]
    return [
        Finding(Step(entry["step"]), Verdict(entry["verdict"]), entry["code"], entry["values"])
        for entry in known
    ]


def _inserted(registration_id: int, now: datetime) -> bool:
    """False: somebody else asked for the first check at the same moment."""
    try:
        with db.session.begin_nested():
            db.session.add(
                ConnectionCheck(
                    registration_id=registration_id,
                    state=CheckState.REQUESTED,
                    requested_at=now,
                    results=[],
                )
            )
    except IntegrityError:
        return False
    return True


def _write(registration_id: int, found: Sequence[Finding], *, done: bool) -> None:
    now = utc_now()
    check = db.session.get(ConnectionCheck, registration_id)
    if check is None:
        check = ConnectionCheck(registration_id=registration_id, requested_at=now)
        db.session.add(check)
    check.results = [asdict(finding) for finding in found]
    check.state = CheckState.DONE if done else CheckState.REQUESTED
    check.checked_at = now if done else check.checked_at
