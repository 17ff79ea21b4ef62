"""Children and their guardians: claimed by a code, chosen, left, and set right by a teacher."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from lti_app.clock import utc_now
from lti_app.extensions import db
from lti_app.families import queries
from lti_app.families.attempts import count_attempt, forgive
from lti_app.families.codes import Purpose, fingerprint, new_code, read_code
from lti_app.families.models import ClaimCode
from lti_app.families.queries import Pupil
from lti_app.launches.current import serves_own_child
from lti_app.launches.models import LaunchSession
from lti_app.launches.services import find_child
from lti_app.roster.guardians import link_children
from lti_app.roster.models import Context, Guardianship, GuardianSource, LtiUser, PersonLink, RemovedBy

CODE_LIFE = timedelta(days=60)
CODE_USES = 4
"""Mother, father, and two grandparents."""
MOST_SLIPS = 400
"""At once, so that a request stays short; the page says how many are left."""


class Miscopied(Exception):
    """What was typed cannot be a code. Nothing was looked up, and no attempt was counted."""


class WrongCode(Exception):
    """No code that this login may use. The attempt was counted: commit it."""


@dataclass(frozen=True, slots=True)
class Claimed:
    child: LtiUser
    is_new: bool


@dataclass(frozen=True, slots=True)
class Slip:
    """A code as it is printed: it exists only here and on the paper."""

    pupil: Pupil
    code: str


def claim(launch: LaunchSession, typed: str) -> Claimed:
    """Make the parent of the launch a guardian of the child whose code they typed.

    Codes of other platforms, expired, used up, revoked and made-up ones are one and the same WrongCode.
    Who is a guardian already uses none of the code's four times. Raises Miscopied, TooManyAttempts too.
    """
    assert launch.person_id is not None
    signs = read_code(typed)
    if signs is None:
        raise Miscopied
    count_attempt(launch, Purpose.CLAIM)
    code = db.session.scalar(
        select(ClaimCode)
        .where(
            ClaimCode.code_hash == fingerprint(signs, Purpose.CLAIM),
            ClaimCode.registration_id == launch.registration_id,
            ClaimCode.expires_at > utc_now(),
            ClaimCode.uses_left > 0,
        )
        .with_for_update()
    )
    if code is None:
        raise WrongCode
    forgive(launch, Purpose.CLAIM)
    linked = link_children([(launch.person_id, code.child_pk)], GuardianSource.CLAIM_CODE, restoring=True)
    if linked:
        code.uses_left -= 1
        _refresh_child(launch)
    return Claimed(db.session.get_one(LtiUser, code.child_pk), bool(linked))


def choose(launch: LaunchSession, child_pk: int) -> bool:
    """Be here for this child, now and when this login comes again; False if it is none of the parent's."""
    if child_pk == launch.lti_user_pk and serves_own_child(launch):
        launch.child_pk = child_pk  # where each launch of the login begins anyway
        return True
    if _active(launch, child_pk) is None:
        return False
    db.session.execute(
        update(PersonLink)
        .where(PersonLink.lti_user_pk == launch.lti_user_pk, PersonLink.person_id == launch.person_id)
        .values(child_pk=child_pk)
    )
    launch.child_pk = child_pk
    return True


def leave(launch: LaunchSession, child_pk: int) -> bool:
    """The parent says that this is not their child; False if it was none of theirs. Every open page of
    theirs stops showing it at once; a claim code or an import can bring it back."""
    link = _active(launch, child_pk)
    if link is None:
        return False
    _remove(link, RemovedBy.GUARDIAN)
    _refresh_child(launch)
    return True


def remove(context: Context, guardianship_id: int) -> Guardianship | None:
    """A teacher takes a wrong guardian away from a child of their class; None: no such child of theirs.

    The child's code is revoked with it, because whoever had it may use it again. What the platform repeats
    at the guardian's next launch does not bring the link back; `restore`, a new code or an import does.
    """
    link = queries.guardianship_of_pupil(guardianship_id, context)
    if link is None:
        return None
    revoke(link.child_pk)  # first, as whoever claims takes the code first: nobody waits for each other
    db.session.refresh(link, with_for_update=True)
    if link.removed_at is None:
        _remove(link, RemovedBy.TEACHER)
    return link


def restore(context: Context, guardianship_id: int) -> Guardianship | None:
    """Undo what a teacher removed; what the guardian left stays theirs to decide."""
    link = queries.guardianship_of_pupil(guardianship_id, context)
    if link is None or link.removed_by is RemovedBy.GUARDIAN:
        return None
    link.removed_at = link.removed_by = None
    return link


def make_slips(context: Context, teacher: LtiUser, *, among: Collection[int] | None) -> list[Slip]:
    """Make codes for pupils of the class: new ones for `among`, else for all who have none or an expired one.

    At most 400 at once. Of two teachers who ask at the same moment for those without a code, one gets it.
    """
    pupils = queries.pupils_to_give_codes(context, MOST_SLIPS, among=among)
    if not pupils:
        return []
    now = utc_now()
    slips = [Slip(pupil, new_code()) for pupil in sorted(pupils, key=lambda pupil: pupil.pk)]
    insert = (sqlite if db.engine.dialect.name == "sqlite" else postgresql).insert(ClaimCode)
    insert = insert.values([_code_row(slip, context, teacher, now) for slip in slips])
    names = ("registration_id", "code_hash", "uses_left", "made_by", "made_at", "expires_at")
    made = set(
        db.session.scalars(
            insert.on_conflict_do_update(
                index_elements=["child_pk"],
                set_={name: insert.excluded[name] for name in names},
                where=None if among is not None else ClaimCode.expires_at <= now,
            ).returning(ClaimCode.child_pk)
        )
    )
    order = {pupil.pk: place for place, pupil in enumerate(pupils)}
    return sorted((slip for slip in slips if slip.pupil.pk in made), key=lambda slip: order[slip.pupil.pk])


def revoke(child_pk: int) -> None:
    """The child's code opens nothing any more."""
    db.session.execute(
        delete(ClaimCode).where(ClaimCode.child_pk == child_pk).execution_options(synchronize_session=False)
    )


def _code_row(slip: Slip, context: Context, teacher: LtiUser, now: datetime) -> dict[str, object]:
    return {
        "registration_id": context.registration_id,
        "child_pk": slip.pupil.pk,
        "code_hash": fingerprint(slip.code, Purpose.CLAIM),
        "uses_left": CODE_USES,
        "made_by": teacher.id,
        "made_at": now,
        "expires_at": now + CODE_LIFE,
    }


def _active(launch: LaunchSession, child_pk: int) -> Guardianship | None:
    return db.session.scalar(
        select(Guardianship)
        .where(
            Guardianship.person_id == launch.person_id,
            Guardianship.child_pk == child_pk,
            Guardianship.removed_at.is_(None),
        )
        .with_for_update()
    )


def _remove(link: Guardianship, by: RemovedBy) -> None:
    link.removed_at, link.removed_by = utc_now(), by


def _refresh_child(launch: LaunchSession) -> None:
    """The parent's children have changed: stay with the one they are here for, if it is still theirs."""
    before = launch.child_pk
    find_child(launch)
    if before is not None and before != launch.child_pk and _active(launch, before) is not None:
        launch.child_pk = before
